"""Attributes that people type are read exactly as they would be typed."""

from __future__ import annotations

import pytest
from fakes import HashEncoder

from twotower import Item, Retriever
from twotower.recall.words.item_text import ItemText


@pytest.mark.parametrize(
    ("title", "value", "text"),
    [
        ("Tailored shirt", "red", "Tailored shirt\nred"),
        ("Red shirt", "red", "Red shirt"),
        ("Shirt by Acme-Works, new", "Acme-Works", "Shirt by Acme-Works, new"),
        ("红色运动鞋", "红", "红色运动鞋\n红"),
        ("Toner", 1234567, "Toner\n1234567"),
        ("Toner", 1234567.25, "Toner\n1234567.25"),
        ("Toner", 79.0, "Toner\n79"),
        ("Toner 79", 79.0, "Toner 79"),
    ],
)
def test_a_searchable_value_follows_unless_the_item_says_it_as_a_word(title, value, text):
    assert ItemText.of(["value"])(Item("a", title, attributes={"value": value})) == text


def test_names_may_come_from_a_generator():
    assert ItemText.of(name for name in ("brand", "model")).attributes == ("brand", "model")


@pytest.mark.parametrize("name", ["brand", "Brand", "BRAND", "品牌", "颜色", "Colour"])
def test_a_shop_s_own_spelling_of_a_default_attribute_is_searchable(name):
    retriever = Retriever(HashEncoder())
    retriever.upsert(
        [Item("a", "鞋", attributes={"size": "耐克"}), Item("b", "鞋", attributes={name: "耐克"})]
    )
    (hit,) = retriever.search("耐克", k=1)
    assert hit.id == "b"
    assert hit.explain["lexical"] > 0
