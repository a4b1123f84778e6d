"""A made-up shop: drawn photos, titles in two languages, users with habits, and judged queries.

The judge knows what is true of every product, also what only its photo shows, and prefers new releases:

    3   all that the query asks for is true, and the product was released within the last year
    2   all is true, but the product is older
    1   the category is right and some, but not all, of the other wishes come true
    0   everything else (not listed)

So a photo encoder helps with the products whose title omits colour and pattern, words of the other language
help with the rest, and time decay helps because of the judge's preference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from twotower.demo.photos import draw_photo
from twotower.demo.shoppers import make_events
from twotower.demo.vocabulary import BRANDS, CATEGORIES, COLOURS, PATTERNS, Language
from twotower.demo.wording import description, search_words, title
from twotower.types import AttributeValue, Event, Item

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_NEW = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ShopQuery:
    """What a shopper types.

    Args:
        id: such as "query-0001".
        text: the words.
        language: of the words.
        split: "train" queries may be learned from; "test" queries only measure. No text is in both.
    """

    id: str
    text: str
    language: Language
    split: Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Shop:
    """Everything that the shop knows.

    Args:
        items: the catalogue.
        events: what users did, oldest first.
        queries: what users type.
        qrels: the grade (1 to 3) of every relevant item, by query id and item id.
        truth: category, colour, pattern, material and brand of every item, by item id, also where
            only the photo shows them.
        now: the moment that ages are counted from.
    """

    items: tuple[Item, ...]
    events: tuple[Event, ...]
    queries: tuple[ShopQuery, ...]
    qrels: Mapping[str, Mapping[str, int]]
    truth: Mapping[str, Mapping[str, str]]
    now: datetime


def make_shop(folder: Path, seed: int = 7, *, items: int = 640, queries: int = 500) -> Shop:
    """Draw the photos into `folder / "photos"` and make up the rest; the same arguments give the same shop.

    Args:
        folder: where the photos go; created if missing.
        seed: any integer from 0.
        items: number of products.
        queries: number of queries with judgements.

    Returns:
        The shop, with some 3,000 events of 150 users.
    """
    photos = folder.resolve() / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    # Independent streams: a change in one part of the shop leaves the others as they were.
    looks, words, users, wishes = (np.random.default_rng((seed, 0, part)) for part in range(4))
    truth = {f"shop-{number:04d}": _look(looks) for number in range(1, items + 1)}
    products = tuple(
        _item(
            item_id,
            facts,
            words,
            _photograph(photos, item_id, facts, np.random.default_rng((seed, 1, number))),
        )
        for number, (item_id, facts) in enumerate(truth.items(), start=1)
    )
    asked, qrels = _judged_queries(products, truth, wishes, queries)
    return Shop(products, make_events(products, truth, NOW, users), asked, qrels, truth, NOW)


def grade(facts: Mapping[str, str], asked: Mapping[str, str], age: timedelta) -> int:
    """The judge's grade of a product, by the rule in this module's docstring.

    Args:
        facts: what is true of the product.
        asked: what the query asks for; "category" and at least one more.
        age: of the release.
    """
    if facts["category"] != asked["category"]:
        return 0
    wishes = [attribute for attribute in asked if attribute != "category"]
    granted = sum(facts[attribute] == asked[attribute] for attribute in wishes)
    if granted == len(wishes):
        return 3 if age <= _NEW else 2
    return min(granted, 1)


def _look(rng: np.random.Generator) -> dict[str, str]:
    """What is true of one product."""
    category = _pick(tuple(CATEGORIES), rng)
    return {
        "category": category,
        "colour": _pick(tuple(COLOURS), rng),
        "pattern": str(rng.choice(tuple(PATTERNS), p=(0.4, 0.2, 0.2, 0.2))),
        "material": _pick(CATEGORIES[category].materials, rng),
        "brand": _pick(tuple(BRANDS), rng),
    }


def _photograph(photos: Path, item_id: str, facts: Mapping[str, str], rng: np.random.Generator) -> str | None:
    """Draw and save the photo; a few products have none."""
    if rng.random() < 0.04:
        return None
    path = photos / f"{item_id}.jpg"
    draw_photo(facts["category"], facts["colour"], facts["pattern"], rng).save(path, quality=90)
    return str(path)


def _item(item_id: str, facts: Mapping[str, str], rng: np.random.Generator, photo: str | None) -> Item:
    """The product as the shop lists it; what only the photo shows is missing from title and attributes."""
    spoken: tuple[Language, ...] = (("en",), ("zh",), ("en", "zh"))[int(rng.choice(3, p=(0.55, 0.2, 0.25)))]
    said = {"category": facts["category"], "brand": facts["brand"]}
    # Without a photo the words must say what the product looks like.
    if photo is None or rng.random() < 0.68:
        said["colour"] = facts["colour"]
        if facts["pattern"] != "plain" or rng.random() < 0.3:
            said["pattern"] = facts["pattern"]
    if rng.random() < 0.5:
        said["material"] = facts["material"]
    text = " ".join(description(facts["category"], facts["material"], language, rng) for language in spoken)
    attributes: dict[str, AttributeValue] = {**said, "material": facts["material"]}
    attributes["price"] = round(CATEGORIES[facts["category"]].price * float(rng.lognormal(0.0, 0.35)), 2)
    return Item(
        id=item_id,
        title=" ".join(title(said, language, rng) for language in spoken),
        text="" if rng.random() < 0.04 else text,
        image=photo,
        time=NOW - timedelta(hours=int(rng.integers(24, 3 * 365 * 24))),
        attributes=attributes,
    )


def _judged_queries(
    items: Sequence[Item], truth: Mapping[str, Mapping[str, str]], rng: np.random.Generator, count: int
) -> tuple[tuple[ShopQuery, ...], dict[str, dict[str, int]]]:
    """`count` wishes that at least one product grants, put into words that no other wish uses."""
    texts: set[str] = set()
    queries: list[ShopQuery] = []
    qrels: dict[str, dict[str, int]] = {}
    while len(queries) < count:
        asked = _wish(truth[items[int(rng.integers(len(items)))].id], rng)
        language: Language = "en" if rng.random() < 0.7 else "zh"
        text = search_words(asked, language, rng)
        if text in texts:
            continue
        texts.add(text)
        query = ShopQuery(f"query-{len(queries) + 1:04d}", text, language, _split(text))
        queries.append(query)
        grades = {item.id: grade(truth[item.id], asked, NOW - _released(item)) for item in items}
        qrels[query.id] = {item_id: value for item_id, value in grades.items() if value > 0}
    return tuple(queries), qrels


def _wish(facts: Mapping[str, str], rng: np.random.Generator) -> dict[str, str]:
    """The category of a product and one to three of its other attributes, looks more often than the rest."""
    others = ("colour", "pattern", "material", "brand")
    count = int(rng.choice((1, 2, 3), p=(0.3, 0.5, 0.2)))
    wished = rng.choice(others, size=count, replace=False, p=(0.4, 0.25, 0.15, 0.2))
    return {"category": facts["category"]} | {attribute: facts[attribute] for attribute in map(str, wished)}


def _split(text: str) -> Literal["train", "test"]:
    return "train" if hashlib.sha256(text.encode()).digest()[0] % 2 == 0 else "test"


def _released(item: Item) -> datetime:
    assert item.time is not None
    return item.time


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
