"""The rows of the table: every recommender, fitted once on everything before the split, and the library's own."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from benchmarks.common import models
from benchmarks.common.cached_towers import cached_texts
from benchmarks.common.contract import Parameter
from benchmarks.common.machine import installed
from benchmarks.recommend import baselines
from benchmarks.recommend.folder import RecommendFolder
from benchmarks.recommend.memory import Memory, RankedItems, Scores
from twotower import DualEncoder, Item, Retriever, UserTower
from twotower.evaluation import Past, time_split
from twotower.evaluation.recommendation import Recommend
from twotower.recommend import Recommender
from twotower.types import Encoder

# Neighbours, regularization and --half-life's 90 days: the best few of September from what was before, on
# online_retail's train split alone. The rest are usual values, not tuned.
RECENT_DAYS = 30.0
NEIGHBOURS = 200
REGULARIZATION = 300.0
ALS_FACTORS, ALS_CONFIDENCE = 64, 1.0
BPR_FACTORS = 64


@dataclass(frozen=True, slots=True)
class FittedSystem:
    """A recommender with the name and the parameters of its row."""

    name: str
    params: dict[str, Parameter]
    recommend: Recommend

    @property
    def label(self) -> str:
        """Name and history in one word."""
        return f"{self.name} {self.params.get('history', '')}".rstrip()


def fit_baselines(shop: RecommendFolder, past: Past, options: Namespace) -> Iterator[FittedSystem]:
    """Everything but our own, fitted on the past before the split."""
    items = tuple(item.id for item in shop.items)
    rows = {item: row for row, item in enumerate(items)}
    sold = Memory(rows).counts(past.since(), past.moment)

    def system(name: str, scores: Scores, **params: Parameter) -> FittedSystem:
        return FittedSystem(name, params, RankedItems(items, sold, scores))

    yield system("random", baselines.random(len(items), options.seed))
    yield system("popularity", baselines.popular(sold))
    recent = baselines.RecentlyPopular(Memory(rows), RECENT_DAYS)
    yield system("recent-popularity", recent, days=RECENT_DAYS)
    factorised = installed("als and bpr", "implicit")
    for half_life in (None, options.half_life):
        memory, history = Memory(rows, half_life), history_params(half_life)
        users, matrix = memory.matrix(past)
        yield system("repeat", baselines.repeat(memory), **history)
        neighbours = baselines.from_weights(memory, baselines.item_knn(matrix, NEIGHBOURS))
        yield system("item-knn", neighbours, **history, neighbours=NEIGHBOURS)
        weights = baselines.from_weights(memory, baselines.ease(matrix, REGULARIZATION))
        yield system("ease", weights, **history, regularization=REGULARIZATION)
        if not factorised:
            continue
        solver = {"seed": options.seed, "threads": options.threads}
        scores = baselines.als(memory, matrix, factors=ALS_FACTORS, confidence=ALS_CONFIDENCE, **solver)
        yield system("als", scores, **history, factors=ALS_FACTORS, alpha=ALS_CONFIDENCE)
        if half_life is None:  # reads only who bought what, which decay leaves as it is
            scores = baselines.bpr(users, matrix, factors=BPR_FACTORS, seed=options.seed)
            yield system("bpr", scores, factors=BPR_FACTORS)


def index_ours(shop: RecommendFolder, options: Namespace) -> Iterator[FittedSystem]:
    """Our retriever over titles, without decay by the items' own dates: a first sale's date reveals the future."""
    encoder = DualEncoder(cached_texts(models.text_encoder(options)))
    # By default 500 events of a user are read, and items of older events are recommended as if they were new.
    newest = max(500, *Counter(event.user for event in shop.events).values())
    for half_life in (None, options.half_life):
        recommend = TwoTower.over(shop.items, encoder, half_life, newest)
        yield FittedSystem("twotower", history_params(half_life), recommend)
    yield FittedSystem("twotower", {"history": "fitted"}, fit_ours(shop, encoder, options.seed))


def fit_ours(shop: RecommendFolder, encoder: Encoder, seed: int) -> TwoTower:
    """Our retriever with a recommender, fitted on everything before the split."""
    retriever = Retriever(encoder)
    retriever.upsert(shop.items, progress=False)
    before, _ = time_split(shop.events, shop.start)
    retriever.record(before)
    recommender = Recommender.fit(retriever, until=shop.start, seed=seed)
    return TwoTower(retriever.using(recommender=recommender), len(before))


@dataclass
class TwoTower:
    """`Retriever.recommend` over an index of the whole catalogue, with every event of the past recorded.

    Events are recorded when the past first holds them, and `now` is just before the moment of prediction, because
    the retriever sees events up to and including `now`. Someone without a past gets the retriever's own fallback:
    everybody's newest events as one history.
    """

    retriever: Retriever
    _recorded: int = 0

    @classmethod
    def over(cls, items: Sequence[Item], encoder: Encoder, half_life: float | None, newest: int) -> TwoTower:
        """Index the catalogue; `newest` events of a user are read, and `exclude_seen` forgets items of older ones."""
        tower = UserTower(half_life=np.inf if half_life is None else half_life, newest=newest)
        retriever = Retriever(encoder, user_tower=tower)
        retriever.upsert(items, progress=False)
        return cls(retriever)

    def __call__(self, user: str, past: Past, k: int, exclude: frozenset[str], /) -> list[str]:
        """What the retriever recommends."""
        if new := past.since(self._recorded):
            self.retriever.record(new)
            self._recorded = len(past)
        before = past.moment - timedelta(microseconds=1)
        return [hit.id for hit in self.retriever.recommend(user, k, now=before, exclude_seen=bool(exclude))]


def history_params(half_life: float | None) -> dict[str, Parameter]:
    """How a row says what it remembers."""
    if half_life is None:
        return {"history": "all"}
    return {"history": "decayed", "half_life_days": half_life}
