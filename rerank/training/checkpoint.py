"""The state of a fit, from which it resumes: one safetensors file with a JSON header, replaced atomically."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerank.errors import InputError
from rerank.training.best_weights import BestWeights
from rerank.training.report import TrainingEvaluation

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor
    from torch.optim import Optimizer

FILE = "fit.safetensors"
WEIGHTS, BEST, MOMENTS, RANDOM = "weights.", "best.", "moments.", "random."


@dataclass(slots=True)
class Progress:
    """How far a fit has got.

    Args:
        step: optimizer steps taken.
        unimproved: evaluations since the best one.
        seconds: time until the last evaluation.
        evaluations: those so far.
    """

    step: int = 0
    unimproved: int = 0
    seconds: float = 0.0
    evaluations: list[TrainingEvaluation] = field(default_factory=list)

    @property
    def evaluated_at(self) -> int:
        """The step of the last evaluation; -1 before the first."""
        return self.evaluations[-1].step if self.evaluations else -1

    def add(self, evaluation: TrainingEvaluation, *, improved: bool, seconds: float) -> None:
        """Record one more evaluation."""
        self.evaluations.append(evaluation)
        self.unimproved = 0 if improved else self.unimproved + (evaluation.step > 0)
        self.seconds = seconds


class Checkpoint:
    """The state of one fit in a folder.

    Args:
        folder: created when first written; only one file in it is touched.
        fingerprint: of the fit's data and options.

    Raises:
        InputError: the folder holds the state of another fit, or a state that cannot be read.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path = folder.expanduser().absolute() / FILE
        self._fingerprint = fingerprint
        header = self._header()
        if header is not None and header["fingerprint"] != fingerprint:
            raise InputError(
                f"{self._path} belongs to a fit of other pairs, another model or other options: repeat that fit, "
                "choose another folder, or delete the file to start anew"
            )

    def write(
        self, network: CrossEncoder, optimizer: Optimizer, best: BestWeights, progress: Progress
    ) -> None:
        """Replace the saved state by the present one."""
        import torch
        from safetensors.torch import save_file

        tensors = _named(WEIGHTS, network.state_dict())
        for number, moments in optimizer.state_dict()["state"].items():
            tensors |= _named(f"{MOMENTS}{number}.", moments)
        if best.weights is not None and best.step != progress.step:  # else the present weights are the best
            tensors |= _named(BEST, best.weights)
        tensors[f"{RANDOM}cpu"] = torch.get_rng_state()
        if network.device.type == "cuda":
            tensors[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(network.device)
        header = {"fingerprint": self._fingerprint, "progress": _without_nan(asdict(progress))}
        header["best_step"] = None if best.weights is None else best.step

        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".part")
        save_file(tensors, scratch, {"fit": json.dumps(header, allow_nan=False)})
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(self._path)

    def read(self, network: CrossEncoder, optimizer: Optimizer, best: BestWeights) -> Progress | None:
        """Restore the saved state, random state included, at the start of a fit; None if there is none."""
        import torch
        from safetensors.torch import load_file

        header = self._header()
        if header is None:
            return None
        tensors = load_file(self._path, device=str(network.device))
        weights = _under(WEIGHTS, tensors)
        network.load_state_dict(weights)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(MOMENTS, tensors).items():
            number, _, part = name.partition(".")
            moments.setdefault(int(number), {})[part] = tensor.cpu() if part == "step" else tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        torch.set_rng_state(tensors[f"{RANDOM}cpu"].cpu())
        if f"{RANDOM}cuda" in tensors:
            torch.cuda.set_rng_state(tensors[f"{RANDOM}cuda"].cpu(), network.device)

        found: dict[str, Any] = header["progress"]
        evaluations = [TrainingEvaluation(**_with_nan(each)) for each in found.pop("evaluations")]
        for each in evaluations:
            if each.step == header["best_step"]:
                best.resume(each, _under(BEST, tensors) or weights)
        best.stepped(found["step"])
        return Progress(**found, evaluations=evaluations)

    def remove(self) -> None:
        """Delete the state of a fit that is complete, and the folder too if it holds nothing else."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._path.parent.rmdir()

    def _header(self) -> dict[str, Any] | None:
        from safetensors import SafetensorError, safe_open

        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                header: dict[str, Any] = json.loads(file.metadata()["fit"])
        except (SafetensorError, TypeError, KeyError, ValueError) as error:
            raise InputError(
                f"{self._path} is not the state of a fit ({error}): delete it to start anew"
            ) from error
        return header


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # Copied, because safetensors rejects tensors that share memory, as tied weights do.
    return {
        prefix + name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _without_nan(value: Any) -> Any:
    """The same, with None for floats that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _with_nan(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in evaluation.items()}
