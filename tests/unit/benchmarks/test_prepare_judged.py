"""The converters of ESCI, Home Depot and Myntra on invented rows: the exact output, and planted faults."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from originals import convert, documents, packed, put, readable, refuse, table, union

from benchmarks.converters import myntra, writer
from twotower.ingest import read_catalogue, read_qrels

# ESCI


def esci(folder, examples, products):
    names = [
        "query_id",
        "query",
        "product_id",
        "product_locale",
        "esci_label",
        "small_version",
        "large_version",
        "split",
    ]
    folder.mkdir(exist_ok=True)
    rows = [dict(zip(names, row, strict=True)) for row in examples]
    pq.write_table(pa.Table.from_pylist(rows), folder / "shopping_queries_dataset_examples.parquet")
    names = [
        "product_id",
        "product_title",
        "product_description",
        "product_bullet_point",
        "product_brand",
        "product_color",
        "product_locale",
    ]
    rows = [dict(zip(names, row, strict=True)) for row in products]
    pq.write_table(pa.Table.from_pylist(rows), folder / "shopping_queries_dataset_products.parquet")
    return folder


EXAMPLES = [
    (11, " red kettle ", "B1", "us", "E", 1, 1, "train"),
    (11, " red kettle ", "B2", "us", "C", 1, 1, "train"),
    (12, "tea filter", "B1", "us", "I", 1, 1, "test"),
    (12, "tea filter", "B2", "us", "S", 1, 1, "test"),
    (13, "kettle", "B3", "us", "E", 0, 1, "train"),
    (13, "kettle", "B1", "us", "E", 0, 1, "test"),
    (14, "やかん", "B1", "jp", "E", 1, 1, "test"),
]
ESCI_PRODUCTS = [
    ("B1", "Kettle, red", "<p>Boils</p>", "1 litre\nSteel", "Acme", "Red", "us"),
    ("B2", "Filter", None, None, None, None, "us"),
    ("B3", "Blue kettle", None, "2 litres", None, "", "us"),
    ("B1", "赤いやかん", None, None, "Acme", None, "jp"),
    ("B9", "Nobody judged it", None, None, None, None, "us"),
]


def test_esci(tmp_path):
    folder, printed = convert("esci", esci(tmp_path / "esci", EXAMPLES, ESCI_PRODUCTS))
    assert documents(folder) == [
        {
            "_id": "B1",
            "title": "Kettle, red",
            "text": "<p>Boils</p>\n1 litre\nSteel",
            "metadata": {"brand": "Acme", "color": "Red", "locale": "us"},
        },
        {"_id": "B2", "title": "Filter", "text": "", "metadata": {"locale": "us"}},
    ]
    assert readable(folder) == (
        ["B1", "B2"],
        {"11": "red kettle", "12": "tea filter"},
        {"train": {"11": {"B1": 3, "B2": 1}}, "test": {"12": {"B1": 0, "B2": 2}}},
    )
    assert printed == [f"{folder}: 2 documents, 2 queries, 4 judgements, 0 interactions"]


def test_esci_large_keeps_each_query_in_one_split(tmp_path):
    folder, printed = convert("esci", esci(tmp_path / "e", EXAMPLES, ESCI_PRODUCTS), "--version", "large")
    ids, _, qrels = readable(folder)
    assert ids == ["B1", "B2", "B3"]
    assert qrels["train"]["13"] == {"B3": 3}
    assert "13" not in qrels["test"]
    assert printed[0] == "1 judgements of a query that another split has, left out"


def test_esci_in_japanese(tmp_path):
    folder, _ = convert("esci", esci(tmp_path / "esci", EXAMPLES, ESCI_PRODUCTS), "--locale", "jp")
    assert readable(folder) == (["B1"], {"14": "やかん"}, {"test": {"14": {"B1": 3}}})
    assert '"title": "赤いやかん"' in (folder / "corpus.jsonl").read_text(encoding="utf-8")


def test_esci_faults(tmp_path):
    label = [*EXAMPLES[:1], (11, "red kettle", "B2", "us", "Exact", 1, 1, "train")]
    original = esci(tmp_path / "esci", label, ESCI_PRODUCTS)
    assert "examples.parquet, row 2, field 'esci_label': 'Exact' is none of E, S, C, I" in refuse(
        "esci", original
    )
    original = esci(tmp_path / "esci", [(*EXAMPLES[0][:-1], "dev")], ESCI_PRODUCTS)
    assert "row 1, field 'split': 'dev' is none of train, test" in refuse("esci", original)
    original = esci(tmp_path / "esci", EXAMPLES, ESCI_PRODUCTS[1:])
    assert "there is no document 'B1'" in refuse("esci", original)
    (original / "shopping_queries_dataset_products.parquet").write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in refuse("esci", original)


# Home Depot

TRAIN = table(
    ["id", "product_uid", "product_title", "search_term", "relevance"],
    [1, 200, "Oak café door &amp; frame", "oak door", 3],
    [2, 201, "Steel hinge", "oak door", 1.5],
    [3, 201, "Steel hinge", " door hinge ", "2.67"],
    [4, 200, "Oak café door &amp; frame", "door hinge", 2.5],
    [5, 200, "Oak café door &amp; frame", "door hinge", 1.33],
)
HOME_DEPOT = {
    "train.csv": TRAIN.encode("latin-1"),
    "product_descriptions.csv": table(
        ["product_uid", "product_description"], [200, "A door, 30° open"], [999, "Nobody judged it"]
    ),
    "attributes.csv": table(
        ["product_uid", "name", "value"],
        ["200.0", "MFG Brand Name", "Acme"],
        ["200", "Bullet01", "Solid"],
        ["200", "Bullet01", "Again"],
        ["", "", ""],
        ["201", "Depth (in.)", ""],
        ["999", "Bullet01", "x"],
    ),
}


@pytest.mark.parametrize("shape", ["folder", "zip", "zip of zips"])
def test_home_depot(tmp_path, shape):
    if shape == "folder":
        original = put(tmp_path / "home", HOME_DEPOT)
    elif shape == "zip":
        original = packed(tmp_path / "home.zip", HOME_DEPOT)
    else:
        inner = {
            f"{name}.zip": packed(tmp_path / "inner.zip", {name: content}).read_bytes()
            for name, content in HOME_DEPOT.items()
        }
        original = packed(tmp_path / "home.zip", inner)
    folder, printed = convert("home-depot", original)
    assert documents(folder) == [
        {
            "_id": "200",
            "title": "Oak café door &amp; frame",
            "text": "A door, 30° open",
            "metadata": {"brand": "Acme", "attrs": {"MFG Brand Name": "Acme", "Bullet01": "Solid"}},
        },
        {"_id": "201", "title": "Steel hinge", "text": "", "metadata": {}},
    ]
    ids, queries, qrels = readable(folder)
    assert (ids, queries) == (["200", "201"], {"0": "oak door", "1": "door hinge"})
    # 1.5 is half of a grade above 1 and goes to the even one, as in our own copy; 2.5 likewise.
    assert union(qrels) == {
        "0": {"200": 6, "201": 2},
        "1": {"201": 5, "200": 4},
    }
    assert printed[:-1] == [
        "1 attributes that a product had before, left out",
        "2 rows of attributes.csv with an empty cell, left out",
        "1 judgements of a pair that was judged before; the highest grade is kept",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("door hinge,2.5\n", "door hinge,3.5\n", "line 5, field 'relevance': 3.5 is not between 1 and 3"),
        ("door hinge,2.5\n", "door, hinge,2.5\n", "line 5, field 'relevance': the row has 6 cells, not 5"),
        ("oak door,1.5\n", "oak door,\n", "line 3, field 'relevance': it is missing or empty"),
    ],
)
def test_home_depot_faults(tmp_path, old, new, message):
    assert old in TRAIN
    broken = HOME_DEPOT | {"train.csv": TRAIN.replace(old, new)}
    assert f"train.csv, {message}" in refuse("home-depot", put(tmp_path / "home", broken))


# Myntra

STYLES = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"


def style(product_id, gender, colour, kind, title="x", year="2012"):
    return f"{product_id},{gender},Accessories,Bags,{kind},{colour},Summer,{year},NA,{title}\n"


@pytest.fixture
def all_dev(monkeypatch):
    monkeypatch.setattr(myntra, "DEV_SHARE", 1.0)


def photos(*ids):
    return {f"images/{product_id}.jpg": f"photo {product_id}".encode() for product_id in ids}


@pytest.mark.usefixtures("all_dev")
def test_myntra(tmp_path):
    rows = (
        [style(n, "Women", "Red", "Handbags") for n in (11, 12, 13)]
        + [
            style(14, "Women", "Blue", "Handbags", "Acme Women, Blue, Bag"),  # type and gender
            style(15, "Men", "Red", "Handbags"),  # type and colour
            style(16, "Men", "Blue", "Handbags"),  # type alone
            style(17, "Women", "Red", "Belts"),  # no type
            style(18, "Women", "NA", "Handbags", "NA", year=""),  # unknown colour, no title
            style(19, "Women", "Red", "Handbags"),  # the photo of 11
            style(20, "Women", "", "Belts", "No photo"),
        ]
    )  # fmt: skip
    files = photos(*range(11, 19), 99) | {"images/19.jpg": b"photo 11", "styles.csv": STYLES + "".join(rows)}
    folder, printed = convert("myntra", put(tmp_path / "myntra", files))
    written = {document["_id"]: document for document in documents(folder)}
    assert list(written) == ["11", "12", "13", "14", "15", "16", "17", "18", "20"]
    assert written["14"] == {
        "_id": "14",
        "title": "Acme Women, Blue, Bag",
        "text": "",
        "metadata": {
            "gender": "Women",
            "masterCategory": "Accessories",
            "subCategory": "Bags",
            "articleType": "Handbags",
            "baseColour": "Blue",
            "season": "Summer",
            "year": 2012,
            "image": "images/14.jpg",
            "split": "dev",
        },
    }
    assert written["18"]["title"] == ""
    assert not {"baseColour", "year", "usage"} & written["18"]["metadata"].keys()
    assert "image" not in written["20"]["metadata"]
    ids, queries, qrels = readable(folder)
    assert len(ids) == 9
    query = "dev-women-red-handbags"
    assert queries == {query: "women red handbags"}
    # 17 is no handbag, and 16 matches the type alone.
    assert qrels == {"dev": {query: {"11": 2, "12": 2, "13": 2, "14": 1, "15": 1, "18": 1}}}
    assert sorted(path.name for path in (folder / "images").iterdir()) == [f"{n}.jpg" for n in range(11, 19)]
    assert (folder / "images" / "12.jpg").read_bytes() == b"photo 12"
    assert printed == [
        "1 products whose photo repeats an earlier one byte for byte, left out",
        "1 products whose photo is missing, kept without one",
        f"{folder}: 9 documents, 1 queries, 6 judgements, 0 interactions",
    ]


def test_myntra_judges_over_the_dev_products_only(tmp_path):
    ids = range(100, 160)
    rows = "".join(style(n, "Women", "Red", "Handbags") for n in ids)
    folder, _ = convert("myntra", put(tmp_path / "myntra", photos(*ids) | {"styles.csv": STYLES + rows}))
    splits = {item.id: item.attributes["split"] for item in read_catalogue(folder)}
    dev = {key for key, split in splits.items() if split == "dev"}
    assert splits == {str(n): writer.split_by_hash(str(n), 0.2) for n in ids}
    assert 3 <= len(dev) < 30
    assert read_qrels(folder, "dev") == {"dev-women-red-handbags": dict.fromkeys(dev, 2)}


@pytest.mark.parametrize("bad", ["../secret", "/etc/passwd", "11/../../secret", "..", "1\u0661"])
def test_an_id_that_could_be_a_path_is_refused(tmp_path, bad):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    files = {"styles.csv": STYLES + style(bad, "Women", "Red", "Belts"), **photos(11)}
    line = refuse("myntra", put(tmp_path / "myntra", files))
    assert f"styles.csv, line 2, field 'id': {bad!r} is not a number" in line


def test_a_photo_that_is_a_link_to_outside_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    original = put(
        tmp_path / "myntra", {"styles.csv": STYLES + style(12, "Men", "Red", "Belts"), **photos(11)}
    )
    (original / "images" / "12.jpg").symlink_to(tmp_path / "secret")
    assert "12.jpg is a link that leads out of the photos' folder" in refuse("myntra", original)


def test_myntra_faults(tmp_path):
    # A comma too many before the last column shifts the year.
    shifted = STYLES + style(11, "Men", "Red, dark", "Belts")
    original = put(tmp_path / "myntra", {"styles.csv": shifted, **photos(11)})
    assert "styles.csv, line 2, field 'year': 'Summer' is not a number" in refuse("myntra", original)
    (original / "images" / "11.jpg").unlink()
    (original / "images").rmdir()
    assert "extract the photos beside styles.csv" in refuse("myntra", original)
    assert "is not a folder; extract the download" in refuse(
        "myntra", packed(tmp_path / "m.zip", {"styles.csv": ""})
    )
