"""Maintenance of a corpus: `Retriever.maintenance`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from reprlib import repr as shown

from multimodal.checks import listed
from twotower.corpus.base import Corpus
from twotower.corpus.stats import Stats
from twotower.errors import QueryError
from twotower.recall.plan import Plan
from twotower.types import Query, Vectors, Where


class Maintenance:
    """Compacts, calibrates, verifies and describes a corpus.

    Args:
        corpus: to maintain.
        writing: held during a write.
        vectors_by_kind: encodes queries, by kind of query.
        plans: how recall would search each segment.
    """

    def __init__(
        self,
        corpus: Corpus,
        writing: threading.Lock,
        vectors_by_kind: Callable[[Sequence[Query]], Mapping[str, Vectors]],
        plans: Callable[[int, Where | None, bool], list[Plan]],
    ) -> None:
        self._corpus = corpus
        self._writing = writing
        self._vectors_by_kind = vectors_by_kind
        self._plans = plans

    def compact(self) -> None:
        """Drop deleted and replaced rows from the index and, with a store, from the disk.

        Raises:
            StoreError: the files could not be written; nothing is lost.
        """
        with self._writing:
            self._corpus.compact()

    def settle(self) -> None:
        """Wait until background merges have finished; searches find everything in the meantime, too."""
        self._corpus.index.settle()

    def calibrate(self, queries: Sequence[str | Query] = ()) -> Stats:
        """Measure on real queries the search effort that the index needs to reach its target recall.

        A newly built index is calibrated on synthetic queries close to items; the vectors of what people type may lie
        elsewhere, especially if they describe photos. Each kind of query (words, photo, both) is measured separately,
        against exhaustive search. The queries are kept, in a store too, to calibrate indexes that are built later.

        Args:
            queries: real queries, some 250 of each kind; if empty, synthetic ones are drawn again.

        Returns:
            The statistics, with the measured recall for each kind of query.

        Raises:
            QueryError: a query is empty.
            StoreError: a store could not be written; the index is calibrated all the same.
        """
        parsed = [_query(query) for query in listed("queries", queries)]
        vectors = self._vectors_by_kind(parsed)
        with self._writing:
            self._corpus.calibrate(vectors)
        return self.stats()

    def refresh(self) -> None:
        """Catch up with the process that writes to a store; in that process itself this does nothing.

        Raises:
            StoreDamagedError: the item store is damaged.
        """
        self._corpus.refresh()

    def verify(self) -> list[str]:
        """Check every byte of a store, and that its index matches its item store.

        Returns:
            The problems, one sentence each; empty if there are none, and without a store.
        """
        return list(self._corpus.problems())

    def stats(self) -> Stats:
        """The size of the corpus, of its index and of its store."""
        return self._corpus.stats()

    def plan(self, k: int = 10, *, where: Where | None = None, words: bool = True) -> list[Plan]:
        """How recall would search: one plan for each segment of the index.

        Args:
            k: as in `Retriever.search`.
            where: as in `Retriever.search`.
            words: whether the query has words; if so, a reranker reads more candidates than k.

        Raises:
            FilterError: as in `Retriever.search`.
        """
        if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
            raise QueryError(f"k must be a whole number of at least 1, got {shown(k)}")
        return self._plans(k, where, words)


def _query(given: object) -> Query:
    """Words or a query, checked."""
    query = given if isinstance(given, Query) else Query(given)  # type: ignore[arg-type]  # checked below
    if not isinstance(query.text, str):
        raise QueryError(f"a query must be text or a Query with text, got {shown(given)}")
    return Query(query.text.encode(errors="replace").decode(), query.image)
