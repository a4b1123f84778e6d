from __future__ import annotations

import shutil
from argparse import Namespace
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.common import contract, timing
from benchmarks.common.data import Dataset
from benchmarks.common.machine import installed
from benchmarks.common.timing import SENTENCE_TRANSFORMERS
from benchmarks.train import benchmark as train
from benchmarks.train import sentence_transformers_trainer as trainer_peer
from benchmarks.train.data import sampled_corpus, training_pairs
from multimodal import TextEncoder
from twotower.types import Item, Query

needs_peer = pytest.mark.skipif(
    any(find_spec(name) is None for name in trainer_peer.NEEDS), reason="the peer's trainer is not installed"
)
PAIRS = [("red mug", "steel"), ("blue lamp", "wood table"), ("green", "paper"), ("red chair", "abc")]
OPTIONS = Namespace(batch_size=2, minutes=0.005, learning_rate=1e-3, max_length=16, device="cpu", seed=0)


@pytest.fixture
def encoders(tiny_text_folder, tmp_path):
    folder = shutil.copytree(tiny_text_folder, tmp_path / "model")
    return {name: TextEncoder(folder, device="cpu") for name in (train.OURS, SENTENCE_TRANSFORMERS)}


def dataset(queries, qrels, items=None):
    items = items or [Item(f"i{n}", f"item {n}") for n in range(10)]
    return Dataset("shop", tuple(items), {i: Query(text) for i, text in queries.items()}, qrels)


def test_no_evaluated_query_is_trained_on():
    data = dataset(
        {"1": "Red  mug", "2": "blue lamp", "3": "green"},
        {"1": {"i1": 3}, "2": {"i2": 3, "i3": 1, "gone": 3}, "3": {"i4": 2}},
    )
    assert training_pairs(data, [], 2) == [
        ("Red  mug", "item 1"),
        ("blue lamp", "item 2"),
        ("green", "item 4"),
    ]
    # The same words under another id are a leak.
    assert training_pairs(data, ["red mug"], 2) == [("blue lamp", "item 2"), ("green", "item 4")]
    with pytest.raises(ValueError, match="grade 4"):
        training_pairs(data, [], 4)


def test_judged_products_are_always_in_the_corpus():
    data = dataset({"1": "red"}, {"1": {"i7": 0, "i2": 1}})
    for size in (1, 2, 5, 10, 99):
        ids = [item.id for item in sampled_corpus(data, size, seed=0)]
        assert {"i2", "i7"} <= set(ids)
        assert len(ids) == len(set(ids)) == min(max(size, 2), 10)
        assert ids == sorted(ids)  # the file's order
    drawn = {tuple(item.id for item in sampled_corpus(data, 5, seed)) for seed in range(9)}
    assert len(drawn) > 1


def test_retrieval_finds_an_item_by_its_own_words(tiny_text_folder, monkeypatch):
    encoder = TextEncoder(tiny_text_folder, device="cpu")
    monkeypatch.setattr(
        encoder, "encode_queries", encoder.encode_documents
    )  # without the prompts' difference
    items = [Item(f"i{n}", document) for n, (_, document) in enumerate(PAIRS)]
    found = train.retrieve(encoder, dataset({"q": "wood table"}, {}, items))["q"]
    assert max(found, key=found.__getitem__) == "i1"
    assert found["i1"] == pytest.approx(1, abs=1e-5)


def test_the_headline_has_both_ratios():
    ratios = {
        "twotower / sentence-transformers : examples_per_s": contract.Spread(3, 2.5, 3.5, 5),
        "twotower / sentence-transformers : ndcg@10 after 240 s": contract.Spread(0.5, 0.4, 0.6, 20),
    }
    sentence = train.headline(contract.Result("train", 0, ratios=ratios), "after 240 s")
    assert "3 (2.5 to 3.5) times as many examples a second" in sentence
    assert "ndcg@10 after 240 s is 0.5 (0.4 to 0.6) times theirs" in sentence


def test_without_the_peer_the_headline_is_our_speed(capsys):
    assert not installed("their trainer", "no_such_package")
    assert capsys.readouterr().err == "their trainer is left out: pip install no_such_package\n"
    row = contract.ResultRow("twotower", {}, {"examples_per_s": contract.Spread.of([2.0])})
    assert "not installed" in train.headline(contract.Result("train", 0, [row]), "after 240 s")


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_both_do_the_same_work_in_a_speed_measurement(encoders, monkeypatch):
    import torch

    def weights(name):
        return {key: tensor.clone() for key, tensor in encoders[name]._model.state_dict().items()}

    steps = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: (steps.append(a[0]), step(*a, **k))[1])
    start = weights(train.OURS)
    seconds = train.measure_speed(encoders, start, PAIRS, OPTIONS, bf16=False)
    assert {name: len(each) for name, each in seconds.items()} == dict.fromkeys(encoders, timing.REPETITIONS)
    assert len(steps) == 2 * (timing.REPETITIONS + 1) * 2  # systems, calls with warm-up, steps
    assert {tuple(sorted(group["weight_decay"] for group in each.param_groups)) for each in steps} == {
        (0.0, 0.01)
    }
    for name in encoders:
        assert any(not torch.equal(tensor, start[key]) for key, tensor in weights(name).items())


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_without_dropout_and_chance_both_learn_the_same_weights(encoders):
    """One batch with all pairs, so that order and masks do not matter: loss, optimizer and prompts are equal."""
    import torch

    for encoder in encoders.values():
        for module in encoder._model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    options = Namespace(**vars(OPTIONS) | {"batch_size": len(PAIRS)})
    before = encoders[train.OURS].encode_queries(["red mug"])
    train.fit(train.OURS, encoders[train.OURS], PAIRS, options, bf16=False, epochs=3)
    call = trainer_peer.peer_trainer(
        encoders[SENTENCE_TRANSFORMERS]._model, PAIRS, options, bf16=False, epochs=3, sampler="no_duplicates"
    )
    _, counts = call()
    assert counts == [4, 4, 4]
    ours, theirs = (
        encoders[name].encode_queries(["red mug", "abc"]) for name in (train.OURS, SENTENCE_TRANSFORMERS)
    )
    assert np.abs(ours[0] - before[0]).max() > 0.01
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


@needs_peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [train.OURS, SENTENCE_TRANSFORMERS])
def test_a_budget_of_time_ends_the_training_of_either(encoders, name):
    costs = train.train_for_a_time(name, encoders[name], PAIRS, OPTIONS, bf16=False)
    assert costs["examples"] == 2 * costs["steps"] >= 2
    assert costs["train_s"] >= 0.3
    assert costs["steps"] < 2 * train.EPOCHS  # it was the time that ended it
    assert encoders[name]._model.max_seq_length == 64  # the limit was for the training
