"""The command `prepare`, on WANDS: the exact output, planted faults, zips of strangers, and interrupted runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from originals import convert, documents, packed, put, readable, refuse, table, union

from benchmarks import prepare
from benchmarks.converters import source as sources
from benchmarks.converters import wands, writer

# WANDS

PRODUCTS = table(
    list(wands.PRODUCT),
    [
        "0",
        'oak "slab" bench',
        "Benches",
        "Furniture / Benches",
        " solid & heavy\nsecond line ",
        "color:oak| wood : yes|",
        "15.0",
        "4.5",
        "12.0",
    ],
    ["7", "tin lantern", "", "", "", "", "", "", ""],
    ["9", "", "", "", "", "", "", "", ""],
    delimiter="\t",
)
QUERIES = "query_id\tquery\tquery_class\n0\toak bench\tBenches\n1\tlantern &amp; hook\tLanterns\n"
LABELS = (
    "id\tquery_id\tproduct_id\tlabel\n0\t0\t0\tPartial\n1\t0\t7\tIrrelevant\n2\t0\t0\tExact\n3\t1\t7\tPartial\n"
    "4\t1\t9\tExact\n"
)
WANDS = {"product.csv": PRODUCTS, "query.csv": QUERIES, "label.csv": LABELS}


def test_wands(tmp_path):
    original = put(tmp_path / "WANDS", {f"dataset/{name}": content for name, content in WANDS.items()})
    folder, printed = convert("wands", original)
    assert documents(folder) == [
        {
            "_id": "0",
            "title": 'oak "slab" bench',
            "text": "solid & heavy\nsecond line",
            "metadata": {
                "product_class": "Benches",
                "category_hierarchy": "Furniture / Benches",
                "product_features": ["color:oak", "wood : yes"],
                "rating_count": 15,
                "average_rating": 4.5,
                "review_count": 12,
            },
        },
        {"_id": "7", "title": "tin lantern", "text": "", "metadata": {}},
    ]
    assert (folder / "queries.jsonl").read_text() == (
        '{"_id": "0", "text": "oak bench"}\n{"_id": "1", "text": "lantern &amp; hook"}\n'
    )
    ids, queries, qrels = readable(folder)
    assert ids == ["0", "7"]
    assert queries == {"0": "oak bench", "1": "lantern &amp; hook"}
    splits = {query: split for split, judged in qrels.items() for query in judged}
    assert splits == {query: writer.split_by_hash(text, 0.5) for query, text in queries.items()}
    assert union(qrels) == {
        "0": {"0": 2, "7": 0},
        "1": {"7": 1},
    }
    assert printed == [
        "1 documents without title, text and photo, left out",
        "1 judgements of a pair that was judged before; the highest grade is kept",
        "1 judgements and interactions of such documents, left out",
        f"{folder}: 2 documents, 2 queries, 3 judgements, 0 interactions",
    ]


def test_the_zip_gives_the_same_as_the_folder(tmp_path):
    put(tmp_path / "WANDS", WANDS)
    from_folder, _ = convert("wands", tmp_path / "WANDS")
    from_folder.rename(tmp_path / "first")
    members = {f"WANDS-main/dataset/{name}": content for name, content in WANDS.items()}
    from_zip, _ = convert("wands", packed(tmp_path / "WANDS-main.zip", members))
    files = sorted(path.relative_to(from_zip) for path in from_zip.rglob("*") if path.is_file())
    assert Path("corpus.jsonl") in files
    for file in files:
        assert (from_zip / file).read_bytes() == (tmp_path / "first" / file).read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "label.csv",
            "1\t0\t7\tIrrelevant",
            "1\t0\t7\tirrelevant",
            ", line 3, field 'label': 'irrelevant' is none of",
        ),
        ("label.csv", "3\t1\t7", "3\t5\t7", ", line 5, field 'query': there is no query '5'"),
        ("label.csv", "3\t1\t7", "3\t1\t8", ", line 5, field 'id': there is no document '8'"),
        ("label.csv", "\tlabel\n", "\tlabels\n", ", line 1, column 'label': the header has it 0 times"),
        ("label.csv", LABELS, "", " is empty; download it again"),
        ("query.csv", "1\tlantern", "0\tlantern", ", line 3, field 'query': the query '0' had another text"),
        ("query.csv", "\toak bench\t", "\t \t", ", line 2, field 'query': it is missing or empty"),
        (
            "query.csv",
            "\tBenches\n",
            "\tBenches\tmore\n",
            ", line 2, field 'query_class': the row has 4 cells, not 3",
        ),
        ("product.csv", "15.0", "many", ", line 2, field 'rating_count': 'many' is not a number"),
        # The first product's description spans two lines.
        ("product.csv", "\n7\t", "\n0\t", ", line 4, field 'id': the document '0' was there before"),
        ("product.csv", "\n7\t", '\n"7\v8"\t', ", line 4, field 'id': '7\\x0b8' is empty or has a tab"),
        (
            "product.csv",
            "\n7\ttin lantern",
            '\n7\t"tin',
            ", line 5 is no such table (unexpected end of data)",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, file, old, new, message):
    assert old in WANDS[file]
    original = put(tmp_path / "WANDS", WANDS | {file: WANDS[file].replace(old, new)})
    assert refuse("wands", original).startswith(f"prepare: {original / file}{message}")


def test_a_byte_that_is_not_utf_8_is_named(tmp_path):
    broken = QUERIES.replace("oak bench", "caf\xe9 bench").encode("latin-1")
    original = put(tmp_path / "WANDS", WANDS | {"query.csv": broken})
    assert "query.csv, line 2, byte 6 is not UTF-8" in refuse("wands", original)


def test_a_missing_file_is_named(tmp_path):
    original = put(tmp_path / "WANDS", {"product.csv": PRODUCTS, "query.csv": QUERIES})
    assert "has no file 'label.csv'; give the complete original download" in refuse("wands", original)
    assert "does not exist; give the folder or zip" in refuse("wands", tmp_path / "nowhere")


def test_two_files_of_one_name_are_refused(tmp_path):
    files = WANDS | {"query.csv": QUERIES} | {"old/label.csv": LABELS, "new/label.csv": LABELS}
    del files["label.csv"]
    assert "has several files 'label.csv'" in refuse("wands", put(tmp_path / "WANDS", files))


# Zips of strangers


@pytest.mark.parametrize(
    "name", ["../product.csv", "/etc/product.csv", "a/../../product.csv", "..\\x", "C:\\x"]
)
def test_a_member_that_leads_outside_is_refused(tmp_path, name):
    archive = packed(tmp_path / "wands.zip", WANDS | {name: "x"})
    assert f"has the member {name!r}, which leads out" in refuse("wands", archive)


def test_a_member_that_expands_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 100_000)
    bomb = packed(tmp_path / "wands.zip", WANDS | {"product.csv": b"a" * 1_000_000})
    assert bomb.stat().st_size < 10_000
    assert "member 'product.csv'" in (line := refuse("wands", bomb))
    assert "expands to 1,000,000 bytes, over 100,000" in line
    inner = packed(tmp_path / "inner.zip", {"train.csv": b"a" * 1_000_000}).read_bytes()
    assert "expands to 1,000,000 bytes" in refuse(
        "home-depot", packed(tmp_path / "h.zip", {"train.csv.zip": inner})
    )


def test_a_member_that_lies_about_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 100_000)
    honest = packed(tmp_path / "wands.zip", WANDS | {"product.csv": PRODUCTS + "8\tx" + "\t" * 500_000})
    size = (len(PRODUCTS) + 3 + 500_000).to_bytes(4, "little")
    lying = tmp_path / "lying.zip"
    lying.write_bytes(honest.read_bytes().replace(size, (len(PRODUCTS)).to_bytes(4, "little")))
    assert "product.csv" in (line := refuse("wands", lying))
    assert "is damaged (Bad CRC-32" in line


def test_a_damaged_zip_is_refused(tmp_path):
    archive = packed(tmp_path / "wands.zip", WANDS)
    content = archive.read_bytes()
    archive.write_bytes(content[:-30])
    assert "wands.zip is not a readable zip" in refuse("wands", archive)
    archive.write_bytes(content[:60] + b"\xff" * 20 + content[80:])
    assert "member 'product.csv' of" in refuse("wands", archive)


# Written whole or not at all


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, capsys):
    original = put(tmp_path / "WANDS", WANDS)
    seen = []

    def interrupt(output, *_):
        seen.extend(path.name for path in output.folder.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(writer.Output, "judge", interrupt)
    target = tmp_path / "deep" / "out"
    assert prepare.main(["wands", "--from", str(original), "--to", str(target)]) == 130
    assert seen == ["corpus.jsonl"]  # it was under way
    assert list(target.parent.iterdir()) == []
    assert capsys.readouterr().err == "prepare: interrupted; nothing was written\n"


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    original = put(tmp_path / "WANDS", WANDS)
    target = put(tmp_path / "kept", {"note": "mine"})
    assert prepare.main(["wands", "--from", str(original), "--to", str(target)]) == 1
    assert "is not empty; give a new folder" in capsys.readouterr().err
    assert [path.name for path in target.iterdir()] == ["note"]
    (tmp_path / "out").mkdir()
    folder, _ = convert("wands", original)  # an empty one is fine
    assert len(documents(folder)) == 2
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_hashed_splits_are_stable_and_near_their_share():
    texts = [f"query {n}" for n in range(2000)]
    dev = [text for text in texts if writer.split_by_hash(text, 0.1) == "dev"]
    assert 140 < len(dev) < 260
    assert writer.split_by_hash(" Query  0 ", 0.5) == writer.split_by_hash("query 0", 0.5)
    # Written down, so that a change of the hash shows: it would move everybody's splits.
    assert " ".join(writer.split_by_hash(text, 0.5) for text in texts[:8]) == (
        "train dev dev train dev dev dev train"
    )


def test_the_command_is_reached(tmp_path, capsys):
    from benchmarks.__main__ import main

    original = put(tmp_path / "WANDS", WANDS)
    assert main(["prepare", "wands", "--from", str(original), "--to", str(tmp_path / "out")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("2 documents, 2 queries, 3 judgements, 0 interactions")
