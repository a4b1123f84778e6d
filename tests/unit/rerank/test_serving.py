"""Every back end scores like torch in float32, and serving from files needs no torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError, ModelError, NotFittedError
from rerank.calibration import Platt, write_calibration
from rerank.cross_encoder.tokens import tokenize
from rerank.serving.tokenizer import read_tokenizer

ROOT = Path(__file__).parents[3]
TOLERANCE = {"torch": 1e-6, "torch-bf16": 0.05, "onnx": 1e-5, "onnx-int8": 0.08, "openvino": 1e-4}


def skip_where_missing(backend):
    if backend == "openvino":
        pytest.importorskip("openvino")


@pytest.mark.parametrize("backend", TOLERANCE)
def test_every_back_end_scores_like_torch(with_onnx, pairs, backend):
    skip_where_missing(backend)
    expected = CrossEncoderReranker(with_onnx, device="cpu").score(pairs)
    scores = CrossEncoderReranker(with_onnx, device="cpu", backend=backend).score(pairs)
    assert scores.dtype == np.float32
    assert expected.std() > 0.05
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE[backend])
    if backend in ("torch-bf16", "onnx-int8"):
        assert not np.array_equal(scores, expected)  # it does compute in another precision


@pytest.mark.parametrize("backend", ["onnx", "onnx-int8", "openvino"])
def test_waiting_for_the_next_batch_uses_no_processor_time(with_onnx, pairs, backend):
    reranker = CrossEncoderReranker(with_onnx, backend=backend)
    used = []
    for _ in range(5):
        reranker.score(pairs)
        before = time.process_time()
        time.sleep(0.03)
        used.append(time.process_time() - before)
    assert np.median(used) < 0.01


def test_a_back_end_that_is_not_installed_is_named_and_skipped(with_onnx, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install 'twotower\[openvino\]'"):
        CrossEncoderReranker(with_onnx, backend="openvino").score(pairs)
    report = CrossEncoderReranker(with_onnx, device="cpu").choose_backend(pairs)
    found = {each.backend: each for each in report.measured}
    assert found["openvino"].refused.startswith("cannot run: this back end needs openvino")


def test_threads_share_openvino(with_onnx, pairs):
    pytest.importorskip("openvino")
    reranker = CrossEncoderReranker(with_onnx, backend="openvino", batch_tokens=64)
    expected = reranker.score(pairs)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: reranker.score(pairs), range(8)):
            assert np.array_equal(found, expected)


def test_tokens_are_the_same_without_transformers(with_onnx, pairs):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(with_onnx)
    files = read_tokenizer(with_onnx)
    assert files.max_length == tokenizer.model_max_length
    texts = [*pairs, ("", ""), ("red " * 80, "door"), ("red", "door lamp " * 80), ("zzz", "ünï 茶 red-door")]
    for limit in (64, 12, 8, 5):
        expected, found = tokenize(tokenizer, texts, limit), files.tokenize(texts, limit)
        assert {name: list(column) for name, column in found.columns.items()} == {
            name: [list(row) for row in column] for name, column in expected.columns.items()
        }
        assert found.truncated.tolist() == expected.truncated.tolist()
        assert found.padding == expected.padding


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_serving_needs_neither_torch_nor_transformers(with_onnx, pairs, backend):
    skip_where_missing(backend)
    expected = CrossEncoderReranker(with_onnx, device="cpu").score(pairs[:3])
    other = "openvino" if backend == "onnx" else "onnxruntime"
    code = f"""
import sys, rerank
scores = rerank.CrossEncoderReranker.load({str(with_onnx)!r}, backend={backend!r}, max_length=60).score({pairs[:3]!r})
assert not {{"torch", "transformers", "sentence_transformers", {other!r}}} & set(sys.modules)
print(*scores)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    np.testing.assert_allclose([float(score) for score in done.stdout.split()], expected, atol=1e-4)


def test_serving_applies_a_calibration_with_numpy_alone(with_onnx, pairs, tmp_path):
    folder = shutil.copytree(with_onnx, tmp_path / "model")
    write_calibration(Platt(0.5, -1.0), folder)
    code = f"""
import sys, rerank
print(*rerank.CrossEncoderReranker.load({str(folder)!r}, backend="onnx").score({pairs[:3]!r}))
assert not {{"torch", "transformers", "sklearn", "scipy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    logits = CrossEncoderReranker(with_onnx, device="cpu").logits(pairs[:3])
    expected = 1 / (1 + np.exp(1 - logits / 2))
    np.testing.assert_allclose([float(score) for score in done.stdout.split()], expected, atol=1e-5)


def test_no_back_end_scores_with_a_random_head(encoder):
    for backend in TOLERANCE:
        with pytest.raises(NotFittedError):
            CrossEncoderReranker(encoder, backend=backend).score([("red", "door")])


def test_max_length_cannot_exceed_that_of_the_exported_model(with_onnx):
    with pytest.raises(InputError, match="must be at most 64, got 65"):
        CrossEncoderReranker(with_onnx, backend="onnx", max_length=65).score([("a", "b")])


def test_an_unknown_back_end_is_named(scorer):
    with pytest.raises(InputError, match=r"backend must be .* or .* got 'tpu'"):
        CrossEncoderReranker(scorer, backend="tpu")
