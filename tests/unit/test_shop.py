from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twotower.demo import shop as shop_module
from twotower.demo.photos import TONES, draw_photo
from twotower.demo.shop import Shop, make_shop
from twotower.demo.vocabulary import CATEGORIES, NAMES, PATTERNS


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


def asked_by(text: str, language: str) -> dict[str, str]:
    """Read the wishes back from the words: the longest names first, and nothing may be left over."""
    names = [
        (name, attribute, value)
        for attribute, values in NAMES.items()
        for value, spellings in values.items()
        for name in spellings[language]
    ]
    asked = {}
    for name, attribute, value in sorted(names, key=lambda entry: -len(entry[0])):
        if name in text:
            asked[attribute] = value
            text = text.replace(name, "|", 1)
    assert not text.strip("| ")
    return asked


def test_the_same_seed_gives_the_same_shop_and_the_same_jpeg_bytes(tmp_path: Path) -> None:
    shop, again = (make_shop(tmp_path / name, items=100, queries=60) for name in ("one", "again"))
    assert (again.events, again.queries, again.qrels, again.truth) == (
        shop.events,
        shop.queries,
        shop.qrels,
        shop.truth,
    )
    assert [replace(item, image=None) for item in again.items] == [
        replace(item, image=None) for item in shop.items
    ]
    for ours, theirs in zip(shop.items, again.items, strict=True):
        assert (ours.image is None) == (theirs.image is None)
        if ours.image is not None and theirs.image is not None:
            assert Path(ours.image).read_bytes() == Path(theirs.image).read_bytes()


def test_another_seed_gives_another_shop(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_module, "draw_photo", lambda *_: Image.new("RGB", (8, 8)))
    other = make_shop(tmp_path, seed=8)
    assert {item.title for item in other.items} != {item.title for item in shop.items}
    assert {query.text for query in other.queries} != {query.text for query in shop.queries}
    assert other.events != shop.events


def test_the_judge_follows_the_rule_as_read_back_from_the_words_of_the_query(shop: Shop) -> None:
    year = timedelta(days=365)
    for query in shop.queries:
        asked = asked_by(query.text, query.language)
        wanted = set(asked.items())
        expected = {}
        for item in shop.items:
            missing = wanted - set(shop.truth[item.id].items())
            assert item.time is not None
            if not missing:
                expected[item.id] = 3 if shop.now - item.time <= year else 2
            elif asked["category"] == shop.truth[item.id]["category"] and len(missing) < len(wanted) - 1:
                expected[item.id] = 1
        assert shop.qrels[query.id] == expected
        assert max(expected.values()) >= 2


def test_queries_are_in_both_languages_and_no_text_is_in_both_splits(shop: Shop) -> None:
    texts = defaultdict(set)
    for query in shop.queries:
        texts[query.split].add(query.text)
    assert not texts["train"] & texts["test"]
    assert len(texts["train"]) + len(texts["test"]) == len(shop.queries) == 500
    assert 200 <= len(texts["test"]) <= 300
    assert 0.25 <= sum(query.language == "zh" for query in shop.queries) / 500 <= 0.35


def test_nearly_a_third_of_the_items_shows_its_colour_only_in_the_photo(shop: Shop) -> None:
    hidden = [item for item in shop.items if "colour" not in item.attributes]
    assert 0.25 <= len(hidden) / len(shop.items) <= 0.35
    for item in hidden:
        truth = shop.truth[item.id]
        names = [name for spellings in NAMES["colour"][truth["colour"]].values() for name in spellings]
        names += [name for spellings in NAMES["pattern"][truth["pattern"]].values() for name in spellings]
        assert item.image is not None
        assert not [name for name in names if name in item.words.lower()]


def test_attributes_say_what_is_true(shop: Shop) -> None:
    for item in shop.items:
        said = {name: value for name, value in item.attributes.items() if name != "price"}
        assert said.items() <= shop.truth[item.id].items()
        assert {"category", "brand", "material"} <= set(said)
        assert isinstance(item.attributes["price"], float)
        assert item.attributes["price"] > 0
        assert item.time is not None
        assert timedelta(0) < shop.now - item.time <= timedelta(days=3 * 365)


def test_users_come_back_to_what_they_like(shop: Shop) -> None:
    released = {item.id: item.time for item in shop.items}
    categories: dict[str, Counter[str]] = defaultdict(Counter)
    for event in shop.events:
        assert released[event.item] < event.time < shop.now
        assert event.kind in {"view", "click", "cart", "purchase"}
        categories[event.user][shop.truth[event.item]["category"]] += 1
    sizes = [counts.total() for counts in categories.values()]
    assert (len(sizes), min(sizes) >= 5, max(sizes) <= 40) == (150, True, True)
    assert list(shop.events) == sorted(shop.events, key=lambda event: event.time)
    # First against second half of a history: chance would be 3 of 16 categories.
    share = []
    for user in categories:
        history = [shop.truth[event.item]["category"] for event in shop.events if event.user == user]
        early, late = history[: len(history) // 2], history[len(history) // 2 :]
        favourites = {category for category, _ in Counter(early).most_common(3)}
        share.append(np.mean([category in favourites for category in late]))
    assert np.mean(share) > 0.35


@pytest.mark.parametrize("colour", TONES)
def test_photos_show_the_named_colour(colour: str) -> None:
    other = "white" if colour in {"black", "brown", "blue", "purple", "red"} else "black"
    for number, category in enumerate(CATEGORIES):
        ours, theirs = (
            np.asarray(draw_photo(category, c, "plain", np.random.default_rng(number)), dtype=float)
            for c in (colour, other)
        )
        # The two photos differ exactly where the product shows its colour.
        product = np.abs(ours - theirs).max(axis=2) > 60
        mean = ours[product].mean(axis=0)
        distance = {name: np.linalg.norm(mean - tone) for name, tone in TONES.items()}
        assert 0.02 < product.mean() < 0.6
        assert min(distance, key=distance.__getitem__) == colour


def test_patterns_change_the_photo_but_not_the_product() -> None:
    photos = {
        pattern: np.asarray(draw_photo("t-shirt", "red", pattern, np.random.default_rng(3)), dtype=float)
        for pattern in PATTERNS
    }
    whiter = [
        float((photos[pattern].mean(axis=2) > photos["plain"].mean(axis=2) + 40).mean())
        for pattern in PATTERNS
    ]
    assert whiter[0] == 0.0
    assert all(0.03 < share < 0.3 for share in whiter[1:])
    corner = (slice(0, 12), slice(0, 12))
    assert all((photos[pattern][corner] == photos["plain"][corner]).all() for pattern in PATTERNS)


def test_an_unknown_pattern_is_named() -> None:
    with pytest.raises(ValueError, match="tartan"):
        draw_photo("mug", "red", "tartan", np.random.default_rng(0))
