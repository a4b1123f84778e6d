"""Every option of every command reaches what it is for: a command runs until the call that must get its value.

A new option needs a row in `ROWS`; without one `test_every_option_has_a_row` fails.
"""

from __future__ import annotations

import importlib
import inspect
import json
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fakes import HashEncoder

from rerank import CrossEncoderReranker
from twotower import Item, Retriever
from twotower.__main__ import main, make_parser
from twotower.commands import (
    calibrate,
    delete,
    export,
    index,
    models,
    reading,
    record,
    reindex,
    search,
    train,
)
from twotower.commands.pruning import MAX_PRUNED
from twotower.corpus.persistent import PersistentCorpus
from twotower.ingest.catalogue import Catalogue
from twotower.ingest.events import EventLog
from twotower.presets import rebuilding
from twotower.store.folder import StoreFolder


class Reached(BaseException):
    """Ends a command at the call that was to be reached."""


class Row(NamedTuple):
    """What an option must do.

    Args:
        typed: the option with its value.
        owner: the class or module of the function that must get it.
        function: its name.
        parameter: of the function.
        value: what it must get; a function checks it.
    """

    typed: list[str]
    owner: Any
    function: str
    parameter: str
    value: Any


NOW = datetime(2026, 6, 1, tzinfo=UTC)
BASE = {
    "demo": ["demo"],
    "index": ["index", "shop/corpus.jsonl", "--store", "new"],
    "search": ["search", "red", "--store", "store"],
    "record": ["record", "events.jsonl", "--store", "store"],
    "stats": ["stats", "--store", "store"],
    "verify": ["verify", "--store", "store"],
    "compact": ["compact", "--store", "store"],
    "reindex": ["reindex", "--store", "store"],
    "calibrate": ["calibrate", "shop", "--store", "store"],
    "delete": ["delete", "--store", "store"],
    "export": ["export", "out.jsonl", "--store", "store"],
    "train rerank": ["train", "rerank", "--data", "shop", "--out", "out", "--base", "never/opened"],
}


def searched(typed: list[str], parameter: str, value: Any) -> Row:
    return Row(typed, Retriever, "search", parameter, value)


def fitted(typed: list[str], parameter: str, value: Any) -> Row:
    return Row(typed, CrossEncoderReranker, "fit", parameter, value)


def option(name: str, value: Any) -> Callable[[Any], bool]:
    return lambda options: bool(getattr(options, name) == value)


def named(checkpoint: str) -> Callable[[Any], bool]:
    return lambda options: bool(options.checkpoint.name == checkpoint)


def opened(folder: str = "elsewhere") -> Row:
    return Row(["--store", folder], StoreFolder, "open", "folder", lambda path: Path(path).name == folder)


def waited(owner: Any = StoreFolder, function: str = "open") -> Row:
    return Row(["--wait", "2.5"], owner, function, "wait", 2.5)


def store_of(owner: Any, function: str) -> Row:
    return Row(["--store", "elsewhere"], owner, function, "folder", Path("elsewhere"))


def reads(command: str, source: type) -> dict[tuple[str, str], Row]:
    """The options of a command that reads a shop's file."""
    typed = {
        "--columns": ("text=body,brand=Marke", "columns", {"text": "body", "brand": "Marke"}),
        "--types": ("gtin=text", "types", {"gtin": "text"}),
        "--separator": ("tab", "separator", "\t"),
        "--decimal": (",", "decimal", ","),
        "--encoding": ("cp1252", "encoding", "cp1252"),
        "--timezone": ("Asia/Tokyo", "timezone", "Asia/Tokyo"),
        "--dates": ("day-first", "dates", "day-first"),
        "--ignore": ("stock", "ignore", ["stock"]),
    }
    return {
        (command, name): Row([name, value], source, "of_file", "options", option(attribute, wanted))
        for name, (value, attribute, wanted) in typed.items()
    }


ROWS: dict[tuple[str, str], Row | list[Row]] = {
    ("demo", "--folder"): Row(["--folder", "page"], "twotower.demo.run", "run_demo", "folder", Path("page")),
    ("demo", "--open"): Row(["--open"], "webbrowser", "open", "url", lambda url: url.endswith("/page.html")),
    ("index", "CATALOGUE"): Row([], Catalogue, "of_file", "path", Path("shop/corpus.jsonl")),
    ("index", "--store"): [
        Row(["--store", "new"], Retriever, "open", "folder", Path("new")),
        Row(["--store", "elsewhere"], index, "encoder_for", "store", Path("elsewhere")),
    ],
    ("index", "--wait"): waited(Retriever, "open"),
    ("index", "--on-bad"): [
        Row(["--on-bad", "skip"], index, "checked", "on_bad", callable),
        Row(["--on-bad", "skip"], Retriever, "upsert", "on_error", "skip"),
    ],
    ("index", "--on-bad-photo"): Row(["--on-bad-photo", "words"], Retriever, "upsert", "on_bad_photo", "words"),
    ("index", "--photos-anywhere"): Row(
        ["--photos-anywhere"], Catalogue, "of_file", "options", option("photos_anywhere", True)
    ),
    ("index", "--prune"): Row(["--prune"], index, "items_to_prune", "limit", MAX_PRUNED),
    ("index", "--max-pruned"): Row(["--max-pruned", "7%"], index, "items_to_prune", "limit", Fraction(7, 100)),
    ("index", "--max-skipped"): Row(["--max-skipped", "3"], reading, "Skipped", "limit", 3),
    ("index", "--searchable"): Row(
        ["--searchable", "brand", "size"], Retriever, "open", "searchable", ["brand", "size"]
    ),
    ("index", "--text-model"): Row(["--text-model", "a/b"], rebuilding, "TextEncoder", "model", "a/b"),
    ("index", "--image-model"): Row(["--image-model", "B-32"], rebuilding, "ClipEncoder", "architecture", "B-32"),
    ("index", "--image-weights"): Row(
        ["--image-model", "ViT-B-32", "--image-weights", "w"], rebuilding, "ClipEncoder", "pretrained", "w"
    ),
    ("index", "--text-weight"): Row(["--text-weight", "0.7"], models, "WeightedConcat", "text", 0.7),
    ("index", "--image-weight"): Row(["--image-weight", "0.4"], models, "WeightedConcat", "image", 0.4),
    ("search", "QUERY"): searched([], "query", "red"),
    ("search", "--store"): Row(["--store", "elsewhere"], Retriever, "open", "folder", Path("elsewhere")),
    ("search", "--image"): searched(["--image", "photo.jpg"], "image", Path("photo.jpg")),
    ("search", "--user"): searched(["--user", "u1"], "user", "u1"),
    ("search", "--where"): searched(["--where", '{"price": {"$lt": 3}}'], "where", {"price": {"$lt": 3}}),
    ("search", "-k"): searched(["-k", "7"], "k", 7),
    ("search", "--offset"): searched(["--offset", "20"], "offset", 20),
    ("search", "--now"): searched(["--now", NOW.isoformat()], "now", NOW),
    ("search", "--reranker"): Row(
        ["--reranker", "a/b"], Retriever, "open", "reranker", lambda reranker: reranker.model == "a/b"
    ),
    ("search", "--rerank-depth"): searched(["--rerank-depth", "9"], "parts", {"rerank_depth": 9}),
    ("search", "--budget-ms"): searched(["--budget-ms", "50"], "budget_ms", 50.0),
    ("search", "--min-score"): searched(["--min-score", "0.25"], "min_score", 0.25),
    ("search", "--json"): Row(["--json"], search, "as_json", "hits", lambda hits: hits[0].id == "1"),
    ("record", "EVENTS"): Row([], EventLog, "of_file", "path", Path("events.jsonl")),
    ("record", "--store"): opened(),
    ("record", "--wait"): waited(),
    ("record", "--on-bad"): Row(["--on-bad", "skip"], record, "record", "skipped", lambda rows: rows.count == 0),
    ("record", "--max-skipped"): Row(["--max-skipped", "5%"], reading, "Skipped", "limit", Fraction(1, 20)),
    **reads("index", Catalogue),
    **reads("record", EventLog),
    ("stats", "--store"): opened(),
    ("verify", "--store"): opened(),
    ("compact", "--store"): opened(),
    ("compact", "--wait"): waited(),
    ("reindex", "--store"): opened(),
    ("reindex", "--wait"): waited(),
    ("reindex", "--text-model"): Row(["--text-model", "a/b"], reindex, "with_models", "text", "a/b"),
    ("reindex", "--image-model"): Row(["--image-model", "a"], reindex, "with_models", "image", "a"),
    ("reindex", "--image-weights"): Row(
        ["--image-model", "a", "--image-weights", "w"], reindex, "with_models", "weights", "w"
    ),
    ("delete", "ID"): Row(["a", "b"], PersistentCorpus, "delete", "item_ids", ["a", "b"]),
    ("delete", "--where"): Row(["--where", '{"stock": 0}'], PersistentCorpus, "items", "where", {"stock": 0}),
    ("delete", "--store"): Row(["a", "--store", "elsewhere"], delete, "opened_corpus", "folder", Path("elsewhere")),
    ("delete", "--wait"): Row(["a", "--wait", "2.5"], delete, "opened_corpus", "wait", 2.5),
    ("calibrate", "QUERIES"): Row([], calibrate, "read_queries", "folder", Path("shop")),
    ("calibrate", "--store"): store_of(calibrate, "open_existing"),
    ("calibrate", "--wait"): waited(calibrate, "open_existing"),
    ("export", "CATALOGUE"): Row([], export, "export", "catalogue", Path("out.jsonl")),
    ("export", "--store"): store_of(export, "export"),
    ("export", "--events"): Row(["--events", "e.csv"], export, "export", "events", Path("e.csv")),
    ("export", "--photos"): Row(["--photos", "keep"], export, "export", "photos", "keep"),
    ("export", "--vectors"): Row(["--vectors", "v.safetensors"], export, "export", "vectors", Path("v.safetensors")),
    ("train rerank", "--data"): [
        Row([], train, "read_queries", "folder", Path("shop")),
        Row([], train, "read_qrels", "folder", Path("shop")),
        Row([], train, "read_catalogue", "path", Path("shop")),
    ],
    ("train rerank", "--out"): Row([], train, "check_replaceable", "folder", lambda path: path == Path.cwd() / "out"),
    ("train rerank", "--base"): Row(["--base", "a/b"], train, "CrossEncoderReranker", "model", "a/b"),
    ("train rerank", "--loss"): fitted(["--loss", "ranknet"], "loss", "ranknet"),
    ("train rerank", "--minutes"): fitted(["--minutes", "1.5"], "options", option("max_seconds", 90.0)),
    ("train rerank", "--epochs"): fitted(["--epochs", "3"], "epochs", 3),
    ("train rerank", "--negatives"): Row(["--negatives", "2"], train, "mine_pairs", "negatives", 2),
    ("train rerank", "--max-length"): Row(["--max-length", "9"], train, "CrossEncoderReranker", "max_length", 9),
    ("train rerank", "--seed"): [
        Row(["--seed", "5"], train, "mine_pairs", "seed", 5),
        fitted(["--seed", "5"], "options", option("seed", 5)),
    ],
    ("train rerank", "--store"): Row(["--store", "elsewhere"], Retriever, "open", "folder", Path("elsewhere")),
    ("train rerank", "--checkpoint"): fitted(["--checkpoint", "there"], "options", named("there")),
    ("train rerank", "--tensorboard"): Row(["--tensorboard", "logs"], train, "tensorboard", "folder", Path("logs")),
    ("train rerank", "--wandb"): Row(["--wandb", "shop"], train, "weights_and_biases", "project", "shop"),
}  # fmt: skip
CASES = [(key, row) for key, rows in ROWS.items() for row in (rows if isinstance(rows, list) else [rows])]


def options(parser: ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """Every command with each of its options and positional arguments."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, child in action.choices.items():
                yield from options(child, f"{command} {name}".strip())
        elif action.dest not in ("help", "version"):
            yield command, str(action.option_strings[0] if action.option_strings else action.metavar)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop's files and a store in the working folder; no model is opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop" / "qrels").mkdir(parents=True)
    items = [{"_id": "1", "title": "red lamp"}, {"_id": "2", "title": "green mug"}]
    queries = [{"_id": "q", "text": "red"}, {"_id": "r", "text": "blue"}]
    for name, rows in (("corpus", items), ("queries", queries)):
        (tmp_path / "shop" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "shop" / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\nr\t2\t1\n")
    (tmp_path / "events.jsonl").write_text("")
    for place in ("store", "elsewhere"):
        Retriever(HashEncoder()).save(tmp_path / place)
    shop = Retriever(HashEncoder())
    shop.upsert([Item("1", "red lamp"), Item("2", "blue mug")])
    monkeypatch.setattr(
        Retriever, "open", lambda folder, encoder=None, **_: (encoder and encoder.dim, shop)[1]
    )
    for name in ("TextEncoder", "DualEncoder"):
        monkeypatch.setattr(train, name, lambda *_: HashEncoder())
        monkeypatch.setattr(rebuilding, name, lambda *_: HashEncoder())
    monkeypatch.setattr(reindex, "buildable", lambda *_: {})
    monkeypatch.setattr(train, "_base", lambda *_: None)
    monkeypatch.setattr("twotower.demo.run.run_demo", lambda *_, **__: tmp_path / "page.html")
    return tmp_path


def recording(function: Any, calls: list[dict[str, Any]], *, bound: bool) -> Callable[..., Any]:
    """Stands in for a function: notes its arguments by name, and ends the command.

    Args:
        function: a class, or a function or method, as it is found in its owner.
        calls: where to note.
        bound: whether the first argument is `self`.
    """
    plain = getattr(function, "__func__", function)
    parameters = [
        each for name, each in inspect.signature(plain).parameters.items() if name not in ("self", "cls")
    ]
    signature = inspect.Signature(parameters)

    def stand_in(*given: Any, **named: Any) -> Any:
        arguments = signature.bind(*given[bound:], **named)
        arguments.apply_defaults()
        found = dict(arguments.arguments)
        for each in parameters:
            if each.kind is inspect.Parameter.VAR_KEYWORD:
                found |= found[each.name]
        calls.append(found)
        raise Reached

    return stand_in


ORIGINALS = {
    (row.owner, row.function): inspect.getattr_static(
        importlib.import_module(row.owner) if isinstance(row.owner, str) else row.owner, row.function
    )
    for _, row in CASES
}


def test_every_option_has_a_row():
    assert set(options(make_parser())) == set(ROWS)


@pytest.mark.parametrize(("key", "row"), CASES, ids=[f"{key[0]} {key[1]}" for key, _ in CASES])
def test_an_option_reaches_what_it_is_for(key, row, folder, monkeypatch):
    owner = importlib.import_module(row.owner) if isinstance(row.owner, str) else row.owner
    original = ORIGINALS[row.owner, row.function]
    is_class_method = isinstance(original, classmethod)
    calls: list[dict[str, Any]] = []
    stand_in = recording(original, calls, bound=inspect.isclass(owner) and not is_class_method)
    monkeypatch.setattr(owner, row.function, staticmethod(stand_in) if is_class_method else stand_in)
    with pytest.raises(Reached):
        main([*BASE[key[0]], *row.typed])
    got = calls[0][row.parameter]
    assert row.value(got) if callable(row.value) else got == row.value
