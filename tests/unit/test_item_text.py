"""Attributes that people type are read exactly as they would be typed."""

from __future__ import annotations

import pytest

from twotower import Item
from twotower.corpus.item_text import ItemText


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
