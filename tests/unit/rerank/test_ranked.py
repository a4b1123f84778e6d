from __future__ import annotations

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError
from rerank.calibration import Isotonic


def test_rank_is_that_of_sentence_transformers(scorer, pairs):
    import torch
    from sentence_transformers import CrossEncoder

    documents = [document for _, document in pairs]
    reference = CrossEncoder(str(scorer), device="cpu", local_files_only=True)
    expected = reference.rank(
        "red door", documents, top_k=10, return_documents=True, activation_fn=torch.nn.Sigmoid()
    )
    found = CrossEncoderReranker(scorer, device="cpu").rank("red door", documents, top_k=10)
    # Not the positions: the same document is there more than once.
    assert [each.text for each in found] == [each["text"] for each in expected]
    np.testing.assert_allclose(
        [each.score for each in found], [each["score"] for each in expected], atol=1e-5
    )
    assert all(type(each.index) is int and type(each.score) is float for each in found)
    assert all(documents[each.index] == each.text for each in found)


def test_nothing_relevant_is_an_empty_answer(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    documents = ["red door", "lamp", "steel pipe"]
    scores = reranker.score([("red", document) for document in documents])
    best, second, _ = sorted(scores.tolist(), reverse=True)
    assert [each.score for each in reranker.rank("red", documents, min_score=second)] == [best, second]
    assert reranker.rank("red", documents, min_score=best + 1e-6) == []
    assert CrossEncoderReranker("no/model").rank("red", []) == []


def test_ties_keep_their_places(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    found = reranker.rank("red", ["lamp", "red door", "lamp", "red door", "lamp"])
    lamps = [each.index for each in found if each.text == "lamp"]
    assert lamps == [0, 2, 4]


def test_scores_that_are_equal_in_float32_are_ordered_by_logit(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    documents = ["red door", "lamp", "steel pipe", "glue"]
    reranker._model.set_calibration(Isotonic((-1.0, 1.0), (1.0, 1.0)))
    reranker.logits = lambda pairs: np.array([30, 50, 40, 60], dtype=np.float32)  # each a score of 1
    assert [each.index for each in reranker.rank("red", documents)] == [3, 1, 2, 0]


@pytest.mark.parametrize(
    ("documents", "limits", "message"),
    [
        (["a"], {"top_k": 0}, "top_k"),
        (["a"], {"min_score": 1.5}, "min_score"),
        (["a"], {"min_score": float("nan")}, "min_score"),
        ("a text", {}, "documents must be a list"),
        (["a", None], {}, "documents.1. must be text, got None"),
    ],
)
def test_bad_arguments_are_named(documents, limits, message):
    with pytest.raises(InputError, match=message):
        CrossEncoderReranker("no/model").rank("red", documents, **limits)
