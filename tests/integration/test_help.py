"""`--help` of every command ends with an example, and the examples work one after the other in a small shop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from help_examples import help_examples

from twotower import Retriever
from twotower.__main__ import main

ITEMS = [
    {"_id": "mug", "title": "Blue coffee mug", "metadata": {"price": 12.0}},
    {"_id": "pot", "title": "Steel coffee pot", "metadata": {"price": 60.0}},
    {"_id": "shoes", "title": "Red running shoes", "metadata": {"price": 79.0}},
]
EVENTS = [{"user": "u1", "item": "mug", "kind": "purchase", "time": "2026-05-30T00:00:00Z"}]
# What each example prints. `demo` and `train rerank` run as written in test_demo.py and test_examples.py.
PRINTED = {
    "index": "3 indexed, 0 unchanged, 0 skipped",
    "search": "mug",
    "record": "1 events recorded",
    "delete": "0 items deleted",
    "stats": "3 items, vectors of",
    "verify": "nothing is wrong",
    "compact": "3 items, vectors of",
    "reindex": "nothing to encode",
    "calibrate": "3 items, vectors of",
    "export": "3 items written to backup.jsonl",
}


def lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """The files that the examples name, and nothing else."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "beir").mkdir()
    lines(folder / "beir" / "corpus.jsonl", ITEMS)
    lines(folder / "beir" / "queries.jsonl", [{"_id": "q", "text": "coffee mug"}])
    lines(
        folder / "catalogue.jsonl",
        [{"id": row["_id"], "title": row["title"], **row["metadata"]} for row in ITEMS],
    )
    lines(folder / "events.jsonl", EVENTS)
    return folder


def test_every_command_has_an_example_of_its_own():
    examples = help_examples()
    assert set(examples) == {"", "demo", "train", "train rerank", *PRINTED}
    for command, arguments in examples.items():
        assert " ".join(arguments).startswith(command)


def test_the_examples_work_one_after_the_other(shop, monkeypatch, capsys):
    monkeypatch.chdir(shop)
    examples = help_examples()
    for command, printed in PRINTED.items():
        assert main(examples[command]) == 0, capsys.readouterr().err
        assert printed in capsys.readouterr().out, command
    hits = Retriever.open(shop / "store", read_only=True).search("coffee mug", where={"price": {"$lt": 50}})
    assert [hit.id for hit in hits] == ["mug"]
    exported = [json.loads(line) for line in (shop / "backup.jsonl").read_text().splitlines()]
    assert {row["id"] for row in exported} == {"mug", "pot", "shoes"}
    assert (shop / "backup.safetensors").exists()


@pytest.mark.parametrize("command", sorted(help_examples()))
def test_help_shows_the_example_last(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-2] == "example:"
