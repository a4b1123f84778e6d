"""The newest items: what to recommend when no event on an indexed item is known."""

from __future__ import annotations

import numpy as np

from twotower.recall.snapshot import Snapshot
from twotower.search.hits import Hits
from twotower.search.request import SearchRequest


def newest_items(snapshot: Snapshot, request: SearchRequest) -> Hits:
    """The items with the latest times, then those without a time, in the order of their writes; all with score 0.

    Args:
        snapshot: of the index.
        request: how many, and which may be among them.
    """
    allowed = snapshot.allowed(request.where, request.exclude)
    rows = [selection.rows + start for selection, start in zip(allowed, snapshot.starts, strict=False)]
    ordinals = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    ages = -np.nan_to_num(snapshot.days_at(ordinals), nan=-np.inf)
    best = ordinals[np.argsort(ages, kind="stable")[request.offset :][: request.k]]
    return Hits(snapshot.items_at(best), np.zeros(len(best)), {})
