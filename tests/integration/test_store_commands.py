"""Commands that look after a store, whatever encoder it was made with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder
from safetensors.numpy import load_file

from twotower import IndexPolicy, Item, Retriever
from twotower.__main__ import main
from twotower.ingest.catalogue import read_catalogue

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of an encoder that no command could build, with deleted rows in its graph."""
    image = tmp_path / "茶杯.jpg"
    items = [
        Item(
            f"i{number}",
            f"红 mug {number}",
            "two\nlines",
            str(image),
            NOW,
            {"price": number / 4, "tags": ["a", "b"]},
        )
        for number in range(50)
    ]
    with Retriever.open(
        tmp_path / "store", encoder=HashEncoder(), index=IndexPolicy(exact_up_to=20)
    ) as retriever:
        retriever.upsert(items)
        retriever.delete([f"i{number}" for number in range(5)])
    return tmp_path / "store"


def test_stats_say_how_large_a_store_is(store, capsys):
    assert main(["stats", "--store", str(store)]) == 0
    first, part, achieved, events, catalog, sqlite, writes = capsys.readouterr().out.splitlines()
    assert first == "45 items, vectors of 32 dimensions"
    assert part.startswith("  graph: 50 rows, 5 deleted, ")
    assert achieved == "    recall@10 1.000 for 50 made-up queries"
    assert events == "0 events"
    assert catalog.startswith("item store: ")
    assert catalog.endswith(str(store))
    assert sqlite.endswith("every page has a checksum")
    assert writes.startswith("  accepts no writes: ")


def test_verify_names_what_is_damaged(store, capsys):
    assert main(["verify", "--store", str(store)]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    (graph,) = store.glob("generation-*/0.faiss")
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    assert main(["verify", "--store", str(store)]) == 1
    captured = capsys.readouterr()
    assert "0.faiss" in captured.out
    assert captured.err.splitlines()[-1] == f"twotower: store '{store}' has 1 problems: see above"
    with (store / "items.sqlite").open("r+b") as file:
        file.seek(8_192 + 100)
        file.write(b"damage")
    assert main(["verify", "--store", str(store)]) == 1
    assert "items.sqlite" in capsys.readouterr().err.splitlines()[-1]


def test_compact_removes_deleted_and_replaced_items(store, capsys):
    with Retriever.open(store, encoder=HashEncoder()):
        assert main(["compact", "--store", str(store)]) == 1
        assert "open for writing elsewhere" in capsys.readouterr().err
    assert main(["compact", "--store", str(store)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("  graph: 45 rows, ")
    assert main(["stats", "--store", str(store)]) == 0
    assert " deleted" not in capsys.readouterr().out


def test_export_writes_a_catalogue_that_reads_back(store, capsys):
    catalog, vectors = store.parent / "out.jsonl", store.parent / "out.safetensors"
    arguments = ["export", str(catalog), "--store", str(store), "--vectors", str(vectors)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"45 items written to {catalog}\n"
    with Retriever.open(store, encoder=HashEncoder(), read_only=True) as retriever:
        items = list(retriever.items())
    assert list(read_catalogue(catalog)) == items
    expected = HashEncoder().encode_items(items)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(load_file(vectors)["vectors"], expected, atol=1e-6)
    assert "红 mug" in catalog.read_text(encoding="utf-8")
    before = catalog.read_bytes()
    assert main(arguments) == 1
    assert "exists: pass another name" in capsys.readouterr().err
    assert catalog.read_bytes() == before


@pytest.mark.parametrize("command", ["stats", "verify", "compact", "export"])
def test_a_folder_without_a_store_is_named(tmp_path, capsys, command):
    more = [str(tmp_path / "out.jsonl")] if command == "export" else []
    assert main([command, *more, "--store", str(tmp_path / "nothing")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no store" in line
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_would_not_read_back_is_refused(store, capsys):
    out = store.parent / "out.xlsx"
    assert main(["export", str(out), "--store", str(store)]) != 0
    assert "ends in '.xlsx': pass a .jsonl, .json, .csv, .tsv or .parquet file" in capsys.readouterr().err
    assert not out.exists()
