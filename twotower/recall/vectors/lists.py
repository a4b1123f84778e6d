"""Inverted indexes: rows in lists by their nearest centroid, as short codes."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, Literal

from twotower.recall.plan import Effort
from twotower.recall.selection import Rows
from twotower.recall.vectors import faiss_calls
from twotower.types import Scores, Vectors

TRAINING_ROWS = 48  # a list: k-means gains little from more
USUAL_LISTS = 16
ROOM = 10  # how many times k rows a walk should read


class InvertedLists:
    """FAISS's inverted index: what it can do, without a decision.

    Args:
        index: FAISS's index over product or RaBitQ codes.
    """

    method: ClassVar[Literal["lists"]] = "lists"
    widenings: ClassVar[tuple[int, ...]] = (4, 10, 40)

    def __init__(self, index: Any) -> None:
        faiss_calls.make_forks_safe()
        self.native = index
        self.usual = Effort(min(USUAL_LISTS, index.nlist), self.widenings[1])

    @cached_property
    def size_bytes(self) -> int:
        """Memory of codes, row numbers and centroids: what FAISS would write."""
        sizes: list[int] = []
        faiss_calls.write(self.native, lambda piece: sizes.append(len(piece)))
        return sum(sizes)

    def depths(self) -> tuple[int, ...]:
        """Numbers of lists that are worth trying, ascending."""
        lists: int = self.native.nlist
        return (*(2**power for power in range(int(math.log2(lists)) + 1) if 2**power < lists), lists)

    def reach(self, depth: int, k: int, fetch: int) -> int:
        """How many lists to read for k good rows among `fetch`, where `depth` lists are right for few."""
        lists: int = self.native.nlist
        rows: int = self.native.ntotal
        return min(lists, max(depth, math.ceil(max(ROOM * k, fetch) * lists / max(1, rows))))

    def walk(self, queries: Vectors, k: int, chosen: Any, depth: int) -> tuple[Scores, Rows]:
        """Nearest rows of the nearest lists, fewer than k where they hold fewer."""
        import faiss

        parameters = faiss.SearchParametersIVF(sel=chosen, nprobe=min(depth, self.native.nlist))
        scores, rows = self.native.search(queries, k, params=parameters)
        return scores, rows

    def scan(self, queries: Vectors, k: int, chosen: Any) -> tuple[Scores, Rows]:
        """Nearest of all rows, or of all chosen ones."""
        import faiss

        parameters = faiss.SearchParametersIVF(sel=chosen, nprobe=self.native.nlist)
        return faiss_calls.search(self.native, queries, k, parameters)


def list_count(rows: int) -> int:
    """How many lists are right for so many rows, of which k-means can be trained."""
    return max(1, min(int(4 * math.sqrt(rows)), rows // TRAINING_ROWS))


def new_lists(dim: int, rows: int, code: Literal["PQ", "RaBitQ"]) -> Any:
    """An empty inverted index of FAISS for so many rows; to be trained on `TRAINING_ROWS` rows a list.

    k-means runs on GPUs where FAISS has any.
    """
    import faiss

    codes = f"PQ{dim if dim % 2 else dim // 2}x4fs" if code == "PQ" else "RaBitQfs"
    index = faiss.index_factory(dim, f"IVF{list_count(rows)},{codes}", faiss.METRIC_INNER_PRODUCT)
    if faiss.get_num_gpus():
        index.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(dim))
    return index
