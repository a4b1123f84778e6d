"""Examples for the ranker: the next baskets after several past moments, seen by channels fitted before each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twotower.recommend.candidates import CandidateFinder
from twotower.recommend.channels import Channel
from twotower.recommend.event_log import EventLog, Numbers, Rows
from twotower.recommend.features import ItemFacts
from twotower.recommend.ranker import Examples
from twotower.types import Vectors


@dataclass(frozen=True, slots=True)
class WholeShelf:
    """All items, by their vectors in memory.

    Args:
        content: of every item, unit rows of shape (items, dim), zeros where unknown.
    """

    content: Vectors

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """All of them."""
        return np.ones(len(self.content), dtype=np.bool_)

    def vectors(self, rows: Rows) -> Vectors:
        """See `Shelf`."""
        return self.content[rows]

    def nearest(self, vector: Vectors, k: int) -> Rows:
        """See `Shelf`."""
        similarity = self.content @ vector
        return np.argsort(-similarity, kind="stable")[:k]


def fit_finder(log: EventLog, channels: Mapping[str, Channel], price: Numbers) -> CandidateFinder:
    """Channels and facts fitted on all events of a log."""
    return CandidateFinder(
        {name: channel.fit(log) for name, channel in channels.items()}, ItemFacts.of(log, price)
    )


def examples_after(
    log: EventLog,
    begin: float,
    end: float,
    channels: Mapping[str, Channel],
    price: Numbers,
    shelf: WholeShelf,
    progress: bool | None,
) -> Examples | None:
    """Every basket between two moments as an example, by what was known before it.

    Channels are fitted on what is before `begin`; own histories and popularity go on to just before each basket.

    Args:
        log: all events.
        begin: in days.
        end: in days.
        channels: by name.
        price: of each item.
        shelf: of all items.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        None if there is no basket, or nothing to recommend for any.
    """
    finder = fit_finder(log.before(begin), channels, price)
    parts = []
    baskets = baskets_between(log, begin, end)
    for user, day, taken in tqdm(
        baskets, "examples", disable=None if progress is None else not progress, leave=False
    ):
        recall = finder.recall(log.shopper(user, day), shelf)
        rows = recall.candidates()
        if len(rows):  # also where recall missed the whole basket, or the chances would come out too high
            parts.append(Examples(recall.features(rows), np.isin(rows, taken), [len(rows)]))
    return Examples.joined(parts) if parts else None


def baskets_between(log: EventLog, begin: float, end: float) -> list[tuple[int, float, Rows]]:
    """User, day and items of every basket from `begin` until before `end`, in order of time."""
    first, last = np.searchsorted(log.day, [begin, end])
    baskets: dict[tuple[float, int], list[int]] = {}
    for place in range(first, last):
        if log.weight[place] > 0:
            baskets.setdefault((log.day[place], log.user[place]), []).append(log.item[place])
    return [(int(user), float(day), np.unique(items)) for (day, user), items in baskets.items()]
