"""The rows of the table: every recommender, fitted once on everything before the split."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.common import models
from benchmarks.common.contract import Parameter
from benchmarks.recommend import baselines, ours
from benchmarks.recommend.folder import RecommendFolder
from benchmarks.recommend.memory import Memory, RankedItems, Scores, popularity
from twotower import DualEncoder
from twotower.evaluation.recommendation import Past, Recommend

# Neighbours, regularization and --half-life's 90 days: the best few of September from what was before, on
# online_retail's train split alone. The rest are usual values, not tuned.
RECENT_DAYS = 30.0
NEIGHBOURS = 200
REGULARIZATION = 300.0
ALS_FACTORS, ALS_CONFIDENCE = 64, 1.0
BPR_FACTORS = 64


@dataclass(frozen=True, slots=True)
class FittedSystem:
    """A recommender with what names its row.

    Args:
        name: of the system.
        params: what it was made with.
        recommend: what is evaluated.
    """

    name: str
    params: dict[str, Parameter]
    recommend: Recommend

    @property
    def label(self) -> str:
        """Name and history in one word."""
        return f"{self.name} {self.params.get('history', '')}".rstrip()


def fit_baselines(shop: RecommendFolder, past: Past, options: Namespace) -> Iterator[FittedSystem]:
    """Everything but our own.

    Args:
        shop: its catalogue.
        past: what is before the split.
        options: half_life, seed and threads.
    """
    items = tuple(item.id for item in shop.items)
    rows = {item: row for row, item in enumerate(items)}
    sold = popularity(Memory(rows), past)

    def system(name: str, scores: Scores, **params: Parameter) -> FittedSystem:
        return FittedSystem(name, params, RankedItems(items, sold, scores))

    yield system("random", baselines.random(len(items), options.seed))
    yield system("popularity", baselines.popular(sold))
    recent = baselines.RecentlyPopular(Memory(rows), RECENT_DAYS)
    yield system("recent-popularity", recent, days=RECENT_DAYS)
    for half_life in (None, options.half_life):
        memory, history = Memory(rows, half_life), history_params(half_life)
        users, matrix = memory.matrix(past)
        yield system("repeat", baselines.repeat(memory), **history)
        neighbours = baselines.from_weights(memory, baselines.item_knn(matrix, NEIGHBOURS))
        yield system("item-knn", neighbours, **history, neighbours=NEIGHBOURS)
        weights = baselines.from_weights(memory, baselines.ease(matrix, REGULARIZATION))
        yield system("ease", weights, **history, regularization=REGULARIZATION)
        if find_spec("implicit") is None:
            print("als and bpr are left out: implicit is not installed", file=sys.stderr)
            continue
        solver = {"seed": options.seed, "threads": options.threads}
        scores = baselines.als(memory, matrix, factors=ALS_FACTORS, confidence=ALS_CONFIDENCE, **solver)
        yield system("als", scores, **history, factors=ALS_FACTORS, alpha=ALS_CONFIDENCE)
        if half_life is None:  # reads only who bought what, which decay leaves as it is
            scores = baselines.bpr(users, matrix, factors=BPR_FACTORS, seed=options.seed)
            yield system("bpr", scores, factors=BPR_FACTORS)


def index_ours(shop: RecommendFolder, options: Namespace) -> Iterator[FittedSystem]:
    """Our retriever over titles, without decay by the items' own dates: a first sale's date tells of the future."""
    vectors = DualEncoder(models.text_encoder(options)).encode_items(shop.items)
    encoder = ours.Encoded(dict(zip((item.id for item in shop.items), vectors, strict=True)))
    # By default 500 events of a user are read, and items of older ones are recommended as if they were new.
    newest = max(500, *Counter(event.user for event in shop.events).values())
    for half_life in (None, options.half_life):
        recommend = ours.TwoTower.over(shop.items, encoder, half_life, newest)
        yield FittedSystem("twotower", history_params(half_life), recommend)


def history_params(half_life: float | None) -> dict[str, Parameter]:
    """How a row says what it remembers."""
    if half_life is None:
        return {"history": "all"}
    return {"history": "decayed", "half_life_days": half_life}
