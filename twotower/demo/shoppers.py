"""Users of the sample shop: each has a taste, and comes back to what fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from twotower.demo.vocabulary import BRANDS, CATEGORIES, COLOURS
from twotower.types import Event, Item

_USERS = 150
# How far a visit goes: most end with a look, few with a purchase.
_VISITS = (("view",), ("view", "click"), ("view", "click", "cart"), ("view", "click", "cart", "purchase"))
_VISIT_SHARES = (0.45, 0.3, 0.12, 0.13)


def make_events(
    items: Sequence[Item],
    truth: Mapping[str, Mapping[str, str]],
    now: datetime,
    rng: np.random.Generator,
) -> tuple[Event, ...]:
    """Histories of 5 to 40 events for 150 users, over the year before now.

    A user looks at what is released, and at a product of a preferred category six times as often as at
    another, of a preferred colour and of a preferred brand three times as often.

    Args:
        items: the catalogue; every item has a time.
        truth: category, colour and brand by item id.
        now: after the last event.
        rng: decides everything.

    Returns:
        The events, oldest first.
    """
    released = np.array([(now - item.time) / timedelta(days=1) for item in items if item.time is not None])
    events: list[Event] = []
    for number in range(1, _USERS + 1):
        liking = _liking([truth[item.id] for item in items], rng)
        events += _history(f"user-{number:03d}", items, liking, released, now, rng)
    return tuple(sorted(events, key=lambda event: (event.time, event.user)))


def _liking(facts: Sequence[Mapping[str, str]], rng: np.random.Generator) -> NDArray[np.float64]:
    """How much one new user likes each product, shape (items,), above 0."""
    liking = np.ones(len(facts))
    for attribute, values, factor in (
        ("category", CATEGORIES, 6),
        ("colour", COLOURS, 3),
        ("brand", BRANDS, 3),
    ):
        liked = set(rng.choice(tuple(values), size=int(rng.integers(2, 4)), replace=False))
        liking *= [factor if fact[attribute] in liked else 1 for fact in facts]
    return liking


def _history(
    user: str,
    items: Sequence[Item],
    liking: NDArray[np.float64],
    ages: NDArray[np.float64],
    now: datetime,
    rng: np.random.Generator,
) -> list[Event]:
    """Visits at random moments until the history has its length; ages in days."""
    length = int(rng.integers(5, 41))
    events: list[Event] = []
    while len(events) < length:
        days_ago = float(rng.uniform(0.1, 365))
        odds = np.where(ages > days_ago, liking, 0.0)
        item = items[int(rng.choice(len(items), p=odds / odds.sum()))]
        visit = _VISITS[int(rng.choice(len(_VISITS), p=_VISIT_SHARES))][: length - len(events)]
        start = now - timedelta(seconds=round(days_ago * 86400))
        events += [
            Event(user, item.id, kind, start + timedelta(minutes=2 * step)) for step, kind in enumerate(visit)
        ]
    return events
