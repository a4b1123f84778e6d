"""The data and the statistics that the quality benchmarks share."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.data import read_dataset, sample_shop
from benchmarks.common.quality import quality_ratios, quality_rows, ratio_of_means


def test_the_corpus_is_the_split_s_own_where_only_that_is_judged(folder):
    assert len(read_dataset(folder, "dev").items) == 12
    filtered = read_dataset(folder, "dev", where={"split": {"$exists": True}})
    assert len(filtered.items) == 13
    small = read_dataset(folder, "dev", limit=2, corpus_limit=7)
    assert len(small.items) == 7
    assert {item for grades in small.qrels.values() for item in grades} <= {item.id for item in small.items}


def test_the_sample_shop_has_both_splits_and_photos_but_no_attributes():
    train, dev = (sample_shop(split, items=60, queries=80) for split in ("train", "dev"))
    assert not any(item.attributes for item in dev.items)
    assert train.qrels.keys() == train.queries.keys()
    assert dev.qrels.keys() == dev.queries.keys()
    assert len(dev.items) == len(train.items) == 60
    assert not set(train.queries.values()) & set(dev.queries.values())
    assert any(item.image and Path(item.image).is_file() for item in dev.items)


def test_quality_has_both_views_and_a_ratio_by_queries():
    qrels = {f"q{n}": {"a": 1, "b": 0} for n in range(20)}
    runs = {
        "good": {query: {"x": 3.0, "a": 2.0, "b": 1.0} for query in qrels},
        "none": {q: {} for q in qrels},
    }
    options = Namespace(relevant=1, gain="linear", seed=0)
    good, none = quality_rows(runs, {"good": {"k": 3}, "none": {}}, qrels, options, baseline="none")
    assert (good.system, good.params) == ("good", {"k": 3})
    assert good.metrics["ndcg@10"] == pytest.approx(1 / np.log2(3))
    assert (good.metrics["ndcg@10_condensed"], good.metrics["judged@10"]) == (1, pytest.approx(2 / 3))
    assert good.metrics["difference_vs_none"] == good.metrics["ndcg@10"]
    assert good.metrics["p_holm_vs_none"] < 0.001
    assert "p_holm_vs_none" not in none.metrics
    pairs = [("good", "none"), ("none", "good"), ("good", "absent")]
    ratios = quality_ratios(runs, pairs, qrels, options, note="here")
    (ratio,) = ratios.values()  # over none there is no ratio
    assert ratios.keys() == {"none / good : ndcg@10 here"}
    assert (ratio.median, ratio.min, ratio.max, ratio.n) == (0, 0, 0, 20)


def test_the_ratio_of_means_draws_queries_in_pairs():
    peer = np.random.default_rng(0).random(200)
    found = ratio_of_means(peer / 2, peer)
    assert (found.median, found.min, found.max) == pytest.approx((0.5, 0.5, 0.5))  # paired: nothing varies
    unpaired = ratio_of_means(np.roll(peer, 1), peer)
    assert unpaired.min < 0.97 < 1.03 < unpaired.max
    assert ratio_of_means(peer, np.zeros(200)) is None


def test_the_interval_of_a_ratio_is_its_normal_approximation():
    generator = np.random.default_rng(0)
    peer = generator.random(200)
    ours = peer + 0.1 * generator.normal(size=200)
    error = np.std(ours - peer * ours.mean() / peer.mean()) / np.sqrt(200) / peer.mean()
    found = ratio_of_means(ours, peer)
    assert found.max - found.min == pytest.approx(2 * 1.96 * error, rel=0.1)
