"""The data of a benchmark: any BEIR folder, or the sample shop written as one."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.machine import scratch_folder
from twotower.evaluation.metrics import Qrels
from twotower.ingest import read_catalogue, read_qrels, read_queries
from twotower.recall.columns import Columns
from twotower.recall.filters import parse_where
from twotower.types import Item, Query, Where


@dataclass(frozen=True, slots=True)
class Dataset:
    """A corpus with judged queries: the items in the file's order, the split's queries and their grades by id."""

    folder: Path
    items: tuple[Item, ...]
    queries: Mapping[str, Query]
    qrels: Qrels

    @property
    def worded(self) -> dict[str, Query]:
        """The queries that have words, by id: a text system can answer no others."""
        return {name: query for name, query in self.queries.items() if query.text.strip()}

    @property
    def texts(self) -> dict[str, str]:
        """The words of every query by id; "" for a photo alone."""
        return {name: query.text for name, query in self.queries.items()}

    @property
    def has_photos(self) -> bool:
        """Whether any item has a photo."""
        return any(item.image is not None for item in self.items)

    def judged_only(self, least: int) -> dict[str, dict[str, int]]:
        """The grades of items in the corpus, for each query with words and at least so many of them."""
        known = {item.id for item in self.items}
        judged = {
            query: {item: grade for item, grade in self.qrels[query].items() if item in known}
            for query in self.worded
        }
        return {query: grades for query, grades in judged.items() if len(grades) >= least}


def dataset_of(options: Namespace) -> Dataset:
    """The data that the command line names."""
    limits = {"limit": options.queries, "corpus_limit": options.items}
    return read_dataset(options.data, options.split, where=options.where, **limits)


def read_dataset(
    folder: Path | None,
    split: str,
    *,
    where: Where | None = None,
    limit: int | None = None,
    corpus_limit: int | None = None,
) -> Dataset:
    """Read a BEIR folder.

    Some data sets judge a split over its own products only, which the attribute "split" names. If every judged
    product has the split's name there, the others are left out: nobody has looked at them.

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
    judged = {item for grades in qrels.values() for item in grades}
    if where is None and all(item.attributes.get("split") == split for item in items if item.id in judged):
        where = {"split": split}
    if where is not None:
        passes = parse_where(where).mask(Columns.of(items))
        items = tuple(item for item, passed in zip(items, passes, strict=True) if passed)
    if corpus_limit is not None:
        judged_first = sorted(range(len(items)), key=lambda row: items[row].id not in judged)  # stable
        items = tuple(items[row] for row in sorted(judged_first[: max(corpus_limit, len(judged))]))
    return Dataset(folder, items, {query: queries[query] for query in qrels}, qrels)


def sample_folder(**size: int) -> Path:
    """The shop of `twotower demo` as a BEIR folder with the splits train and dev; `size` is that of `make_shop`."""
    from twotower.demo.shop import make_shop

    folder = scratch_folder("data") / "sample shop"
    (folder / "qrels").mkdir(parents=True)
    shop = make_shop(folder, **size)
    write_json_lines(folder / "corpus.jsonl", map(_item_row, shop.items))
    write_json_lines(
        folder / "queries.jsonl", ({"_id": query.id, "text": query.text} for query in shop.queries)
    )
    for split, name in (("train", "train"), ("test", "dev")):
        judged = [
            f"{query.id}\t{item}\t{grade}\n"
            for query in shop.queries
            if query.split == split
            for item, grade in shop.qrels[query.id].items()
        ]
        (folder / "qrels" / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    return folder


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def _item_row(item: Item) -> dict[str, Any]:
    metadata = {
        "image": None if item.image is None else f"photos/{Path(str(item.image)).name}",
        "time": None if item.time is None else item.time.isoformat(),
    }
    return {"_id": item.id, "title": item.title, "text": item.text, "metadata": metadata}
