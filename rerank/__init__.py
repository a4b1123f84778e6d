"""Reranking: a cross-encoder reads the query beside each candidate, and age takes its share.

Importing this package loads neither torch nor transformers; the classes load them when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerank.backends.choice import BackendReport
    from rerank.calibrating import CalibrationReport, expected_calibration_error
    from rerank.card import Metric, ModelCard
    from rerank.cascade import Cascade, Reranked, Stage
    from rerank.cross_encoder import CrossEncoderReranker
    from rerank.decay import Decay
    from rerank.decay_by import DecayBy
    from rerank.distillation import distil
    from rerank.errors import (
        InputError,
        ModelError,
        ModelNotFoundError,
        NotFiniteError,
        NotFittedError,
        RerankError,
    )
    from rerank.explain import WordWeight
    from rerank.ranking import Ranked
    from rerank.training.mining import MinedPairs, mine_pairs
    from rerank.training.report import Evaluation, FitReport
    from rerank.truncation import TruncationWarning

__all__ = [
    "BackendReport",
    "CalibrationReport",
    "Cascade",
    "CrossEncoderReranker",
    "Decay",
    "DecayBy",
    "Evaluation",
    "FitReport",
    "InputError",
    "Metric",
    "MinedPairs",
    "ModelCard",
    "ModelError",
    "ModelNotFoundError",
    "NotFiniteError",
    "NotFittedError",
    "Ranked",
    "RerankError",
    "Reranked",
    "Stage",
    "TruncationWarning",
    "WordWeight",
    "distil",
    "expected_calibration_error",
    "mine_pairs",
]

_HOMES = {
    "BackendReport": "rerank.backends.choice",
    "Cascade": "rerank.cascade",
    "CalibrationReport": "rerank.calibrating",
    "CrossEncoderReranker": "rerank.cross_encoder",
    "Decay": "rerank.decay",
    "DecayBy": "rerank.decay_by",
    "Reranked": "rerank.cascade",
    "Stage": "rerank.cascade",
    "Ranked": "rerank.ranking",
    "TruncationWarning": "rerank.truncation",
    "WordWeight": "rerank.explain",
    "expected_calibration_error": "rerank.calibrating",
    "distil": "rerank.distillation",
    "Evaluation": "rerank.training.report",
    "FitReport": "rerank.training.report",
    "Metric": "rerank.card",
    "MinedPairs": "rerank.training.mining",
    "ModelCard": "rerank.card",
    "mine_pairs": "rerank.training.mining",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rerank' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "rerank.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
