"""Reranking in whole searches: what a score means, and what may change it.

The docstrings name the projects whose users or code show the fault that is tested for.
"""

from __future__ import annotations

import numpy as np
import pytest
from fakes import OverlapReranker, PlaneEncoder
from scipy.special import expit
from shops import NOW, WORDS, Logits, aged, ids, random_texts, scores, shop

from rerank import CrossEncoderReranker, Decay
from twotower import Event, Item
from twotower.recall.fusion import Convex


def judged(slope, intercept):
    """Pairs for `Logits` with their probabilities of being relevant, by a known map."""
    logits = np.linspace(-6, 6, 600)
    return [(f"query {n % 5}", str(x)) for n, x in enumerate(logits)], expit(slope * logits + intercept)


def test_a_weight_of_zero_is_zero_and_a_weight_for_one_search_counts():
    """haystack#7304, #7343: a weight for one run is ignored, then a weight of 0 is (`weight or self.weight`)."""
    retriever = shop(
        [Item(text, text, time=aged(100 * n)) for n, text in enumerate(["red lamp", "red door", "saw"])],
        reranker=OverlapReranker(),
        decay=Decay.half_life(30, weight=0.9),
        hybrid=Convex(0.5),
        relevance_weight=0.9,
        user_weight=0.0,
    )
    retriever.record([Event("u", "saw", "purchase", aged(1))])

    def search(**parts):
        return scores(retriever.search("red door", k=3, now=NOW, **parts))

    own = search()
    assert search(decay=Decay.half_life(30, weight=0)) == search(decay=None) != own
    assert search(relevance_weight=0) == pytest.approx(search(reranker=None)) != own
    assert search(hybrid=Convex(0)) == pytest.approx(search(hybrid=None)) != own
    assert search(user="u") == own
    assert len(search(min_score=0.0)) == 3 > len(search(min_score=0.3))
    middle = search(relevance_weight=0.5, decay=Decay.half_life(30, weight=0.2))
    assert middle not in (own, search(relevance_weight=0.5), search(decay=Decay.half_life(30, weight=0.2)))
    assert search() == own  # what was passed to one search is not kept


@pytest.mark.parametrize("calibrated", [False, True])
def test_scores_go_through_one_sigmoid_and_keep_their_spread(calibrated):
    """hindsight#1512, #1823: a second sigmoid squeezes all scores to 0.5, so that only recency counts."""
    slope, intercept = 1.0, 0.0
    reranker = Logits()
    if calibrated:
        report = reranker.calibrate(*judged(0.6, -1.2))
        slope, intercept = report.calibration.slope, report.calibration.intercept
        assert (slope, intercept) == pytest.approx((0.6, -1.2), abs=0.03)
    ages = {"5.0": 300, "3.0": 30, "-1.0": 1, "-4.0": 0}  # the better, the older
    items = [Item(logit, logit, time=aged(age)) for logit, age in ages.items()]
    decay = Decay.half_life(30, weight=0.3)
    retriever = shop(items, PlaneEncoder(), reranker=reranker, decay=decay, relevance_weight=1.0)
    hits = retriever.search("0", now=NOW)
    expected = {
        logit: expit(slope * float(logit) + intercept) * (0.7 + 0.3 * 0.5 ** (age / 30))
        for logit, age in ages.items()
    }
    assert scores(hits) == pytest.approx(expected, rel=1e-5)
    assert set(ids(hits)[:2]) == {"5.0", "3.0"}
    assert hits[0].score > 10 * hits[-1].score


def test_a_score_does_not_depend_on_the_other_candidates(folder):
    """mem0#5714, ragflow#16621: min-max over the candidates makes a single one 0.0, the best of a weak batch 1.0."""
    reranker = CrossEncoderReranker(folder, device="cpu")
    texts = random_texts(30)
    together = reranker.rank("red lamp", texts)
    for row in (together[0], together[-1]):
        (alone,) = reranker.rank("red lamp", [row.text])
        assert alone.score == pytest.approx(row.score, abs=1e-5)
        assert 0.01 < alone.score < 0.99
    retriever = shop(
        [Item(str(n), str(n)) for n in range(-9, 10)], PlaneEncoder(), reranker=Logits(), relevance_weight=1.0
    )
    everything = scores(retriever.search("0", k=19))
    assert everything == pytest.approx({str(n): expit(n) for n in range(-9, 10)}, rel=1e-5)
    weak = retriever.search("0", where={"id": {"$in": ["-9", "-5"]}})
    single = retriever.search("0", where={"id": "-5"})
    assert scores(weak) == {item_id: everything[item_id] for item_id in ("-9", "-5")}
    assert scores(single) == {"-5": everything["-5"]}
    assert retriever.search("0", where={"id": "-5"}, min_score=0.5) == []


def test_many_pairs_go_through_the_network_in_few_batches(folder, batches):
    """sentence-transformers#2482, #1203: "batching is not working", one query at a time on a CPU."""
    items = [Item(word, f"{word} tape glue") for word in WORDS[:10]]
    pairs = len(WORDS) * len(
        items
    )  # seven tokens each: the query, three words of the item, and three special ones
    reranker = CrossEncoderReranker(folder, device="cpu", batch_tokens=7 * pairs)
    retriever = shop(items, reranker=reranker)
    answers = retriever.search_batch([*WORDS, *WORDS[:5]])  # a repeated query is read once
    assert [mask.shape for mask in batches] == [(pairs, 7)]
    for query, hits in zip(WORDS[:3], answers[:3], strict=True):
        assert scores(hits) == pytest.approx(scores(retriever.search(query)), abs=1e-5)
    batches.clear()
    texts = [f"{first} {second} saw" for first in WORDS for second in WORDS]
    CrossEncoderReranker(folder, device="cpu", batch_tokens=210).rank("red", texts)
    assert [mask.shape for mask in batches] == [(30, 7)] * 4 + [(24, 7)]


def test_the_best_candidates_do_not_tie_in_the_sigmoid(cross_encoder):
    """A sigmoid in half precision is 1 for every logit from 9 up."""
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
