"""A write that changes attributes alone encodes nothing, and everything that is asked afterwards is right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from multimodal import WeightedConcat
from rerank import Decay
from twotower import DualEncoder, IndexPolicy, Item, Retriever
from twotower.errors import EncoderError, ItemError, UnknownItemError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLOURS = ["red", "blue", "green"]


class Counting(HashEncoder):
    """Counts the items that it encodes."""

    def __init__(self):
        super().__init__()
        self.encoded = []

    def encode_items(self, items):
        self.encoded += [item.id for item in items]
        return super().encode_items(items)


def opened(folder, encoder, exact_up_to=1_000):
    index = IndexPolicy(exact_up_to=exact_up_to)
    return Retriever.open(folder, encoder=encoder, index=index) if folder else Retriever(encoder, index=index)


def product(number, price, colour="red", title="mug", age=0):
    return Item(
        f"i{number}",
        f"{title} {number}",
        "of steel",
        time=NOW - timedelta(days=age),
        attributes={"price": price, "colour": colour},
    )


@pytest.fixture(params=["memory", "store"])
def place(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "store"


@pytest.mark.parametrize("exact_up_to", [1_000, 50], ids=["exact", "graph"])
@pytest.mark.parametrize("write", ["upsert", "update"])
def test_five_rounds_of_prices_encode_nothing(place, exact_up_to, write):
    encoder = Counting()
    retriever = opened(place, encoder, exact_up_to)
    retriever.upsert([product(number, 0) for number in range(200)])
    assert len(encoder.encoded) == 200
    for price in range(1, 6):
        if write == "upsert":
            retriever.upsert([product(number, price) for number in range(200)])
        else:
            retriever.update({f"i{number}": {"price": price} for number in range(200)})
        assert len(retriever.search("mug", k=300, where={"price": price}, now=NOW)) == 200
        assert retriever.search("mug", where={"price": {"$lt": price}}, now=NOW) == []
    retriever.maintenance.compact()
    if place:
        retriever.close()
        retriever = opened(place, encoder, exact_up_to)
    hit = retriever.search("mug 7", k=1, where={"price": 5}, now=NOW)[0]
    assert (hit.id, hit.item) == ("i7", product(7, 5))
    assert len(encoder.encoded) == 200
    retriever.close()


@pytest.mark.parametrize(
    ("change", "encoded"),
    [
        ({"price": 9, "stock": 3}, []),
        ({"colour": "blue"}, ["i1"]),  # searchable
        ({"colour": None}, ["i1"]),
        ({"colour": "red", "price": None}, []),
    ],
)
def test_update_merges_attributes_and_encodes_only_what_is_read(place, change, encoded):
    encoder = Counting()
    retriever = opened(place, encoder)
    retriever.upsert([product(1, 5), product(2, 5)])
    encoder.encoded.clear()
    assert retriever.update({"i1": change}).upserted == 1
    merged = {"price": 5, "colour": "red"} | change
    expected = {name: value for name, value in merged.items() if value is not None}
    assert retriever.get("i1").attributes == expected
    assert retriever.get("i1").title == "mug 1"
    assert retriever.get("i2") == product(2, 5)
    assert encoder.encoded == encoded
    retriever.close()


@pytest.mark.parametrize("field", ["title", "text", "image"])
def test_update_refuses_a_field_of_the_item_by_name(place, field):
    retriever = opened(place, Counting())
    retriever.upsert([product(1, 5), product(2, 5)])
    with pytest.raises(ItemError, match=f"item 'i1', field '{field}': .*upsert the item"):
        retriever.update({"i1": {field: "lamp"}})
    report = retriever.update({"i1": {field: "lamp"}, "i2": {"price": 6}}, on_error="skip")
    assert (report.upserted, [each.id for each in report.skipped]) == (1, ["i1"])
    assert retriever.get("i1") == product(1, 5)
    retriever.close()


@pytest.mark.parametrize(
    "new",
    [
        Item("i1", "mug 1", "of wood", attributes={"colour": "red"}),
        Item("i1", "lamp 1", "of steel", attributes={"colour": "red"}),
        Item("i1", "mug 1\nof steel", "", attributes={"colour": "red"}),
        Item("i1", "mug 1", "of steel", attributes={"colour": "blue"}),
        Item("i1", "mug 1", "of steel", image="photo.png", attributes={"colour": "red"}),
    ],
)
def test_an_upsert_of_anything_that_is_read_encodes(place, new):
    encoder = Counting()
    retriever = opened(place, encoder)
    retriever.upsert([product(1, 5)])
    retriever.upsert([new])
    assert encoder.encoded == ["i1", "i1"]
    retriever.delete(["i1"])
    retriever.upsert([new])
    assert encoder.encoded == ["i1", "i1", "i1"]
    retriever.close()


def test_a_photo_is_known_by_its_content(place, tmp_path, text_encoder, clip_encoder):
    calls = []

    class Spy(DualEncoder):
        def encode_items(self, items):
            calls.extend(item.id for item in items)
            return super().encode_items(items)

    encoder = Spy(text_encoder, clip_encoder, WeightedConcat(0.5, 0.5))
    photo, moved = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (40, 40), "red").save(photo)
    moved.write_bytes(photo.read_bytes())
    retriever = opened(place, encoder)
    for image in (photo, str(photo), moved):
        retriever.upsert([Item("a", "mug", image=image)])
    assert calls == ["a"]
    Image.new("RGB", (40, 40), "blue").save(moved)
    retriever.update({"a": {"price": 5}})  # says nothing of photos
    assert calls == ["a"]
    retriever.upsert([Item("a", "mug", image=moved, attributes={"price": 5})])
    assert calls == ["a", "a"]
    found = retriever.search(image=moved, k=1, now=NOW)[0]
    assert found.explain["image"] == pytest.approx(0.5**0.5, abs=1e-5)  # no query is nearer than the photo
    retriever.close()


def test_update_is_whole_or_not_at_all(place):
    retriever = opened(place, Counting())
    retriever.upsert([product(1, 5), product(2, 5)])
    for changes, error, named in (
        ({"i1": {"price": 6}, "ghost": {"price": 6}}, UnknownItemError, "'ghost' is not indexed"),
        ({"i1": {"price": 6}, "i2": {"price": float("nan")}}, ItemError, "'i2', field 'price': nan"),
        ({"i1": {"price": 6}, "i2": {"id": "x"}}, ItemError, "'i2', field 'id'"),
        ({"i1": {"price": 6}, "i2": 6}, ItemError, "attributes of item 'i2' must be a mapping"),
        ([("i1", {"price": 6})], ItemError, "attributes by item id"),
    ):
        with pytest.raises(error, match=named):
            retriever.update(changes)
        assert retriever.get("i1") == product(1, 5)
        if isinstance(changes, dict):
            report = retriever.update(changes, on_error="skip")
            assert report.upserted == 1
            assert [named.split("'")[1]] == [bad.id for bad in report.skipped]
            assert retriever.get("i1") == product(1, 6)
            retriever.update({"i1": {"price": 5}})
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', got 'ignore'"):
        retriever.update({}, on_error="ignore")
    assert retriever.update({}).upserted == 0
    retriever.close()


def test_an_interrupted_update_changes_nothing(place):
    class Failing(Counting):
        def encode_items(self, items):
            if self.encoded:
                raise KeyboardInterrupt
            return super().encode_items(items)

    retriever = opened(place, Failing())
    retriever.upsert([product(1, 5), product(2, 5)])
    with pytest.raises(KeyboardInterrupt):
        retriever.update({"i1": {"price": 6}, "i2": {"colour": "blue"}})
    assert list(retriever.items()) == [product(1, 5), product(2, 5)]
    retriever.close()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_that_cannot_be_used_names_its_item_and_can_be_skipped(place, value):
    class Broken(HashEncoder):
        def encode_items(self, items):
            vectors = super().encode_items(items)
            vectors[[item.id == "i2" for item in items]] = value
            return vectors

    retriever = opened(place, Broken())
    items = [product(number, 5) for number in range(5)]
    with pytest.raises(EncoderError, match="item 'i2' cannot be indexed"):
        retriever.upsert(items)
    assert len(retriever) == 0
    report = retriever.upsert(items, on_error="skip")
    assert report.upserted == len(retriever) == 4
    assert [bad.id for bad in report.skipped] == ["i2"]
    retriever.close()


changes = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "update", "delete", "compact", "reopen"]),
        st.integers(0, 9),
        st.integers(0, 3),
        st.sampled_from(COLOURS),
        st.sampled_from(["mug", "lamp"]),
    ),
    max_size=12,
)


@given(changes)
def test_any_history_of_writes_answers_as_a_new_shop_would(tmp_path_factory, steps):
    """The oracle is a retriever that is given the current items at once, and encodes every one of them."""
    encoder, folder = Counting(), tmp_path_factory.mktemp("life") / "store"
    retriever, items = opened(folder, encoder), {}
    first = [product(number, 0, age=number) for number in range(10)]
    retriever.upsert(first)
    items.update((item.id, item) for item in first)
    for step, number, price, colour, title in steps:
        item = product(number, price, colour, title, age=number)
        if step == "upsert":
            retriever.upsert([item])
            items.pop(item.id, None)
            items[item.id] = item
        elif step == "update" and item.id in items:
            retriever.update({item.id: item.attributes})
            old = items.pop(item.id)
            items[item.id] = product(number, price, colour, old.title.split()[0], age=number)
        elif step == "delete":
            retriever.delete([item.id])
            items.pop(item.id, None)
        elif step == "compact":
            retriever.maintenance.compact()
        elif step == "reopen":
            retriever.close()
            retriever = opened(folder, encoder)
    fresh = opened(None, HashEncoder())
    fresh.upsert(items.values())
    assert list(retriever.items()) == list(items.values())
    for where in (None, {"price": {"$gte": 1}}, {"colour": "blue", "price": 0}):
        for hybrid in (None, retriever.hybrid):
            asked = {"k": 20, "where": where, "now": NOW, "hybrid": hybrid, "decay": Decay.half_life(days=5)}
            got, wanted = (each.search("blue mug 3", **asked) for each in (retriever, fresh))
            assert [hit.item for hit in got] == [hit.item for hit in wanted]
            for mine, new in zip(got, wanted, strict=True):
                assert mine.score == pytest.approx(new.score, abs=1e-6)
                assert mine.explain == pytest.approx(new.explain, abs=1e-6)
    retriever.close()
