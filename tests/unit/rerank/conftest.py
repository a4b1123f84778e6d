from __future__ import annotations

import numpy as np
import pytest

WORDS = ["red", "blue", "green", "steel", "wood", "drill", "hammer", "paint"]
WORDS += ["lamp", "door", "window", "pipe", "valve", "tape", "glue", "saw"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # Threads that share a tiny model spend more time waiting for each other than computing.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Writes a random BERT that knows WORDS and single letters, and returns its folder; labels=None: no head."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    def write(labels):
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefgh"]
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,  # large, so that different pairs get clearly different scores
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=labels or 1,
        )
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network = BertModel(config) if labels is None else BertForSequenceClassification(config)
        folder = tmp_path_factory.mktemp("bert")
        network.save_pretrained(folder)
        BertTokenizer({word: n for n, word in enumerate(vocabulary)}, model_max_length=64).save_pretrained(
            folder
        )
        return folder

    return write


@pytest.fixture(scope="session")
def scorer(tiny_bert):
    """Folder of a tiny cross-encoder with a (random, but saved) head."""
    return tiny_bert(1)


@pytest.fixture(scope="session")
def with_onnx(scorer, tmp_path_factory):
    """Folder of the same cross-encoder with its ONNX files; exporting takes seconds, so do not write to it."""
    from rerank import CrossEncoderReranker

    folder = tmp_path_factory.mktemp("saved") / "model"
    CrossEncoderReranker(scorer, backend="onnx-int8").save(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tiny_bert):
    """Folder of a tiny BERT without a head."""
    return tiny_bert(None)


@pytest.fixture(scope="session")
def texts():
    """Makes pairs of two and four random words."""

    def make(count, seed):
        generator = np.random.default_rng(seed)
        return [tuple(" ".join(generator.choice(WORDS[:10], size)) for size in (2, 4)) for _ in range(count)]

    return make


@pytest.fixture(scope="session")
def opened():
    """Opens a model on a device, with dropout, so that a fit depends on the random state."""
    import torch

    from rerank import CrossEncoderReranker

    def reranker_of(folder, device="cpu"):
        reranker = CrossEncoderReranker(folder, device=device)
        for module in reranker._model.network().modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.2
        return reranker

    return reranker_of


@pytest.fixture
def batches(monkeypatch):
    """The masks of all batches that go through a torch network, each of shape (rows, longest)."""
    from rerank.serving import torch as backend

    masks = []

    def spy(model, batch, forward=backend.forward, **options):
        masks.append(batch["attention_mask"])
        return forward(model, batch, **options)

    monkeypatch.setattr(backend, "forward", spy)
    return masks


@pytest.fixture(scope="session")
def pairs():
    """60 pairs of random words and very different lengths."""
    generator = np.random.default_rng(3)

    def text(most):
        return " ".join(generator.choice(WORDS, generator.integers(0, most)))

    return [(text(6), text(40)) for _ in range(60)]
