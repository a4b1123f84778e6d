"""Tiny models with random weights, written once a session in the formats that their libraries read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before numpy, torch and faiss are imported, here and in every process that a test starts: workers whose
    # thread pools share the cores wait for one another more than they compute.
    os.environ.update(dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"))

from multimodal import ClipEncoder, TextEncoder

# Few examples unless `--hypothesis-profile thorough` asks for many, as `.ci/run` does, and in both the same ones
# every time: a run that fails says something about the change. `explore` looks for new ones. No deadlines: a busy
# machine is no defect.
settings.register_profile("fast", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=1_000, deadline=None)
settings.load_profile("fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--last-first", action="store_true", help="run the tests in the opposite order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--last-first"):
        items.reverse()


WORDS = ["red", "blue", "green", "mug", "lamp", "chair", "steel", "wood", "paper", "table", "abc"]
PROMPTS = {"query": "query: ", "document": "passage: "}
CLIP_SIZE = 32
CLIP = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": CLIP_SIZE,
            "patch_size": 8,
            "layers": 2,
            "width": 32,
            "head_width": 16,
        },
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Many threads on a tiny model wait for one another more than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_text_folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 32 dimensions that knows `WORDS`, with mean pooling and a prompt for either side."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: n for n, word in enumerate([*special, "query", "passage", ":", *WORDS])}
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # large, so that different texts get clearly different vectors
    )
    bert = tmp_path_factory.mktemp("bert")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(bert)
    BertTokenizer(vocabulary, model_max_length=64).save_pretrained(bert)
    folder = tmp_path_factory.mktemp("sentence-transformer")
    modules = [Transformer(str(bert)), Pooling(32, "mean")]
    SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_clip_folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 24 dimensions for photos of 32 by 32 pixels."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**CLIP["model_cfg"])
    folder = tmp_path_factory.mktemp("clip")
    (folder / "open_clip_config.json").write_text(json.dumps(CLIP), encoding="utf-8")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def text_encoder(tiny_text_folder: Path) -> TextEncoder:
    return TextEncoder(tiny_text_folder, device="cpu", batch_size=2)


@pytest.fixture(scope="session")
def clip_encoder(tiny_clip_folder: Path) -> ClipEncoder:
    return ClipEncoder(f"local-dir:{tiny_clip_folder}", device="cpu", batch_size=2)
