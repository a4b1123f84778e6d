from __future__ import annotations

import numpy as np
import pytest

WORDS = ["red", "blue", "green", "steel", "wood", "drill", "hammer", "paint"]
WORDS += ["lamp", "door", "window", "pipe", "valve", "tape", "glue", "saw"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # Many threads on tiny models wait for one another more than they compute.
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
def encoder(tiny_bert):
    """Folder of a tiny BERT without a head."""
    return tiny_bert(None)


@pytest.fixture
def texts():
    """Makes pairs of two and four random words."""

    def make(count, seed):
        generator = np.random.default_rng(seed)
        return [tuple(" ".join(generator.choice(WORDS[:10], size)) for size in (2, 4)) for _ in range(count)]

    return make


@pytest.fixture
def opened():
    """Opens a model on a device, with dropout, so that a fit depends on the state of chance."""
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
    """The shapes of all batches that go through a network in torch: rows, longest."""
    from rerank.backends import network

    shapes = []

    def spy(model, batch, forward=network.forward, **options):
        shapes.append(batch["input_ids"].shape)
        return forward(model, batch, **options)

    monkeypatch.setattr(network, "forward", spy)
    return shapes


@pytest.fixture
def pairs():
    """60 pairs of random words and very different lengths."""
    generator = np.random.default_rng(3)

    def text(most):
        return " ".join(generator.choice(WORDS, generator.integers(0, most)))

    return [(text(6), text(40)) for _ in range(60)]
