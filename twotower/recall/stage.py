"""The recall stage: from encoded queries to candidates, by vectors alone or by words and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from twotower.recall.candidates import NO_CANDIDATES, Candidates
from twotower.recall.dense import OVERFETCH, dense_candidates
from twotower.recall.freshness import Freshness
from twotower.recall.fusion import HybridFusion
from twotower.recall.hybrid import hybrid_candidates
from twotower.recall.plan import Plan
from twotower.recall.queries import EncodedQueries
from twotower.recall.segment import Labels
from twotower.recall.snapshot import Snapshot
from twotower.types import TimeDecay, Where


@dataclass(frozen=True, slots=True)
class Scope:
    """Which items may be found, and how their age counts.

    Args:
        where: a filter, or None for all items.
        exclude: labels of items to leave out, or None.
        decay: lowers the scores of older items; None ignores time.
        now: the moment to measure ages from, aware.
    """

    where: Where | None
    exclude: Labels | None
    decay: TimeDecay | None
    now: datetime


def recall_candidates(
    snapshot: Snapshot,
    queries: EncodedQueries,
    k: int,
    scope: Scope,
    fusion: HybridFusion | None,
    *,
    skip: int = 0,
) -> list[Candidates]:
    """Find the k best items of each query, and read them.

    Args:
        snapshot: what to search.
        queries: q of them; with `fusion` each has words.
        k: at least 1.
        scope: which items may be found.
        fusion: of words and vectors; None searches by vectors alone.
        skip: how many of the best to leave out before the k.

    Returns:
        Up to k candidates for each query, fewer only if there are no more items in scope, best first.

    Raises:
        FilterError: see `Snapshot.allowed`.
    """
    allowed = snapshot.allowed(scope.where, scope.exclude)
    matches = sum([selection.count for selection in allowed])
    if matches <= skip:
        return [NO_CANDIDATES] * len(queries.texts)
    k = min(skip + k, matches)
    freshness = Freshness.at(scope.now, scope.decay)
    if fusion is None:
        found = dense_candidates(snapshot, queries.vectors, k, allowed, matches, freshness)
    else:
        found = hybrid_candidates(snapshot, queries, k, allowed, matches, freshness, fusion)
    if skip:
        found = [each.take(np.arange(skip, len(each.ordinals))) for each in found]
    return _with_items(snapshot, found)


def recall_plans(
    snapshot: Snapshot, k: int, where: Where | None, decay: TimeDecay | None, fusion: HybridFusion | None
) -> list[Plan]:
    """How `recall_candidates` would search each segment for one query."""
    if fusion is not None:
        return snapshot.plans(max(k, fusion.depth), snapshot.allowed(where), first=fusion.depth)
    return snapshot.plans(k if decay is None else k + OVERFETCH, snapshot.allowed(where))


def _with_items(snapshot: Snapshot, found: Sequence[Candidates]) -> list[Candidates]:
    """The same candidates with their items, read in one call."""
    if not found:
        return []
    if len(found) == 1:
        return [found[0]._replace(items=snapshot.items_at(found[0].ordinals))]
    items = snapshot.items_at(np.concatenate([each.ordinals for each in found]))
    ends = np.cumsum([len(each.ordinals) for each in found]).tolist()
    return [
        each._replace(items=items[start:end])
        for each, start, end in zip(found, [0, *ends], ends, strict=False)
    ]
