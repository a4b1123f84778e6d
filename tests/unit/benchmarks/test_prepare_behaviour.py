"""The converters of Online Retail and MovieLens on invented rows: the exact output, and planted faults."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest
from originals import INTERACTIONS, convert, documents, packed, put, refuse, table

from benchmarks.converters import source as sources
from benchmarks.converters import spreadsheet
from twotower.ingest import read_catalogue

# Online Retail

LINES = [
    (
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
        "Country",
    ),
    ("50002", "30001", "TIN £ BOX", "2", "10/31/2011 23:59", "3", "70002.0", "France"),
    ("50001", "30001", "TIN BOX", "6", "1/2/2011 8:05", "2.50", "70001", "United Kingdom"),
    ("50001", "30002B", "GLASS BIRD", "1", "1/2/2011 8:05", "10", "70001", "United Kingdom"),
    ("C50003", "30001", "TIN BOX", "-6", "1/3/2011 8:05", "2.5", "70001", "United Kingdom"),
    ("50004", "30001", "TIN BOX", "1", "1/3/2011 8:05", "2.5", "", "United Kingdom"),
    ("50005", "30001", "TIN BOX", "1", "1/3/2011 8:05", "0", "70001", "United Kingdom"),
    ("50006", "POST", "POSTAGE", "1", "1/3/2011 8:05", "18", "70001", "United Kingdom"),
    ("50007", "30001", "TIN BOX", "4", "11/1/2011 0:00", "99.5", "70001", "United Kingdom"),
    ("50008", "30003", "LATE CANDLE", "1", "12/9/2011 12:50", "1.25", "70003", "United Kingdom"),
    ("50009", "30001", "TIN BOX", "1", "10/1/2011 0:00", "2.5", "70001", "United Kingdom"),
]
RETAIL_DOCUMENTS = [
    ("30001", "TIN BOX", 2.5, "2011-01-02T08:05:00Z"),
    ("30002B", "GLASS BIRD", 10.0, "2011-01-02T08:05:00Z"),
    ("30003", "LATE CANDLE", 1.25, "2011-12-09T12:50:00Z"),
]
RETAIL_INTERACTIONS = {
    "train": "70001\t30001\t1293955500\tpurchase\t6\t2.5\t50001\n70001\t30002B\t1293955500\tpurchase\t1\t10\t50001\n",
    "dev": "70001\t30001\t1317427200\tpurchase\t1\t2.5\t50009\n70002\t30001\t1320105540\tpurchase\t2\t3\t50002\n",
    "test": "70001\t30001\t1320105600\tpurchase\t4\t99.5\t50007\n"
    "70003\t30003\t1323435000\tpurchase\t1\t1.25\t50008\n",
}


def check_retail(folder, printed):
    assert documents(folder) == [
        {
            "_id": key,
            "title": title,
            "text": "",
            "metadata": {"price": price, "first_seen": first, "time": first},
        }
        for key, title, price, first in RETAIL_DOCUMENTS
    ]
    for split, lines in RETAIL_INTERACTIONS.items():
        assert (folder / "interactions" / f"{split}.tsv").read_text() == INTERACTIONS + lines
    assert [item.time.isoformat() for item in read_catalogue(folder)][2] == "2011-12-09T12:50:00+00:00"
    assert printed == [
        "1 lines of a cancellation, left out",
        "1 lines without a customer, left out",
        "1 lines with a quantity or price of 0 or less, left out",
        "1 lines whose code is no product's, such as postage, left out",
        f"{folder}: 3 documents, 0 queries, 0 judgements, 6 interactions",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_online_retail(tmp_path, encoding):
    original = put(tmp_path / "retail", {"Online Retail.csv": table(*LINES).encode(encoding)})
    check_retail(*convert("online-retail", original))


def test_online_retail_with_iso_times_in_a_zip(tmp_path):
    def iso(cell):
        day, _, clock = cell.partition(" ")
        month, day, year = day.split("/")
        return f"{year}-{month:0>2}-{day:0>2} {clock:0>5}:00"

    lines = [LINES[0], *([*line[:4], iso(line[4]), *line[5:]] for line in LINES[1:])]
    check_retail(
        *convert(
            "online-retail",
            packed(tmp_path / "o.zip", {"data.csv": table(*lines), "__MACOSX/._data.csv": b"\0"}),
        )
    )


def test_online_retail_as_spreadsheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="an .xlsx file needs openpyxl")
    book = openpyxl.Workbook()
    book.active.append(LINES[0])
    for invoice, code, title, quantity, time, price, user, country in LINES[1:]:
        when = datetime.strptime(time, "%m/%d/%Y %H:%M")
        number = int(code) if code.isdigit() else code
        customer = float(user) if user else None
        book.active.append([invoice, number, title, int(quantity), when, float(price), customer, country])
    (tmp_path / "retail").mkdir()
    book.save(tmp_path / "retail" / "Online Retail.xlsx")
    check_retail(*convert("online-retail", tmp_path / "retail"))


def test_online_retail_without_openpyxl_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    original = packed(tmp_path / "online+retail.zip", {"Online Retail.xlsx": b"PK"})
    assert "needs openpyxl; install it, or save the sheet as CSV" in refuse("online-retail", original)


def test_a_spreadsheet_that_expands_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 100_000)
    bomb = packed(tmp_path / "o.xlsx", {"xl/a.xml": b"a" * 60_000, "xl/b.xml": b"b" * 60_000})
    with bomb.open("rb") as file, pytest.raises(ValueError, match="expands to 120,000 bytes, over 100,000"):
        spreadsheet._check_size(file, "o.xlsx")


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (4, "31/10/2011 23:59", "field 'InvoiceDate': '31/10/2011 23:59' is no known time; write it like"),
        (3, "1.5", "field 'Quantity': 1.5 is not a whole number"),
        (5, "2,50", "field 'UnitPrice': '2,50' is not a number"),
        (6, "7\x1c0", "field 'id': '7\\x1c0' is empty or has a tab or line end"),
    ],
)
def test_online_retail_faults(tmp_path, column, cell, message):
    broken = [*LINES[1][:column], cell, *LINES[1][column + 1 :]]
    line = refuse("online-retail", put(tmp_path / "retail", {"data.csv": table(LINES[0], broken)}))
    assert message in line
    assert column == 6 or "data.csv, line 2, " in line


# MovieLens

FILMS = [("1", "Été, l' (1990)", "Drama|Comedy"), ("20", "Night Train (1991)", "(no genres listed)")]
RATINGS = [(1, 20, "3.5", 1000 + 60 * place) for place in range(19, 0, -1)] + [(2, 1, "5", 1000)]
EXPECTED = ["2\t1\t1000\trating\t5\t\t\n"] + [
    f"1\t20\t{1000 + 60 * p}\trating\t3.5\t\t\n" for p in range(1, 20)
]


def dat(rows, encoding="latin-1"):
    return "".join("::".join(map(str, row)) + "\r\n" for row in rows).encode(encoding)


@pytest.mark.parametrize("shape", ["dat", "csv"])
def test_movielens(tmp_path, shape):
    if shape == "dat":
        files = {"ml-1m/movies.dat": dat(FILMS), "ml-1m/ratings.dat": dat(RATINGS), "ml-1m/README": "x"}
        original = packed(tmp_path / "ml-1m.zip", files)
    else:
        movies, ratings = (
            table(("movieId", "title", "genres"), *FILMS),
            table(("userId", "movieId", "rating", "timestamp"), *RATINGS),
        )
        original = put(tmp_path / "ml-latest-small", {"movies.csv": movies, "ratings.csv": ratings})
    folder, printed = convert("movielens", original)
    assert documents(folder) == [
        {"_id": "1", "title": "Été, l' (1990)", "text": "", "metadata": {"genres": ["Drama", "Comedy"]}},
        {"_id": "20", "title": "Night Train (1991)", "text": "", "metadata": {}},
    ]
    assert [item.id for item in read_catalogue(folder)] == ["1", "20"]
    assert (folder / "interactions" / "train.tsv").read_text() == INTERACTIONS + "".join(EXPECTED[:18])
    assert (folder / "interactions" / "dev.tsv").read_text() == INTERACTIONS + "".join(EXPECTED[18:])
    assert printed == [f"{folder}: 2 documents, 0 queries, 0 judgements, 20 interactions"]


def test_movielens_faults(tmp_path):
    original = put(tmp_path / "ml", {"movies.dat": dat(FILMS), "ratings.dat": b"1::20::5\n"})
    assert "ratings.dat, line 1, field 'timestamp': the row has 3 cells, not 4" in refuse(
        "movielens", original
    )
    put(original, {"ratings.dat": b"1::20::5::7\n1::21::5::8\n"})
    assert "there is no document '21'" in refuse("movielens", original)
    put(original, {"ratings.dat": b"1::20::5::7\n1::20::5::soon\n"})
    assert "ratings.dat, line 2, field 'timestamp': 'soon' is not a number" in refuse("movielens", original)
