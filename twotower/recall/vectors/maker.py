"""Indexes by a policy: the right kind, as good as was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twotower.recall.vectors.build import build_index
from twotower.recall.vectors.index import Kind, Tunable, VectorIndex
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.vectors.tuning import tune
from twotower.types import Vectors

CALIBRATED_FOR = 1.25  # times the rows that an index had: with more it is calibrated anew

logger = logging.getLogger(__name__)


class IndexMaker:
    """Makes the indexes of vectors.

    Args:
        dim: length of the vectors.
        policy: what the indexes shall achieve.
        scratch: the folder for vectors that stay on the disk; None is the system's for temporary files.

    Attributes:
        queries: what indexes are calibrated on, by kind of query; see `tune`.
    """

    def __init__(self, dim: int, policy: IndexPolicy, scratch: Path | None = None) -> None:
        self.policy = policy
        self.queries: Mapping[str, Vectors] = {}
        self._dim = dim
        self._scratch = scratch

    def kind(self, rows: int) -> Kind:
        """The kind for so many rows; warns where even the smallest does not fit."""
        choice = self.policy.choose(rows, self._dim)
        if not choice.fits:
            logger.warning(
                "an index of %d vectors takes %d MB of memory at least, more than memory_bytes=%d",
                rows,
                choice.memory_bytes // 1_000_000,
                self.policy.memory_bytes,
            )
        return choice.kind

    def make(
        self, kind: Kind, vectors: Iterator[Vectors], base: VectorIndex | None, go_on: Callable[[], bool]
    ) -> VectorIndex | None:
        """See `build_index`; the index tries as hard as the policy takes."""
        index = build_index(kind, vectors, base=base, scratch=self._scratch, go_on=go_on)
        if index is None:
            return None
        known = None if base is None else base.calibration
        if isinstance(index, Tunable) and known is not None and len(index) <= CALIBRATED_FOR * known.rows:
            return index.tuned(known.effort, known)
        return self.calibrated(index)

    def calibrated(self, index: VectorIndex) -> VectorIndex:
        """The same index, trying as hard as the policy takes."""
        return tune(index, self.policy.recall, self.queries) if isinstance(index, Tunable) else index
