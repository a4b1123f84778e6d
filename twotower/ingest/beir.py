"""Read a BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv.

Source of the layout: Thakur et al. 2021, "BEIR: A Heterogenous Benchmark for Zero-shot Evaluation of
Information Retrieval Models", https://github.com/beir-cellar/beir.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.fields import image_path, required_text, text
from twotower.ingest.formats import check_readable
from twotower.ingest.jsonl import read_jsonl
from twotower.ingest.lines import read_lines
from twotower.ingest.row import OnBad, Row, stop
from twotower.types import Query

_QRELS_HEADER = ["query-id", "corpus-id", "score"]


def corpus_rows(folder: Path, on_bad: OnBad = stop) -> Iterator[Row]:
    """The rows of corpus.jsonl, with the keys of `metadata` merged into them."""
    return _rows(folder / "corpus.jsonl", on_bad)


def read_queries(folder: Path) -> dict[str, Query]:
    """Read queries.jsonl: {"_id", "text"}, and for a photo {"metadata": {"image": ...}}.

    Args:
        folder: the BEIR folder; images are relative to it and must not leave it.

    Returns:
        The queries by id, in the order of the file; their images are absolute paths.

    Raises:
        CatalogueError: the file is missing, a row cannot be read, or an id occurs twice.
    """
    home = Path(folder).resolve()
    queries: dict[str, Query] = {}
    for row in _rows(Path(folder) / "queries.jsonl"):
        query_id = required_text(row, "_id")
        if query_id in queries:
            raise row.error("_id", f"the query {query_id!r} occurs twice: keep one of them")
        query = Query(text(row, "text"), image_path(row, "image", home))
        if query.kind == "nothing":
            raise row.error("text", "the query has neither text nor an image: add one")
        queries[query_id] = query
    return queries


def read_qrels(folder: Path, split: str) -> dict[str, dict[str, int]]:
    """Read the judgements of one split: qrels/<split>.tsv with the header query-id, corpus-id, score.

    Args:
        folder: the BEIR folder.
        split: such as "dev".

    Returns:
        For each query's id the grade of each judged document by its id.

    Raises:
        CatalogueError: there is no such split, or a line cannot be read.
    """
    path = Path(folder) / "qrels" / f"{split}.tsv"
    if not path.is_file():
        splits = ", ".join(sorted(file.stem for file in path.parent.glob("*.tsv"))) or "none"
        raise CatalogueError(f"{path} is not a file: the splits are {splits}")
    lines = _text_lines(path)
    if _cells(next(lines, (1, ""))[1]) != _QRELS_HEADER:
        raise CatalogueError(
            f"{path}, line 1 must be the header {', '.join(_QRELS_HEADER)}, separated by tabs"
        )
    qrels: dict[str, dict[str, int]] = {}
    for number, line in lines:
        if not line.strip():
            continue
        row = Row(f"{path}, line {number}", {})
        query_id, document_id, grade = _judgement(row, _cells(line))
        if document_id in qrels.setdefault(query_id, {}):
            raise row.error(
                "corpus-id", f"{document_id!r} is judged twice for this query: keep one judgement"
            )
        qrels[query_id][document_id] = grade
    return qrels


def _rows(path: Path, on_bad: OnBad = stop) -> Iterator[Row]:
    check_readable(path)
    return _lifted(read_jsonl(path, on_bad=on_bad), on_bad)


def _lifted(rows: Iterator[Row], on_bad: OnBad) -> Iterator[Row]:
    for row in rows:
        try:
            lifted = _lift_metadata(row)
        except CatalogueError as error:
            on_bad(error)
        else:
            yield lifted


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in read_lines(path):
        if isinstance(line, CatalogueError):
            raise line
        yield number, line


def _cells(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t")


def _lift_metadata(row: Row) -> Row:
    metadata = row.values.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise row.error("metadata", "it must be a JSON object")
    outer = {name: value for name, value in row.values.items() if name != "metadata"}
    for name in sorted(outer.keys() & metadata.keys()):
        raise row.error(f"metadata.{name}", "it also occurs outside metadata: rename one of them")
    return Row(row.place, outer | metadata)


def _judgement(row: Row, cells: list[str]) -> tuple[str, str, int]:
    if len(cells) != len(_QRELS_HEADER):
        raise row.error("score", f"the line has {len(cells)} cells, not {len(_QRELS_HEADER)}: repair it")
    try:
        return cells[0], cells[1], int(cells[2])
    except ValueError:
        raise row.error(
            "score", f"{cells[2]!r} is not a whole number: write the grade as an integer"
        ) from None
