"""Whether one system is better than another, or the difference is chance: intervals and tests over queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_is
from twotower.evaluation.checks import check_resampling, values_in
from twotower.evaluation.metrics import Counting, Qrels, Run, evaluate_queries

RESAMPLES = 10_000
CONFIDENCE = 0.95
_BATCH = 500  # resamples at a time, which bounds memory at 500 * queries numbers


class Resampling(TypedDict, total=False):
    """How intervals are computed: keyword arguments of `mean_interval` and the others.

    Args:
        confidence: of the interval, in (0, 1); 0.95 if not given.
        resamples: of bootstrap and test; `RESAMPLES` if not given.
        seed: of both; 0 if not given.
    """

    confidence: float
    resamples: int
    seed: int


class ComparisonOptions(Counting, Resampling, total=False):
    """All keyword arguments of `compare`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system beside a baseline, on the same queries.

    Args:
        difference: mean of system minus baseline.
        low: lower end of the bootstrap confidence interval of the difference.
        high: upper end.
        p_value: of the two-sided permutation test that there is no difference.
        p_holm: the same, corrected for the number of systems compared in one call (Holm 1979).
        queries: how many were compared.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    queries: int


def compare(
    run: Run,
    baseline: Run,
    qrels: Qrels,
    metric: str = "ndcg@10",
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    **counting: Unpack[Counting],
) -> Comparison:
    """Compare two runs, query by query.

    The confidence interval is the percentile bootstrap over queries (Efron 1979); the test is Fisher's randomisation
    test, which flips the sign of each query's difference and is exact where there are few queries (Smucker, Allan and
    Carterette 2007, "A comparison of statistical significance tests for information retrieval evaluation").

    Args:
        run: the system's scores by query and document.
        baseline: the same for what it is compared with.
        qrels: grades by query and document.
        metric: as in `evaluate_run`.
        confidence: of the interval, in (0, 1).
        resamples: of bootstrap and test.
        seed: of both.
        counting: `relevant`, `gain` and `unjudged`, as in `evaluate_queries`.

    Raises:
        ValueError: as in `evaluate_run`.
    """
    values, base = (query_values(each, qrels, metric, **counting) for each in (run, baseline))
    return compare_values(values, base, confidence=confidence, resamples=resamples, seed=seed)


def compare_all(
    runs: Mapping[str, Run],
    baseline: Run,
    qrels: Qrels,
    metric: str = "ndcg@10",
    **options: Unpack[ComparisonOptions],
) -> dict[str, Comparison]:
    """Compare several runs with one baseline; `p_holm` is corrected for their number.

    Args:
        runs: by name.
        baseline: what each is compared with.
        qrels: grades by query and document.
        metric: as in `evaluate_run`.
        options: as in `compare`.

    Returns:
        A comparison for each run, by its name.
    """
    check_is("runs", runs, Mapping, "a mapping of names to runs")
    return corrected({name: compare(run, baseline, qrels, metric, **options) for name, run in runs.items()})


def corrected(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """The same comparisons with `p_holm` corrected for their number."""
    p_values = holm([each.p_value for each in comparisons.values()])
    return {
        name: replace(each, p_holm=p) for (name, each), p in zip(comparisons.items(), p_values, strict=True)
    }


def query_values(
    run: Run, qrels: Qrels, metric: str = "ndcg@10", **counting: Unpack[Counting]
) -> NDArray[np.float64]:
    """One metric of every query with a relevant document, in the order of `qrels`, shape (queries,)."""
    return np.array(list(evaluate_queries(run, qrels, [metric], **counting)[metric].values()))


def compare_values(
    values: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare per-query values of two systems, each of shape (queries,), in the same order."""
    difference = np.subtract(*_paired(values, baseline))
    interval = mean_interval(difference, confidence=confidence, resamples=resamples, seed=seed)
    p_value = 1.0
    if difference.any() and len(difference) > 1:  # with a single query both signs are equally far from 0
        from scipy import stats  # takes half a second, which `twotower --help` would pay

        test = stats.permutation_test(
            (difference, np.zeros_like(difference)),
            lambda ours, theirs, axis: np.mean(ours - theirs, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=_BATCH,
            rng=np.random.default_rng(seed),
        )
        p_value = float(test.pvalue)
    return Comparison(interval.mean, interval.low, interval.high, p_value, p_value, len(difference))


def mean_interval(
    values: Sequence[float] | NDArray[np.float64], **resampling: Unpack[Resampling]
) -> Interval:
    """Mean of per-query values, shape (queries,), with its percentile bootstrap confidence interval.

    If all values are equal, the interval is that value.
    """
    values = values_in("values", values)
    return _bootstrap((values,), np.mean, (values.min(), values.max()), **resampling)


def ratio_interval(
    values: Sequence[float] | NDArray[np.float64],
    baseline: Sequence[float] | NDArray[np.float64],
    **resampling: Unpack[Resampling],
) -> Interval:
    """Mean of one system over the mean of another on the same queries, both of shape (queries,), with its interval.

    Queries are drawn in pairs, so that a hard query is hard for both. If all ratios are equal, the interval is that
    ratio.

    Raises:
        ValueError: the baseline is 0 on every query.
    """
    ours, theirs = _paired(values, baseline)
    if not theirs.any():
        raise ValueError("the baseline is 0 on every query: there is nothing to divide by")

    def ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        # A resample in which the baseline finds nothing has no ratio; the percentiles leave it out.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(ours.mean(axis=axis) / theirs.mean(axis=axis))

    return _bootstrap((ours, theirs), ratio, _ratio_range(ours, theirs), **resampling)


def _paired(values: Any, baseline: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of two systems on the same queries.

    Raises:
        ValueError: they are not finite numbers, or differ in number.
    """
    ours, theirs = values_in("values", values), values_in("baseline", baseline)
    if len(ours) != len(theirs):
        raise ValueError(f"baseline must have one value for each of {len(ours)} queries, got {len(theirs)}")
    return ours, theirs


def _ratio_range(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """The range that a ratio of means can have: that of the single ratios if no value is negative."""
    if min(ours.min(), theirs.min()) < 0:
        return -np.inf, np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = ours / theirs
    return float(np.nanmin(ratios)), float(np.nanmax(ratios))


def _bootstrap(
    data: tuple[NDArray[np.float64], ...],
    statistic: Callable[..., Any],
    limits: tuple[float, float],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    check_resampling(confidence, resamples, seed)
    lowest, highest = map(float, limits)
    if lowest == highest:
        return Interval(lowest, lowest, lowest)
    from scipy import stats

    found = stats.bootstrap(
        data,
        statistic,
        paired=len(data) > 1,
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    tail = 50 * (1 - confidence)
    values = found.bootstrap_distribution
    ends = np.percentile(values[np.isfinite(values)], (tail, 100 - tail))
    # A mean may round to just outside the range: that of three times 0.1 is 0.10000000000000002.
    mean, low, high = np.clip((statistic(*data), *ends), *limits)
    return Interval(float(mean), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of m p-values, in their order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(count, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    corrected = np.empty(count)
    corrected[order] = stepped
    return [float(p) for p in corrected]
