from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError, NotFiniteError, NotFittedError
from rerank.calibration import sigmoid
from rerank.serving import torch as backend


def test_importing_and_constructing_load_no_torch():
    code = """
import sys, rerank
rerank.Decay.half_life()
rerank.CrossEncoderReranker("some/model").score([])
assert list(rerank.__all__) == sorted(rerank.__all__) and set(rerank.__all__) <= set(dir(rerank))
assert all(getattr(rerank, name).__name__ == name for name in rerank.__all__)
heavy = {"torch", "transformers", "sentence_transformers", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
ours = {name for name in sys.modules if name.partition(".")[0] in ("twotower", "multimodal")}
light = ("checks", "errors", "hub", "precision", "text_normalization")
assert ours <= {"multimodal", *(f"multimodal.{name}" for name in light)}, ours
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_scores_equal_those_of_sentence_transformers(scorer, pairs):
    import torch
    from sentence_transformers import CrossEncoder

    reference = CrossEncoder(str(scorer), device="cpu", local_files_only=True)
    expected = reference.predict(pairs, activation_fn=torch.nn.Sigmoid())
    scores = CrossEncoderReranker(scorer, device="cpu").score(pairs)
    assert scores.dtype == np.float32
    assert scores.shape == (60,)
    assert expected.std() > 0.05  # the comparison means something
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_score_depends_on_its_pair_alone(scorer, pairs):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    together = reranker.score(pairs)
    np.testing.assert_allclose([reranker.score([pair])[0] for pair in pairs], together, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(pairs))
    np.testing.assert_allclose(reranker.score([pairs[n] for n in order]), together[order], atol=1e-5)
    for batch_tokens in (1, 64, 100_000):
        other = CrossEncoderReranker(scorer, device="cpu", batch_tokens=batch_tokens).score(pairs)
        np.testing.assert_allclose(other, together, atol=1e-5)


def test_a_pair_given_twice_is_computed_once(scorer, monkeypatch):
    rows = []

    def counting(network, batch, *, bf16=False, forward=backend.forward):
        rows.append(len(batch["input_ids"]))
        return forward(network, batch, bf16=bf16)

    monkeypatch.setattr(backend, "forward", counting)
    a, b = ("red", "red door"), ("red", "blue door")
    scores = CrossEncoderReranker(scorer).score([a, b, a, a])
    assert sum(rows) == 2
    assert scores[0] == scores[2] == scores[3] != scores[1]


def test_text_is_normalized_to_nfkc(scorer):
    reranker = CrossEncoderReranker(scorer)
    wide, plain, other = reranker.score([("ｒｅｄ", "ｄｏｏｒ"), ("red", "door"), ("red", "lamp")])
    assert wide == plain != other


def test_a_long_pair_loses_the_end_of_its_document_and_is_counted(scorer):
    # Of 8 tokens, 3 are special and 4 the query's, which leaves 1 for the document.
    reranker = CrossEncoderReranker(scorer, max_length=8)
    query = "red door pipe tape"
    cut, short, other = reranker.score([(query, "blue lamp saw"), (query, "blue"), (query, "lamp")])
    assert cut == pytest.approx(short, abs=1e-6)
    assert short != pytest.approx(other, abs=1e-3)
    assert reranker.truncated == 1
    long_query = reranker.score([("red " * 30, "door"), ("red " * 30, "")])
    assert np.isfinite(long_query).all()
    assert reranker.truncated == 3


def test_max_length_cannot_exceed_the_model(scorer):
    with pytest.raises(InputError, match="at most 64, got 65"):
        CrossEncoderReranker(scorer, max_length=65).score([("a", "b")])


def test_empty_gives_empty(scorer):
    empty = CrossEncoderReranker(scorer).score([])
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


@pytest.mark.parametrize("bad", ["ab", ("a",), ("a", None), ("a", "b", "c")])
def test_a_bad_pair_is_named_by_its_position(scorer, bad):
    with pytest.raises(InputError, match=r"pairs\[1\] must be"):
        CrossEncoderReranker(scorer).score([("a", "b"), bad])


def test_sigmoid_in_float32():
    logits = np.array([-np.inf, -1000, -80, -9, 0, 9, 9.01, 1000, np.inf], dtype=np.float32)
    scores = sigmoid(logits)
    assert scores.dtype == np.float32
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert scores[6] > scores[5]  # float16 would tie them
    assert scores[2] > 0  # 1 - sigmoid(80) would be 0


def test_a_half_precision_network_is_rounded_once(scorer, pairs):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    exact = reranker.score(pairs)
    reranker._model.network().bfloat16()
    logits, scores = reranker.logits(pairs), reranker.score(pairs)
    assert logits.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits.astype(np.float64))), rtol=1e-6)
    np.testing.assert_allclose(scores, exact, atol=0.05)


def test_nan_is_an_error_that_shows_the_pair(scorer):
    import torch

    reranker = CrossEncoderReranker(scorer)
    with torch.no_grad():
        reranker._model.network().model.classifier.bias.fill_(torch.nan)
    with pytest.raises(NotFiniteError, match="'red', 'door'"):
        reranker.score([("red", "door")])


def test_a_random_head_neither_scores_nor_saves(encoder, tmp_path):
    reranker = CrossEncoderReranker(encoder)
    with pytest.raises(NotFittedError, match="fit"):
        reranker.score([("red", "door")])
    with pytest.raises(NotFittedError, match="fit"):
        reranker.save(tmp_path / "model")


def test_threads_share_one_reranker(scorer, pairs):
    alone = CrossEncoderReranker(scorer, max_length=20).score(pairs)
    reranker = CrossEncoderReranker(scorer, max_length=20)
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(reranker.score, [pairs] * 16):
            np.testing.assert_allclose(scores, alone, atol=1e-6)
    cut = sum(len(f"{query} {document}".split()) > 17 for query, document in pairs)
    assert reranker.truncated == 16 * cut > 0


def test_a_cpu_gets_small_batches(scorer, pairs, batches):
    CrossEncoderReranker(scorer, device="cpu").score(pairs)
    sizes = [mask.size for mask in batches]
    assert len(sizes) > 1
    assert 512 < max(sizes) <= 1024


@pytest.mark.parametrize("argument", ["max_length", "batch_tokens"])
def test_a_bad_argument_is_named(argument):
    with pytest.raises(InputError, match=argument):
        CrossEncoderReranker("some/model", **{argument: 0})
