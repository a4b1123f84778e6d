"""Two-tower product retrieval: fused text and CLIP vectors, FAISS recall, BERT reranking, time decay.

Importing this package loads neither torch nor faiss; they load when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twotower._installed import check_single_faiss

if TYPE_CHECKING:
    from twotower.errors import TwoTowerError
    from twotower.recall.hybrid import Convex, ReciprocalRank
    from twotower.recall.vectors.policy import IndexPolicy
    from twotower.retriever import Retriever
    from twotower.towers.dual_encoder import DualEncoder
    from twotower.towers.user import UserTower
    from twotower.types import BadItem, Event, Hit, Item, Query, UpsertReport

__all__ = [
    "BadItem",
    "Convex",
    "DualEncoder",
    "Event",
    "Hit",
    "IndexPolicy",
    "Item",
    "Query",
    "ReciprocalRank",
    "Retriever",
    "TwoTowerError",
    "UpsertReport",
    "UserTower",
]
__version__ = "0.1.0"

_HOMES = {
    "BadItem": "twotower.types",
    "Convex": "twotower.recall.hybrid",
    "DualEncoder": "twotower.towers.dual_encoder",
    "Event": "twotower.types",
    "Hit": "twotower.types",
    "IndexPolicy": "twotower.recall.vectors.policy",
    "Item": "twotower.types",
    "Query": "twotower.types",
    "ReciprocalRank": "twotower.recall.hybrid",
    "Retriever": "twotower.retriever",
    "TwoTowerError": "twotower.errors",
    "UpsertReport": "twotower.types",
    "UserTower": "twotower.towers.user",
}

check_single_faiss()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twotower' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
