"""Whether one system is better than another, or was lucky with the queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twotower.evaluation.metrics import Gain, Qrels, Run, Unjudged, evaluate_queries

RESAMPLES = 10_000
_BATCH = 500  # resamples at once: bounds memory at 500 * queries numbers


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries, and where it may lie for other queries of the same kind."""

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
    relevant: int = 1,
    gain: Gain = "linear",
    unjudged: Unjudged = "irrelevant",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two runs, query by query.

    The confidence interval is the percentile bootstrap over queries (Efron 1979); the test is Fisher's randomisation
    test, which flips the sign of each query's difference, exact where there are few queries (Smucker, Allan and
    Carterette 2007, "A comparison of statistical significance tests for information retrieval evaluation").

    Args:
        run: the system's scores by query and document.
        baseline: the same of what it is compared with.
        qrels: grades by query and document.
        metric: as in `evaluate_run`, and so are the next three.
        relevant: threshold.
        gain: of nDCG.
        unjudged: "irrelevant" or "condensed".
        confidence: of the interval, in (0, 1).
        resamples: of bootstrap and test.
        seed: of both.

    Raises:
        ValueError: as in `evaluate_run`.
    """
    return compare_all(
        {"run": run},
        baseline,
        qrels,
        metric,
        relevant=relevant,
        gain=gain,
        unjudged=unjudged,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )["run"]


def compare_all(
    runs: Mapping[str, Run],
    baseline: Run,
    qrels: Qrels,
    metric: str = "ndcg@10",
    *,
    relevant: int = 1,
    gain: Gain = "linear",
    unjudged: Unjudged = "irrelevant",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare several runs with one baseline; `p_holm` is corrected for their number.

    Args:
        runs: by name.
        baseline: as in `compare`, and so are the others.
        qrels: grades.
        metric: name.
        relevant: threshold.
        gain: of nDCG.
        unjudged: "irrelevant" or "condensed".
        confidence: of the intervals.
        resamples: of bootstraps and tests.
        seed: of all.

    Returns:
        A comparison for each run, by its name.
    """

    def values(run: Run) -> NDArray[np.float64]:
        found = evaluate_queries(run, qrels, [metric], relevant=relevant, gain=gain, unjudged=unjudged)
        return np.array(list(found[metric].values()))

    base = values(baseline)
    raw = {
        name: compare_values(values(run), base, confidence=confidence, resamples=resamples, seed=seed)
        for name, run in runs.items()
    }
    corrected = holm([each.p_value for each in raw.values()])
    return {name: replace(each, p_holm=p) for (name, each), p in zip(raw.items(), corrected, strict=True)}


def compare_values(
    values: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare per-query values of two systems, each of shape (queries,), in the same order."""
    difference = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    interval = mean_interval(difference, confidence=confidence, resamples=resamples, seed=seed)
    p_value = 1.0
    if difference.any():
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
    values: Sequence[float] | NDArray[np.float64],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of per-query values, shape (queries,), with its percentile bootstrap confidence interval.

    Of a single value, or of equal ones, the interval is that value.
    """
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (values,),
        np.mean,
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


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
