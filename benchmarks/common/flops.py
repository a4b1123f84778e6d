"""How much of the processor a model uses: its floating-point operations beside a large matrix product's."""

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
# Their layers are the ones of BERT; a gated or convolutional layer would need another formula.
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

    # Fused attention is invisible to the counter on a CPU, so it is taken apart. The native fast path of a
    # transformer layer is too; it is off while gradients are on.
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


def matmul_ceiling(device: str, dtype: torch.dtype, *, quick: bool) -> Ceiling:
    """The product in the model's precision on its device, warmed up.

    Args:
        device: as torch names it.
        dtype: what the model computes in.
        quick: whether to multiply small ones.
    """
    import torch

    size = 512 if quick else 8192 if device.startswith("cuda") else 2048
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    multiply = synchronised(lambda: left @ right, device)
    multiply()
    return Ceiling(multiply, 2.0 * size**3, size, str(dtype).removeprefix("torch."))


def flop_metrics(
    seconds: Seconds, flops: float | None, ceiling_seconds: Seconds, ceiling: Ceiling
) -> dict[str, Spread]:
    """gflop_per_s, and flops_share as its share of the ceiling measured in the same repetition.

    Args:
        seconds: of each repetition, shape (repetitions,).
        flops: operations of one repetition; None gives no metrics.
        ceiling_seconds: of the ceiling's repetitions, shape (repetitions,).
        ceiling: what those did.
    """
    if flops is None:
        return {}
    share = (flops / seconds) / (ceiling.flops / ceiling_seconds)
    return {"gflop_per_s": Spread.of(flops / seconds / 1e9), "flops_share": Spread.of(share)}


def ceiling_row(ceiling: Ceiling, seconds: Seconds, params: Mapping[str, Parameter]) -> Row:
    """What the ceiling reached, beside the systems that took turns with it."""
    speed = Spread.of(ceiling.flops / seconds / 1e9)
    return Row(
        "torch.matmul", {"rows": ceiling.size, "dtype": ceiling.dtype, **params}, {"gflop_per_s": speed}
    )


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
