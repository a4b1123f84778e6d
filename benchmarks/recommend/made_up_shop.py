"""A made-up shop with a known structure: favourite kinds of goods that drift, and articles bought again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.recommend.folder import RecommendFolder, predicted
from twotower.types import Event, Item

GOODS = ("lamp", "mug", "scarf", "lantern", "notebook", "clock", "basket", "cushion", "kettle", "ribbon")
TRAITS = ("red", "blue", "green", "white", "striped", "spotted", "wooden", "paper", "vintage", "tiny")
START = datetime(2023, 11, 14, tzinfo=UTC)
DAYS, DEV_DAYS = 240, 30
AGAIN, FAVOURITE, DRIFT = 0.35, 0.8, 0.1  # shares of a basket's lines, and chance of a new favourite a basket


def made_up_shop(seed: int, users: int = 300, per_kind: int = 30) -> RecommendFolder:
    """A shop of ten kinds of articles, whose last month is to be predicted.

    Every user has a favourite kind, which changes with probability 0.1 before a basket. Each line of a basket repeats
    an earlier purchase with probability 0.35; otherwise it is of the favourite kind with probability 0.8, and of any
    kind with 0.2, the first articles of a kind more often than the last. So neighbours of bought items help, old
    purchases mislead, and counting repeats misses new articles.
    """
    rng = np.random.default_rng(seed)
    items = [
        Item(f"{kind}-{number}", f"{TRAITS[number % 10]} {kind} {number}")
        for kind in GOODS
        for number in range(per_kind)
    ]
    events = [event for user in range(users) for event in _purchases(rng, f"user-{user}", per_kind)]
    cut = START + timedelta(days=DAYS - DEV_DAYS)
    events.sort(key=lambda event: (event.time, event.user, event.item))
    return predicted(items, events, [event for event in events if event.time >= cut])


def _purchases(rng: np.random.Generator, user: str, per_kind: int) -> Iterator[Event]:
    chance = 1 / np.arange(1, per_kind + 1)
    favourite, before = int(rng.integers(len(GOODS))), list[str]()
    for second in np.unique(rng.integers(DAYS * 86_400, size=rng.integers(2, 14))).tolist():
        if rng.random() < DRIFT:
            favourite = int(rng.integers(len(GOODS)))
        basket: dict[str, None] = {}
        for _ in range(rng.integers(2, 8)):
            if before and rng.random() < AGAIN:
                basket[before[rng.integers(len(before))]] = None
                continue
            kind = favourite if rng.random() < FAVOURITE else int(rng.integers(len(GOODS)))
            basket[f"{GOODS[kind]}-{rng.choice(per_kind, p=chance / chance.sum())}"] = None
        before += basket
        moment = START + timedelta(seconds=second)
        yield from (Event(user, item, "purchase", moment) for item in basket)
