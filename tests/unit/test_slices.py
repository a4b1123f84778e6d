from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from twotower import Event, Item, Query
from twotower.evaluation import evaluate_item_slices, evaluate_query_slices
from twotower.evaluation.slices import (
    age_band,
    attribute,
    cold,
    has_image,
    has_text,
    language,
    query_length,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_query_slices_are_means_of_their_queries():
    queries = {
        "one": Query("shoes"),
        "two": Query("red shoes"),
        "zh": Query("红色运动鞋"),
        "none": Query("hat"),
    }
    qrels = {"one": {"a": 1}, "two": {"a": 1}, "zh": {"a": 1}, "none": {"a": 0}}
    run = {"one": {"a": 1.0}, "two": {"b": 2.0, "a": 1.0}, "zh": {}}
    assert evaluate_query_slices(run, qrels, queries, query_length, ["mrr@10"]) == {
        "1 word": {"queries": 1, "mrr@10": 1},
        "2-3 words": {"queries": 2, "mrr@10": (1 / 2 + 0) / 2},
    }
    found = evaluate_query_slices(run, qrels, queries, language, ["hr@10"])
    assert found == {"other": {"queries": 2, "hr@10": 1}, "zh": {"queries": 1, "hr@10": 0}}


def test_item_slices_keep_rankings_whole_and_count_only_their_own_items():
    items = [Item("a", "A", image="a.jpg"), Item("b", "B"), Item("c", "C")]
    qrels = {"q": {"a": 1, "b": 1}, "r": {"c": 1}}
    run = {"q": {"a": 3.0, "b": 2.0}, "r": {"a": 2.0, "c": 1.0}}
    found = evaluate_item_slices(run, qrels, items, has_image, ["mrr@10", "recall@1", "judged@10"])
    assert found["with image"] == {"queries": 1, "mrr@10": 1, "recall@1": 1, "judged@10": 1}
    # b is second behind a, which is judged but of the other slice; so is c behind an unjudged item.
    assert found["without image"] == {"queries": 2, "mrr@10": 1 / 2, "recall@1": 0, "judged@10": 3 / 4}


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, "unknown"),
        (-1, "future"),
        (0, "0-30 days"),
        (30, "0-30 days"),
        (31, "30-90 days"),
        (366, "over 365 days"),
    ],
)
def test_age_bands(age, expected):
    time = None if age is None else NOW - timedelta(days=age)
    assert age_band(NOW)(Item("a", "A", time=time)) == expected


def test_labels_by_photo_text_attribute_events_length_and_language():
    events = [Event("u", "warm", "view", NOW), Event("v", "warm", "view", NOW)]
    assert [cold(events)(Item(id_, "x")) for id_ in ("warm", "new")] == ["warm", "cold"]
    assert cold(events, fewer_than=3)(Item("warm", "x")) == "cold"
    assert [has_text(Item("a")), has_text(Item("a", text="words"))] == ["without text", "with text"]
    brand = attribute("brand")
    assert brand(Item("a", attributes={"brand": "Acme"})) == "Acme"
    assert brand(Item("a", attributes={"brand": None})) == brand(Item("a")) == "unknown"
    assert [language(Query(text)) for text in ("shoes", "nike 鞋", "")] == ["other", "zh", "no words"]
    assert [query_length(Query(text)) for text in ("", "鞋", "红色运动鞋", "a b c", "a b c d")] == [
        "1 word",
        "1 word",
        "2-3 words",
        "2-3 words",
        "4 words or more",
    ]
