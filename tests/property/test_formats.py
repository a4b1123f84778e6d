"""The same catalogue in every format is the same items, and no file makes reading fail with somebody else's error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from twotower.errors import CatalogueError
from twotower.ingest import ReadOptions, items_from, read_catalogue, read_events

TYPES = {"code": "text", "price": "number", "used": "boolean", "seen": "time"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# Neither half surrogates nor NUL, nor what a CSV cell means nothing by.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip())
)
codes = st.one_of(
    words, st.from_regex(r"\A0[0-9]{3,18}\Z"), st.sampled_from(["N/A", "12E5", "1.299,00", "true"])
)
numbers = st.one_of(st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False))
moments = st.integers(0, 10**15).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds))
rows = st.fixed_dictionaries(
    {"title": words},
    optional={
        "text": words,
        "time": moments,
        "code": codes,
        "price": numbers,
        "used": st.booleans(),
        "seen": moments,
    },
)
catalogues = st.lists(rows, min_size=1, max_size=6).map(
    lambda given: [{"id": f"{number:04}"} | row for number, row in enumerate(given)]
)


def as_text(row):
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def as_csv(rows, separator):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["id", "title", "text", "time", *TYPES], delimiter=separator)
    writer.writeheader()
    writer.writerows(
        {n: str(v) if isinstance(v, bool) else v for n, v in as_text(row).items()} for row in rows
    )
    return file.getvalue().encode()


def write_parquet(rows, path):
    names = ["id", "title", "text", "time", *TYPES]
    table = {name: [row.get(name) for row in rows] for name in names}
    kinds = {"time": pa.timestamp("us", "UTC"), "seen": pa.timestamp("us", "UTC"), "used": pa.bool_()}
    arrays = [
        pa.array([None if v is None else float(v) for v in table[name]], pa.float64())
        if name == "price"
        else pa.array(table[name], kinds.get(name, pa.string()))
        for name in names
    ]
    pq.write_table(pa.table(arrays, names=names), path)


@given(rows=catalogues, separator=st.sampled_from(",;\t|"))
def test_every_format_gives_the_same_items(rows, separator):
    lines = [json.dumps(as_text(row), ensure_ascii=False) for row in rows]
    options = ReadOptions(
        types={name: each for name, each in TYPES.items() if any(name in row for row in rows)}
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "a.jsonl": "\n".join(lines).encode(),
            "a.json": f"[\n{', '.join(lines)}]".encode(),
            "a.jsonl.gz": gzip.compress("\r\n".join(lines).encode()),
            "a.csv": as_csv(rows, separator),
            "b.csv": as_csv(rows, separator).decode().encode("utf-16"),
        }
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        write_parquet(
            [{n: float(v) if n == "price" else v for n, v in row.items()} for row in rows],
            Path(folder, "a.parquet"),
        )
        first, *others = [list(read_catalogue(Path(folder, name), options)) for name in files]
        for other in others:
            assert other == first
        assert list(items_from(rows, options)) == first
        assert list(items_from(pd.DataFrame(rows, dtype=object), options)) == first
        in_parquet = list(read_catalogue(Path(folder, "a.parquet"), options))
        assert [item.id for item in in_parquet] == [item.id for item in first]
        for ours, item in zip(in_parquet, first, strict=True):
            assert ours.attributes.keys() == item.attributes.keys()
            assert all(
                float(ours.attributes[n]) == float(v) if n == "price" else ours.attributes[n] == v
                for n, v in item.attributes.items()
            )


@given(prices=st.lists(st.decimals(0, 10_000, places=2), min_size=1, max_size=8))
def test_prices_are_the_same_numbers_in_every_format_without_being_declared(prices):
    rows = [{"id": str(n), "title": "mug", "price": price} for n, price in enumerate(prices)]
    with tempfile.TemporaryDirectory() as folder:
        text = "id,title,price\n" + "".join(f"{row['id']},mug,{row['price']}\n" for row in rows)
        Path(folder, "a.csv").write_text(text)
        pq.write_table(pa.Table.from_pylist(rows), Path(folder, "a.parquet"))
        single = pa.array([float(price) for price in prices], pa.float32())
        table = pa.table({"id": [row["id"] for row in rows], "title": ["mug"] * len(rows), "price": single})
        pq.write_table(table, Path(folder, "b.parquet"))
        frame = pd.DataFrame([row | {"price": float(row["price"])} for row in rows])
        found = items_from(frame.astype({"price": "float32"}))
        assert [item.attributes["price"] for item in found] == [float(price) for price in prices]
        for name in ("a.csv", "a.parquet", "b.parquet"):
            found = [item.attributes["price"] for item in read_catalogue(Path(folder, name))]
            assert found == [float(price) for price in prices]
        assert [item.attributes["price"] for item in items_from(rows)] == [float(price) for price in prices]


PIECES = [
    b"id,title",
    b"1,a",
    b'"',
    b'""',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b"\xff",
    b"\0",
    *(b"{", b"}", b"[", b"]"),
]
PIECES += [
    b'{"id": "1"}',
    b'{"id": 1, "title": "\\ud83d"}',
    b"1e999",
    b"NaN",
    b'"$time"',
    b":",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
]
PIECES += [
    "鞋".encode(),
    b"sep=;",
    b"\x1f\x8b",
    b'"$json"',
    b"attributes.x",
    b'attributes."x',
    b'"{""$json"": ""[""}"',
]
fragments = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


@given(content=st.one_of(fragments, st.binary(max_size=60)), name=st.sampled_from(
    ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.csv.gz", "a.json.gz", "a.parquet"]
), packed=st.booleans(), encoding=st.sampled_from(["utf-8", "gb18030", "cp1252", "utf-16"]))  # fmt: skip
def test_whatever_a_file_holds_the_error_is_ours_and_short(content, name, packed, encoding):
    options = ReadOptions(encoding=encoding)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(gzip.compress(content) if packed and name.endswith(".gz") else content)
        for read in (read_catalogue, read_events):
            bad = []
            try:
                list(read(path, options, bad=bad))
            except CatalogueError as error:
                bad.append(error)
            assert all(len(str(error).removeprefix(str(path))) < 400 for error in bad)
