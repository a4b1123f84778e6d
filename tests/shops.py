"""Small shops whose answers are known, and texts for the tiny cross-encoder of the integration tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
from fakes import HashEncoder

from rerank import CrossEncoderReranker
from twotower import Retriever

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "blue", "green", "steel", "wood", "drill", "lamp", "door", "pipe", "tape", "glue", "saw"]


def aged(days):
    return NOW - timedelta(days=days)


def shop(items, encoder=None, **parts):
    """Searched by vectors alone unless `parts` say otherwise, so that scores are known by construction."""
    retriever = Retriever(encoder or HashEncoder(), **{"hybrid": None, **parts})
    retriever.upsert(items)
    retriever.maintenance.settle()
    return retriever


def ids(hits):
    return [hit.id for hit in hits]


def scores(hits):
    return {hit.id: hit.score for hit in hits}


class Logits(CrossEncoderReranker):
    """A reranker whose candidate texts are their logits."""

    def __init__(self):
        super().__init__("no/model")

    def logits(self, pairs, /):
        return np.array([float(document) for _, document in pairs], dtype=np.float32)


def random_texts(number, most=50):
    """Distinct texts of 1 to `most` words."""
    generator = np.random.default_rng(3)
    texts = (" ".join(generator.choice(WORDS, generator.integers(1, most + 1))) for _ in count())
    distinct = {}
    while len(distinct) < number:
        distinct[next(texts)] = None
    return list(distinct)
