"""Losses of a batch: logits, targets and group numbers, each of shape (b,), to one number in nats.

All but `pointwise` compare the pairs of a group with each other, so they depend neither on a constant added to all
logits of a group nor on a factor of all its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

LossName = Literal["pointwise", "ranknet", "lambda", "listwise"]

MU = 10.0  # weight of the rank distance, as in the LambdaLoss paper


def pointwise(logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
    """Binary cross-entropy with soft targets, mean of -t log p - (1 - t) log(1 - p), p = sigmoid(logit)."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits, targets)


def ranknet(logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
    """Mean of -log sigmoid(better - worse) over any two pairs of a group with different targets.

    Burges et al., "Learning to Rank using Gradient Descent", ICML 2005. 0 if there are no such pairs.
    """
    from torch.nn.functional import softplus

    better, worse = _ordered(targets, _same(groups))
    return softplus(logits[worse] - logits[better]).sum() / max(1, len(better))


def lambda_loss(logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
    """`ranknet` with each term weighted by the effect of a swap on nDCG: NDCG-Loss2++, mu = 10.

    Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization", CIKM 2018, section 4.4. The gain is the
    target itself, as in the nDCG of the evaluations.
    """
    from torch.nn.functional import softplus

    same = _same(groups)
    ranks = _ranks(logits.detach(), same)
    ideal = same.to(targets.dtype) @ (targets / (1 + _ranks(targets, same)).log2())  # the highest DCG
    better, worse = _ordered(targets, same)
    apart = (ranks[better] - ranks[worse]).abs()
    distance = 1 / (1 + apart).log2() - 1 / (2 + apart).log2()
    swap = (1 / (1 + ranks[better]).log2() - 1 / (1 + ranks[worse]).log2()).abs()
    gain = (targets[better] - targets[worse]) / ideal[better]
    losses = softplus(logits[worse] - logits[better])
    return ((MU * distance + swap) * gain * losses).sum() / max(1, len(better))


def listwise(logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
    """Cross-entropy between a group's targets, divided by their sum, and the softmax of its logits; mean over groups.

    Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (ListNet), ICML 2007. A group
    whose targets are all 0 does not count.
    """
    same = _same(groups)
    totals = same.to(targets.dtype) @ targets  # of each row's group
    shares = targets / totals.where(totals > 0, 1)
    log_sums = logits.expand_as(same).masked_fill(~same, -float("inf")).logsumexp(1)
    count = shares.sum().round().clamp(min=1)  # the shares of each group that counts sum to 1
    return (shares * (log_sums - logits)).sum() / count


LOSSES: dict[LossName, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "pointwise": pointwise,
    "ranknet": ranknet,
    "lambda": lambda_loss,
    "listwise": listwise,
}


def total(names: Sequence[LossName], logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
    """The sum of several losses."""
    import torch

    return torch.stack([LOSSES[name](logits, targets, groups) for name in names]).sum()


def _same(groups: Tensor) -> Tensor:
    """Whether two rows belong to one group, shape (b, b)."""
    return groups[:, None] == groups


def _ordered(targets: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """The better and the worse row of any two in a group with different targets, each of shape (m,)."""
    better, worse = (same & (targets[:, None] > targets)).nonzero(as_tuple=True)
    return better, worse


def _ranks(values: Tensor, same: Tensor) -> Tensor:
    """Rank of each row in its group, 1 for the highest; of equal values the first row comes first."""
    places = values.argsort(descending=True, stable=True).argsort()
    return (same & (places <= places[:, None])).sum(1).to(values.dtype)
