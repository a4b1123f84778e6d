"""Distillation: a small cross-encoder that scores like a large one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank.checks import check_is, check_whole
from rerank.cross_encoder.layers import encoder_layers
from rerank.cross_encoder.reranker import CrossEncoderReranker
from rerank.cross_encoder.tokens import Pair
from rerank.errors import InputError, ModelError
from rerank.training.losses import LossName
from rerank.training.options import FitOptions

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


def distil(
    teacher: CrossEncoderReranker,
    pairs: Sequence[Pair],
    *,
    layers: int = 2,
    loss: LossName | Sequence[LossName] | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    options: FitOptions | None = None,
) -> CrossEncoderReranker:
    """Create a student with some of the teacher's layers, trained on the teacher's scores.

    The student starts with the teacher's embeddings and head and evenly spaced layers, including the first and the
    last, as in Sanh et al., "DistilBERT", 2019. It is not saved yet.

    Args:
        teacher: a fitted reranker, which is left unchanged.
        pairs: n pairs of query text and candidate text like those that will be scored; they need no grades, so
            there can be many.
        layers: how many the student has.
        loss: as in `CrossEncoderReranker.fit`; so are the remaining arguments.
        epochs: the same.
        learning_rate: the same.
        batch_size: the same.
        options: the same.

    Raises:
        InputError: there are no pairs, `layers` is not between 1 and the teacher's; and whatever `fit` raises.
        NotFittedError: the teacher's head is random.
        ModelError: the teacher is not like BERT, with a single list of layers that are all of one kind.
    """
    check_is("teacher", teacher, CrossEncoderReranker, "a CrossEncoderReranker")
    check_whole("layers", layers)
    if options is not None:
        check_is("options", options, FitOptions, "FitOptions")
    scores = teacher.score(pairs)
    network = _with_layers(teacher._model.network(), layers)
    student = CrossEncoderReranker(
        teacher.model, device=str(network.device), batch_tokens=teacher._batch_tokens
    )
    student._model.replace_network(network)
    student.fit(
        pairs,
        scores,
        loss=loss,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        options=options,
    )
    return student


def _with_layers(network: CrossEncoder, count: int) -> CrossEncoder:
    """A copy with that many of its layers."""
    from torch.nn import ModuleList

    name, layers = encoder_layers(network)
    if not 1 <= count <= len(layers):
        raise InputError(f"layers must be between 1 and the teacher's {len(layers)}, got {count}")
    original: Any = network[0].model
    if len(set(getattr(original.config, "layer_types", None) or ())) > 1:
        raise ModelError("the teacher's layers are of several kinds, so a subset of them is not a model")
    student = copy.deepcopy(network)
    model: Any = student[0].model
    kept = np.linspace(0, len(layers) - 1, count).round().astype(int)
    _, layers = encoder_layers(student)
    model.set_submodule(name, ModuleList(layers[number] for number in kept.tolist()))
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:count]
    return student
