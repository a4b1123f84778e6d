"""Scores of pairs turned into yes and no, and how often that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twotower.evaluation.significance import Interval, mean_interval, ratio_interval

Scores = NDArray[np.floating]
Truth = NDArray[np.bool_]
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which score on a pair is a yes.

    Args:
        accuracy: so that the most answers are right.
        f1: so that F1 of the yes is highest.
    """

    accuracy: float
    f1: float


def thresholds(scores: Scores, truth: Truth) -> Thresholds:
    """The best of all thresholds, on pairs that no result is reported of; infinite is no to all."""
    from sklearn.metrics import roc_curve

    false, true, least = roc_curve(truth, scores, drop_intermediate=False)  # (distinct scores + 1,) each
    yes, no = truth.sum(), (~truth).sum()
    accuracy = true * yes - false * no  # and a constant
    f1 = 2 * true * yes / (true * yes + false * no + yes)
    return Thresholds(float(least[accuracy.argmax()]), float(least[f1.argmax()]))


def metrics(
    scores: Scores, truth: Truth, chosen: Thresholds, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """Accuracy, F1 of the yes, average precision and area under the ROC curve, each with its 95 % interval.

    Intervals (NAME_low, NAME_high) are percentile bootstraps over the pairs, the last two of `resamples` samples,
    because each of those is sorted anew.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    yes, said = truth.astype(np.float64), (scores >= chosen.f1).astype(np.float64)
    found = {
        "accuracy": mean_interval(right(scores, truth, chosen), seed=seed),
        "f1": ratio_interval(2 * yes * said, yes + said, seed=seed),  # 2 TP / (2 TP + FP + FN)
        "average_precision": _resampled(average_precision_score, scores, truth, resamples, seed),
        "roc_auc": _resampled(roc_auc_score, scores, truth, resamples, seed),
    }
    return {
        f"{name}{end}": value
        for name, interval in found.items()
        for end, value in (("", interval.mean), ("_low", interval.low), ("_high", interval.high))
    }


def right(scores: Scores, truth: Truth, chosen: Thresholds) -> NDArray[np.float64]:
    """1 where the answer by the threshold of the accuracy is right, else 0, shape (n,)."""
    return ((scores >= chosen.accuracy) == truth).astype(np.float64)


def _resampled(
    metric: Callable[[Truth, Scores], float], scores: Scores, truth: Truth, resamples: int, seed: int
) -> Interval:
    value = float(metric(truth, scores))
    drawn = stats.bootstrap(
        (truth, scores),
        metric,
        paired=True,
        vectorized=False,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))
