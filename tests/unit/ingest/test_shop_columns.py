"""A shop's own column names, its times, and its rows in Python."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from catalogues import NOON, lines, refusal

from twotower.ingest import (
    Catalogue,
    EventLog,
    ReadOptions,
    events_from,
    items_from,
    read_catalogue,
    read_events,
)
from twotower.types import Event, Item

SHOE = Item("7", "Shoe", "Light", time=NOON, attributes={"price": 5})


@pytest.mark.parametrize(
    "names",
    [
        ("id", "title", "text", "time"),
        ("ID", "Title", "TEXT", "Time"),
        ("sku", "name", "description", "release date"),
        ("product_id", "productName", "Body (HTML)", "created_at"),
        ("商品编号", "标题", "描述", "上架时间"),
        ("商品ＩＤ", "商品名", "简介", "日期"),
        ("Artikelnummer", "Bezeichnung", "Beschreibung", "Erscheinungsdatum"),
        ("re\u0301fe\u0301rence", "Nom", "description", "date"),
        ("Referencia", "Título", "Descripción", "Fecha"),
    ],
)
def test_usual_names_are_recognised_in_every_format(write, names):
    row = dict(zip([*names, "price"], ["7", "Shoe", "Light", "2026-01-01T12:00:00Z", 5], strict=True))
    csv = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    for path in (write("a.csv", csv), write("a.jsonl", lines(row)), write("a.json", f"[{lines(row)}]")):
        assert list(read_catalogue(path)) == [SHOE]
    assert list(items_from([row])) == [SHOE]
    assert list(items_from(pd.DataFrame([row]))) == [SHOE]


def test_a_field_s_own_name_comes_first_and_what_remains_is_an_attribute(write):
    path = write("a.csv", "sku,id,name,title,body,description\ns,1,n,t,b,d\n")
    assert list(read_catalogue(path)) == [
        Item("1", "t", "d", attributes={"sku": "s", "name": "n", "body": "b"}),
    ]


def test_declared_columns_are_used_whatever_their_names(write):
    path = write("a.csv", "nr,was,description,release date,Marke\n1,Shoe,Light,2026-01-01T12:00:00Z,Acme\n")
    options = ReadOptions(
        columns={"id": "nr", "title": "was", "time": "release date", "brand": "Marke", "text": ""}
    )
    catalogue = Catalogue.of_file(path, options)
    assert list(catalogue.items()) == [
        Item("1", "Shoe", time=NOON, attributes={"description": "Light", "brand": "Acme"}),
    ]
    assert list(catalogue.columns.lines(searchable=["brand"])) == [
        "columns: nr: id; was: title; release date: time; description: attribute; "
        "Marke: attribute, as brand, searchable"
    ]
    missing = refusal(path, lambda path: read_catalogue(path, ReadOptions(columns={"text": "descripton"})))
    assert missing.startswith(" has no column 'descripton' for text: name one of nr, was, description")
    assert refusal(path).startswith(
        ", line 2: no column is the id: name one of description, release date, nr, was"
    )


def test_a_column_declared_as_an_attribute_is_not_a_field(write):
    path = write("a.csv", "id,name,description\n1,Acme,Light\n")
    (item,) = read_catalogue(path, ReadOptions(columns={"brand": "name"}))
    assert item == Item("1", "", "Light", attributes={"brand": "Acme"})


def test_two_columns_that_could_be_the_same_field_are_refused(write):
    assert "'product_id' and 'Product ID', and either could be the id: keep one" in refusal(
        write("a.csv", "product_id,Product ID,title\n1,2,t\n")
    )


def test_image_urls_are_kept_with_a_note_that_they_are_not_fetched(write):
    for name in ("image_url", "image", "Image Link"):
        path = write("a.csv", f"id,title,{name}\n1,a,https://x.test/1.jpg\n2,b,https://x.test/2.jpg\n")
        catalogue = Catalogue.of_file(path)
        assert [(item.image, item.attributes) for item in catalogue.items()] == [
            (None, {name: f"https://x.test/{number}.jpg"}) for number in (1, 2)
        ]
        assert "URLs are not fetched: download the photos" in "".join(catalogue.columns.lines())
    mixed = write("b.csv", "id,title,image\n1,a,a.jpg\n2,b,b.jpg\n3,c,https://x.test/1.jpg\n")
    assert "line 4, field 'image': 'https://x.test/1.jpg' is a URL, which is not fetched" in refusal(mixed)


def test_a_column_that_only_sounds_like_a_time_is_an_attribute(write):
    catalogue = Catalogue.of_file(write("a.csv", "id,title,date\n1,a,Spring\n2,b,Autumn\n"))
    assert [item.attributes for item in catalogue.items()] == [{"date": "Spring"}, {"date": "Autumn"}]
    assert "most of its values are not times" in "".join(catalogue.columns.lines())


SECONDS = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("value", "timezone", "expected"),
    [
        (SECONDS, None, NOON),
        (SECONDS * 10**3, None, NOON),
        (SECONDS * 10**6, None, NOON),
        (10**11, None, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),  # the first of the milliseconds
        (10**11 - 1, None, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),  # the last of the seconds
        (SECONDS * 10**9, None, NOON),
        (SECONDS + 0.5, None, NOON.replace(microsecond=500_000)),
        (str(SECONDS * 1000 + 7), None, NOON.replace(microsecond=7_000)),
        ("2026-01-01 12:00:00 UTC", None, NOON),
        ("2026-01-01 13:00+0100", None, NOON),
        ("2026/01/01 12:00:00Z", None, NOON),
        ("2026-01-01", None, datetime(2026, 1, 1, tzinfo=UTC)),
        ("20260101", None, datetime(2026, 1, 1, tzinfo=UTC)),
        (20260101, "Europe/Berlin", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("2026-07-01", "Europe/Berlin", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-01-01 20:00", "+08:00", NOON),
        ("2026-01-01T12:00:00Z", "Europe/Berlin", NOON),
    ],
)
def test_times_are_what_they_mean_in_every_format(write, value, timezone, expected):
    options = ReadOptions(timezone=timezone)
    row = {"id": "1", "title": "t", "time": value}
    for path in (write("a.jsonl", lines(row)), write("a.csv", f"id,title,time\n1,t,{value}\n")):
        (item,) = read_catalogue(path, options)
        assert item.time == expected
    log = write("e.csv", f"user_id,item_id,timestamp\nu,1,{value}\n")
    (event,) = read_events(log, options)
    assert event.time == expected


@pytest.mark.parametrize(
    "value", ["2026-01-01 12:00", "31.01.2026", "01/31/2026", "yesterday", "12", "9" * 40, "2026-13-01"]
)
def test_times_that_could_mean_several_things_are_refused(write, value):
    rows = "".join(f"{n},t,2026-01-01\n" for n in range(2, 9))
    assert "line 2, field 'time': " in refusal(write("a.csv", f"id,title,time\n1,t,{value}\n{rows}"))


def test_events_by_usual_names_and_without_a_kind(write):
    path = write("a.csv", f"user_id;item_id;timestamp;event;quantity\n17;00123;{SECONDS}000;purchase;2\n")
    assert list(read_events(path)) == [Event("17", "00123", "purchase", NOON)]
    log = EventLog.of_file(write("b.tsv", f"user_id\titem_id\ttimestamp\n1\t2\t{SECONDS}\n"))
    assert list(log.events()) == [Event("1", "2", "interaction", NOON)]
    assert list(log.lines())[1] == "  no column says what happened: the kind of every event is 'interaction'"
    assert list(events_from([{"user": 1, "item": 2, "time": NOON, "kind": "view", "event_id": 9}])) == [
        Event("1", "2", "view", NOON, id="9"),
    ]
    assert "no column is the user: name one of item" in refusal(
        write("c.csv", "item,time\n1,2026-01-01\n"), read_events
    )


class Colour(Enum):
    RED = "red"


def test_values_of_python_numpy_and_pandas_are_plain_ones():
    row = {
        "id": np.int64(12),
        "title": "t",
        "text": float("nan"),
        "time": pd.Timestamp("2026-01-01T12:00:00.000000001Z"),
        "image": Path("/elsewhere/p.jpg"),
        "price": Decimal("19.90"),
        "stock": Decimal(3),
        "colour": Colour.RED,
        "sizes": np.array([38, 39]),
        "tags": ["a", None, "b"],
        "day": date(2026, 1, 1),
        "used": np.bool_(True),
        "key": UUID(int=5),
        "none": None,
        "nan": np.float32("nan"),
        "na": pd.NA,
        "nat": pd.NaT,
        "when": np.datetime64("2026-01-01T12:00:00", "ns"),
        "inner": {"weight": np.float32(0.5)},
    }
    (item,) = items_from([row], ReadOptions(timezone="UTC"))
    assert item == Item(
        "12",
        "t",
        "",
        "/elsewhere/p.jpg",
        NOON,
        {
            "price": 19.9, "stock": 3, "colour": "red", "sizes": [38, 39], "tags": ["a", "b"],
            "day": datetime(2026, 1, 1, tzinfo=UTC), "used": True, "key": str(UUID(int=5)), "when": NOON,
            "inner.weight": 0.5,
        },
    )  # fmt: skip
    assert {type(value) for value in item.attributes.values()} == {float, int, str, list, datetime, bool}


def test_a_data_frame_is_read_without_importing_pandas(monkeypatch):
    frame = pd.DataFrame(
        {
            "sku": [1, 2, 3],
            "name": ["a", "b", None],
            "description": ["x", "y", "z"],
            "price": pd.array([5, None, 7], dtype="Int64"),
            "seen": pd.to_datetime(["2026-01-01T12:00Z", None, None]),
            "size": pd.Categorical(["S", "M", None]),
        }
    )
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert list(items_from(frame)) == [
        Item("1", "a", "x", attributes={"price": 5, "seen": NOON, "size": "S"}),
        Item("2", "b", "y", attributes={"size": "M"}),
        Item("3", "", "z", attributes={"price": 7}),
    ]


class OtherFrame:
    """What a DataFrame of polars shows."""

    columns: tuple[str, ...] = ("sku", "name")

    def iter_rows(self, *, named):
        assert named
        return iter([{"sku": 1, "name": "a"}, {"sku": 2, "name": "b"}])


def test_a_data_frame_of_polars_is_read():
    assert list(items_from(OtherFrame())) == [Item("1", "a"), Item("2", "b")]


def test_one_text_among_numbers_is_an_error_of_its_row_in_python_too():
    rows = [{"id": n, "title": "t", "price": n + 0.5} for n in range(20)] + [
        {"id": 20, "title": "t", "price": "12,50"}
    ]
    bad = []
    assert len(list(items_from(rows, bad=bad))) == 20
    assert str(bad[0]).startswith(
        "row 20, field 'price': '12,50' is not a number, as 20 of the column's 21 values are"
    )
    rows[20]["price"] = "12.5"
    assert list(items_from(rows))[20].attributes == {"price": 12.5}


def test_what_the_store_knows_decides_over_what_the_file_looks_like(write):
    known = {"gtin": "text", "price": "number", "brand": None, "mixed": None}
    path = write(
        "a.csv", "id,title,GTIN,Price,Brand,mixed\n1,a,4006381333931,5,Acme,x\n2,b,4006381333948,n/a,Bolt,1\n"
    )
    items = list(Catalogue.of_file(path, known=known).items())
    assert [item.attributes for item in items] == [
        {"gtin": "4006381333931", "price": 5, "brand": "Acme", "mixed": "x"},
        {"gtin": "4006381333948", "brand": "Bolt", "mixed": "1"},
    ]
    path = write("b.csv", 'id,title,price\n1,a,"12,50"\n2,b,"7,25"\n')
    bad = []
    assert list(Catalogue.of_file(path, known=known).items(bad.append)) == []
    assert str(bad[0]).endswith(
        "line 2, field 'price': '12,50' is not a number, as 'price' is in the store: repair it, declare types "
        "price=text, or set decimal to a comma"
    )
    (item,) = read_catalogue(write("c.jsonl", lines({"id": 1, "title": "a", "gtin": 4006381333931})))
    assert item.attributes == {"gtin": 4006381333931}
    (item,) = Catalogue.of_file(tmp := path.with_name("c.jsonl"), known=known).items()
    assert (tmp.exists(), item.attributes) == (True, {"gtin": "4006381333931"})


def test_attributes_in_an_object_of_their_own_keep_their_names_and_values(write):
    row = {
        "id": "1",
        "title": "t",
        "attributes": {
            "name": "n", "text": "x", "image": "y", "attributes.z": "z", "sku": "007",
            "seen": {"$time": NOON.isoformat()}, "at": [{"$time": NOON.isoformat()}],
        },
    }  # fmt: skip
    rows = [row, *({"id": f"{n}", "attributes": {"sku": n}} for n in range(2, 30))]
    path = write("a.jsonl", lines(*rows))
    first, *rest = read_catalogue(path)
    assert (
        len(list(Catalogue.of_file(path).columns.lines())) == 1
    )  # nothing is inferred, so nothing is remarked
    assert first == Item(
        "1",
        "t",
        attributes={
            "name": "n", "text": "x", "image": "y", "attributes.z": "z", "sku": "007", "seen": NOON, "at": [NOON],
        },
    )  # fmt: skip
    assert [item.attributes["sku"] for item in rest] == list(range(2, 30))


def test_words_may_stand_among_numbers_in_an_object_and_the_report_says_so(write):
    rows = [{"id": n, "title": "disk", "specs": {"rate": n}} for n in range(30)] + [
        {"id": 30, "title": "disk", "specs": {"rate": "3 Gb/s"}}
    ]
    catalogue = Catalogue.of_file(write("a.jsonl", lines(*rows)))
    assert [item.attributes["specs.rate"] for item in catalogue.items()] == [*range(30), "3 Gb/s"]
    assert (
        "  specs.rate: 30 of 31 values are numbers, the others are not: declare the type"
        in catalogue.columns.lines()
    )
    with pytest.raises(
        ValueError, match=r"line 31, field 'specs.rate': '3 Gb/s' is not a number, as declared"
    ):
        list(read_catalogue(write("a.jsonl", lines(*rows)), ReadOptions(types={"specs.rate": "number"})))


def test_two_columns_that_are_one_attribute_of_the_store_must_not_both_have_a_value(write):
    path = write("a.csv", "id,title,Brand,BRAND\n1,a,Acme,Zeta\n2,b,Acme,\n3,c,,Zeta\n")
    bad = []
    items = list(Catalogue.of_file(path, known={"brand": "text"}).items(bad.append))
    assert [item.attributes for item in items] == [{"brand": "Acme"}, {"brand": "Zeta"}]
    assert [str(error).partition(", ")[2] for error in bad] == [
        "line 2, field 'BRAND': two values would get this name: rename one of them"
    ]
