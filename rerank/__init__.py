"""Reranking: a cross-encoder reads the query together with each candidate, and time decay favours fresh items.

Importing this package loads neither torch nor transformers; the classes load them when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerank.calibration import CalibrationReport, expected_calibration_error
    from rerank.cascade import Cascade, RerankResult, Stage
    from rerank.cross_encoder.reranker import CrossEncoderReranker
    from rerank.cross_encoder.truncation import TruncationWarning
    from rerank.decay import Decay, DecayBy
    from rerank.errors import (
        InputError,
        ModelError,
        ModelNotFoundError,
        NotFiniteError,
        NotFittedError,
        RerankError,
    )
    from rerank.model_card import Metric, ModelCard
    from rerank.ranked import Ranked
    from rerank.serving.choice import BackendReport
    from rerank.training.distillation import distil
    from rerank.training.mining import MinedPairs, mine_pairs
    from rerank.training.options import FitOptions
    from rerank.training.report import FitReport, TrainingEvaluation
    from rerank.word_weights import WordWeight

__all__ = [
    "BackendReport",
    "CalibrationReport",
    "Cascade",
    "CrossEncoderReranker",
    "Decay",
    "DecayBy",
    "FitOptions",
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
    "RerankResult",
    "Stage",
    "TrainingEvaluation",
    "TruncationWarning",
    "WordWeight",
    "distil",
    "expected_calibration_error",
    "mine_pairs",
]

_MODULES = {
    "BackendReport": "rerank.serving.choice",
    "CalibrationReport": "rerank.calibration",
    "Cascade": "rerank.cascade",
    "CrossEncoderReranker": "rerank.cross_encoder.reranker",
    "Decay": "rerank.decay",
    "DecayBy": "rerank.decay",
    "FitOptions": "rerank.training.options",
    "FitReport": "rerank.training.report",
    "Metric": "rerank.model_card",
    "MinedPairs": "rerank.training.mining",
    "ModelCard": "rerank.model_card",
    "Ranked": "rerank.ranked",
    "RerankResult": "rerank.cascade",
    "Stage": "rerank.cascade",
    "TrainingEvaluation": "rerank.training.report",
    "TruncationWarning": "rerank.cross_encoder.truncation",
    "WordWeight": "rerank.word_weights",
    "distil": "rerank.training.distillation",
    "expected_calibration_error": "rerank.calibration",
    "mine_pairs": "rerank.training.mining",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rerank' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES.get(name, "rerank.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
