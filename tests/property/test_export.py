"""What is exported and indexed again is what was there, whatever it is called and whatever it holds."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st

from twotower import Event, Item, Retriever
from twotower.__main__ import main
from twotower.commands.export import export
from twotower.commands.index import index
from twotower.commands.opened import opened_corpus
from twotower.commands.record import record
from twotower.errors import CatalogueError, StoreError
from twotower.ingest.catalogue import Catalogue, read_catalogue
from twotower.ingest.events import EventLog
from twotower.ingest.options import ReadOptions

ANYWHERE = ReadOptions(photos_anywhere=True)
FIELDS = [
    "id",
    "_id",
    "title",
    "text",
    "image",
    "time",
    "attributes",
    "name",
    "sku",
    "description",
    "date",
    "$time",
]

text = st.text(max_size=20)
names = (
    st.sampled_from(FIELDS) | text.filter(bool) | st.sampled_from(["a.b", "attributes.x", "Price", "price"])
).filter(lambda name: not name.startswith("$") and name not in ("id", "time"))
times = st.datetimes(
    datetime(1900, 1, 1),
    datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3, minutes=30))]),
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
words = text | st.sampled_from(
    ["N/A", "true", "007", "1,299.00", "2026-01-01", "null", "", " ", "\u2028", "https://x.example"]
)
scalars = words | numbers | st.booleans() | times
values = scalars | st.lists(scalars, max_size=3)
images = st.sampled_from(
    [None, "photos/1.jpg", "photos/ü 2.png", "/outside/3.jpg", "https://shop.example/4.jpg"]
)


@st.composite
def shops(draw):
    items = []
    for item_id in draw(st.lists(text.filter(bool), min_size=1, max_size=6, unique=True)):
        attributes = draw(st.dictionaries(names, values, max_size=4))
        title, body = draw(words), draw(words)
        time = draw(st.none() | times)
        image, kind = draw(images), draw(st.sampled_from([str, Path]))
        if image is not None and "://" not in image:
            image = kind(image)
        items.append(Item(item_id, title or "x", body, image, time, attributes))
    return items


def moved(item, folder):
    """The item with its photo in a folder."""
    if item.image is None or "://" in str(item.image) or str(item.image).startswith("/outside"):
        return item
    relative = Path(item.image).relative_to(Path.cwd())
    return replace(
        item, image=type(item.image)(folder / relative) if isinstance(item.image, str) else folder / relative
    )


def stored(folder, items):
    with Retriever.open(folder, encoder=HashEncoder()) as retriever:
        retriever.upsert(items, progress=False)
    return folder


def items_in(folder):
    with Retriever.open(folder, encoder=HashEncoder(), read_only=True) as retriever:
        return list(retriever.items())


FORMATS = ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz", "tsv.gz"]
BLANK = re.compile(r"\s+|.*\0.*", re.DOTALL)


def is_for_csv(item):
    """Whether CSV can tell the item's texts from none."""
    return not any(BLANK.fullmatch(part) for part in (item.id, item.title, item.text))


def kinds(item, form):
    """The types of the values and of the parts of lists; Parquet makes fractions of whole numbers beside them."""

    def kind(value):
        return [kind(part) for part in value] if isinstance(value, list) else type(value)

    found = {name: kind(value) for name, value in item.attributes.items()}
    return (
        json.loads(json.dumps(found, default=lambda each: each.__name__).replace("int", "float"))
        if form == "parquet"
        else found
    )


@given(shops(), st.sampled_from(FORMATS))
def test_export_and_index_are_the_identity(items, form):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        items = [moved(item, folder) for item in items if item.image is None or "://" not in str(item.image)]
        before = items_in(stored(folder / "store", items))
        out = folder / f"out.{form}"
        if form[:3] in ("csv", "tsv") and not all(map(is_for_csv, items)):
            with pytest.raises(StoreError, match=r"CSV cannot hold blank text or NUL .*export to \.jsonl"):
                export(folder / "store", out, photos="keep")
            assert [path.name for path in folder.iterdir()] == ["store"]
            return
        if form == "parquet" and any("\0" in name for item in items for name in item.attributes):
            with pytest.raises(StoreError, match="Parquet cannot hold NUL characters in a name"):
                export(folder / "store", out, photos="keep")
            assert [path.name for path in folder.iterdir()] == ["store"]
            return
        export(folder / "store", out, photos="keep")
        assert list(read_catalogue(out, ANYWHERE)) == before == items
        for place in ("store", "new"):
            report = index(out, folder / place, HashEncoder(), options=ANYWHERE)
            assert (report.indexed, report.unchanged) == (
                (0, len(items)) if place == "store" else (len(items), 0)
            )
            again = items_in(folder / place)
            assert again == before
            assert [type(item.image) for item in again] == [type(item.image) for item in before]
            assert [kinds(item, form) for item in again] == [kinds(item, form) for item in before]


events = st.builds(
    Event,
    user=text.filter(bool) | st.sampled_from(["007", "1e5", "N/A", 'a"b,c\nd\re;\t']),
    item=st.sampled_from(["1", "02", "gone"]),
    kind=st.sampled_from(["view", "purchase", "true", "5"]),
    time=times,
    value=st.floats(0, 1e300) | st.integers(0, 10**6),
    id=text | st.sampled_from(["", "0001", "12"]),
)


@given(st.lists(events, max_size=8), st.sampled_from(FORMATS))
def test_events_are_exported_and_recorded_as_they_were(events, form):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for place in ("store", "new"):
            stored(folder / place, [Item(each, "mug") for each in ("1", "02", "gone")])
        with Retriever.open(folder / "store", encoder=HashEncoder()) as retriever:
            retriever.record(events)
            before = list(retriever._corpus.item_store.events())
            retriever.delete(["gone"])
        kept = [event for event in before if event.item != "gone"]
        out = [folder / f"items.{form}", folder / f"events.{form}"]
        texts = [part for event in kept for part in (event.user, event.kind, event.id)]
        if form[:3] in ("csv", "tsv") and any(map(BLANK.fullmatch, texts)):
            with pytest.raises(StoreError, match="CSV cannot hold blank text or NUL"):
                export(folder / "store", out[0], events=out[1])
            assert sorted(path.name for path in folder.iterdir()) == ["new", "store"]
            return
        report = export(folder / "store", out[0], events=out[1])
        assert (report.items, report.events, report.left_out) == (2, len(kept), len(before) - len(kept))
        for place, counts in (("store", (0, len(kept))), ("new", (len(kept), 0))):
            with opened_corpus(folder / place, read_only=False) as corpus:
                recorded = record(EventLog.of_file(out[1]), corpus, None) if kept else None
                assert recorded is None or (recorded.recorded, recorded.repeated) == counts
                assert [event for event in corpus.item_store.events() if event.item != "gone"] == kept


def test_a_spreadsheet_reads_and_writes_an_exported_file(tmp_path, capsys):
    """As Excel does: UTF-8 is known by its mark, lines end in CRLF, and a shop changes a price and adds a row."""
    store = stored(
        tmp_path / "store",
        [
            Item(
                "007",
                "红茶杯",
                'a, b\n"c"',
                attributes={"price": 12.5, "sale": True, "gtin": "0012", "tags": ["a", "红"]},
            )
        ],
    )
    out = tmp_path / "shop.csv"
    assert main(["export", str(out), "--store", str(store)]) == 0
    assert (
        out.read_bytes()
        == (
            '\ufeff"id","title","text","image","time","attributes.price","attributes.sale","attributes.gtin",'
            '"attributes.tags"\r\n'
            '007,红茶杯,"a, b\n""c""",,,12.5,true,0012,"[""a"", ""红""]"\r\n'
        ).encode()
    )
    out.write_bytes(
        out.read_bytes().replace(b"12.5", b"9") + '008,盘子,,,,"""9""",false,"""13""",\r\n'.encode()
    )
    assert "attributes.price: attribute; attributes.sale: boolean" in next(
        Catalogue.of_file(out).columns.lines()
    )
    first, second = read_catalogue(out)
    assert first.attributes == {"price": 9, "sale": True, "gtin": "0012", "tags": ["a", "红"]}
    assert second.attributes == {"price": "9", "sale": False, "gtin": "13"}  # as it says itself
    report = index(out, store, HashEncoder())  # but here a price is a number
    assert report.indexed == 2
    assert [item.attributes["price"] for item in items_in(store)] == [9, 9]


@pytest.fixture
def shop(tmp_path):
    """A store with a photo beside the catalogue, one photo of two items elsewhere, and one that is gone."""
    inside, outside = tmp_path / "out" / "in.jpg", tmp_path / "photos" / "1.JPG"
    for path in (inside, outside):
        path.parent.mkdir()
        path.write_bytes(path.name.encode())
    items = [
        Item("a", "mug", image=inside),
        Item("b", "mug", image=str(outside)),
        Item("c", "mug", image=outside, attributes={"text": "x", "image": ["y"]}),
    ]
    return stored(tmp_path / "store", items), items


def test_photos_from_elsewhere_are_copied_once_under_their_content(shop, tmp_path, capsys):
    store, items = shop
    out = tmp_path / "out" / "shop.jsonl"
    assert main(["export", str(out), "--store", str(store)]) == 0
    assert capsys.readouterr().out == f"3 items written to {out}\n"
    (copy,) = (tmp_path / "out" / "shop.photos").iterdir()
    assert copy.name == f"{sha256(b'1.JPG').hexdigest()[:32]}.jpg"
    assert copy.read_bytes() == b"1.JPG"
    expected = [items[0], replace(items[1], image=str(copy)), replace(items[2], image=copy)]
    assert list(read_catalogue(out)) == expected
    assert json.loads(out.read_text().splitlines()[1])["image"] == f"shop.photos/{copy.name}"
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "out").rename(elsewhere)  # a backup is whole wherever it goes
    assert [item.id for item in read_catalogue(elsewhere / "shop.jsonl")] == ["a", "b", "c"]
    assert Path(list(read_catalogue(elsewhere / "shop.jsonl"))[1].image).read_bytes() == b"1.JPG"


def test_paths_of_photos_are_kept_on_request(shop, tmp_path, capsys):
    store, items = shop
    out = tmp_path / "out" / "shop.jsonl"
    assert main(["export", str(out), "--store", str(store), "--photos", "keep"]) == 0
    assert out.exists()
    assert not (tmp_path / "out" / "shop.photos").exists()
    with pytest.raises(CatalogueError, match=r"line 2, field 'image': .* leads out of .*photos_anywhere"):
        list(read_catalogue(out))
    assert list(read_catalogue(out, ANYWHERE)) == items


def test_a_missing_photo_keeps_its_path_and_is_reported(shop, tmp_path, capsys):
    store, items = shop
    (tmp_path / "photos" / "1.JPG").unlink()
    out = tmp_path / "out" / "shop.jsonl"
    assert main(["export", str(out), "--store", str(store)]) == 0
    assert "2 photos could not be copied" in capsys.readouterr().out
    assert list(read_catalogue(out, ANYWHERE)) == items
    assert not (tmp_path / "out" / "shop.photos").exists()


@pytest.mark.parametrize("taken", ["shop.jsonl", "shop.photos", "shop.safetensors"])
def test_an_export_never_overwrites_and_leaves_nothing_half_done(shop, tmp_path, taken):
    store, _ = shop
    (tmp_path / "out" / taken).mkdir()
    before = sorted((tmp_path / "out").iterdir())
    with pytest.raises(StoreError, match="already exists"):
        export(store, tmp_path / "out" / "shop.jsonl", vectors=tmp_path / "out" / "shop.safetensors")
    assert sorted((tmp_path / "out").iterdir()) == before


def test_an_export_that_fails_leaves_nothing_behind(shop, tmp_path, monkeypatch):
    store, _ = shop
    before = sorted((tmp_path / "out").iterdir())

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twotower.export.photos.shutil.copyfile", full)
    with pytest.raises(StoreError, match="No space left"):
        export(store, tmp_path / "out" / "shop.jsonl")
    assert sorted((tmp_path / "out").iterdir()) == before


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_an_export_that_is_interrupted_shows_no_catalogue_without_its_photos(
    shop, tmp_path, monkeypatch, renamed
):
    store, _ = shop
    rename, done = Path.replace, []

    def interrupted(path, target):
        if len(done) == renamed:
            raise KeyboardInterrupt
        done.append(target)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path / "out" / "shop.jsonl", vectors=tmp_path / "out" / "shop.safetensors")
    assert not (tmp_path / "out" / "shop.jsonl").exists()
    assert not list((tmp_path / "out").glob("*.part*")) + list((tmp_path / "out").glob(".part-*"))


@pytest.mark.parametrize("form", FORMATS)
def test_names_with_separators_and_numbers_beyond_the_floats_come_back(tmp_path, form):
    attributes = {"a;b;c;d;e;f;g;h;i;j;k;l": 2**53 + 1, "p|q|r|s|t|u|v|w|x|y|z": 2**63, "x\ty\tz": -0.5}
    items = [
        Item("1", "mug", attributes=attributes),
        Item("2", "mug", attributes=dict.fromkeys(attributes, 0.5)),
    ]
    export(stored(tmp_path / "store", items), tmp_path / f"out.{form}")
    found = list(read_catalogue(tmp_path / f"out.{form}"))
    assert found == items
    assert found[0].attributes["a;b;c;d;e;f;g;h;i;j;k;l"] - 2**53 == 1
