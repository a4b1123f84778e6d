"""The back end is chosen by measurement: the fastest that scores and ranks like float32."""

from __future__ import annotations

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError, ModelError
from rerank.calibration import sigmoid
from rerank.serving.choice import Tolerance, choose


def test_the_fastest_back_end_that_scores_like_float32_is_chosen(with_onnx, pairs):
    reranker = CrossEncoderReranker(with_onnx, backend="auto", device="cpu")
    few = reranker.score(pairs[:5])
    assert reranker.backend == "auto"  # too few to measure with
    report = reranker.choose_backend(pairs, max_score_error=1e-4)
    assert reranker.backend == report.chosen in ("torch", "onnx", "openvino")
    found = {each.backend: each for each in report.measured}
    assert found["onnx-int8"].score_error > 1e-4
    assert "exceeds the allowed score error" in found["onnx-int8"].refused
    assert f"{report.chosen}: " in "\n".join(report.lines())
    assert sum("chosen" in line for line in report.lines()) == 1
    np.testing.assert_allclose(reranker.score(pairs[:5]), few, atol=1e-5)


def test_auto_chooses_at_the_first_call_with_enough_pairs(with_onnx):
    reranker = CrossEncoderReranker(with_onnx, backend="auto", device="cpu")
    expected = CrossEncoderReranker(with_onnx, device="cpu")
    many = [("red door", f"{first} {second}") for first in "abcdefgh" for second in "abcdefgh"]
    np.testing.assert_allclose(reranker.score(many), expected.score(many), atol=0.08)
    assert reranker.backend != "auto"


class Fake:
    """A back end with known speed and scores."""

    def __init__(self, clock, seconds, logits):
        self.clock, self.seconds, self.found = clock, seconds, np.array(logits, dtype=np.float32)

    def tokenize(self, pairs):
        return pairs

    def logits(self, tokens):
        self.clock.now += self.seconds
        return self.found


class SystemsClock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_back_end_is_refused_for_its_scores_or_for_its_ranking():
    """One back end is a little off, a faster one swaps two candidates, one cannot run."""
    clock = SystemsClock()
    pairs = [("q", "a"), ("q", "b"), ("q", "c"), ("r", "a"), ("r", "b")]
    grades = [2, 1, 0, 1, 0]
    right = [2.0, 1.0, -1.0, 1.0, -1.0]

    def missing():
        raise ModelError("it is not installed")

    backends = {
        "torch": lambda: Fake(clock, 10.0, right),
        "torch-bf16": lambda: Fake(clock, 5.0, np.add(right, 0.02)),
        "onnx": missing,
        "onnx-int8": lambda: Fake(clock, 1.0, [1.99, 1.0, -1.0, -0.01, 0.0]),
    }
    report = choose(backends, pairs, sigmoid, Tolerance(0.2, 0.003), grades, clock=clock)
    found = {each.backend: each for each in report.measured}
    assert report.chosen == "torch-bf16"
    assert found["torch-bf16"].seconds == 5.0
    assert found["torch-bf16"].ndcg_loss == 0
    assert found["onnx-int8"].ndcg_loss == pytest.approx((1 - 1 / np.log2(3)) / 2)  # the second query of two
    assert "nDCG loss" in found["onnx-int8"].refused
    assert found["onnx"].refused == "cannot run: it is not installed"
    strict = choose(backends, pairs, sigmoid, Tolerance(0.001, 1.0), grades, clock=clock)
    assert strict.chosen == "torch"
    assert choose(backends, pairs, sigmoid, Tolerance(0.2, 0.003), clock=clock).chosen == "onnx-int8"


def test_pairs_and_grades_to_measure_with_are_checked(scorer):
    with pytest.raises(InputError, match="no pairs to measure"):
        CrossEncoderReranker(scorer).choose_backend([])
    with pytest.raises(InputError, match=r"grades must have one entry for each of .* got 2"):
        CrossEncoderReranker(scorer).choose_backend([("a", "b")], [1, 2])
