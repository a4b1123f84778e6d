"""HNSW graphs over codes of 16 or 8 bits a dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from twotower.recall.plan import Effort, Plan, plan_walk
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors import faiss_calls
from twotower.recall.vectors.blocks import block_for, search_in_blocks
from twotower.recall.vectors.calibration import Calibration, K
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.scores import GROWTH, TIES, Find, best, best_found
from twotower.types import Scores, Vectors

LINKS = 32
CONSTRUCTION_DEPTH = 100
SEARCH_DEPTH = 64
DEPTHS = (20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
SUBSET_SHARE = (
    1 / 64
)  # of the rows: below it, copying the selected rows is cheaper than testing every row's bit


class Graph:
    """FAISS's graph: the operations, without deciding when to use which.

    Args:
        index: of FAISS, over a scalar quantizer; its efSearch must not change any more.
    """

    method: ClassVar[Literal["graph"]] = "graph"
    widenings: ClassVar[tuple[int, ...]] = (4,)  # 8-bit codes rank rows almost as vectors do

    def __init__(self, index: Any) -> None:
        import faiss

        faiss_calls.make_forks_safe()
        self.native = index
        self.storage = faiss.downcast_index(index.storage)
        self.default_effort = Effort(index.hnsw.efSearch, self.widenings[0])
        count, width = index.ntotal, self.storage.code_size
        # A view of FAISS's memory, which lives as long as the index and does not change.
        self.codes = faiss.rev_swig_ptr(self.storage.codes.data(), count * width).reshape(count, width)

    @property
    def size_bytes(self) -> int:
        """Memory of codes and links."""
        graph = self.native.hnsw
        return int(self.codes.nbytes + 4 * graph.neighbors.size() + 8 * graph.offsets.size())

    def depths(self) -> tuple[int, ...]:
        """Values of efSearch that are worth trying, ascending."""
        return DEPTHS

    def reach(self, depth: int, k: int, fetch: int) -> int:
        """The efSearch for `fetch` rows, k of them good, given that `depth` suffices for a small k."""
        return max(depth, 2 * k, fetch)

    def walk(self, queries: Vectors, k: int, chosen: Any, depth: int) -> tuple[Scores, Rows]:
        """Nearest rows that a graph walk visits; fewer than k if it visits fewer."""
        parameters = None
        if chosen is not None or depth != self.default_effort.depth:  # creating one costs a tenth of a search
            import faiss

            parameters = faiss.SearchParametersHNSW(sel=chosen, efSearch=depth)
        scores, rows = self.native.search(queries, k, params=parameters)
        return scores, rows

    def scan(self, queries: Vectors, k: int, chosen: Any) -> tuple[Scores, Rows]:
        """Nearest rows by exhaustive search, of all rows or of the chosen ones."""
        import faiss

        parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
        return faiss_calls.search(self.storage, queries, k, parameters)

    def subset(self, queries: Vectors, k: int, chosen: Rows) -> tuple[Scores, Rows]:
        """The k nearest of a few rows: their codes are copied, since decoding them takes several times as long."""
        import faiss

        picked = faiss.IndexScalarQuantizer(self.storage.d, self.storage.sq.qtype, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(self.codes[chosen].ravel(), picked.codes)
        picked.ntotal = len(chosen)
        scores, rows = faiss_calls.search(picked, queries, k)
        return scores, chosen[rows]


class GraphIndex:
    """A graph over float16, with an exhaustive scan of the same vectors where a walk would find too few rows.

    Args:
        graph: over float16.
        effort: None is `default_effort`.
        calibration: the measured recall; None if it was not measured.
        rescored: score as other kinds of index do, instead of with FAISS's own sums.
    """

    kind: ClassVar[Kind] = "graph"
    default_effort: ClassVar[Effort] = Effort(SEARCH_DEPTH)

    def __init__(
        self,
        graph: Graph,
        effort: Effort | None = None,
        calibration: Calibration | None = None,
        *,
        rescored: bool = False,
    ) -> None:
        self.graph = graph
        self.calibration = calibration
        self._rescored = rescored
        self._effort = self.default_effort if effort is None else effort

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`."""
        return self.graph.size_bytes

    def __len__(self) -> int:
        return len(self.graph.codes)

    def plan(self, k: int, selection: Selection | None = None, first: int = 1) -> Plan:
        """See `VectorIndex.plan`."""
        rows = len(self)
        selected = rows if selection is None else selection.count
        size = block_for(k, self._first(first))
        depth = self.graph.reach(self._effort.depth, size, size)
        return plan_walk(rows, selected, size, depth, SUBSET_SHARE * rows, self.graph.method)

    def search(
        self, queries: Vectors, k: int, selection: Selection | None = None, first: int = 1
    ) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        selected = len(self) if selection is None else selection.count
        block = partial(self._search_block, selection=selection)
        first = self._first(first)
        if k > first and self.plan(first, selection, first).method != self.graph.method:
            first = k  # a scan finds the best of all
        return search_in_blocks(block, queries, k, first, selected)

    def _first(self, at_least: int) -> int:
        """How many rows the first search finds: no more than a walk of the usual depth finds well."""
        return max(at_least, K, self._effort.depth // 2)

    def _search_block(self, queries: Vectors, k: int, *, selection: Selection | None) -> tuple[Scores, Rows]:
        """The k nearest rows, at most as many as are selected."""
        plan = self.plan(k, selection, k)
        find = partial(self._find, k=k, plan=plan, selection=selection)
        if self._rescored:
            return best_found(find, self.vectors, queries, k, k + TIES, plan.selected)
        if k >= plan.selected:
            return best(*find(queries, max(1, plan.selected)), k)
        # FAISS sums every pair of vectors here in the same order, so its own scores tell rows apart; only where two
        # of them tie, among these or with the next, have all that tie to be found and sorted.
        scores, rows = find(queries, k + 1)
        if (scores[:, 1:] < scores[:, :-1]).all():
            return scores[:, :k], rows[:, :k]
        tied = np.flatnonzero(~(scores[:, 1:] < scores[:, :-1]).all(axis=1))
        scores, rows = scores[:, :k].copy(), rows[:, :k].copy()
        scores[tied], rows[tied] = self._untied(find, queries[tied], k, plan.selected)
        return scores, rows

    def _untied(self, find: Find, queries: Vectors, k: int, selected: int) -> tuple[Scores, Rows]:
        """The k best rows, ties broken by the lower row: more are found until none that ties is missing."""
        fetch = k
        while True:
            fetch = min(selected, GROWTH * fetch)
            scores, rows = find(queries, fetch)
            if fetch == selected or (scores[:, -1] < scores[:, k - 1]).all():
                return best(scores, rows, k)

    def _find(
        self, queries: Vectors, fetch: int, *, k: int, plan: Plan, selection: Selection | None
    ) -> tuple[Scores, Rows]:
        """The `fetch` nearest rows, at least min(k, selected) of them."""
        if plan.method == "subset" and selection is not None:
            return self.graph.subset(queries, fetch, selection.rows)
        chosen = None if selection is None else selection.bitmap
        if plan.method != "graph":
            return self.graph.scan(queries, fetch, chosen)
        scores, rows = self.graph.walk(queries, fetch, chosen, max(plan.depth, fetch))
        short = rows[:, min(k, plan.selected) - 1] < 0
        if short.any():
            scores[short], rows[short] = self.graph.scan(queries[short], fetch, chosen)
        return scores, rows

    def comparable(self) -> GraphIndex:
        """See `VectorIndex.comparable`."""
        return GraphIndex(self.graph, self._effort, self.calibration, rescored=True)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`; float16 precision."""
        codes = self.graph.codes[rows]
        decoded = self.graph.storage.sa_decode(codes.reshape(-1, codes.shape[-1]))
        return np.asarray(decoded, dtype=np.float32).reshape(*rows.shape, self.graph.storage.d)

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        faiss_calls.write(self.graph.native, sink)

    def efforts_to_try(self) -> Iterator[Effort]:
        """See `Tunable.efforts_to_try`."""
        return map(Effort, self.graph.depths())

    def with_effort(self, effort: Effort, calibration: Calibration | None) -> GraphIndex:
        """See `Tunable.with_effort`."""
        return GraphIndex(self.graph, effort, calibration)


def new_graph(dim: int, code: Literal["SQfp16", "SQ8"]) -> Any:
    """An empty HNSW graph over float16 or 8-bit codes, to be trained."""
    import faiss

    index = faiss.index_factory(dim, f"HNSW{LINKS},{code}", faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = CONSTRUCTION_DEPTH
    index.hnsw.efSearch = SEARCH_DEPTH
    return index
