import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank import Cascade, InputError, Stage


class KnownScores:
    """A reranker with a table of scores by text, which takes a known time for a call and for each pair."""

    def __init__(self, scores, seconds=0.0, clock=None, call=0.0):
        self.scores, self.seconds, self.clock, self.call = scores, seconds, clock, call
        self.calls = []

    def score(self, pairs):
        self.calls.append(list(pairs))
        if self.clock is not None:
            self.clock.now += self.call + self.seconds * len(pairs)
        return np.array([self.scores[text] for _, text in pairs], dtype=np.float32)

    @property
    def read(self):
        return [pair for call in self.calls for pair in call]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_each_stage_reads_the_best_of_the_one_before():
    texts = ["a", "b", "c", "d", "e"]
    cheap = KnownScores({"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.8, "e": 1.0})
    expensive = KnownScores({"b": 0.2, "d": 0.7})
    (found,) = Cascade((cheap, 4), (expensive, 2)).rerank(["q"], [texts])
    assert cheap.read == [("q", text) for text in "abcd"]  # "e" lies below its depth
    assert expensive.read == [("q", "b"), ("q", "d")]
    assert [texts[row] for row in found.order] == ["d", "c", "b", "a", "e"]
    np.testing.assert_allclose(found.relevance, [0.1, 0.2, 0.5, 0.7, 0.0], rtol=1e-6)
    assert found.read.tolist() == [True, True, True, True, False]
    assert {name: ranks.tolist() for name, ranks in found.ranks.items()} == {
        "recall": [1, 2, 3, 4, 5],
        "stage 1": [4, 1, 3, 2, 0],
        "stage 2": [0, 3, 0, 1, 0],
    }


def test_the_blend_not_relevance_alone_decides_what_the_next_stage_reads():
    prior = np.array([0.0, 0.9, 0.0])
    cheap, expensive = KnownScores({"a": 0.6, "b": 0.5, "c": 0.1}), KnownScores({"b": 0.3})
    blend = lambda number, relevance: 0.5 * prior + 0.5 * relevance  # noqa: E731
    (found,) = Cascade((cheap, None), (expensive, 1)).rerank(["q"], [["a", "b", "c"]], blend)
    assert expensive.read == [("q", "b")]
    np.testing.assert_allclose(found.scores, [0.3, 0.6, 0.05], rtol=1e-6)


def test_the_blend_knows_which_query_it_scores():
    priors = np.array([[0.0, 0.9], [0.9, 0.0]])
    reranker = KnownScores({"a": 0.5, "b": 0.5})
    blend = lambda number, relevance: priors[number] + relevance  # noqa: E731
    first, second = Cascade((reranker, None)).rerank(["x", "y"], [["a", "b"], ["a", "b"]], blend)
    np.testing.assert_allclose([first.scores, second.scores], priors + 0.5)
    assert (first.order.tolist(), second.order.tolist()) == ([1, 0], [0, 1])


def test_all_queries_are_read_in_one_call_of_each_stage():
    scores = {"a": 0.1, "b": 0.9, "c": 0.5}
    reranker = KnownScores(scores)
    first, none, third = Cascade((reranker, None)).rerank(["x", "y", "z"], [["a", "b"], [], ["c", "a", "b"]])
    assert len(reranker.calls) == 1
    assert (first.order.tolist(), none.order.tolist(), third.order.tolist()) == ([1, 0], [], [2, 0, 1])


@settings(deadline=None)
@given(
    scores=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30),
    depths=st.lists(st.integers(1, 12), min_size=1, max_size=3).map(lambda each: sorted(each, reverse=True)),
)
def test_stages_that_agree_give_the_order_of_one_alone(scores, depths):
    texts = [str(number) for number in range(len(scores))]
    known = dict(zip(texts, scores, strict=True))
    (found,) = Cascade(*((KnownScores(known), depth) for depth in depths)).rerank(["q"], [texts])
    head = np.where(np.arange(len(texts)) < depths[0], np.array(scores, dtype=np.float32), 0)
    assert found.order.tolist() == np.argsort(-head, kind="stable").tolist()
    for ranks in found.ranks.values():
        assert len(set(ranks[ranks > 0].tolist())) == np.count_nonzero(ranks)


def test_a_budget_reads_the_best_first_and_as_many_as_fit():
    clock = Clock()
    texts = [f"{number:03}" for number in range(200)]
    reranker = KnownScores(dict.fromkeys(texts, 0.5), seconds=0.001, clock=clock)
    cascade = Cascade(Stage(reranker, None, "rerank"), clock=clock)
    cascade.rerank(["q"], [texts[:4]])  # opens the model
    used = []
    for _ in range(20):
        reranker.calls.clear()
        started = clock.now
        (found,) = cascade.rerank(["q"], [texts], deadline=started + 0.05)
        used.append(clock.now - started)
        assert [text for _, text in reranker.read] == texts[: len(reranker.read)]
        assert np.count_nonzero(found.read) == len(reranker.read)
        assert found.order.tolist() == list(range(200))  # those that were not read come after those that were
    assert max(used) <= 0.05
    assert min(used[1:]) > 0.045
    (found,) = cascade.rerank(["q"], [texts])
    assert found.read.all()


def test_the_cost_of_a_call_is_estimated_apart_from_the_cost_of_a_pair():
    clock = Clock()
    texts = [f"{number:03}" for number in range(200)]
    reranker = KnownScores(dict.fromkeys(texts, 0.5), seconds=0.0005, clock=clock, call=0.008)
    cascade = Cascade((reranker, None), clock=clock)
    cascade.rerank(["q"], [texts[:4]])
    read = []
    for _ in range(40):
        started = clock.now
        (found,) = cascade.rerank(["q"], [texts], deadline=started + 0.06)
        assert clock.now - started <= 0.06 + 1e-6
        read.append(np.count_nonzero(found.read))
    # A single call would read 104 pairs, two calls 88. An estimate of seconds per pair alone would read far fewer.
    assert min(read[5:]) >= 85


def test_every_query_gets_its_share_of_a_budget():
    clock = Clock()
    texts = [f"{number:03}" for number in range(100)]
    reranker = KnownScores(dict.fromkeys(texts, 0.5), seconds=0.001, clock=clock)
    cascade = Cascade((reranker, None), clock=clock)
    cascade.rerank(["q"], [texts[:4]])
    results = cascade.rerank(["x", "y"], [texts, texts], deadline=clock.now + 0.04)
    first, second = (np.count_nonzero(found.read) for found in results)
    assert first + second >= 30
    assert first - second in (0, 1)


def test_a_slow_first_stage_leaves_time_for_the_last():
    clock = Clock()
    texts = [f"{number:03}" for number in range(100)]
    cheap = KnownScores(dict.fromkeys(texts, 0.5), seconds=0.001, clock=clock)
    expensive = KnownScores(dict.fromkeys(texts, 0.5), seconds=0.004, clock=clock)
    cascade = Cascade((cheap, 100), (expensive, 30), clock=clock)
    cascade.rerank(["q"], [texts[:4]])
    for _ in range(5):
        started = clock.now
        (found,) = cascade.rerank(["q"], [texts], deadline=started + 0.1)
        assert clock.now - started <= 0.1
        read = {name: np.count_nonzero(ranks) for name, ranks in found.ranks.items()}
        assert 40 <= read["stage 1"] <= 50
        assert 10 <= read["stage 2"] <= 13


def test_the_time_to_open_a_model_does_not_count():
    clock = Clock()
    reranker = KnownScores({"a": 0.5, "b": 0.9}, seconds=10.0, clock=clock)
    cascade = Cascade((reranker, None), clock=clock)
    cascade.rerank(["q"], [["a"]])
    reranker.seconds = 0.001
    (found,) = cascade.rerank(["q"], [["a", "b"]], deadline=clock.now + 0.01)
    assert found.read.all()


def test_a_budget_too_small_for_any_pair_is_kept_and_a_hiccup_is_forgotten():
    clock = Clock()
    reranker = KnownScores({"a": 0.5, "b": 0.9}, seconds=0.001, clock=clock)
    cascade = Cascade((reranker, None), clock=clock)
    for slowness in (0.001, 5.0):  # the model is opened, and one call takes seconds
        reranker.seconds = slowness
        cascade.rerank(["q"], [["a", "b"]])
    reranker.seconds = 0.001
    read = []
    for _ in range(60):
        (found,) = cascade.rerank(["q"], [["a", "b"]], deadline=clock.now + 0.01)
        read.append(int(np.count_nonzero(found.read)))
        assert found.order.tolist() in ([0, 1], [1, 0])
    assert read[0] == 0
    assert sum(read[:30]) >= 1  # it is retried


def test_nothing_is_read_after_the_deadline():
    reranker = KnownScores({"a": 0.5})
    (found,) = Cascade((reranker, None)).rerank(["q"], [["a"]], deadline=time.perf_counter() - 1)
    assert reranker.calls == []
    assert found.order.tolist() == [0]
    assert not found.read.any()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "at least one stage"),
        ([(KnownScores({}), 0)], "the depth of stage 1 must be at least 1, got 0"),
        ([(KnownScores({}), 10), (KnownScores({}), 20)], "'stage 2' must .* got 20"),
        ([(KnownScores({}), 10), (KnownScores({}), None)], "'stage 2' must .* got None"),
        ([Stage(KnownScores({}), 10, "x"), Stage(KnownScores({}), 5, "x")], "names must differ"),
        ([Stage(KnownScores({}), 10, "recall")], "names must differ"),
    ],
)
def test_a_cascade_that_makes_no_sense_is_refused(stages, message):
    with pytest.raises(InputError, match=message):
        Cascade(*stages)


def test_a_reranker_that_returns_logits_is_refused():
    with pytest.raises(InputError, match="sigmoid"):
        Cascade((KnownScores({"a": 3.0}), None)).rerank(["q"], [["a"]])


def test_rank_needs_nothing_but_strings():
    cheap, expensive = KnownScores({"a": 0.25, "b": 0.75, "c": 0.5}), KnownScores({"b": 0.125, "c": 0.875})
    cascade = Cascade((cheap, 3), (expensive, 2))
    assert cascade.rank("q", ["a", "b", "c"]) == [(2, 0.875, "c"), (0, 0.25, "a"), (1, 0.125, "b")]
    assert cascade.rank("q", ["a", "b", "c"], top_k=2, min_score=0.2) == [(2, 0.875, "c"), (0, 0.25, "a")]
    assert cascade.rank("q", ["a", "b", "c"], min_score=0.9) == []
    assert cascade.rank("q", []) == []
    with pytest.raises(InputError, match="budget_ms"):
        cascade.rank("q", ["a"], budget_ms=0)


def test_rank_keeps_what_no_stage_has_read():
    """Recall put them there; only `min_score` leaves documents out."""
    clock = Clock()
    reranker = KnownScores(dict.fromkeys("abcde", 0.5), seconds=0.001, clock=clock)
    shallow = Cascade((reranker, 2), clock=clock)
    expected = [(0, 0.5, "a"), (1, 0.5, "b"), (2, 0.0, "c"), (3, 0.0, "d"), (4, 0.0, "e")]
    assert shallow.rank("q", list("abcde")) == expected
    assert shallow.rank("q", list("abcde"), top_k=4) == expected[:4]
    assert shallow.rank("q", list("abcde"), min_score=0.1) == expected[:2]
    in_time = Cascade((reranker, None), clock=clock)
    for _ in range(2):  # opens the model, then learns how long a pair takes
        in_time.rank("q", list("abcde"))
    found = in_time.rank("q", list("abcde"), budget_ms=2.5)
    assert [each.score for each in found] == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert [each.text for each in found] == list("abcde")
