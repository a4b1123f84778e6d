"""How one index answers a search: by walking its graph, probing its lists, or scanning the selected rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Method: TypeAlias = Literal["nothing", "graph", "lists", "scan", "subset"]

SCAN_BELOW = 0.1  # share of selected rows below which a graph walk misses matches and a scan is faster
MAX_DEPTH_FACTOR = 4.0  # how many times deeper a filtered search may go


@dataclass(frozen=True, slots=True, order=True)
class Effort:
    """The search effort of an index: a lower limit.

    Args:
        depth: HNSW's efSearch, or nprobe, the number of inverted lists that are probed.
        widen: over-fetch: widen * k candidates are fetched by their codes and rescored with their vectors; 1 without
            codes.
    """

    depth: int
    widen: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How one index will be searched.

    Args:
        method: "graph" walks an HNSW graph and falls back to a scan if that finds too few rows, "lists" does the same
            with the nearest inverted lists; "scan" compares every row whose bit is set; "subset" gathers the
            selected rows first; "nothing" means that no row is selected.
        rows: n, how many rows the index has.
        selected: how many of them may be returned.
        depth: see `Effort`; 0 for a scan or subset.
    """

    method: Method
    rows: int
    selected: int
    depth: int = 0


def plan_exact(rows: int, selected: int) -> Plan:
    """A plan for an exhaustive index."""
    if not selected:
        return Plan("nothing", rows, 0)
    return Plan("subset" if selected < rows / 8 else "scan", rows, selected)


def plan_walk(
    rows: int, selected: int, k: int, depth: int, subset_up_to: float, method: Literal["graph", "lists"]
) -> Plan:
    """A plan for an index with a graph or inverted lists.

    A walk finds selected rows only among those that it visits, so under a filter it goes deeper, by the inverse
    square root of the selectivity and at most by `MAX_DEPTH_FACTOR`. If it had to return a tenth of the selected
    rows, a scan is no slower.

    Args:
        rows: n.
        selected: how many of them may be returned.
        k: how many to return.
        depth: of an unfiltered walk.
        subset_up_to: the number of rows up to which gathering them is faster than a scan.
        method: of a walk.
    """
    if not selected:
        return Plan("nothing", rows, 0)
    share = selected / rows
    if selected < rows and selected <= subset_up_to:
        return Plan("subset", rows, selected)
    if share < SCAN_BELOW or 10 * k >= selected:
        return Plan("scan", rows, selected)
    return Plan(method, rows, selected, int(depth * min(MAX_DEPTH_FACTOR, share**-0.5)))
