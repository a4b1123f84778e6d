"""A BEIR folder with behaviour beside it, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from twotower.errors import CatalogueError
from twotower.ingest.row import Row

QRELS_HEADER = "query-id\tcorpus-id\tscore\n"
WORDLESS = "documents without title, text and photo, left out"
OF_WORDLESS = "judgements and interactions of such documents, left out"
REPEATED = "judgements of a pair that was judged before; the highest grade is kept"
IN_TWO_SPLITS = "judgements of a query that another split has, left out"


class Interaction(NamedTuple):
    """One line of interactions/<split>.tsv.

    Args:
        user_id: of the user.
        item_id: of a document.
        timestamp: unix seconds, UTC.
        event: such as "purchase".
        quantity: pieces bought, or the stars of a rating.
        price: of one piece; None is unknown.
        invoice: what was bought together; "" is unknown.
    """

    user_id: str
    item_id: str
    timestamp: int
    event: str
    quantity: float
    price: float | None = None
    invoice: str = ""


class Output:
    """The files of one data set. Documents and queries come before the judgements and interactions of them.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter(documents=0, queries=0, judgements=0, interactions=0)
        self.notes: Counter[str] = Counter()  # rows that a documented rule dropped or changed, by rule
        self._documents: dict[str, bool] = {}  # whether it was written
        self._queries: dict[str, str] = {}
        self._splits: dict[str, str] = {}
        self._grades: dict[str, dict[str, dict[str, int]]] = {}
        self._corpus: IO[str] = _create(folder / "corpus.jsonl")

    def document(
        self,
        row: Row,
        document_id: str,
        title: str,
        text: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a document; metadata that is None, "" or an empty list is unknown and left out.

        Raises:
            CatalogueError: the id cannot stand in a file parted by tabs, or was there before.
        """
        _check_id(row, document_id)
        if document_id in self._documents:
            raise row.error("id", f"the document {document_id!r} was there before; keep one of them")
        known = {name: value for name, value in (metadata or {}).items() if value not in (None, "", [], {})}
        self._documents[document_id] = bool(title or text or known.get("image"))
        if not self._documents[document_id]:
            self.notes[WORDLESS] += 1
            return
        _write_json(self._corpus, {"_id": document_id, "title": title, "text": text, "metadata": known})
        self.counts["documents"] += 1

    def query(self, row: Row, query_id: str, text: str) -> None:
        """Keep a query.

        Raises:
            CatalogueError: the id cannot stand in a file parted by tabs, or was there before with another text.
        """
        _check_id(row, query_id)
        if self._queries.setdefault(query_id, text) != text:
            raise row.error("query", f"the query {query_id!r} had another text before; keep one of them")

    def judge(self, row: Row, split: str, query_id: str, document_id: str, grade: int) -> None:
        """Keep a judgement; higher grades are better.

        Raises:
            CatalogueError: the query or the document is not there.
        """
        if query_id not in self._queries:
            raise row.error("query", f"there is no query {query_id!r}; give the complete original download")
        if not self._has(row, document_id):
            return
        if self._splits.setdefault(query_id, split) != split:
            self.notes[IN_TWO_SPLITS] += 1
            return
        grades = self._grades.setdefault(split, {}).setdefault(query_id, {})
        self.notes[REPEATED] += document_id in grades
        grades[document_id] = max(grade, grades.get(document_id, grade))

    def interactions(self, row: Row, split: str, events: Iterable[Interaction]) -> None:
        """Write the behaviour of one split, given in time order; a split without any gets no file.

        Raises:
            CatalogueError: an item is not among the documents, or an id cannot stand in a file parted by tabs.
        """
        path = self.folder / "interactions" / f"{split}.tsv"
        path.parent.mkdir(exist_ok=True)
        written = 0
        with _create(path) as file:
            file.write("\t".join(Interaction._fields) + "\n")
            for event in events:
                for cell in (event.user_id, event.event):
                    _check_id(row, cell)
                if event.invoice:
                    _check_id(row, event.invoice)
                if self._has(row, event.item_id):
                    file.write("\t".join("" if cell is None else str(cell) for cell in event) + "\n")
                    written += 1
        self.counts["interactions"] += written
        if not written:
            path.unlink()

    def finish(self) -> None:
        """Write what was kept, and close the files."""
        self._corpus.close()
        if self._queries:
            with _create(self.folder / "queries.jsonl") as file:
                for query_id, text in self._queries.items():
                    _write_json(file, {"_id": query_id, "text": text})
            (self.folder / "qrels").mkdir()
        for split, queries in self._grades.items():
            with _create(self.folder / "qrels" / f"{split}.tsv") as file:
                file.write(QRELS_HEADER)
                for query_id, grades in queries.items():
                    file.writelines(
                        f"{query_id}\t{document}\t{grade}\n" for document, grade in grades.items()
                    )
                    self.counts["judgements"] += len(grades)
        self.counts["queries"] = len(self._queries)

    def close(self) -> None:
        """Close the files; nothing more is written."""
        self._corpus.close()

    def _has(self, row: Row, document_id: str) -> bool:
        if document_id not in self._documents:
            raise row.error(
                "id", f"there is no document {document_id!r}; give the complete original download"
            )
        if not self._documents[document_id]:
            self.notes[OF_WORDLESS] += 1
        return self._documents[document_id]


@contextmanager
def writing(folder: Path) -> Iterator[Output]:
    """Write into a folder beside the one that is meant, and rename it when everything is there.

    Args:
        folder: it does not exist yet, or is empty.

    Raises:
        CatalogueError: it holds something.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CatalogueError(f"{folder} is not empty; give a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        output = Output(partial)
        try:
            yield output
            output.finish()
        finally:
            output.close()
        partial.rename(folder)
    except BaseException:  # Ctrl-C, too
        shutil.rmtree(partial, ignore_errors=True)
        raise


def split_by_hash(text: str, dev_share: float) -> str:
    """The split "dev" for a share of all texts, else "train"; the same for the same words on every machine.

    Args:
        text: a query's words, whose case and blanks do not count, or an id.
        dev_share: in [0, 1].
    """
    digest = hashlib.sha256(" ".join(text.casefold().split()).encode()).digest()
    return "dev" if int.from_bytes(digest[:8], "big") < dev_share * 2**64 else "train"


def _check_id(row: Row, value: str) -> None:
    if not value or value.splitlines() != [value] or "\t" in value:
        raise row.error("id", f"{value!r} is empty or has a tab or line end; repair it")


def _create(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="\n")


def _write_json(file: IO[str], value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
