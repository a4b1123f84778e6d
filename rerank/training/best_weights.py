"""The weights that a fit ends with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rerank.training.report import Criterion, TrainingEvaluation

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor


class BestWeights:
    """The weights of the best evaluation so far; until there is one, the latest weights.

    Args:
        network: the network in training.
        criterion: by what an evaluation is better than another.
        start_counts: whether the weights from before training may be the best; those of a random head may not.
    """

    def __init__(self, network: CrossEncoder, *, criterion: Criterion, start_counts: bool) -> None:
        self.criterion = criterion
        self.weights: dict[str, Tensor] | None = None
        self.step = 0
        self._network = network
        self._start_counts = start_counts
        self._key = (math.inf, -math.inf)

    def stepped(self, step: int) -> None:
        """Note that the network now has the weights after `step`."""
        if self.weights is None:
            self.step = step

    def offer(self, evaluation: TrainingEvaluation) -> bool:
        """Keep the present weights if they are the best so far; returns whether they are."""
        eligible = evaluation.step > 0 or self._start_counts
        if not eligible or not evaluation.key(self.criterion) < self._key:
            return False
        self.resume(evaluation, {name: tensor.clone() for name, tensor in self._network.state_dict().items()})
        return True

    def resume(self, evaluation: TrainingEvaluation, weights: dict[str, Tensor]) -> None:
        """Take these weights as the best so far."""
        self.step, self._key, self.weights = evaluation.step, evaluation.key(self.criterion), weights

    def restore(self) -> None:
        """Put the best weights back into the network."""
        if self.weights is not None:
            self._network.load_state_dict(self.weights)
