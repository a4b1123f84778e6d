"""Reranking: a cross-encoder reads the query beside each candidate, and age takes its share.

Importing this package loads neither torch nor transformers; the classes load them when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerank.backends.choice import BackendReport
    from rerank.card import Metric, ModelCard
    from rerank.cross_encoder import CrossEncoderReranker
    from rerank.decay import Decay
    from rerank.errors import (
        InputError,
        ModelError,
        ModelNotFoundError,
        NotFiniteError,
        NotFittedError,
        RerankError,
    )
    from rerank.training.report import Evaluation, FitReport

__all__ = [
    "BackendReport",
    "CrossEncoderReranker",
    "Decay",
    "Evaluation",
    "FitReport",
    "InputError",
    "Metric",
    "ModelCard",
    "ModelError",
    "ModelNotFoundError",
    "NotFiniteError",
    "NotFittedError",
    "RerankError",
]

_HOMES = {
    "BackendReport": "rerank.backends.choice",
    "CrossEncoderReranker": "rerank.cross_encoder",
    "Decay": "rerank.decay",
    "Evaluation": "rerank.training.report",
    "FitReport": "rerank.training.report",
    "Metric": "rerank.card",
    "ModelCard": "rerank.card",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rerank' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "rerank.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
