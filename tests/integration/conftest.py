"""A tiny cross-encoder with random weights, and the batches that it reads."""

from __future__ import annotations

import pytest
from faulty_disk import FAULTY, Disk, FaultySystem, put_below
from shops import WORDS

from rerank.serving import torch as backend
from twotower.store import connections


@pytest.fixture(scope="session")
def cross_encoder(one_thread, tmp_path_factory):
    """Writes a random cross-encoder that knows WORDS, its logits about `bias`, and returns its folder."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    def write(bias):
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        config = BertConfig(
            vocab_size=len(vocabulary),
            max_position_embeddings=64,
            initializer_range=0.2,  # large, so that different pairs get clearly different scores
            num_labels=1,
            **sizes,
        )
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = BertForSequenceClassification(config)
        torch.nn.init.constant_(model.classifier.bias, bias)
        folder = tmp_path_factory.mktemp("cross-encoder")
        model.save_pretrained(folder)
        numbers = {word: number for number, word in enumerate(vocabulary)}
        BertTokenizer(numbers, model_max_length=64).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def folder(cross_encoder):
    return cross_encoder(0.0)


@pytest.fixture
def batches(monkeypatch):
    """The masks of all batches that go through a network in torch, each of shape (rows, longest)."""
    seen = []

    def spy(model, batch, forward=backend.forward, **options):
        seen.append(batch["attention_mask"])
        return forward(model, batch, **options)

    monkeypatch.setattr(backend, "forward", spy)
    return seen


@pytest.fixture(scope="session")
def system():
    system = FaultySystem()
    yield system
    system.unregister()


@pytest.fixture
def plant(system, monkeypatch):
    """Puts a disk below SQLite and below the store's own files."""
    monkeypatch.setattr(connections, "vfs", lambda: FAULTY)

    def planted(disk: Disk) -> None:
        put_below(disk, system, monkeypatch)

    return planted
