"""BEIR folders: corpus, queries and judgements."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from catalogues import NOON, lines

from twotower.corpus.write_checks import check_item
from twotower.errors import CatalogueError
from twotower.ingest import read_catalogue, read_qrels, read_queries
from twotower.types import Item, Query


def test_items_queries_and_judgements_of_a_beir_folder(write, tmp_path):
    metadata = {
        "image": "images/1.jpg",
        "time": "2026-01-01T12:00Z",
        "price": 5,
        "attrs": {"type": "x"},
        "no": None,
    }
    write(
        "corpus.jsonl",
        lines(
            {"_id": "1", "title": "a", "text": "b", "metadata": metadata},
            {"_id": "2", "title": "c", "text": ""},
        ),
    )
    write(
        "queries.jsonl",
        lines(
            {"_id": "q", "text": "red shoe"}, {"_id": "p", "text": "", "metadata": {"image": "photos/p.jpg"}}
        ),
    )
    write("qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq\t1\t2\r\nq\t2\t0\np\t2\t1\n")
    home = tmp_path.resolve()
    assert list(read_catalogue(tmp_path)) == [
        Item("1", "a", "b", str(home / "images/1.jpg"), NOON, {"price": 5, "attrs.type": "x"}),
        Item("2", "c"),
    ]
    queries = read_queries(tmp_path)
    assert queries == {"q": Query("red shoe"), "p": Query(image=str(home / "photos/p.jpg"))}
    assert read_qrels(tmp_path, "dev") == {"q": {"1": 2, "2": 0}, "p": {"2": 1}}


@pytest.mark.parametrize(
    ("name", "content", "read", "message"),
    [
        (
            "corpus.jsonl",
            lines({"_id": "1", "metadata": 5}),
            read_catalogue,
            "line 1, field 'metadata': it must be",
        ),
        (
            "corpus.jsonl",
            lines({"_id": "1", "title": "a", "metadata": {"title": "b"}}),
            read_catalogue,
            "line 1, field 'metadata.title': it also occurs outside",
        ),
        (
            "queries.jsonl",
            lines({"_id": "q", "text": "a"}) * 2,
            read_queries,
            "line 2, field '_id': the query 'q' occurs twice",
        ),
        (
            "queries.jsonl",
            lines({"_id": "q", "text": ""}),
            read_queries,
            "line 1, field 'text': the query has neither",
        ),
        ("queries.jsonl", lines({"text": "a"}), read_queries, "line 1, field '_id': it is missing"),
        (
            "queries.jsonl",
            lines({"_id": "q", "metadata": {"image": "../x.jpg"}}),
            read_queries,
            "line 1, field 'image': '../x.jpg' leads out of",
        ),
    ],
)
def test_beir_rows_that_cannot_be_read_are_named_by_line_and_field(
    write, tmp_path, name, content, read, message
):
    write(name, content)
    with pytest.raises(CatalogueError, match=f"{name}, {message}"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1 must be the header query-id, corpus-id, score"),
        ("q\td\t1\n", "line 1 must be the header"),
        ("query-id\tcorpus-id\tscore\nq\td\n", "line 2, field 'score': the line has 2 cells, not 3"),
        ("query-id\tcorpus-id\tscore\nq\td\t1.5\n", "line 2, field 'score': '1.5' is not a whole number"),
        (
            "query-id\tcorpus-id\tscore\nq\td\t1\nq\td\t2\n",
            "line 3, field 'corpus-id': 'd' is judged twice",
        ),
    ],
)
def test_judgements_that_cannot_be_read_are_named_by_line(write, tmp_path, content, message):
    write("qrels/dev.tsv", content)
    with pytest.raises(CatalogueError, match=message):
        read_qrels(tmp_path, "dev")


def test_a_missing_split_names_those_that_exist(write, tmp_path):
    write("qrels/train.tsv", "")
    write("qrels/dev.tsv", "")
    with pytest.raises(CatalogueError, match="the splits are dev, train"):
        read_qrels(tmp_path, "test")


DATA = Path(os.environ.get("TWOTOWER_DATA", Path(__file__).parents[3].parent / "shared" / "data"))


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason="no evaluation data: set TWOTOWER_DATA to their folder")
def test_a_real_catalogue_is_read_whole():
    items = list(read_catalogue(DATA / "chorus"))
    assert len(items) == 19_406
    for item in items:
        check_item(item)
    assert len({item.id for item in items}) == 19_406
    assert sum(len(judged) for judged in read_qrels(DATA / "chorus", "dev").values()) == 1_708
    assert len(read_queries(DATA / "chorus")) == 68
