"""Scores that are probabilities: an increasing map from logit to probability, how it is fitted, measured and stored.

Applying a map needs numpy alone; scikit-learn is imported only to fit one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.checks import check_choice, check_whole, numbers_of
from rerank.errors import InputError, ModelError, require
from rerank.file_hashes import weight_hashes
from rerank.groups import group_numbers

FILE = "calibration.json"
TIE_BREAK = 1e-3
FOLDS = 5
BINS = 15
MAX_BINS = 1_000_000  # more are as many as there are scores, and only take memory

Method: TypeAlias = Literal["platt", "isotonic"]
Labels: TypeAlias = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Platt:
    """sigmoid(slope * logit + intercept); the default is the plain sigmoid.

    Args:
        slope: finite and above 0, so that the order of the logits is kept.
        intercept: finite.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError("slope and intercept must be finite, and slope above 0")

    def __call__(self, logits: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Probabilities in float32, the shape of the logits."""
        return sigmoid((self.slope * logits.astype(np.float64) + self.intercept).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Linear interpolation between points, constant beyond them.

    Flat pieces would tie pairs that the logits tell apart, so a share `TIE_BREAK` of every probability is the
    plain sigmoid of the logit: the order is kept, and a probability is off by at most 0.001.

    Args:
        logits: of one or more points, finite and strictly increasing.
        probabilities: of the points, in [0, 1], never decreasing.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.array(self.logits, dtype=np.float64), np.array(self.probabilities, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or not x.size or not np.isfinite([x, y]).all():
            raise ValueError("logits and probabilities must be equally many finite numbers, at least one")
        if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any() or y[0] < 0 or y[-1] > 1:
            raise ValueError("logits must increase, and probabilities never decrease and lie in [0, 1]")

    def __call__(self, logits: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Probabilities in float32, the shape of the logits."""
        steps = np.interp(logits.astype(np.float64), self.logits, self.probabilities)
        return ((1 - TIE_BREAK) * steps + TIE_BREAK * sigmoid(logits)).astype(np.float32)


Calibration: TypeAlias = Platt | Isotonic
MAPS: dict[Method, type[Platt] | type[Isotonic]] = {"platt": Platt, "isotonic": Isotonic}


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """The result of `CrossEncoderReranker.calibrate`.

    The errors "after" come from 5-fold cross-validation by query: each pair's probability is that of a map fitted
    without the pairs of its query. The map that is kept is fitted on all pairs.

    Args:
        method: "platt" or "isotonic".
        calibration: the map from logit to probability.
        pairs: how many it was fitted on.
        ece_before: expected calibration error of the plain sigmoid; see `expected_calibration_error`.
        ece_after: the same for the calibrated scores.
        brier_before: Brier score of the plain sigmoid: mean squared difference of score and label.
        brier_after: the same for the calibrated scores.
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
        yield f"calibrated by {self.method} on {self.pairs:,} pairs; errors after are of queries not fitted on"
        yield f"expected calibration error: {self.ece_before:.4f} before, {self.ece_after:.4f} after"
        yield f"Brier score: {self.brier_before:.4f} before, {self.brier_after:.4f} after"


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logit)) in float32, without overflow."""
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(logits))
    scores: NDArray[np.float32] = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def expected_calibration_error(
    scores: Sequence[float] | NDArray[np.floating], labels: Labels, *, bins: int = BINS
) -> float:
    """How far scores are from being probabilities: sum over bins of |B| / n * |mean label - mean score|.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, with bins of equal width over
    [0, 1], applied to the probability of being relevant.

    Args:
        scores: n scores in [0, 1].
        labels: n labels in [0, 1]: relevant or not, or a share of relevance.
        bins: how many bins.

    Returns:
        In [0, 1]; 0 is perfect.

    Raises:
        InputError: a value is outside its range, or scores and labels do not match.
    """
    values = numbers_of("scores", scores)
    shares = shares_of(labels, values.size)
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("scores must be between 0 and 1: map logits through a sigmoid")
    check_whole("bins", bins, least=1, most=MAX_BINS)
    bin_of = np.minimum((values * bins).astype(np.intp), bins - 1)
    return float(np.abs(np.bincount(bin_of, weights=shares - values)).sum() / values.size)


def calibrate(
    logits: NDArray[np.float32], shares: NDArray[np.float64], groups: Sequence[Hashable], method: Method
) -> CalibrationReport:
    """Fit a map from logit to probability, and measure it on groups it was not fitted on.

    Args:
        logits: shape (n,).
        shares: how relevant each pair is, in [0, 1], shape (n,).
        groups: the query of each pair.
        method: see `CrossEncoderReranker.calibrate`.

    Raises:
        InputError: there is only one group, one label or one logit, or labels do not rise with the logits.
    """
    from sklearn.model_selection import GroupKFold

    check_choice("method", method, MAPS)
    numbers = group_numbers(groups)
    distinct = int(numbers.max()) + 1
    require(
        distinct >= 2, "pairs of a single query do not show the error on others: pass pairs of more queries"
    )
    columns: dict[str, NDArray[Any]] = {"labels": shares, "logits": logits}
    for name, values in columns.items():
        if values.min() == values.max():
            raise InputError(
                f"all {name} are {values[0]:g}: pass both pairs that are relevant and pairs that are not"
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
    """Labels as shares of relevance, float64, shape (count,).

    Raises:
        InputError: they are not `count` numbers in [0, 1].
    """
    shares = numbers_of("labels", labels)
    if shares.shape != (count,) or not count:
        raise InputError(f"labels must have one entry for each of {count} pairs, got {len(shares)}")
    bad = np.flatnonzero(~((shares >= 0) & (shares <= 1)))
    if bad.size:
        raise InputError(
            f"labels[{bad[0]}] must be between 0 and 1, got {shares[bad[0]]:g}: divide grades by the highest"
        )
    return shares


def write_calibration(calibration: Calibration, folder: Path) -> None:
    """Write a map to a model's folder, together with the hashes of the weights it belongs to."""
    method = next(name for name, kind in MAPS.items() if isinstance(calibration, kind))
    content = {"method": method, **asdict(calibration), "weights": weight_hashes(folder)}
    (folder / FILE).write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")


def read_calibration(folder: Path) -> Calibration | None:
    """The map in a model's folder; None if there is none for its present weights.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        calibration, weights = _from_json(content), content["weights"]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a calibration ({error}): delete it, and calibrate the model again"
        ) from error
    return calibration if weights == weight_hashes(folder) else None


def _from_json(content: dict[str, Any]) -> Calibration:
    match content["method"]:
        case "platt":
            return Platt(content["slope"], content["intercept"])
        case "isotonic":
            return Isotonic(tuple(content["logits"]), tuple(content["probabilities"]))
        case method:
            raise ValueError(f"unknown method {method!r}")


def _fitted(x: NDArray[np.float64], shares: NDArray[np.float64], method: Method) -> Calibration:
    calibration = _fit_platt(x, shares) if method == "platt" else _fit_isotonic(x, shares)
    if calibration is None:
        raise InputError(
            f"the labels of {len(x)} pairs do not rise with the logits: fit the model first, or pass more pairs"
        )
    return calibration


def _fit_platt(x: NDArray[np.float64], shares: NDArray[np.float64]) -> Platt | None:
    """Platt, "Probabilistic Outputs for Support Vector Machines", 1999, whose targets lie a little inside (0, 1).

    That is the only regularisation; it keeps the slope finite when the logits separate the labels.
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


def _fit_isotonic(x: NDArray[np.float64], shares: NDArray[np.float64]) -> Isotonic | None:
    """Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1).fit(x, shares)
    x, y = model.X_thresholds_, model.y_thresholds_
    return Isotonic(tuple(x.tolist()), tuple(y.tolist())) if y[0] < y[-1] else None
