"""Upkeep of a corpus, apart from its everyday use: `Retriever.maintenance`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from twotower.corpus.base import Corpus
from twotower.corpus.stats import Stats
from twotower.recall.plan import Plan
from twotower.types import Query, Vectors, Where


class Maintenance:
    """Compacts, calibrates, checks and describes a corpus.

    Args:
        corpus: what is looked after.
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
        """Drop what was deleted and replaced from the index and, with a store, from the disk.

        Raises:
            StoreError: the files could not be written; nothing is lost.
        """
        with self._writing:
            self._corpus.compact()

    def settle(self) -> None:
        """Wait until background merges have finished; searches find everything before that, too."""
        self._corpus.index.settle()

    def calibrate(self, queries: Sequence[str | Query] = ()) -> Stats:
        """Measure on real queries how hard the index must try to reach the recall that was asked for.

        A newly built index was measured on made-up queries close to items; what people type may lie elsewhere, and so
        may the words by which they look for photos. Each kind of query (words, photo, both) is measured separately,
        against exhaustive search. The queries are kept, in a store too, for indexes that are built later.

        Args:
            queries: what shoppers asked, some 250 of each kind; none makes some up again.

        Returns:
            With the recall that was achieved for each kind of query.

        Raises:
            QueryError: a query is empty.
            StoreError: a store could not be written; the index is calibrated all the same.
        """
        asked = [query if isinstance(query, Query) else Query(query) for query in queries]
        vectors = self._vectors_by_kind(asked)
        with self._writing:
            self._corpus.calibrate(vectors)
        return self.stats()

    def refresh(self) -> None:
        """Catch up with the process that writes to a store; in that process there is nothing to do.

        Raises:
            StoreDamagedError: the item store is damaged.
        """
        self._corpus.refresh()

    def verify(self) -> list[str]:
        """Check every byte of a store, and that its index holds what its item store holds.

        Returns:
            What is wrong, one sentence each; empty where nothing is, and without a store.
        """
        return list(self._corpus.problems())

    def stats(self) -> Stats:
        """How large the corpus is, and where it is kept."""
        return self._corpus.stats()

    def plan(self, k: int = 10, *, where: Where | None = None, words: bool = True) -> list[Plan]:
        """How recall would go about a search: one plan for each segment of the index.

        Args:
            k: as in `Retriever.search`.
            where: as in `Retriever.search`.
            words: whether the query has words, for which a reranker reads more candidates than k.

        Raises:
            FilterError: as in `Retriever.search`.
        """
        return self._plans(k, where, words)
