"""Catalogues in JSON Lines, CSV and Parquet."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import NOON, lines, refusal

from twotower.errors import CatalogueError
from twotower.ingest import lines as lines_module
from twotower.ingest import read_catalogue, read_events
from twotower.types import Item


def test_json_lines_keep_ids_times_and_nested_attributes(write, tmp_path):
    path = write(
        "shop.jsonl",
        b"\xef\xbb\xbf"
        + lines(
            {"id": "00123", "title": "鞋", "image": "photos/../a b.jpg", "time": "2026-01-01T20:00:00+08:00"},
            {
                "_id": "2",
                "text": "words",
                "title": None,
                "price": 5,
                "used": False,
                "tags": ["a", "b"],
                "no": None,
            },
            {"id": "3", "attrs": {"type": "Original", "size": {"w": 1.5, "h": None}}, "attrs.x": "y"},
        ).encode()
        + b"\r\n\n"
        + b'{"id": "4", "title": "last line without end"}',
    )
    assert list(read_catalogue(path)) == [
        Item("00123", "鞋", image=str((tmp_path / "a b.jpg").resolve()), time=NOON),
        Item("2", text="words", attributes={"price": 5, "used": False, "tags": ["a", "b"]}),
        Item("3", attributes={"attrs.type": "Original", "attrs.size.w": 1.5, "attrs.x": "y"}),
        Item("4", "last line without end"),
    ]


def test_csv_columns_get_the_type_that_fits_every_filled_cell(write, tmp_path):
    path = write(
        "shop.csv",
        "\ufeffid, title,price,code,used,odd,mixed,image,time\r\n"
        "00123,007,1e2,00123,true,nan,true,,\r\n"
        '2,"a ""b"",\nc",,5,FALSE,1,1,p.jpg,2026-01-01T12:00:00Z\r\n'
        "\r\n"
        "3,x, -.5 ,5.,,1_000,,,\r\n",
    )
    assert list(read_catalogue(path)) == [
        Item(
            "00123",
            "007",
            attributes={"price": 100.0, "code": 123.0, "used": True, "odd": "nan", "mixed": "true"},
        ),
        Item(
            "2",
            'a "b",\nc',
            image=str(tmp_path.resolve() / "p.jpg"),
            time=NOON,
            attributes={"code": 5.0, "used": False, "odd": "1", "mixed": "1"},
        ),
        Item("3", "x", attributes={"price": -0.5, "code": 5.0, "odd": "1_000"}),
    ]


def test_parquet_becomes_plain_values_and_aware_times(tmp_path):
    path = tmp_path / "shop.parquet"
    table = pa.table(
        {
            "id": ["1", "2"],
            "title": pa.array(["a", None]).dictionary_encode(),
            "image": ["p.jpg", None],
            # One nanosecond past noon, which a datetime cannot hold.
            "time": pa.array([int(NOON.timestamp()) * 10**9 + 1, None], pa.timestamp("ns", "Asia/Shanghai")),
            "seen": pa.array([None, NOON + timedelta(microseconds=1)], pa.timestamp("ms", "+02:00")),
            "price": [5, None],
            "weight": [None, 0.5],
            "used": [True, None],
            "tags": [["x", "y"], None],
            "attrs": [{"type": "new", "n": None}, None],
        }
    )
    pq.write_table(table, path)
    items = list(read_catalogue(path))
    assert items == [
        Item(
            "1",
            "a",
            image=str(tmp_path.resolve() / "p.jpg"),
            time=NOON,
            attributes={"price": 5, "used": True, "tags": ["x", "y"], "attrs.type": "new"},
        ),
        Item("2", attributes={"seen": NOON, "weight": 0.5}),
    ]
    assert type(items[0].attributes["price"]) is int


def test_parquet_is_read_over_many_batches(tmp_path):
    path = tmp_path / "shop.parquet"
    pq.write_table(
        pa.table({"id": [str(n) for n in range(2500)], "title": ["t"] * 2500}), path, row_group_size=700
    )
    assert [item.id for item in read_catalogue(path)] == [str(n) for n in range(2500)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "1", "title": "t"}\n{"id": oops}\n', ", line 2, column 8 is not JSON"),
        ("[1]\n", ", line 1 is not a JSON object: write one object per line"),
        ('{"title": "t"}\n', ", line 1: no column is the id: name one of title, as in columns id=NAME"),
        ('{"id": null}\n{"id": "1"}\n', ", line 1, field 'id': it is missing"),
        ('{"id": ""}\n', ", line 1, field 'id': it is missing or empty"),
        ('{"id": 5.5}\n', ", line 1, field 'id': write it as text, not as a number"),
        ('{"id": "1", "_id": "2"}\n', ", line 1, field 'id': the row also has '_id'"),
        ('{"_id": true}\n', ", line 1, field 'id': write it as text, not as the boolean true"),
        ('{"id": "1", "title": ["t"]}\n', ", line 1, field 'title': write it as text, not as a list"),
        ('{"id": "1", "title": -Infinity}\n', ", line 1, field 'title': write it as text, not as -Infinity"),
        ('{"id": "1", "price": -Infinity}\n', ", line 1, field 'price': -Infinity cannot be"),
        ('{"id": "1", "a": {"b": Infinity}}\n', ", line 1, field 'a.b': Infinity cannot be"),
        ('{"id": "1", "price": 1e999}\n', ", line 1, field 'price': Infinity cannot be"),
        ('{"id": "1", "price": 1%s}\n' % ("0" * 400), ", line 1, field 'price': a number cannot be"),
        ('{"id": "1", "price": 1%s}\n' % ("0" * 5000), ", line 1 cannot be read as JSON"),
        ('{"id": "1", "a": ' + '{"a": ' * 21 + "1" + "}" * 22, ", line 1, field 'a.a.a.a.a.a.a.a.a.a.a.a."),
        ("[" * 100_000 + "\n", ", line 1 cannot be read as JSON"),
        ('{"id": "1", "tags": ["a", {}]}\n', ", line 1, field 'tags': in a list, a JSON object cannot be"),
        (
            '{"id": "1", "tags": ["b", ["a"]]}\n',
            ", line 1, field 'tags': in a list, a list cannot be an attribute",
        ),
        ('{"id": "1", "a.b": 1, "a": {"b": 2}}\n', ", line 1, field 'a.b': two values would get this name"),
        (
            '{"id": "1", "time": "2026-01-01T12:00:00"}\n',
            ", line 1, field 'time': 2026-01-01T12:00:00 has no time zone",
        ),
        ('{"id": "1", "time": "yesterday"}\n', ", line 1, field 'time': 'yesterday' is not an ISO-8601 time"),
        ('{"id": "1", "time": true}\n', ", line 1, field 'time': the boolean true is not a time"),
        ('{"id": "1", "time": 12}\n', ", line 1, field 'time': 12 is neither seconds nor milliseconds"),
        ('{"id": "1", "image": "/etc/passwd"}\n', ", line 1, field 'image': '/etc/passwd' leads out of"),
        ('{"id": "1", "image": "a/../../x.jpg"}\n', ", line 1, field 'image': 'a/../../x.jpg' leads out of"),
        ('{"id": "1", "image": "a\\u0000.jpg"}\n', ", line 1, field 'image': 'a\\x00.jpg' is not a path"),
        (b'{"id": "1"}\n{"id": "\xff"}\n', ", line 2, byte 9 is not UTF-8"),
        ('{"id": "1"}\n\ufeff{"id": "2"}\n', ", line 2, column 1 is not JSON"),
    ],
)
def test_json_lines_that_cannot_be_read_are_named_by_line_and_field(write, content, message):
    assert refusal(write("shop.jsonl", content)).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " is empty"),
        ("\ufeff", " is empty"),
        ("id,title,title\n1,a,b\n", ", line 1 names the column 'title' twice"),
        ("id,,title\n1,a,b\n", ", line 1, column 2 of the header has no name"),
        ('id,title\n1,"a\nb"\n2\n', ", line 4 has 1 cells but the header has 2"),
        ('id,title\n1,"a\nb",c\n', ", line 2 has 3 cells but the header has 2"),
        ("id,title\n1,a,b\n", ", line 2 has 3 cells but the header has 2"),
        ("id,title\n,a\n", ", line 2, field 'id': it is missing"),
        ("title\na\n", ", line 2: no column is the id"),
        ('id,title\n1,"a\n', ", line 2 is not CSV"),
        (b"id,title\n1,\xe4\n", ", line 2, byte 3 is not UTF-8"),
        ("id,time\n1,2026-01-01 08:00\n", ", line 2, field 'time': 2026-01-01T08:00:00 has no time zone"),
        ("id,time\n1,17672688\n", ", line 2, field 'time': 17672688 is neither"),
    ],
)
def test_csv_that_cannot_be_read_is_named_by_line_and_field(write, content, message):
    assert refusal(write("shop.csv", content)).startswith(message)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            pa.table({"id": ["1"], "time": pa.array([NOON], pa.timestamp("us"))}),
            ", row 1, field 'time': 2026-01-01T12:00:00 has no time zone",
        ),
        (
            pa.table({"id": ["1"], "seen": pa.array([NOON], pa.timestamp("us"))}),
            ", row 1, field 'seen': 2026-01-01T12:00:00 has no time zone",
        ),
        (pa.table([["1"], ["a"], ["b"]], names=["id", "x", "x"]), " names the column 'x' twice"),
        (pa.table({"id": ["1", None]}), ", row 2, field 'id': it is missing"),
        (pa.table({"id": [1.5]}), ", row 1, field 'id': write it as text, not as a number"),
        (pa.table({"id": ["1"], "price": [float("inf")]}), ", row 1, field 'price': Infinity cannot be"),
        (
            pa.table({"id": ["1"], "day": pa.array([9 * 10**8], pa.date32())}),
            ", row 1: Python cannot hold a value",
        ),
    ],
)
def test_parquet_that_cannot_be_read_is_named_by_row_and_field(tmp_path, table, message):
    pq.write_table(table, tmp_path / "shop.parquet")
    assert refusal(tmp_path / "shop.parquet").startswith(message)


def test_a_damaged_parquet_file_is_refused(write):
    assert refusal(write("shop.parquet", b"PAR1 but not really")).startswith(" cannot be read as Parquet")


def test_a_line_that_is_too_long_is_refused_before_it_is_read_whole(write, monkeypatch):
    assert lines_module.MAX_LINE_CHARACTERS == 10_000_000
    monkeypatch.setattr(lines_module, "MAX_LINE_CHARACTERS", 40)
    fits = '{"id": "1", "title": "%s"}' % ("x" * 15)
    assert len(fits) == 39
    path = write("shop.jsonl", f"{fits}\n{fits} \n")
    assert refusal(path) == ", line 2 is longer than 40 characters: shorten it"
    path = write("shop.jsonl", f"{fits}\n{'x' * 200}\n{fits}\n")
    bad = []
    assert len(list(read_catalogue(path, bad=bad))) == 2
    assert [str(error).partition(", ")[2] for error in bad] == [
        "line 2 is longer than 40 characters: shorten it"
    ]


def test_a_missing_file_and_another_format_are_refused_at_once(write, tmp_path):
    for path, message in [
        (tmp_path / "none.jsonl", "none.jsonl is not a file"),
        (tmp_path / "none.csv", "none.csv is not a file"),
        (tmp_path, "corpus.jsonl is not a file"),
        (write("shop.xlsx", ""), "ends in '.xlsx': pass a .jsonl, .json, .csv, .tsv or .parquet file"),
    ]:
        with pytest.raises(CatalogueError, match=message):
            read_catalogue(path)
    with pytest.raises(CatalogueError, match=r"none\.csv is not a file"):
        read_events(tmp_path / "none.csv")


def test_links_that_lead_out_of_the_folder_are_refused(write, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = write("shop/shop.jsonl", lines({"id": "1", "image": "photos/a.jpg"}))
    (tmp_path / "shop" / "photos").symlink_to(outside)
    assert "'photos/a.jpg' leads out of" in refusal(path)


def test_items_are_read_one_by_one(write):
    path = write("shop.jsonl", lines({"id": "1", "title": "good"}) + "broken\n")
    items = read_catalogue(path)
    assert next(items).id == "1"
    with pytest.raises(CatalogueError, match="line 2"):
        next(items)


@pytest.mark.parametrize(("name", "empty"), [("shop.jsonl", ""), ("shop.csv", "id,title\n")])
def test_an_empty_catalogue_has_no_items(write, name, empty):
    assert list(read_catalogue(write(name, empty))) == []
