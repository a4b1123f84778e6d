"""Scores are remembered until the text or the model changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rerank import CrossEncoderReranker, FitOptions
from rerank.cross_encoder.score_cache import ScoreCache
from rerank.serving.choice import BackendReport
from rerank.serving.torch import TorchBackend


def test_a_score_is_remembered_until_text_or_model_change(scorer, pairs, monkeypatch):
    reranker = CrossEncoderReranker(scorer, cache_pairs=1_000)
    computed = []
    logits = TorchBackend.logits

    def counting(self, tokens):
        computed.append(len(tokens.truncated))
        return logits(self, tokens)

    monkeypatch.setattr(TorchBackend, "logits", counting)
    distinct = list(dict.fromkeys(pairs))
    first = reranker.score(pairs)
    assert sum(computed) == len(distinct)
    assert np.array_equal(reranker.score(pairs[::-1]), first[::-1])
    assert sum(computed) == len(distinct)
    changed = [(pairs[0][0], pairs[0][1] + " saw"), *pairs[1:]]
    again = reranker.score(changed)
    assert sum(computed) == len(distinct) + 1
    assert again[0] != first[0]
    assert np.array_equal(again[1:], first[1:])
    before = sum(computed)
    reranker.fit(
        pairs, [0.5] * len(pairs), learning_rate=1e-2, options=FitOptions(held_out=0, progress=False)
    )
    trained = reranker.score(pairs)
    assert sum(computed) == before + len(distinct)
    assert not np.array_equal(trained, first)
    forgetful = CrossEncoderReranker(scorer)
    forgetful.score(pairs)
    forgetful.score(pairs)
    assert sum(computed) == before + 3 * len(distinct)


def test_pairs_are_distinguished_by_where_the_query_ends():
    cache = ScoreCache(10)
    logits = {("ab", "c"): 1.0, ("a", "bc"): 2.0, ("", "abc"): 3.0, ("2 ", ""): 4.0}
    cache.put(logits, cache.model_version)
    for pair, logit in logits.items():
        assert cache.get([pair]) == {pair: logit}


def test_the_least_recently_used_are_evicted():
    cache = ScoreCache(10)
    often = ("q", "often")
    cache.put({often: -1.0}, cache.model_version)
    for number in range(100):
        cache.put({("q", str(number)): float(number)}, cache.model_version)
        assert cache.get([("q", str(number)), often]) == {("q", str(number)): float(number), often: -1.0}
    kept = cache.get([("q", str(number)) for number in range(100)])
    assert kept == {("q", str(number)): float(number) for number in range(91, 100)}


def test_nothing_is_kept_without_room():
    cache = ScoreCache(0)
    cache.put({("q", "a"): 1.0}, cache.model_version)
    assert cache.get([("q", "a")]) == {}


def test_a_changed_model_never_serves_an_old_score():
    cache = ScoreCache(10)
    old = cache.model_version
    cache.put({("q", "early"): 1.0}, old)
    cache.clear()
    cache.put({("q", "late"): 1.0}, old)  # computed by a call that began before the change
    assert cache.get([("q", "early"), ("q", "late")]) == {}


def test_threads_share_a_cache():
    cache = ScoreCache(50)

    def work(start):
        for number in range(start, start + 500):
            pair = ("q", str(number % 97))
            cache.put({pair: float(number % 97)}, cache.model_version)
            assert cache.get([pair]).get(pair, number % 97) == number % 97

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(cache.get([("q", str(number)) for number in range(97)])) == 50


def test_scores_of_one_back_end_are_never_served_by_another(scorer, pairs, monkeypatch):
    """The back end that is chosen scores unlike the one before; no remembered score survives the change."""
    reranker = CrossEncoderReranker(scorer, cache_pairs=1_000, device="cpu")
    before = reranker.score(pairs)
    monkeypatch.setattr("rerank.cross_encoder.reranker.choose", lambda *_: BackendReport("torch-bf16", ()))
    reranker.choose_backend(pairs)
    other = CrossEncoderReranker(scorer, backend="torch-bf16", device="cpu").score(pairs)
    assert not np.allclose(other, before, atol=1e-4)
    np.testing.assert_allclose(reranker.score(pairs), other, atol=1e-6)
