"""How one index answers a search: along its graph or lists, or by looking at every row that may be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Method: TypeAlias = Literal["nothing", "graph", "lists", "scan", "subset"]

SCAN_BELOW = 0.1  # share of selected rows under which a graph walk misses matches, and a scan is faster
DEEPER = 4.0  # how many times deeper a walk under a filter may go


@dataclass(frozen=True, slots=True, order=True)
class Effort:
    """How hard an index tries, at least.

    Args:
        depth: HNSW's efSearch, or how many lists of an inverted index are read.
        widen: how many times k rows are fetched by their codes, to be compared with the query once more by their
            vectors; 1 where there are no codes.
    """

    depth: int
    widen: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How one index will be searched.

    Args:
        method: "graph" walks an HNSW graph and falls back to a scan where that comes short, "lists" does the same
            with the nearest lists of an inverted index; "scan" compares every row whose bit is set; "subset" picks
            the selected rows out first; "nothing" is selected.
        rows: n, how many rows the index has.
        selected: how many of them may be found.
        depth: how far a walk goes, see `Effort`; 0 without one.
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


def plan_walk(
    rows: int, selected: int, k: int, depth: int, subset_up_to: float, method: Literal["graph", "lists"]
) -> Plan:
    """A plan for an index with a graph or lists.

    A walk meets selected rows only among those that it visits, so it goes deeper under a filter: with the square
    root of the selectivity, as far as `DEEPER`. A walk that has to bring back a tenth of all rows is no shortcut.

    Args:
        rows: n.
        selected: how many of them may be found.
        k: how many are wanted.
        depth: of a walk where everything may be found.
        subset_up_to: how many rows are quicker to pick out than to be met in a scan.
        method: what a walk is.
    """
    if not selected:
        return Plan("nothing", rows, 0)
    share = selected / rows
    if selected < rows and selected <= subset_up_to:
        return Plan("subset", rows, selected)
    if share < SCAN_BELOW or 10 * k >= selected:
        return Plan("scan", rows, selected)
    return Plan(method, rows, selected, int(depth * min(DEEPER, share**-0.5)))
