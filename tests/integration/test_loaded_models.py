"""Models are loaded when something must be encoded, and by no command that only reads or only writes what it has."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from twotower import DualEncoder, Item, Retriever
from twotower.__main__ import main
from twotower.presets import rebuilding
from twotower.store.folder import StoreFolder

HEAVY = {"torch", "transformers", "sentence_transformers", "open_clip", "pandas", "pyarrow"}
PRICES = [{"id": f"{number}", "title": f"mug {number}", "price": number} for number in range(5)]


@pytest.fixture
def store(tmp_path, tiny_text_folder, tiny_clip_folder):
    """A store of both models beside each other, with five products."""
    text = TextEncoder(shutil.copytree(tiny_text_folder, tmp_path / "text"), device="cpu")
    clip = f"local-dir:{shutil.copytree(tiny_clip_folder, tmp_path / 'clip')}"
    encoder = DualEncoder(text, ClipEncoder(clip, device="cpu"), WeightedConcat(text=0.9, image=0.1))
    with Retriever.open(tmp_path / "store", encoder=encoder) as retriever:
        retriever.upsert([Item(row["id"], row["title"], attributes={"price": 0}) for row in PRICES])
    return tmp_path / "store"


@pytest.fixture
def loads(monkeypatch):
    """The models that are loaded from now on, by their places."""
    loaded: list[str] = []
    for name in ("TextEncoder", "ClipEncoder"):
        original = getattr(rebuilding, name)

        def spy(*given, original=original):
            loaded.append(str(given[0]).rpartition("/")[2])
            return original(*given)

        monkeypatch.setattr(rebuilding, name, spy)
    return loaded


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_only_what_must_be_encoded_loads_the_models(store, tmp_path, loads, capsys):
    catalogue = written(tmp_path / "shop.jsonl", PRICES)
    by_name = ["--text-model", tmp_path / "text", "--image-model", f"local-dir:{tmp_path / 'clip'}"]
    for options in ([], by_name):
        for round_, counts in (
            (1, "5 indexed, 0 unchanged, 0 skipped"),
            (1, "0 indexed, 5 unchanged, 0 skipped"),
            (0, "5 indexed, 0 unchanged, 0 skipped"),
        ):
            written(catalogue, [row | {"price": round_} for row in PRICES])
            assert run(capsys, "index", catalogue, "--store", store, *options)[1][-1] == counts
    written(catalogue, PRICES[:4])
    assert run(capsys, "index", catalogue, "--store", store, "--max-pruned", "1")[1][-1] == "1 pruned"
    assert loads == []
    written(catalogue, [*PRICES[:4], {"id": "new", "title": "red lamp"}])
    assert run(capsys, "index", catalogue, "--store", store)[1][-1] == "1 indexed, 4 unchanged, 0 skipped"
    assert loads == ["text", "clip"]
    with Retriever.open(store, read_only=True) as retriever:
        assert retriever.search("red lamp", k=1, hybrid=None)[0].id == "new"
        assert retriever.maintenance.verify() == []


def test_a_model_that_changed_or_moved_is_noticed_before_any_is_loaded(store, tmp_path, loads, capsys):
    catalogue = written(tmp_path / "shop.jsonl", PRICES)
    (tmp_path / "text").rename(tmp_path / "elsewhere")
    code, _, error = run(capsys, "index", catalogue, "--store", store)
    assert code == 1
    assert "cannot be loaded" in error
    models = ["--text-model", tmp_path / "elsewhere", "--image-model", f"local-dir:{tmp_path / 'clip'}"]
    assert run(capsys, "index", catalogue, "--store", store, *models)[0] == 0
    assert run(capsys, "index", catalogue, "--store", store)[0] == 0  # the new place is kept
    code, said, _ = run(capsys, "reindex", "--store", store)
    assert (code, said) == (0, ["the models have not changed since the store was created: nothing to encode"])
    config = tmp_path / "elsewhere" / "config_sentence_transformers.json"
    config.write_text(config.read_text().replace("passage: ", "query: "))
    written(catalogue, [row | {"price": 9} for row in PRICES])
    code, _, error = run(capsys, "index", catalogue, "--store", store)
    assert code == 1
    assert "models have changed" in error
    assert loads == []
    assert run(capsys, "export", tmp_path / "out.jsonl", "--store", store)[0] == 0
    prices = [
        json.loads(line)["attributes"]["price"] for line in (tmp_path / "out.jsonl").read_text().splitlines()
    ]
    assert prices == [row["price"] for row in PRICES]  # and nothing was written


def test_models_that_are_replaced_between_the_check_and_the_encoding_encode_nothing(
    store, tmp_path, monkeypatch, capsys
):
    original = rebuilding.encoder_from

    def replaced(description):
        config = tmp_path / "text" / "config_sentence_transformers.json"
        config.write_text(config.read_text().replace("passage: ", "query: "))
        return original(description)

    monkeypatch.setattr(rebuilding, "encoder_from", replaced)
    catalogue = written(tmp_path / "shop.jsonl", [{"id": "new", "title": "red lamp"}])
    code, _, error = run(capsys, "index", catalogue, "--store", store)
    assert code == 1
    assert "were replaced while they were in use" in error
    assert run(capsys, "stats", "--store", store)[1][0].startswith("5 items")


def test_no_command_that_encodes_nothing_imports_a_model_library(store, tmp_path):
    catalogue = written(tmp_path / "shop.jsonl", PRICES)
    events = written(
        tmp_path / "events.jsonl", [{"user": "u", "item": "1", "kind": "view", "time": "2026-01-01"}]
    )
    commands = [
        ["index", str(catalogue)], ["record", str(events)], ["delete", "4"], ["delete", "--where", '{"price": 3}'],
        ["stats"], ["verify"], ["compact"], ["reindex"], ["export", str(tmp_path / "out.jsonl")],
    ]  # fmt: skip
    code = (
        "import json, sys; from twotower.__main__ import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        f"    assert main([*command, '--store', {str(store)!r}]) == 0\n"
        f"    assert not {HEAVY!r} & set(sys.modules), (command, sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_another_encoder_has_its_own_length_and_not_that_of_the_store(store, tmp_path, loads):
    clip = {"architecture": f"local-dir:{tmp_path / 'clip'}", "pretrained": None}
    words = {"text": {"clip": clip}, "image": None, "fusion": None}
    with closing(StoreFolder.open(store, read_only=True)) as folder:
        assert rebuilding.deferred_encoder(folder).dim == 32 + 24
        assert loads == []
        assert rebuilding.deferred_encoder(folder, words).dim == 24
        assert loads == ["clip"]
