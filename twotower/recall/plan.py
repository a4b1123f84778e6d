"""How one index answers a search: along its graph, or by looking at every row that may be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Method: TypeAlias = Literal["nothing", "graph", "scan", "subset"]

SEARCH_DEPTH = 64
SCAN_BELOW = 0.1  # share of selected rows under which a graph walk misses matches, and a scan is faster
SUBSET_BELOW = 1 / 400  # share under which picking out the rows costs less than testing every row's bit
DEEPER = 4.0  # how many times deeper a walk under a filter may go


@dataclass(frozen=True, slots=True)
class Plan:
    """How one index will be searched.

    Args:
        method: "graph" walks an HNSW graph and falls back to a scan where that comes short; "scan" compares every
            row whose bit is set; "subset" picks the selected rows out first; "nothing" is selected.
        rows: n, how many rows the index has.
        selected: how many of them may be found.
        depth: HNSW's efSearch; 0 without a walk.
    """

    method: Method
    rows: int
    selected: int
    depth: int = 0


def plan_exact(rows: int, selected: int) -> Plan:
    """A plan for an index without a graph."""
    if not selected:
        return Plan("nothing", rows, 0)
    return Plan("subset" if selected < rows / 8 else "scan", rows, selected)


def plan_graph(rows: int, selected: int, k: int, *, depth: int = SEARCH_DEPTH) -> Plan:
    """A plan for an index with a graph.

    A walk meets selected rows only among those that it visits, so it goes deeper under a filter: with the square
    root of the selectivity, as far as `DEEPER`. A walk that has to bring back a tenth of all rows is no shortcut.

    Args:
        rows: n.
        selected: how many of them may be found.
        k: how many are wanted.
        depth: efSearch where everything may be found.
    """
    if not selected:
        return Plan("nothing", rows, 0)
    share = selected / rows
    if share < SUBSET_BELOW:
        return Plan("subset", rows, selected)
    if share < SCAN_BELOW or 10 * k >= selected:
        return Plan("scan", rows, selected)
    return Plan("graph", rows, selected, int(max(depth, 2 * k) * min(DEEPER, share**-0.5)))
