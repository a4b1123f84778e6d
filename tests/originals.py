"""Invented originals for `python -m benchmarks prepare`, and what is looked at in its output."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks import prepare
from twotower.ingest import check_item, read_catalogue, read_qrels, read_queries
from twotower.types import Query

INTERACTIONS = "user_id\titem_id\ttimestamp\tevent\tquantity\tprice\tinvoice\n"


def run(name: str, source: Path, *options: str) -> tuple[int, Path, list[str], list[str]]:
    """Run the command beside its source: exit code, output folder, lines of stdout and of stderr."""
    folder = source.parent / "out"
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = prepare.main([name, "--from", str(source), "--to", str(folder), *options])
    return code, folder, out.getvalue().splitlines(), err.getvalue().splitlines()


def convert(name: str, source: Path, *options: str) -> tuple[Path, list[str]]:
    """Run the command, which must do; returns the folder and the printed lines."""
    code, folder, out, err = run(name, source, *options)
    assert (code, err) == (0, [])
    return folder, out


def refuse(name: str, source: Path, *options: str) -> str:
    """Run the command, which must fail and leave nothing behind; returns the one line that it says."""
    before = set(source.parent.iterdir())
    code, _, out, err = run(name, source, *options)
    assert (code, out, len(err)) == (1, [], 1)
    assert set(source.parent.iterdir()) == before
    return err[0]


def put(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder with these files."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def packed(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def table(*rows: Sequence[object], delimiter: str = ",") -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def documents(folder: Path) -> list[dict[str, Any]]:
    """The lines of corpus.jsonl."""
    return [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]


def readable(folder: Path) -> tuple[list[str], dict[str, Query], dict[str, dict[str, dict[str, int]]]]:
    """What our readers make of a folder: ids of the catalogue, queries, and judgements by split."""
    items = list(read_catalogue(folder))
    for item in items:
        check_item(item)
    qrels = {path.stem: read_qrels(folder, path.stem) for path in sorted((folder / "qrels").glob("*.tsv"))}
    return [item.id for item in items], read_queries(folder), qrels


def union(qrels: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, Mapping[str, int]]:
    """The judgements of all splits; no query is in two."""
    assert sum(map(len, qrels.values())) == len({query for judged in qrels.values() for query in judged})
    return {query: grades for judged in qrels.values() for query, grades in judged.items()}
