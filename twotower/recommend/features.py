"""What the ranker knows of a candidate: scores of channels, and facts of the item, the shopper and the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.recommend.event_log import EventLog, Numbers, Rows, Shopper
from twotower.types import Vectors

LOOKED_AT = 20  # newest items of a shopper that a candidate's content is compared with
NEWEST_DAYS = 90.0  # half-life of the shopper's items in their mean vector


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of items by themselves, shape (items,) each.

    Args:
        first_day: of any event.
        buyers: how many users.
        repeat_rate: share of those who came back to the item.
        price: NaN where unknown.
    """

    first_day: Numbers
    buyers: Numbers
    repeat_rate: Numbers
    price: Numbers

    @classmethod
    def of(cls, log: EventLog, price: Numbers) -> ItemFacts:
        """Facts from the events before a moment.

        Args:
            log: those events.
            price: of each item.
        """
        size = len(log.items)
        first_day = np.full(size, np.nan)
        np.fmin.at(first_day, log.item, log.day)
        key = np.unique(np.stack([log.user, log.item, log.day.view(np.int64)]), axis=1)[:2]
        pairs, baskets = np.unique(key, axis=1, return_counts=True)
        buyers = np.bincount(pairs[1], minlength=size).astype(np.float64)
        again = np.bincount(pairs[1], baskets > 1, minlength=size)
        return cls(first_day, buyers, (again + 1) / (buyers + 5), price)


GROUPS: Mapping[str, tuple[str, ...]] = {
    "own_history": (
        *("own_count", "own_lines", "own_month", "own_quarter", "own_year", "days_since", "own_share"),
        *("gap", "gap_ratio", "baskets_since"),
    ),
    "popularity": ("week", "month", "year", "week_trend", "month_trend"),
    "bought_together": ("ease", "ease_all", "together", "basket", "surprising"),
    "similar_shoppers": ("neighbours",),
    "content": ("content", "content_nearest"),
    "item": ("age", "buyers", "repeat_rate", "price", "price_difference"),
    "shopper": (*("baskets", "days_away", "basket_size", "items", "repeats", "usual_price", "days_known"),),
}
NAMES = tuple(name for group in GROUPS.values() for name in group)


def features_of(
    shopper: Shopper,
    rows: Rows,
    scores: Mapping[str, Numbers],
    facts: ItemFacts,
    vectors: Vectors,
    own_vectors: Vectors,
) -> NDArray[np.float64]:
    """Features of m candidates, shape (m, len(NAMES)); NaN is unknown.

    Args:
        shopper: for whom.
        rows: the candidates, shape (m,).
        scores: of each channel, for all items.
        facts: of the items.
        vectors: the candidates' content, float32 of shape (m, dim), zeros where unknown.
        own_vectors: the same of `shopper.rows`.
    """
    found: dict[str, Numbers] = {name: _at(values, rows, 0.0) for name, values in scores.items()}
    found |= _own(shopper, rows)
    if {"week", "month", "year"} <= found.keys():
        found["week_trend"] = found["week"] / (found["month"] + 1)
        found["month_trend"] = found["month"] / (found["year"] + 1)
    if {"together", "year"} <= found.keys():
        found["surprising"] = found["together"] / (np.sqrt(found["year"]) + 1)
    found["content"], found["content_nearest"] = _content(shopper, rows, vectors, own_vectors)
    found["age"] = shopper.day - _at(facts.first_day, rows, np.nan)
    found["buyers"] = _at(facts.buyers, rows, 0.0)
    found["repeat_rate"] = _at(facts.repeat_rate, rows, 0.2)
    found["price"] = _at(facts.price, rows, np.nan)
    prices = _at(facts.price, shopper.items, np.nan)
    usual = float(np.nanmean(prices)) if np.isfinite(prices).any() else np.nan
    found["price_difference"] = found["price"] - usual
    found |= {name: np.full(len(rows), value) for name, value in _facts_of(shopper, usual).items()}
    unknown = np.full(len(rows), np.nan)  # of a channel that was left out
    return np.column_stack([found.get(name, unknown) for name in NAMES])


def mean_vector(shopper: Shopper, own_vectors: Vectors) -> Vectors | None:
    """The decayed mean of a shopper's items, unit length, shape (dim,); None if there is none.

    Args:
        shopper: whose.
        own_vectors: of `shopper.rows`, float32 of shape (m, dim), zeros where unknown.
    """
    mean = shopper.newest(NEWEST_DAYS) @ own_vectors.astype(np.float64)
    length = np.linalg.norm(mean)
    return None if length < 1e-9 else np.asarray(mean / length, dtype=np.float32)


def _own(shopper: Shopper, rows: Rows) -> dict[str, Numbers]:
    """What the shopper did with each candidate before."""
    places = np.searchsorted(shopper.rows, rows)
    places = np.minimum(places, max(len(shopper.rows) - 1, 0))
    mine = shopper.rows[places] == rows if len(shopper.rows) else np.zeros(len(rows), dtype=np.bool_)

    def of(values: Numbers, unknown: float) -> Numbers:
        return np.where(mine, values[places], unknown) if len(values) else np.full(len(rows), unknown)

    last, lines, baskets = shopper.last, shopper.lines, shopper.basket_days
    gaps = np.divide(
        last - shopper.first,
        lines - 1,
        out=np.full(len(lines), np.nan),
        where=(lines > 1) & (last > shopper.first),
    )
    since = shopper.day - last
    behind = len(baskets) - np.searchsorted(baskets, last).astype(np.float64)
    return {
        "own_count": of(shopper.counts, 0.0),
        "own_lines": of(lines, 0.0),
        "own_month": of(shopper.decayed(30), 0.0),
        "own_year": of(shopper.decayed(200), 0.0),
        "days_since": of(since, np.nan),
        "own_share": of(lines / max(len(baskets), 1), 0.0),
        "gap": of(gaps, np.nan),
        "gap_ratio": of(since / gaps, np.nan),
        "baskets_since": of(behind, np.nan),
    }


def _content(shopper: Shopper, rows: Rows, vectors: Vectors, own_vectors: Vectors) -> tuple[Numbers, Numbers]:
    """Similarity of each candidate to the mean of the shopper's items, and to the nearest of the newest others."""
    mean = mean_vector(shopper, own_vectors)
    if mean is None:
        return np.zeros(len(rows)), np.zeros(len(rows))
    newest = np.argsort(-shopper.last, kind="stable")[:LOOKED_AT]
    similarity = (vectors @ own_vectors[newest].T).astype(np.float64)
    similarity[rows[:, None] == shopper.rows[newest][None]] = -1  # to itself
    return (vectors @ mean).astype(np.float64), similarity.max(axis=1, initial=-1)


def _facts_of(shopper: Shopper, usual_price: float) -> dict[str, float]:
    baskets, count = shopper.basket_days, len(shopper.items)
    return {
        "baskets": float(len(baskets)),
        "days_away": shopper.day - float(baskets[-1]) if count else np.nan,
        "basket_size": count / max(len(baskets), 1),
        "items": float(len(shopper.rows)),
        "repeats": count / max(len(shopper.rows), 1),
        "usual_price": usual_price,
        "days_known": shopper.day - float(baskets[0]) if count else np.nan,
    }


def _at(values: Numbers, rows: Rows, unknown: float) -> Numbers:
    """Values of rows, some of which may be newer than the values."""
    if not len(values):
        return np.full(len(rows), unknown)
    return np.where(rows < len(values), values[np.minimum(rows, len(values) - 1)], unknown)
