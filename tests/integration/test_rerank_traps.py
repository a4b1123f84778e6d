"""Traps read in other projects' code (T): what the named code does, and that ours does not."""

from __future__ import annotations

import shutil
from datetime import timedelta, timezone
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker, PlaneEncoder
from scipy.special import expit, logsumexp
from shops import NOW, Logits, aged, ids, random_texts, scores, shop

from multimodal import TextEncoder, TextFitOptions, WeightedConcat, WeightedSum
from rerank import CrossEncoderReranker, Decay
from twotower import IndexPolicy, Item, Retriever
from twotower.errors import ItemError, QueryError
from twotower.store import files, sqlite_item_store


def test_t1_zero_stays_zero_no_date_is_not_now_and_reading_writes_nothing(tmp_path):
    """LlamaIndex: `score or 1.0`, a missing date is now, one hour costs 99 %, and reading writes metadata."""
    dated = {"new": NOW, "hour": NOW - timedelta(hours=1), "month": aged(30), "never": None}
    items = [Item(name, "red lamp", time=time) for name, time in dated.items()]
    parts = {"reranker": OverlapReranker(), "decay": Decay.half_life(30, weight=1.0), "relevance_weight": 1.0}
    folder = tmp_path / "store"
    with Retriever.open(folder, encoder=HashEncoder(), **parts) as retriever:
        retriever.upsert([*items, Item("zero", "blue door", time=NOW)])
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for _ in range(5):
            hits = retriever.search("red lamp", now=NOW)
        assert scores(hits) == pytest.approx(
            {"new": 1.0, "hour": 0.5 ** (1 / 720), "month": 0.5, "never": 0.5, "zero": 0.0}
        )
        assert scores(hits)["zero"] == 0
        assert {item.id: item.time for item in retriever.items()} == dated | {"zero": NOW}
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_t2_being_found_makes_nothing_young_and_moments_have_a_zone():
    """LangChain: age counts from the last access, which reads move, and the present is naive."""
    items = [Item("old", "red lamp", time=aged(90)), Item("new", "red lamp shade", time=aged(3))]
    retriever = shop(items, decay=Decay.half_life(30, weight=1.0))
    first = retriever.search("red lamp", now=NOW)
    for _ in range(20):
        retriever.search("red lamp", k=1, where={"id": "old"}, now=NOW)
    assert retriever.search("red lamp", now=NOW) == first
    assert scores(first)["old"] == pytest.approx(0.5**3)  # its similarity is 1; nothing is added to that
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    assert retriever.search("red lamp", now=elsewhere) == first
    with pytest.raises(QueryError, match="without a time zone"):
        retriever.search("red lamp", now=NOW.replace(tzinfo=None))
    with pytest.raises(ItemError, match="time"):
        retriever.upsert([Item("naive", "red", time=NOW.replace(tzinfo=None))])


def test_t3_whatever_is_old_keeps_its_order_and_hours_count():
    """Superlinked: recency is inside the vector, by the day, and all beyond the longest period score 0."""
    hours = [0, 1, 2, 24 * 365, 24 * 3_650, 24 * 3_650 + 1, 24 * 36_500]
    items = [Item(str(age), "0", time=NOW - timedelta(hours=age)) for age in reversed(hours)]
    retriever = shop(items, PlaneEncoder(), decay=Decay.half_life(365, weight=1.0))
    hits = retriever.search("0", now=NOW)
    assert ids(hits) == [str(age) for age in hours]
    assert hits[-1].score == pytest.approx(0.5**100)
    retriever = shop([Item(str(n), str(n), time=aged(150_000 + n)) for n in range(50, 0, -7)], PlaneEncoder())
    hits = retriever.search("0", now=NOW, decay=Decay.half_life(30, weight=0.3))
    assert ids(hits) == [str(n) for n in range(1, 51, 7)]  # four centuries on, relevance is what is left
    assert [hit.score for hit in hits] == pytest.approx(
        [0.7 * np.cos(np.radians(n)) for n in range(1, 51, 7)]
    )


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_t4_the_temperature_divides_cosines_once_and_nothing_is_taken_from_them(
    tiny_text_folder, tmp_path, temperature
):
    """torch-rechub: log Q is subtracted before the division by the temperature, so it counts 1/T times.

    No training here has a log Q that could be scaled: what keeps a popular document from being everybody's negative
    is a mask, and the rest is the plain softmax.
    """
    folder = shutil.copytree(tiny_text_folder, tmp_path / "model")
    for path in folder.rglob("config.json"):  # no dropout, so that the loss of the first step is known
        path.write_text(path.read_text().replace('dropout_prob": 0.1', 'dropout_prob": 0.0'))
    encoder = TextEncoder(folder, device="cpu")
    queries, documents = ["red", "blue", "green", "mug"], ["steel", "steel", "wood", "paper table"]
    logits = encoder.encode_queries(queries) @ encoder.encode_documents(documents).T / temperature
    logits[0, 1] = logits[1, 0] = -np.inf  # steel answers both
    pairs = list(zip(queries, documents, strict=True))
    report = encoder.fit(
        pairs, batch_size=4, options=TextFitOptions(temperature=temperature, bf16=False, progress=False)
    )
    assert report.losses == pytest.approx([np.mean(logsumexp(logits, axis=1) - np.diag(logits))], rel=1e-4)


def test_t5_memory_does_not_grow_with_the_candidates(folder, batches):
    """FlashRank: all candidates are one padded batch."""
    texts = random_texts(400)
    for number in (10, 100, 400):
        batches.clear()
        CrossEncoderReranker(folder, device="cpu", batch_tokens=500).rank("red", texts[:number])
        assert sum(len(mask) for mask in batches) == number
        assert max(mask.size for mask in batches) <= 500
    assert sum(mask.sum() for mask in batches) > 0.9 * sum(mask.size for mask in batches)


def test_t6_the_best_candidates_do_not_tie_in_the_sigmoid(cross_encoder):
    """A sigmoid in half precision is 1 for every logit of 9 and more."""
    logits = [9.0, 10.0, 11.0, 12.0, 40.0, 50.0]
    assert len(set(expit(logits).astype(np.float16))) == 1
    ranked = Logits().rank("q", [str(logit) for logit in logits])
    assert [float(row.text) for row in ranked] == logits[::-1]  # where float32 ties, the logit decides
    assert [row.score for row in ranked[2:]] == pytest.approx(expit(logits[3::-1]), rel=3e-7)
    assert len({row.score for row in ranked[2:]}) == 4
    coarse = CrossEncoderReranker(cross_encoder(10.0), device="cpu", backend="torch-bf16")
    pairs = [("red", text) for text in random_texts(40)]
    found, raw = coarse.score(pairs), coarse.logits(pairs)
    assert found.dtype == raw.dtype == np.float32
    assert raw.min() > 8
    assert len(set(found.tolist())) == len(set(raw.tolist())) > 4
    np.testing.assert_allclose(found, expit(raw.astype(np.float64)), rtol=3e-7)


class Crash(BaseException):
    """The process is gone."""


def crash(patch, moment):
    """Let the process go before one of the steps of a save: an item, a piece of a file, or the name of a file."""
    left = count(moment, -1)

    def watched(act):
        def step(*given):
            if next(left) <= 0:
                raise Crash
            return act(*given)

        return step

    patch.setattr(sqlite_item_store, "item_to_bytes", watched(sqlite_item_store.item_to_bytes))
    patch.setattr(files._Hashing, "write", watched(files._Hashing.write))
    patch.setattr(Path, "replace", watched(Path.replace))


def test_t7_a_save_that_crashes_anywhere_leaves_one_state_whole(tmp_path, monkeypatch):
    """txtai: `save` writes its parts one after the other in place, so a crash mixes two states."""
    states = [{str(n): f"{word} {n}" for n in range(size)} for word, size in (("red", 6), ("blue", 9))]
    old, new = (
        shop([Item(key, words) for key, words in state.items()], index=IndexPolicy(exact_up_to=3))
        for state in states
    )
    seen, crashed = [], True
    while crashed:
        old.save(folder := tmp_path / f"{len(seen)}")
        with monkeypatch.context() as patch:
            crash(patch, 4 * len(seen))
            try:
                new.save(folder)
                crashed = False
            except Crash:
                pass
        with Retriever.open(folder, encoder=HashEncoder()) as retriever:
            assert retriever.maintenance.verify() == []
            seen.append({item.id: item.title for item in retriever.items()})
            assert scores(retriever.search("blue 7", k=99)).keys() == seen[-1].keys()
    assert seen == sorted(seen, key=states.index)  # raises where one is mixed
    assert seen.count(states[0]) == 3  # with items written, and none of them to be seen
    assert seen.count(states[1]) > 5  # the index had to be made again


@pytest.mark.parametrize("method", [WeightedConcat, WeightedSum])
def test_t8_fusion_weights_are_shared_among_what_is_there(method):
    """Marqo: the mean of the parts that are there, weights not renormalised, a norm of 0 unguarded."""
    text, image = np.eye(2, 4, dtype=np.float32)
    both, neither = np.array([True, True, False]), np.array([True, False, True])
    fused = method(text=3, image=1).fuse(np.tile(text, (3, 1)), np.tile(image, (3, 1)), both, neither)
    share = 0.75 * text + 0.25 * image
    expected = [share / np.linalg.norm(share), text, image]
    if method is WeightedConcat:
        expected = [[*(np.sqrt(w) * text), *(np.sqrt(v) * image)] for w, v in ((0.75, 0.25), (1, 0), (0, 1))]
    np.testing.assert_allclose(fused, expected, atol=1e-6)
    one, no = np.array([True]), np.array([False])
    with pytest.raises(ValueError, match="row 0 has neither text nor image"):
        method().fuse(text[None], image[None], no, no)
    with pytest.raises(ValueError, match="row 0 has neither"):
        method(text=1, image=0).fuse(text[None], image[None], no, one)
    if method is WeightedSum:
        with pytest.raises(ValueError, match="cancel out"):
            method().fuse(text[None], -text[None], one, one)
