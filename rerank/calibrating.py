"""How scores become probabilities: a map is fitted, and its error measured on other queries than it was fitted on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.batching import numbered
from rerank.calibration import MAPS, Calibration, Isotonic, Method, Platt, sigmoid
from rerank.errors import InputError

FOLDS = 5
BINS = 15

Labels: TypeAlias = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What `calibrate` found.

    The errors after come from 5-fold cross-validation by query: each pair's probability is that of a map fitted
    without the pairs of its query. The map that is kept is fitted on all pairs.

    Args:
        method: "platt" or "isotonic".
        calibration: the map from logit to probability.
        pairs: how many were calibrated on.
        ece_before: expected calibration error of the plain sigmoid; see `expected_calibration_error`.
        ece_after: the same of the calibrated scores.
        brier_before: Brier score of the plain sigmoid: mean squared difference of score and label.
        brier_after: the same of the calibrated scores.
    """

    method: Method
    calibration: Calibration
    pairs: int
    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float

    def lines(self) -> Iterator[str]:
        """The report in words."""
        yield f"calibrated by {self.method} on {self.pairs:,} pairs, errors after on queries not fitted on"
        yield f"expected calibration error: {self.ece_before:.4f} before, {self.ece_after:.4f} after"
        yield f"Brier score: {self.brier_before:.4f} before, {self.brier_after:.4f} after"


def expected_calibration_error(
    scores: Sequence[float] | NDArray[np.floating], labels: Labels, *, bins: int = BINS
) -> float:
    """How far scores are from being probabilities: sum over bins of |B| / n * |mean label - mean score|.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, with bins of equal width over
    [0, 1], here of the probability of being relevant.

    Args:
        scores: n scores in [0, 1].
        labels: n labels in [0, 1], relevant or not, or a share of relevance.
        bins: how many.

    Returns:
        In [0, 1]; 0 is perfect.

    Raises:
        InputError: something is outside its range, or scores and labels do not match.
    """
    values = np.asarray(scores, dtype=np.float64)
    shares = shares_of(labels, values.size)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise InputError("Scores are one row of numbers in [0, 1]: map logits through a sigmoid.")
    if bins < 1:
        raise InputError(f"bins is at least 1, not {bins}.")
    bin_of = np.minimum((values * bins).astype(np.intp), bins - 1)
    return float(np.abs(np.bincount(bin_of, weights=shares - values)).sum() / values.size)


def calibrate(
    logits: NDArray[np.float32], shares: NDArray[np.float64], groups: Sequence[Hashable], method: Method
) -> CalibrationReport:
    """Fit a map from logit to probability, and measure it on groups that it was not fitted on.

    Args:
        logits: shape (n,).
        shares: how relevant each pair is, in [0, 1], shape (n,).
        groups: the query of each pair.
        method: see `CrossEncoderReranker.calibrate`.

    Raises:
        InputError: there is one group, one label or one logit only, or labels do not rise with the logits.
    """
    from sklearn.model_selection import GroupKFold

    if method not in MAPS:
        raise InputError(f"method is one of {tuple(MAPS)}, not {method!r}.")
    numbers = numbered(groups)
    distinct = int(numbers.max()) + 1
    if distinct < 2:
        raise InputError("Pairs of one query cannot tell the error on another: pass pairs of more queries.")
    columns: dict[str, NDArray[Any]] = {"labels": shares, "logits": logits}
    for name, values in columns.items():
        if values.min() == values.max():
            raise InputError(
                f"All {name} are {values[0]:g}: pass pairs that are relevant and pairs that are not."
            )
    x = logits.astype(np.float64)
    after = np.empty_like(logits)
    for rest, held_out in GroupKFold(min(FOLDS, distinct)).split(x, groups=numbers):
        after[held_out] = _fitted(x[rest], shares[rest], method)(logits[held_out])
    before = sigmoid(logits)
    return CalibrationReport(
        method,
        _fitted(x, shares, method),
        len(logits),
        expected_calibration_error(before, shares),
        expected_calibration_error(after, shares),
        float(np.square(before - shares).mean()),
        float(np.square(after - shares).mean()),
    )


def shares_of(labels: Labels, count: int) -> NDArray[np.float64]:
    """Labels as shares of relevance, float64 of shape (count,).

    Raises:
        InputError: they are not so many numbers in [0, 1].
    """
    shares = np.asarray(labels, dtype=np.float64)
    if shares.shape != (count,) or not count:
        raise InputError(f"There are {count} pairs but labels of shape {shares.shape}.")
    bad = np.flatnonzero(~((shares >= 0) & (shares <= 1)))
    if bad.size:
        raise InputError(
            f"Label {bad[0]} is {shares[bad[0]]:g}: labels are in [0, 1], so divide grades by the highest."
        )
    return shares


def _fitted(x: NDArray[np.float64], shares: NDArray[np.float64], method: Method) -> Calibration:
    calibration = _platt(x, shares) if method == "platt" else _isotonic(x, shares)
    if calibration is None:
        raise InputError(
            f"The labels of {len(x)} pairs do not rise with the logits: fit the model, or pass more pairs."
        )
    return calibration


def _platt(x: NDArray[np.float64], shares: NDArray[np.float64]) -> Platt | None:
    """Platt, "Probabilistic Outputs for Support Vector Machines", 1999: targets a little inside (0, 1).

    That is the only regularisation: it keeps the slope finite where the logits separate the labels.
    """
    from sklearn.linear_model import LogisticRegression

    relevant = shares.sum()
    highest, lowest = (relevant + 1) / (relevant + 2), 1 / (len(x) - relevant + 2)
    targets = lowest + (highest - lowest) * shares
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)  # infinite C: no penalty
    model.fit(
        np.concatenate([x, x])[:, None],
        np.repeat([1, 0], len(x)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Platt(slope, intercept) if slope > 0 else None


def _isotonic(x: NDArray[np.float64], shares: NDArray[np.float64]) -> Isotonic | None:
    """Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1).fit(x, shares)
    x, y = model.X_thresholds_, model.y_thresholds_
    return Isotonic(tuple(x.tolist()), tuple(y.tolist())) if y[0] < y[-1] else None
