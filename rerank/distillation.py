"""A small cross-encoder that scores as a large one does."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank.cross_encoder import CrossEncoderReranker
from rerank.errors import InputError, ModelError
from rerank.layers import encoder_layers
from rerank.tokens import Pair

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


def distil(
    teacher: CrossEncoderReranker, pairs: Sequence[Pair], *, layers: int = 2, **options: Any
) -> CrossEncoderReranker:
    """A student with some of the teacher's layers, trained on the teacher's scores.

    The student starts as the teacher's embeddings, evenly spaced layers (the first and the last among them) and
    head, as in Sanh et al., "DistilBERT", 2019; it is not saved yet.

    Args:
        teacher: a fitted reranker; it stays as it is.
        pairs: n pairs of query text and candidate text like those that will be scored; they need no grades, so
            there can be many.
        layers: of the student.
        options: those of `CrossEncoderReranker.fit`, such as `epochs` and `learning_rate`.

    Raises:
        InputError: there are no pairs, `layers` is not from 1 to the teacher's, or as `fit`.
        NotFittedError: the teacher's head is random.
        ModelError: the teacher is not like BERT, with one list of layers that are all of one kind.
    """
    scores = teacher.score(pairs)
    network = _with_layers(teacher._model.network(), layers)
    student = CrossEncoderReranker(
        teacher.model, device=str(network.device), batch_tokens=teacher._batch_tokens
    )
    student._model.replace(network)
    student.fit(pairs, scores, **options)
    return student


def _with_layers(network: CrossEncoder, count: int) -> CrossEncoder:
    """A copy with that many of its layers."""
    from torch.nn import ModuleList

    name, layers = encoder_layers(network)
    if not 1 <= count <= len(layers):
        raise InputError(f"layers is from 1 to the teacher's {len(layers)}, not {count}.")
    original: Any = network[0].model
    if len(set(getattr(original.config, "layer_types", None) or ())) > 1:
        raise ModelError("The teacher's layers are of several kinds, so some of them do not make a model.")
    student = copy.deepcopy(network)
    model: Any = student[0].model
    kept = np.linspace(0, len(layers) - 1, count).round().astype(int)
    _, layers = encoder_layers(student)
    model.set_submodule(name, ModuleList(layers[number] for number in kept.tolist()))
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:count]
    return student
