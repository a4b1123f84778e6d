"""Two-tower product retrieval: fused text and CLIP vectors, FAISS recall, BERT reranking, time decay.

Importing this package loads neither torch nor faiss; they load when they are first used.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twotower.errors import TwoTowerError
    from twotower.presets import Retriever
    from twotower.recall.fusion import Convex, ReciprocalRank
    from twotower.recall.vectors.policy import IndexPolicy
    from twotower.search.hits import Hits
    from twotower.towers.dual_encoder import DualEncoder
    from twotower.towers.user import UserTower
    from twotower.types import BadEvent, BadItem, Event, Hit, Item, Query, RecordReport, UpsertReport

__all__ = [
    "BadEvent",
    "BadItem",
    "Convex",
    "DualEncoder",
    "Event",
    "Hit",
    "Hits",
    "IndexPolicy",
    "Item",
    "Query",
    "ReciprocalRank",
    "RecordReport",
    "Retriever",
    "TwoTowerError",
    "UpsertReport",
    "UserTower",
]
__version__ = "0.1.0"

_HOMES = {
    "BadEvent": "twotower.types",
    "BadItem": "twotower.types",
    "Convex": "twotower.recall.fusion",
    "DualEncoder": "twotower.towers.dual_encoder",
    "Event": "twotower.types",
    "Hit": "twotower.types",
    "Hits": "twotower.search.hits",
    "IndexPolicy": "twotower.recall.vectors.policy",
    "Item": "twotower.types",
    "Query": "twotower.types",
    "ReciprocalRank": "twotower.recall.fusion",
    "RecordReport": "twotower.types",
    "Retriever": "twotower.presets",
    "TwoTowerError": "twotower.errors",
    "UpsertReport": "twotower.types",
    "UserTower": "twotower.towers.user",
}

FAISS_BUILDS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss")


def _check_single_faiss() -> None:
    """Refuse an environment with two distributions of the package `faiss`: they overwrite each other's files."""
    found = [name for name in FAISS_BUILDS if _is_installed(name)]
    if len(found) > 1:
        raise ImportError(
            f"{' and '.join(found)} are installed together and overwrite each other: run "
            f"`pip uninstall -y {' '.join(found)}`, then install the one you want"
        )


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


_check_single_faiss()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twotower' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
