"""Differences: exact where the answer can be enumerated, and right about as often as promised."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from twotower.evaluation import compare, compare_all, compare_values, mean_interval, ratio_interval
from twotower.evaluation.significance import holm


def test_permutation_test_equals_enumeration():
    ours, theirs = np.array([0.9, 0.4, 0.7, 0.5, 0.8]), np.array([0.2, 0.5, 0.3, 0.1, 0.6])
    difference = ours - theirs
    means = [np.mean(difference * signs) for signs in product((1, -1), repeat=5)]
    expected = np.mean(np.abs(means) >= abs(difference.mean()) - 1e-12)
    found = compare_values(ours, theirs)
    assert found.p_value == pytest.approx(expected)
    assert (found.difference, found.queries) == (pytest.approx(difference.mean()), 5)


def test_permutation_test_agrees_with_the_t_test_on_many_queries():
    rng = np.random.default_rng(0)
    theirs = rng.normal(0.5, 0.1, 300)
    ours = theirs + rng.normal(0.012, 0.1, 300)
    assert compare_values(ours, theirs).p_value == pytest.approx(
        stats.ttest_rel(ours, theirs).pvalue, abs=0.01
    )


def test_interval_is_the_normal_one_on_many_queries():
    values = np.random.default_rng(1).normal(0.5, 0.2, 2_000)
    found = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(2_000)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.001)


def test_equal_systems_are_equal_and_intervals_cover_as_promised():
    rng = np.random.default_rng(2)
    covered = rejected = 0
    for _ in range(200):
        theirs = rng.normal(0.5, 0.1, 40)
        ours = theirs + rng.normal(0, 0.1, 40)
        found = compare_values(ours, theirs, resamples=500)
        covered += found.low <= 0 <= found.high
        rejected += found.p_value < 0.05
    assert 180 <= covered <= 199
    assert 2 <= rejected <= 20
    same = compare_values(theirs, theirs)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_pairing_finds_what_the_spread_of_queries_hides():
    theirs = np.linspace(0, 0.9, 50)
    ours = theirs + np.where(np.arange(50) % 5, 0.02, -0.01)
    assert compare_values(ours, theirs).p_value < 0.001
    assert stats.ttest_ind(ours, theirs).pvalue > 0.5


def test_a_ratio_of_paired_queries_has_a_narrow_interval():
    theirs = np.random.default_rng(3).uniform(0.1, 1, 60)
    found = ratio_interval(1.2 * theirs, theirs)
    assert (found.mean, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))
    found = ratio_interval(np.where(np.arange(60) % 2, 1.1, 1.3) * theirs, theirs)
    assert 1.15 < found.low < found.mean < found.high < 1.25
    noisy = ratio_interval(theirs[::-1].copy(), theirs)
    assert noisy.low < 1 < noisy.high
    assert noisy.mean == pytest.approx(1)
    with pytest.raises(ValueError, match="0 on every query"):
        ratio_interval(theirs, np.zeros(60))


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12))
@example([0.1] * 3)
@example([0.1] * 9 + [0.0])
def test_an_interval_lies_within_the_range_of_its_values(values):
    found = mean_interval(values, resamples=30)
    for end in (found.low, found.mean, found.high):
        assert min(values) <= end <= max(values)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)), min_size=1, max_size=12))
@example([(0.1, 0.1)] * 9 + [(0.7, 0.7000001)])
@example([(0.1, 0.3)] * 3)
@example([(0.0, 0.0)] + [(0.1, 0.3)] * 11)
def test_an_interval_of_a_ratio_lies_within_the_range_of_the_single_ratios(pairs):
    values, baseline = np.array(pairs).T
    found = ratio_interval(values, baseline, resamples=30)
    ratios = values[baseline > 0] / baseline[baseline > 0]
    for end in (found.low, found.mean, found.high):
        assert ratios.min() <= end <= ratios.max()


def test_holm_s_correction_multiplies_sorted_p_values_and_never_decreases():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_compare_all_corrects_for_the_number_of_runs():
    rng = np.random.default_rng(4)
    qrels = {f"q{n}": {"a": 1} for n in range(30)}

    def run(share: float) -> dict[str, dict[str, float]]:
        return {query: {"a": float(rng.random() < share), "b": 0.5} for query in qrels}

    good, fair, poor = run(0.95), run(0.5), run(0.45)
    found = compare(good, poor, qrels, "mrr@10")
    assert found.difference > 0.1
    assert found.p_value == found.p_holm < 0.01
    assert compare(good, poor, qrels, "mrr@10") == found  # seeded
    several = compare_all({"good": good, "fair": fair}, poor, qrels, "mrr@10")
    assert several["good"].p_value == found.p_value
    assert several["good"].p_holm == pytest.approx(2 * found.p_value)
    assert several["fair"].p_holm == several["fair"].p_value > 0.05
    reverse = compare(poor, good, qrels, "mrr@10")
    assert reverse.difference == pytest.approx(-found.difference)
