"""Recommendation from behaviour: several channels recall, and a ranker orders what they found."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from reprlib import repr as shown
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_has, check_is, check_number, check_text, check_whole, path_of
from twotower.errors import QueryError
from twotower.recommend import files
from twotower.recommend.candidates import Recall, Shelf, best
from twotower.recommend.channels import BoughtTogether, Channel, Ease, OwnHistory, Popular, SimilarShoppers
from twotower.recommend.event_log import SECONDS_A_DAY, EventLog, Rows, Shopper
from twotower.recommend.ranker import Examples, Ranker, check_installed
from twotower.recommend.training import WholeShelf, examples_after, fit_finder
from twotower.types import EVENT_WEIGHTS, Event, Item, Vectors

CHANNELS: Mapping[str, Channel] = {
    "own_quarter": OwnHistory(90),
    "week": Popular(7),
    "month": Popular(30),
    "year": Popular(365),
    "ease": Ease(90),
    "ease_all": Ease(float("inf"), 500),
    "together": BoughtTogether(180, 90),
    "basket": BoughtTogether(180),
    "neighbours": SimilarShoppers(90),
}
PERIOD = 30.0  # days of examples after each past moment
LEAST = 200  # taken candidates that a ranker is fitted on

logger = logging.getLogger(__name__)


class Shop(Protocol):
    """What a recommender is fitted on; a `Retriever` is one."""

    def events(self, *, since: int = 0) -> tuple[int, list[Event]]:
        """See `Retriever.events`."""
        ...

    def items(self) -> Iterable[Item]:
        """See `Retriever.items`."""
        ...

    def vectors_of(self, item_ids: Sequence[str], /) -> Vectors:
        """See `Retriever.vectors_of`."""
        ...


class Ranked:
    """Recommended items of one shopper, best first.

    Args:
        rows: of the items, shape (m,).
        scores: descending, shape (m,).
        explanation: the terms that the scores are the sums of, shape (m,) each.
    """

    __slots__ = ("explanation", "rows", "scores")

    def __init__(
        self, rows: Rows, scores: NDArray[np.float64], explanation: Mapping[str, NDArray[np.float64]]
    ) -> None:
        self.rows, self.scores, self.explanation = rows, scores, explanation

    @classmethod
    def joined(cls, batches: Sequence[Ranked], k: int) -> Ranked:
        """The first k of several in turn: a score above the last of those before is lowered to it, by "recall"."""
        if not batches:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(0), {})
        rows = np.concatenate([batch.rows for batch in batches])[:k]
        given = np.concatenate([batch.scores for batch in batches])[:k]
        scores = np.minimum.accumulate(given)
        explanation = {
            name: np.concatenate([batch.explanation[name] for batch in batches])[:k]
            for name in batches[0].explanation
        }
        if len(batches) > 1:
            explanation["recall"] = scores - given
        return cls(rows, scores, explanation)


class Recommender:
    """Channels of recall and a ranker over them; `fit` makes one, `Retriever.recommend` uses it.

    Events that are recorded after the fit count from the next call on, in histories and in popularity; which items go
    together is learned anew by the next fit. Several threads may use it.

    Args:
        fitted: what it was fitted on, and its ranker.
    """

    def __init__(self, fitted: files.Saved) -> None:
        self._fitted = fitted
        self._kinds = fitted.kinds
        self._log, self._read = fitted.log, fitted.read
        self._finder = fit_finder(fitted.log.before(fitted.end), fitted.channels, fitted.price)
        self._ranker = None if fitted.ranker is None else Ranker(*fitted.ranker)
        self._reading = Lock()

    @classmethod
    def fit(
        cls,
        retriever: Shop,
        *,
        until: datetime | None = None,
        moments: int = 4,
        channels: Mapping[str, Channel] | None = None,
        kinds: Mapping[str, float] | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> Recommender:
        """Fit channels on all events, and a ranker on what was bought after several past moments.

        Args:
            retriever: whose items and events to read.
            until: only earlier events are used, aware; None uses all. Pass the beginning of what you evaluate on.
            moments: how many past moments, one period of 30 days apart, at least 2; the newest of them decides when
                to stop and what the scores mean.
            channels: by name; None is `CHANNELS`. One of your own, under a name that is not there, only recalls: the
                ranker does not know its scores.
            kinds: weight of each kind of event, as in `UserTower`; None is its default.
            seed: of the ranker.
            progress: show progress bars; None shows them on a terminal.

        Returns:
            A recommender. With too few events for a ranker it counts, and says so in the log.

        Raises:
            MissingExtraError: LightGBM is not installed.
            ValueError: there are fewer than two moments, `until` has no time zone, or another argument is of the
                wrong type.
        """
        check_has("retriever", retriever, ("events", "items", "vectors_of"), "a Retriever")
        check_whole("moments", moments, least=2)
        seed = check_whole("seed", seed, least=0)
        channels = CHANNELS if channels is None else _checked_channels(channels)
        kinds = EVENT_WEIGHTS if kinds is None else _checked_kinds(kinds)
        check_installed()  # now, not after minutes
        read, events = retriever.events()
        items = list(retriever.items())
        known = EventLog()
        known.items.add(item.id for item in items)
        known = known.extended(events, kinds)
        end = _day_of(until)
        log, price = known.before(end), _prices(known, items)
        shelf = WholeShelf(retriever.vectors_of(log.items.ids))
        ranker = None
        if len(log):
            seen = _examples(log, end, moments, channels, price, shelf, progress)
            if len(seen) > 1 and sum(int(each.taken.sum()) for each in seen) >= LEAST:
                ranker = Ranker.fit(Examples.joined(seen[:-1]), seen[-1], seed)
        if ranker is None:
            logger.warning(
                "too few events to fit a ranker, which needs %d items bought after earlier events: recommending by "
                "counts",
                LEAST,
            )
        parts = None if ranker is None else (ranker.trees, ranker.slope, ranker.intercept)
        return cls(files.Saved(known, end, read, price, channels, kinds, parts))

    def save(self, path: str | Path) -> None:
        """Write the recommender to one file, without the events since the fit, which the store keeps.

        Args:
            path: of the file, in a folder that exists.

        Raises:
            StoreError: the file cannot be written, or a channel is of your own.
        """
        files.write(path_of("path", path), self._fitted)

    @classmethod
    def load(cls, path: str | Path) -> Recommender:
        """Read a recommender that `save` wrote, for a retriever over the store that it was fitted on.

        Raises:
            StoreError: the file cannot be read, is damaged, or was written by another version.
            MissingExtraError: LightGBM is not installed.
        """
        return cls(files.read(path_of("path", path)))

    @property
    def item_ids(self) -> Sequence[str]:
        """The id of every row; rows stay as they are, new ones follow."""
        return self._log.items.ids

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """The rows of m items, shape (m,); new ones get the next rows."""
        return self._log.items.add(item_ids)

    def refresh(self, retriever: Shop) -> None:
        """Read the events that were recorded since the last time."""
        with self._reading:
            read, events = retriever.events(since=self._read)
            self._log, self._read = self._log.extended(events, self._kinds), read

    def rank(self, user: str, now: datetime, shelf: Shelf, k: int, *, basket: Sequence[str] = ()) -> Ranked:
        """Recommend to one user.

        Args:
            user: an id, known or not.
            now: only earlier events count, aware.
            shelf: what may be recommended.
            k: how many.
            basket: ids of the items in the user's basket now.

        Returns:
            At most k items, best first; equal ones in the order of their rows.
        """
        shopper = self._log.shopper(user, now.timestamp() / SECONDS_A_DAY, basket)
        recall = self._finder.recall(shopper, shelf)
        ranked: list[Ranked] = []
        for rows in recall.batches():
            if sum(len(each.rows) for each in ranked) < k and len(rows):
                ranked.append(self._ranked(recall, rows, k))
        return Ranked.joined(ranked, k)

    def bought_together(self, item_id: str, now: datetime, shelf: Shelf, k: int) -> Ranked:
        """Items of the same baskets as one item, by the channel "basket".

        Args:
            item_id: of the item.
            now: for channels that forget, aware.
            shelf: what may be among them.
            k: how many.

        Returns:
            At most k items, best first; fewer where fewer were ever in a basket with it.

        Raises:
            QueryError: the recommender was fitted without that channel.
        """
        if "basket" not in self._finder.channels:
            raise QueryError("the recommender was fitted without the channel 'basket': fit one that has it")
        shopper = self._log.shopper(-1, now.timestamp() / SECONDS_A_DAY, [item_id])
        scores = self._finder.channels["basket"].scores(shopper)
        rows = best(scores, shelf.allowed, k)
        return Ranked(rows, scores[rows], {"bought_together": scores[rows]})

    def _ranked(self, recall: Recall, rows: Rows, k: int) -> Ranked:
        """The k best of some rows."""
        features = recall.features(rows)
        scores = self._ranker.scores(features) if self._ranker else _counted(recall.shopper, rows)
        order = np.argsort(-scores, kind="stable")[:k]
        explained = self._ranker.explained(features[order]) if self._ranker else {"counts": scores[order]}
        return Ranked(rows[order], scores[order], explained)


def _checked_channels(channels: Any) -> Mapping[str, Channel]:
    check_is("channels", channels, Mapping, "a mapping of names to channels")
    for name, channel in channels.items():
        check_text("every name of channels", name)
        check_has(f"channels[{name!r:.80}]", channel, ("fit",), "a channel such as Popular(30)")
    return dict(channels)


def _checked_kinds(kinds: Any) -> Mapping[str, float]:
    check_is("kinds", kinds, Mapping, "a mapping")
    for kind in kinds:
        check_text("every kind of kinds", kind)
    return {kind: check_number(f"kinds[{kind!r:.80}]", weight, least=0) for kind, weight in kinds.items()}


def _day_of(until: datetime | None) -> float:
    """Days since 1970; infinity for None."""
    if until is None:
        return float("inf")
    if not isinstance(until, datetime) or until.utcoffset() is None:
        raise ValueError(f"until must be a datetime with a time zone, got {shown(until)}")
    return until.timestamp() / SECONDS_A_DAY


def _examples(
    log: EventLog,
    end: float,
    moments: int,
    channels: Mapping[str, Channel],
    price: NDArray[np.float64],
    shelf: WholeShelf,
    progress: bool | None,
) -> list[Examples]:
    """Examples of every moment, oldest first; the periods shrink where the past is short."""
    end = min(end, log.day[-1] + 1e-6)
    period = min(PERIOD, (end - log.day[0]) / (2 * moments))
    begins = end - period * np.arange(moments, 0, -1)
    found = [
        examples_after(log, begin, begin + period, channels, price, shelf, progress)
        for begin in begins.tolist()
    ]
    return [part for part in found if part is not None]


def _prices(log: EventLog, items: Sequence[Item]) -> NDArray[np.float64]:
    """The attribute "price" of every item where it is a number."""
    price = np.full(len(log.items), np.nan)
    for row, item in enumerate(items):  # they have the first rows
        value = item.attributes.get("price")
        if isinstance(value, int | float) and not isinstance(value, bool):
            price[row] = float(value)
    return price


def _counted(shopper: Shopper, rows: Rows) -> NDArray[np.float64]:
    """Own decayed counts, and below all of them popularity."""
    own = OwnHistory().scores(shopper)[rows]
    popular = Popular().fit(shopper.log).scores(shopper)[rows]
    counted: NDArray[np.float64] = own + popular / (1 + popular.max(initial=0)) * 1e-3
    return counted
