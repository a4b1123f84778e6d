"""Inverted file (IVF) indexes: compressed vectors in one list per centroid."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, Literal

from twotower.recall.plan import Effort
from twotower.recall.selection import Rows
from twotower.recall.vectors import faiss_calls
from twotower.types import Scores, Vectors

TRAINING_ROWS = 48  # per list: k-means gains little from more
DEFAULT_PROBES = 16  # lists
ROWS_READ_PER_HIT = 10  # a search probes enough lists to read about this many rows for each of its k hits


class InvertedLists:
    """FAISS's inverted file index: the operations, without deciding when to use which.

    Args:
        index: of FAISS, over product or RaBitQ codes.
    """

    method: ClassVar[Literal["lists"]] = "lists"
    widenings: ClassVar[tuple[int, ...]] = (4, 10, 40)

    def __init__(self, index: Any) -> None:
        faiss_calls.make_forks_safe()
        self.native = index
        self.default_effort = Effort(min(DEFAULT_PROBES, index.nlist), self.widenings[1])

    @cached_property
    def size_bytes(self) -> int:
        """Memory of codes, row numbers and centroids: the size that FAISS would write."""
        sizes: list[int] = []
        faiss_calls.write(self.native, lambda block: sizes.append(len(block)))
        return sum(sizes)

    def depths(self) -> tuple[int, ...]:
        """Numbers of probes that are worth trying, ascending."""
        lists: int = self.native.nlist
        return (*(2**power for power in range(int(math.log2(lists)) + 1) if 2**power < lists), lists)

    def reach(self, depth: int, k: int, fetch: int) -> int:
        """How many lists to probe for `fetch` rows, k of them good, given that `depth` suffices for a small k."""
        lists: int = self.native.nlist
        rows: int = self.native.ntotal
        return min(lists, max(depth, math.ceil(max(ROWS_READ_PER_HIT * k, fetch) * lists / max(1, rows))))

    def walk(self, queries: Vectors, k: int, chosen: Any, depth: int) -> tuple[Scores, Rows]:
        """Nearest rows in the nearest lists; fewer than k if those lists hold fewer."""
        import faiss

        parameters = faiss.SearchParametersIVF(sel=chosen, nprobe=min(depth, self.native.nlist))
        scores, rows = self.native.search(queries, k, params=parameters)
        return scores, rows

    def scan(self, queries: Vectors, k: int, chosen: Any) -> tuple[Scores, Rows]:
        """Nearest rows by exhaustive search, of all rows or of the chosen ones."""
        import faiss

        parameters = faiss.SearchParametersIVF(sel=chosen, nprobe=self.native.nlist)
        return faiss_calls.search(self.native, queries, k, parameters)


def list_count(rows: int) -> int:
    """The number of lists for this many rows, low enough that k-means has enough of them to train on."""
    return max(1, min(int(4 * math.sqrt(rows)), rows // TRAINING_ROWS))


def new_lists(dim: int, rows: int, code: Literal["PQ", "RaBitQ"]) -> Any:
    """An empty inverted file index for this many rows, to be trained on `TRAINING_ROWS` rows per list.

    k-means runs on GPUs if FAISS has any.
    """
    import faiss

    codes = f"PQ{dim if dim % 2 else dim // 2}x4fs" if code == "PQ" else "RaBitQfs"
    index = faiss.index_factory(dim, f"IVF{list_count(rows)},{codes}", faiss.METRIC_INNER_PRODUCT)
    if faiss.get_num_gpus():
        index.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(dim))
    return index
