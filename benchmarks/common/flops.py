"""Floating-point operations of a model per second, beside those of a large matrix product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter, Row, Spread
from benchmarks.common.timing import Seconds

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

Given = ParamSpec("Given")
Found = TypeVar("Found")
# Their layers are BERT's; a gated or convolutional layer would need another formula.
BERT_LIKE = ("bert", "camembert", "roberta", "xlm-roberta")


def bert_flops(config: PretrainedConfig, lengths: NDArray[np.int64], *, labels: int) -> float | None:
    """Floating-point operations of one forward pass over real tokens; padding is waste and does not count.

    A product of matrices (a, b) and (b, c) is 2abc operations. Per token and layer four projections of the attention
    and two of the feed-forward part, per sequence of n tokens and layer 4 n^2 hidden for the attention itself, per
    sequence the pooler and the head. As in Kaplan et al. 2020 (arXiv:2001.08361, table 1), with both products of the
    attention.

    Args:
        config: of the network.
        lengths: tokens of each sequence, shape (n,).
        labels: outputs of the head, 0 without one.

    Returns:
        The count; None for a network whose layers are not BERT's.
    """
    if config.model_type not in BERT_LIKE:
        return None
    hidden, layers = config.hidden_size, config.num_hidden_layers
    tokens = lengths.sum(dtype=np.float64)
    squares = np.square(lengths, dtype=np.float64).sum()
    projections = 2 * tokens * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    head = 2 * len(lengths) * hidden * (hidden + labels)
    return float(layers * (projections + 4 * squares * hidden) + head)


def counted_flops(call: Callable[[], object]) -> float:
    """Floating-point operations of a call, counted by torch as it runs; once, outside of any timing."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # The counter does not see fused attention on a CPU, nor a transformer layer's native fast path, which is off
    # while gradients are on.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A product of two large square matrices, the most that a processor can be expected to do.

    Args:
        multiply: does it once.
        flops: floating-point operations of it.
        size: rows of the matrices.
        dtype: of their numbers.
    """

    multiply: Callable[[], object]
    flops: float
    size: int
    dtype: str

    def row(self, seconds: Seconds, params: Mapping[str, Parameter]) -> Row:
        """What it reached in turns with the systems."""
        speed = Spread.of(self.flops / seconds / 1e9)
        return Row("torch.matmul", {"rows": self.size, "dtype": self.dtype, **params}, {"gflop_per_s": speed})

    def shares(self, flops: float | None, seconds: Seconds, own_seconds: Seconds) -> dict[str, Spread]:
        """gflop_per_s of a system, and flops_share of this ceiling, repetition by repetition.

        Args:
            flops: operations of one repetition of the system; None gives no metrics.
            seconds: of the system's repetitions, shape (repetitions,).
            own_seconds: of the ceiling's, of the same shape.
        """
        if flops is None:
            return {}
        share = (flops / seconds) / (self.flops / own_seconds)
        return {"gflop_per_s": Spread.of(flops / seconds / 1e9), "flops_share": Spread.of(share)}


def matmul_ceiling(device: str, dtype: torch.dtype, *, quick: bool) -> Ceiling:
    """The product in the model's precision on its device, warmed up; of small matrices if it has to be quick."""
    import torch

    size = 512 if quick else 8192 if device.startswith("cuda") else 2048
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    multiply = synchronised(lambda: left @ right, device)
    multiply()
    return Ceiling(multiply, 2.0 * size**3, size, str(dtype).removeprefix("torch."))


def synchronised(call: Callable[Given, Found], device: str) -> Callable[Given, Found]:
    """The call, which on a GPU returns only when the GPU is done, so that the clock is read after the work."""
    if not device.startswith("cuda"):
        return call

    def done(*given: Any, **named: Any) -> Found:
        import torch

        found = call(*given, **named)
        torch.cuda.synchronize(device)
        return found

    return done
