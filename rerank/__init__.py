"""Reranking: a cross-encoder reads the query beside each candidate, and age takes its share.

Importing this package loads neither torch nor transformers; the classes load them when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerank.backends.choice import BackendReport
    from rerank.cascade import Cascade, Reranked, Stage
    from rerank.cross_encoder import CrossEncoderReranker
    from rerank.decay import Decay
    from rerank.decay_by import DecayBy
    from rerank.errors import (
        InputError,
        ModelError,
        ModelNotFoundError,
        NotFiniteError,
        NotFittedError,
        RerankError,
    )
    from rerank.training import Evaluation, FitReport

__all__ = [
    "BackendReport",
    "Cascade",
    "CrossEncoderReranker",
    "Decay",
    "DecayBy",
    "Evaluation",
    "FitReport",
    "InputError",
    "ModelError",
    "ModelNotFoundError",
    "NotFiniteError",
    "NotFittedError",
    "RerankError",
    "Reranked",
    "Stage",
]

_HOMES = {
    "BackendReport": "rerank.backends.choice",
    "Cascade": "rerank.cascade",
    "CrossEncoderReranker": "rerank.cross_encoder",
    "Decay": "rerank.decay",
    "DecayBy": "rerank.decay_by",
    "Evaluation": "rerank.training",
    "FitReport": "rerank.training",
    "Reranked": "rerank.cascade",
    "Stage": "rerank.cascade",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rerank' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "rerank.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
