"""The data of a benchmark: any BEIR folder, or the sample shop."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.common.machine import scratch_folder
from twotower.demo.shop import Shop, make_shop
from twotower.evaluation.metrics import Qrels
from twotower.ingest import read_catalogue, read_qrels, read_queries
from twotower.recall.filters.columns import Columns
from twotower.recall.filters.where import parse_where
from twotower.types import Item, Query, Where


@dataclass(frozen=True, slots=True)
class Dataset:
    """A corpus with judged queries: the items in the file's order, the split's queries and their grades by id."""

    name: str
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
    """Read a BEIR folder, or without one the sample shop.

    Some data sets judge only the products of a split, which the attribute "split" names. If every judged product has
    the split's name there, the others are left out: nobody has judged them. Limits keep the first queries, their
    judged items, and the first of the other items up to the limit.
    """
    data = sample_shop(split) if folder is None else _read_folder(folder, split)
    qrels, items = dict(list(data.qrels.items())[:limit]), data.items
    judged = {item for grades in qrels.values() for item in grades}
    if where is None and all(item.attributes.get("split") == split for item in items if item.id in judged):
        where = {"split": split}
    if where is not None:
        passes = parse_where(where).mask(Columns.of(items))
        items = tuple(item for item, passed in zip(items, passes, strict=True) if passed)
    if corpus_limit is not None:
        judged_first = sorted(range(len(items)), key=lambda row: items[row].id not in judged)  # stable
        items = tuple(items[row] for row in sorted(judged_first[: max(corpus_limit, len(judged))]))
    return Dataset(data.name, items, {query: data.queries[query] for query in qrels}, qrels)


def _read_folder(folder: Path, split: str) -> Dataset:
    return Dataset(
        folder.name, tuple(read_catalogue(folder)), read_queries(folder), read_qrels(folder, split)
    )


def sample_shop(split: str, **size: int) -> Dataset:
    """The shop of `twotower demo` without its attributes; the queries that it tests with are the split "dev"."""
    shop = _made_shop(**size)
    wanted = "test" if split == "dev" else split
    asked = {query.id: Query(query.text) for query in shop.queries if query.split == wanted}
    qrels = {query: shop.qrels[query] for query in asked}
    items = (Item(item.id, item.title, item.text, image=item.image, time=item.time) for item in shop.items)
    return Dataset("sample shop", tuple(items), asked, qrels)


@cache
def _made_shop(**size: int) -> Shop:
    return make_shop(scratch_folder("shop"), **size)
