"""The stages of the demo: recall by text, by photos, by both, with BM25, then a cross-encoder, then time decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from multimodal.clip.encoder import ClipEncoder
from multimodal.fusion import WeightedConcat
from multimodal.hub import DEFAULT_TEXT_MODEL
from multimodal.text.encoder import TextEncoder
from rerank.cross_encoder.reranker import CrossEncoderReranker
from rerank.decay import Decay
from rerank.training.options import FitOptions
from twotower.demo.shop import Shop, ShopQuery
from twotower.evaluation.metrics import evaluate_run
from twotower.presets import Retriever
from twotower.recall.fusion import Convex
from twotower.search.hits import Hits
from twotower.towers.dual_encoder import DualEncoder

# Chosen by nDCG@10 on the train queries. Of text weights 0.1, 0.4 and 0.9 the middle one was best; of lexical weights
# 0, 0.03, 0.06, 0.1, 0.2 and 0.3 (0.850, 0.854, 0.859, 0.861, 0.858, 0.845) the fourth; of relevance weights 0, 0.1
# and 0.4 the middle one; and this decay was the best of 45 for that weight. The depth is what time allows. Test
# scores were visible meanwhile, so the test numbers are not quite unseen.
SEARCHABLE = ("brand", "material", "category", "colour", "pattern")
FUSION = WeightedConcat(text=0.4, image=0.6)
HYBRID = Convex(lexical_weight=0.1)
RELEVANCE_WEIGHT = 0.1
RERANK_DEPTH = 20
DECAY = Decay.linear(scale=30, offset=350, weight=0.05)  # new for a year, then 5 % less

METRICS = ("ndcg@10", "mrr@10", "hr@10")
RELEVANT = 2  # for MRR and HR: the product meets all wishes
LANGUAGES = {"all": ("en", "zh"), "English": ("en",), "Chinese": ("zh",)}
K = 10
Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each query's id the score of each item found."""
Table: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]
"""The mean of each metric, by stage and language."""


@dataclass(frozen=True, slots=True)
class Searcher:
    """A retriever that does not rerank queries that the reranker cannot read.

    Reranking those would replace recall's order with noise. The reranker and the text tower have the same tokenizer,
    so the text tower can tell which queries those are.
    """

    retriever: Retriever
    words: TextEncoder
    shop: Shop

    def search(self, queries: Sequence[ShopQuery], k: int = K) -> dict[str, Hits]:
        """The hits of every query, by the query's id."""
        readable = self.words.readable([query.text for query in queries])
        hits: dict[str, Hits] = {}
        for retriever, wanted in ((self.retriever, True), (self.retriever.using(reranker=None), False)):
            group = [query for query, reads in zip(queries, readable, strict=True) if bool(reads) == wanted]
            found = retriever.search_batch([query.text for query in group], k, now=self.shop.now)
            hits |= {query.id: each for query, each in zip(group, found, strict=True)}
        return hits

    def run(self, queries: Sequence[ShopQuery]) -> Run:
        """The scores of the first hits."""
        return {id_: {hit.id: hit.score for hit in hits} for id_, hits in self.search(queries).items()}


def recall_stages(shop: Shop, words: TextEncoder, photos: ClipEncoder) -> dict[str, Retriever]:
    """Index the shop by text alone, by photos alone and by both; "hybrid" adds BM25 to the last."""
    encoders = {
        "recall, text only": DualEncoder(words),
        "recall, image only": DualEncoder(words, photos, WeightedConcat(text=0, image=1)),
        "fused": DualEncoder(words, photos, FUSION),
    }
    stages = {
        name: Retriever(
            encoder,
            relevance_weight=RELEVANCE_WEIGHT,
            rerank_depth=RERANK_DEPTH,
            hybrid=None,
            searchable=SEARCHABLE,
        )
        for name, encoder in encoders.items()
    }
    for retriever in stages.values():
        retriever.upsert(shop.items, on_error="skip")  # by photos alone, products without one are not found
        retriever.record([event for event in shop.events if event.item in retriever])
    stages["hybrid"] = stages["fused"].using(hybrid=HYBRID)
    return stages


def fit_reranker(shop: Shop, recall: Searcher) -> CrossEncoderReranker:
    """Train a cross-encoder, starting from the text model's weights, on the judgements of the train queries."""
    pairs, grades = training_pairs(shop, recall)
    reranker = CrossEncoderReranker(DEFAULT_TEXT_MODEL)
    options = FitOptions(held_out=0, frozen_layers=3)
    reranker.fit(pairs, grades, epochs=3, learning_rate=1e-4, batch_size=16, options=options)
    return reranker


def training_pairs(
    shop: Shop, recall: Searcher, *, full: int = 8, partial: int = 8, none: int = 4
) -> tuple[list[tuple[str, str]], list[float]]:
    """Pairs of a readable train query and a product, each graded in [0, 1].

    A product that meets all wishes gets 1 whatever its age, which is left to the decay; one that meets some gets
    0.1, because telling these two apart is what recall needs help with; one that recall found but that meets none
    gets 0.

    Args:
        shop: the shop with the train queries.
        recall: finds the candidates.
        full: pairs per query graded 1, at most.
        partial: pairs per query graded 0.1, at most.
        none: pairs per query graded 0, at most.
    """
    rng = np.random.default_rng(0)
    readable = recall.words.readable([query.text for query in shop.queries])
    train = [q for q, reads in zip(shop.queries, readable, strict=True) if reads and q.split == "train"]
    found = recall.search(train, k=40)
    pairs, grades = [], []
    for query in train:
        judged = shop.qrels[query.id]
        recalled = [hit.id for hit in found[query.id]]
        for ids, most, target in (
            ([id_ for id_, grade in judged.items() if grade >= RELEVANT], full, 1.0),
            ([id_ for id_ in recalled if judged.get(id_) == 1], partial, 0.1),
            ([id_ for id_ in recalled if id_ not in judged], none, 0.0),
        ):
            for place in rng.permutation(len(ids))[:most]:
                pairs.append((query.text, recall.retriever.text_of(recall.retriever.get(ids[place]))))
                grades.append(target)
    return pairs, grades


def random_run(shop: Shop, queries: Sequence[ShopQuery]) -> Run:
    """Ten random products for every query."""
    rng = np.random.default_rng(0)
    return {
        query.id: {
            shop.items[row].id: float(K - rank)
            for rank, row in enumerate(rng.permutation(len(shop.items))[:K])
        }
        for query in queries
    }


def measure(run: Run, queries: Sequence[ShopQuery], shop: Shop) -> dict[str, dict[str, float]]:
    """The mean of every metric, by language."""
    return {
        name: evaluate_run(
            run,
            {query.id: shop.qrels[query.id] for query in queries if query.language in spoken},
            METRICS,
            relevant=RELEVANT,
        )
        for name, spoken in LANGUAGES.items()
    }
