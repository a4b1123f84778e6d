"""The weights to end with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rerank.training.report import Evaluation, Keep

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor


class BestWeights:
    """The weights of the best look so far; until there is one, the latest.

    Args:
        network: what is trained.
        keep: by what a look is better than another.
        start_counts: whether the weights from before training may be the best; a random head's may not.
    """

    def __init__(self, network: CrossEncoder, *, keep: Keep, start_counts: bool) -> None:
        self.keep = keep
        self.weights: dict[str, Tensor] | None = None
        self.step = 0
        self._network = network
        self._start_counts = start_counts
        self._key = (math.inf, -math.inf)

    def passed(self, step: int) -> None:
        """The network's weights are now those after `step`."""
        if self.weights is None:
            self.step = step

    def offer(self, look: Evaluation) -> bool:
        """Keep the present weights if they are the best so far; returns whether they are."""
        if not look.key(self.keep) < self._key or not (look.step > 0 or self._start_counts):
            return False
        self.resume(look, {name: tensor.clone() for name, tensor in self._network.state_dict().items()})
        return True

    def resume(self, look: Evaluation, weights: dict[str, Tensor]) -> None:
        """These weights are the best so far."""
        self.step, self._key, self.weights = look.step, look.key(self.keep), weights

    def restore(self) -> None:
        """Put the best weights back into the network."""
        if self.weights is not None:
            self._network.load_state_dict(self.weights)
