"""Data for benchmarks: any BEIR folder, or the sample shop written as one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.scratch import scratch_folder
from twotower.ingest import read_catalogue, read_qrels, read_queries
from twotower.recall.columns import Columns
from twotower.recall.filters import parse_where
from twotower.types import Item, Query, Where


@dataclass(frozen=True, slots=True)
class Dataset:
    """A corpus with judged queries.

    Args:
        folder: where it was read from.
        items: the corpus, in the file's order.
        queries: of the split, by id.
        qrels: for each query's id the grade of each judged item.
    """

    folder: Path
    items: tuple[Item, ...]
    queries: Mapping[str, Query]
    qrels: Mapping[str, Mapping[str, int]]

    @property
    def worded(self) -> dict[str, Query]:
        """The queries that are not photos alone, by id: all that a system of words can be asked."""
        return {name: query for name, query in self.queries.items() if query.text.strip()}

    @property
    def texts(self) -> dict[str, str]:
        """The words of every query by id; "" for a photo alone."""
        return {name: query.text for name, query in self.queries.items()}


def read_dataset(
    folder: Path | None,
    split: str,
    *,
    where: Where | None = None,
    limit: int | None = None,
    corpus_limit: int | None = None,
) -> Dataset:
    """Read a BEIR folder.

    Some data sets judge a split over its own products only, named by the attribute "split". Where every judged
    product carries the split's name there, the others are left out: they are unjudged because nobody looked.

    Args:
        folder: None makes the sample shop in a temporary folder.
        split: name of the qrels file.
        where: only items that pass this filter; None is all, or the split's own as above.
        limit: only the first so many queries.
        corpus_limit: only the judged items of these, and the first others up to so many in all.
    """
    folder = sample_folder() if folder is None else folder
    qrels = dict(list(read_qrels(folder, split).items())[:limit])
    queries = read_queries(folder)
    items = tuple(read_catalogue(folder))
    if where is None and _judges_only(items, split, qrels):
        where = {"split": split}
    if where is not None:
        passes = parse_where(where).mask(Columns.of(items))
        items = tuple(item for item, passed in zip(items, passes, strict=True) if passed)
    if corpus_limit is not None:
        judged = {item_id for grades in qrels.values() for item_id in grades}
        spare = sorted(range(len(items)), key=lambda row: items[row].id not in judged)  # stable: judged first
        items = tuple(items[row] for row in sorted(spare[: max(corpus_limit, len(judged))]))
    return Dataset(folder, items, {query: queries[query] for query in qrels}, qrels)


def _judges_only(items: Iterable[Item], split: str, qrels: Mapping[str, Mapping[str, int]]) -> bool:
    judged = {item_id for grades in qrels.values() for item_id in grades}
    return all(item.attributes.get("split") == split for item in items if item.id in judged)


def sample_folder() -> Path:
    """The shop of `twotower demo` as a BEIR folder of its own, with the splits train and dev."""
    from twotower.demo.shop import make_shop

    folder = scratch_folder("sample")
    shop = make_shop(folder)
    corpus = (
        {
            "_id": item.id,
            "title": item.title,
            "text": item.text,
            "metadata": {
                "image": str(Path(item.image).resolve().relative_to(folder.resolve()))
                if item.image
                else None,
                "time": item.time.isoformat() if item.time else None,
            },
        }
        for item in shop.items
    )
    _write_lines(folder / "corpus.jsonl", (json.dumps(row, ensure_ascii=False) for row in corpus))
    queries = ({"_id": query.id, "text": query.text} for query in shop.queries)
    _write_lines(folder / "queries.jsonl", (json.dumps(row, ensure_ascii=False) for row in queries))
    (folder / "qrels").mkdir()
    for split, name in (("train", "train"), ("test", "dev")):
        judged = (
            f"{query.id}\t{item}\t{grade}"
            for query in shop.queries
            if query.split == split
            for item, grade in shop.qrels[query.id].items()
        )
        _write_lines(folder / "qrels" / f"{name}.tsv", ["query-id\tcorpus-id\tscore", *judged])
    return folder


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
