"""Scores that mean something: a rising map from a logit to a probability, which needs numpy alone."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.backends.export import sha256
from rerank.errors import ModelError

FILE = "calibration.json"
TIE_BREAK = 1e-3

Method: TypeAlias = Literal["platt", "isotonic"]


@dataclass(frozen=True, slots=True)
class Platt:
    """sigmoid(slope * logit + intercept); the default is the plain sigmoid.

    Args:
        slope: finite, above 0, so the order stays.
        intercept: finite.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError("slope and intercept are finite and the slope is above 0")

    def __call__(self, logits: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Probabilities in float32, the shape of the logits."""
        return sigmoid((self.slope * logits.astype(np.float64) + self.intercept).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between points, level outside them.

    Level pieces would tie pairs that the logits tell apart, so a share `TIE_BREAK` of every probability is the
    plain sigmoid of the logit: the order stays, and a probability is off by at most 0.001.

    Args:
        logits: of the points, finite and rising, one or more.
        probabilities: of the points, in [0, 1], never falling.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.array(self.logits, dtype=np.float64), np.array(self.probabilities, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or not x.size or not np.isfinite([x, y]).all():
            raise ValueError(
                "logits and probabilities are finite numbers, as many of either and at least one"
            )
        if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any() or y[0] < 0 or y[-1] > 1:
            raise ValueError("logits rise, and probabilities never fall and are in [0, 1]")

    def __call__(self, logits: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Probabilities in float32, the shape of the logits."""
        steps = np.interp(logits.astype(np.float64), self.logits, self.probabilities)
        return ((1 - TIE_BREAK) * steps + TIE_BREAK * sigmoid(logits)).astype(np.float32)


Calibration: TypeAlias = Platt | Isotonic
MAPS: dict[Method, type[Platt] | type[Isotonic]] = {"platt": Platt, "isotonic": Isotonic}


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logit)) in float32, without overflow."""
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(logits))
    scores: NDArray[np.float32] = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def write_calibration(calibration: Calibration, folder: Path) -> None:
    """Write a map beside the weights of a model's folder, with their hashes."""
    method = next(name for name, kind in MAPS.items() if isinstance(calibration, kind))
    content = {"method": method, **asdict(calibration), "weights": _hashes(folder)}
    (folder / FILE).write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")


def read_calibration(folder: Path) -> Calibration | None:
    """The map in a model's folder; None if there is none that was made for its present weights.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        calibration, weights = _map_of(content), content["weights"]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a calibration ({error}): delete it, and calibrate the model again."
        ) from error
    return calibration if weights == _hashes(folder) else None


def _map_of(content: dict[str, Any]) -> Calibration:
    match content["method"]:
        case "platt":
            return Platt(content["slope"], content["intercept"])
        case "isotonic":
            return Isotonic(tuple(content["logits"]), tuple(content["probabilities"]))
        case method:
            raise ValueError(f"there is no method {method!r}")


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each file of weights: a large model has several, and a head of its own has a folder."""
    paths = sorted([*folder.glob("*.safetensors"), *folder.glob("[0-9]*_*/*.safetensors")])
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
