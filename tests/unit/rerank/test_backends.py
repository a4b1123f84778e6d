"""Every back end scores as float32 in torch does, and the choice between them is by measure."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError, ModelError, NotFittedError, model
from rerank.backends.choice import Gate, choose
from rerank.backends.export import _leave_out_unread_tokens, _quantize, export, exported
from rerank.backends.files import read_tokenizer
from rerank.backends.network import TorchBackend
from rerank.cache import ScoreCache
from rerank.calibration import Platt, sigmoid, write_calibration
from rerank.tokens import tokenize

ROOT = Path(__file__).parents[3]
EXACT = {"torch": 1e-6, "torch-bf16": 0.05, "onnx": 1e-5, "onnx-int8": 0.08, "openvino": 1e-4}


@pytest.fixture(scope="module")
def with_onnx(scorer, tmp_path_factory):
    """A saved model with its ONNX files."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    CrossEncoderReranker(scorer, backend="onnx-int8").save(folder)
    return folder


@pytest.mark.parametrize("backend", ["onnx", "onnx-int8", "openvino"])
def test_waiting_for_the_next_batch_takes_no_processor(with_onnx, pairs, backend):
    reranker = CrossEncoderReranker(with_onnx, backend=backend)
    used = []
    for _ in range(5):
        reranker.score(pairs)
        before = time.process_time()
        time.sleep(0.03)
        used.append(time.process_time() - before)
    assert np.median(used) < 0.01


def test_an_exporter_that_fails_is_told_and_skipped(scorer, pairs, monkeypatch):
    def broken(*given, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr("torch.onnx.export", broken)
    report = CrossEncoderReranker(scorer, device="cpu").choose_backend(pairs)
    found = {each.backend: each.refused for each in report.measured}
    assert report.chosen in ("torch", "torch-bf16")
    assert found["onnx-int8"] == (
        "cannot run: This model cannot be exported here (no such operator): use the torch back end."
    )


def test_a_full_disk_is_not_the_models_fault(scorer, pairs, monkeypatch):
    def full(*given, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.onnx.export", full)
    with pytest.raises(OSError, match="No space left"):
        CrossEncoderReranker(scorer, device="cpu", backend="onnx").score(pairs)


def test_shapes_that_an_exporter_notes_wrongly_do_not_matter(with_onnx, tmp_path):
    """As torch 2.11 does of values on the way."""
    import onnx

    network = onnx.load(with_onnx / "onnx" / "model.onnx")
    noted = [each for each in network.graph.value_info if each.type.tensor_type.shape.dim]
    assert noted
    for each in noted:
        each.type.tensor_type.shape.dim[0].dim_value = 77
    onnx.save(network, tmp_path / "wrong.onnx")
    _quantize(tmp_path / "wrong.onnx", tmp_path / "int8.onnx")
    expected = (with_onnx / "onnx" / "model-int8.onnx").read_bytes()
    assert (tmp_path / "int8.onnx").read_bytes() == expected


def skip_where_missing(backend):
    if backend == "openvino":
        pytest.importorskip("openvino")


@pytest.mark.parametrize("backend", EXACT)
def test_every_back_end_scores_as_torch_does(with_onnx, pairs, backend):
    skip_where_missing(backend)
    expected = CrossEncoderReranker(with_onnx, device="cpu").score(pairs)
    scores = CrossEncoderReranker(with_onnx, device="cpu", backend=backend).score(pairs)
    assert scores.dtype == np.float32
    assert expected.std() > 0.05
    np.testing.assert_allclose(scores, expected, atol=EXACT[backend])
    if backend in ("torch-bf16", "onnx-int8"):
        assert not np.array_equal(scores, expected)  # it does compute otherwise


@pytest.mark.parametrize("reads_all", [False, True])
def test_the_last_layer_computes_only_what_the_head_reads(scorer, reads_all):
    """The first token; all of them, and nothing changes, where a head takes their mean."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(scorer, attn_implementation="eager").eval()
    if reads_all:
        model.bert.pooler.register_forward_pre_hook(lambda _, given: (given[0].mean(1, keepdim=True),))
    inputs = {"input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])}
    inputs["attention_mask"] = (inputs["input_ids"] > 0).long()
    computed = []
    model.bert.encoder.layer[-1].intermediate.register_forward_pre_hook(
        lambda _, given: computed.append(given[0].shape[1])
    )
    with torch.inference_mode():
        expected = model(**inputs).logits
        _leave_out_unread_tokens(model, inputs)
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-6)
    assert (computed[0], computed[-1]) == (4, 4 if reads_all else 1)


def test_a_back_end_that_is_not_installed_is_told_and_skipped(with_onnx, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match="pip install openvino"):
        CrossEncoderReranker(with_onnx, backend="openvino").score(pairs)
    report = CrossEncoderReranker(with_onnx, device="cpu").choose_backend(pairs)
    found = {each.backend: each for each in report.measured}
    assert found["openvino"].refused.startswith("cannot run: The back end needs OpenVINO")


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
        assert found.cut.tolist() == expected.cut.tolist()
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


def test_other_weights_are_exported_anew(with_onnx, encoder, tmp_path):
    """Files of other weights are never used; damaged ones are an error."""
    shutil.copytree(with_onnx, tmp_path / "model")
    assert exported(tmp_path / "model", "onnx") == tmp_path / "model" / "onnx" / "model.onnx"
    file = tmp_path / "model" / "onnx" / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="is not what was exported"):
        CrossEncoderReranker(tmp_path / "model", backend="onnx").score([("red", "door")])
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    assert exported(tmp_path / "model", "onnx") is None
    assert exported(encoder, "onnx") is None


def test_what_was_exported_is_saved_and_not_exported_again(scorer, pairs, tmp_path, monkeypatch):
    reranker = CrossEncoderReranker(scorer, device="cpu", backend="onnx")
    expected = reranker.score(pairs)  # exports
    again = []
    monkeypatch.setattr(model, "export", lambda *given: again.append(export(*given)))
    reranker.save(tmp_path / "first")
    CrossEncoderReranker(tmp_path / "first", device="cpu", backend="onnx").save(tmp_path / "second")
    assert again == []
    found = CrossEncoderReranker(tmp_path / "second", device="cpu", backend="onnx").score(pairs)
    np.testing.assert_array_equal(found, expected)
    reranker.fit(pairs, np.linspace(0, 1, len(pairs)), held_out=0, progress=False)  # other weights
    reranker.save(tmp_path / "third")
    assert len(again) == 1
    trained = CrossEncoderReranker(tmp_path / "third", device="cpu", backend="onnx").score(pairs)
    np.testing.assert_allclose(trained, CrossEncoderReranker(tmp_path / "third").score(pairs), atol=1e-5)


def test_training_reaches_every_back_end(with_onnx, pairs):
    """After `fit` the files of the folder are old."""
    reranker = CrossEncoderReranker(with_onnx, backend="onnx")
    before = reranker.score(pairs)
    grades = [float("red" in document) for _, document in pairs]
    reranker.fit(pairs, grades, epochs=3, learning_rate=1e-2, held_out=0, progress=False)
    after = reranker.score(pairs)
    assert np.abs(after - before).max() > 0.05
    network = reranker._model.backend("torch")
    np.testing.assert_allclose(after, sigmoid(network.logits(network.tokenize(pairs))), atol=1e-5)


def test_a_random_head_scores_through_no_back_end(encoder):
    for backend in EXACT:
        with pytest.raises(NotFittedError):
            CrossEncoderReranker(encoder, backend=backend).score([("red", "door")])


def test_the_fastest_that_scores_as_float32_is_chosen(with_onnx, pairs):
    reranker = CrossEncoderReranker(with_onnx, backend="auto", device="cpu")
    few = reranker.score(pairs[:5])
    assert reranker.backend == "auto"  # too few to measure with
    report = reranker.choose_backend(pairs, most_score_error=1e-4)
    assert reranker.backend == report.chosen in ("torch", "onnx", "openvino")
    found = {each.backend: each for each in report.measured}
    assert found["onnx-int8"].score_error > 1e-4
    assert "is allowed" in found["onnx-int8"].refused
    assert f"{report.chosen}: " in "\n".join(report.lines())
    assert sum("chosen" in line for line in report.lines()) == 1
    np.testing.assert_allclose(reranker.score(pairs[:5]), few, atol=1e-5)


def test_auto_measures_with_the_first_pairs_that_are_enough(with_onnx):
    reranker = CrossEncoderReranker(with_onnx, backend="auto", device="cpu")
    expected = CrossEncoderReranker(with_onnx, device="cpu")
    many = [("red door", f"{first} {second}") for first in "abcdefgh" for second in "abcdefgh"]
    np.testing.assert_allclose(reranker.score(many), expected.score(many), atol=0.08)
    assert reranker.backend != "auto"


class Fake:
    """A back end with known speed and scores."""

    def __init__(self, clock, seconds, logits):
        self.clock, self.seconds, self.found = clock, seconds, np.array(logits, dtype=np.float32)

    def tokenize(self, pairs):
        return pairs

    def logits(self, tokens):
        self.clock.now += self.seconds
        return self.found


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_gate_looks_at_scores_and_at_ranks():
    """Planted faults: a fast one that is far off, a faster one that swaps two candidates, one that cannot run."""
    clock = Clock()
    pairs = [("q", "a"), ("q", "b"), ("q", "c"), ("r", "a"), ("r", "b")]
    grades = [2, 1, 0, 1, 0]
    right = [2.0, 1.0, -1.0, 1.0, -1.0]

    def missing():
        raise ModelError("it is not installed")

    backends = {
        "torch": lambda: Fake(clock, 10.0, right),
        "torch-bf16": lambda: Fake(clock, 5.0, np.add(right, 0.02)),
        "onnx": missing,
        "onnx-int8": lambda: Fake(clock, 1.0, [1.99, 1.0, -1.0, -0.01, 0.0]),
    }
    report = choose(backends, pairs, sigmoid, Gate(0.2, 0.003), grades, clock=clock)
    found = {each.backend: each for each in report.measured}
    assert report.chosen == "torch-bf16"
    assert found["torch-bf16"].seconds == 5.0
    assert found["torch-bf16"].ndcg_loss == 0
    assert found["onnx-int8"].ndcg_loss == pytest.approx((1 - 1 / np.log2(3)) / 2)  # the second query of two
    assert "nDCG loss" in found["onnx-int8"].refused
    assert found["onnx"].refused == "cannot run: it is not installed"
    strict = choose(backends, pairs, sigmoid, Gate(0.001, 1.0), grades, clock=clock)
    assert strict.chosen == "torch"
    assert choose(backends, pairs, sigmoid, Gate(0.2, 0.003), clock=clock).chosen == "onnx-int8"


def test_wrong_arguments_are_told(scorer, with_onnx):
    with pytest.raises(InputError, match="backend is one of"):
        CrossEncoderReranker(scorer, backend="tpu")
    with pytest.raises(InputError, match="no pairs to measure"):
        CrossEncoderReranker(scorer).choose_backend([])
    with pytest.raises(InputError, match="grades of shape"):
        CrossEncoderReranker(scorer).choose_backend([("a", "b")], [1, 2])
    with pytest.raises(InputError, match="is at most 64"):
        CrossEncoderReranker(with_onnx, backend="onnx", max_length=65).score([("a", "b")])


def test_a_score_is_remembered_until_text_or_model_change(scorer, pairs, monkeypatch):
    reranker = CrossEncoderReranker(scorer, cache_pairs=1_000)
    computed = []
    logits = TorchBackend.logits

    def counting(self, tokens):
        computed.append(len(tokens.cut))
        return logits(self, tokens)

    monkeypatch.setattr(TorchBackend, "logits", counting)
    distinct = list(dict.fromkeys(pairs))
    first = reranker.score(pairs)
    assert sum(computed) == len(distinct)
    assert np.array_equal(reranker.score(pairs[::-1]), first[::-1])
    assert sum(computed) == len(distinct)
    changed = [(pairs[0][0], pairs[0][1] + " saw"), *pairs[1:]]
    again = reranker.score(changed)
    assert sum(computed) == len(distinct) + 1
    assert again[0] != first[0]
    assert np.array_equal(again[1:], first[1:])
    before = sum(computed)
    reranker.fit(pairs, [0.5] * len(pairs), learning_rate=1e-2, held_out=0, progress=False)
    trained = reranker.score(pairs)
    assert sum(computed) == before + len(distinct)
    assert not np.array_equal(trained, first)
    forgetful = CrossEncoderReranker(scorer)
    forgetful.score(pairs)
    forgetful.score(pairs)
    assert sum(computed) == before + 3 * len(distinct)


def test_a_pair_is_not_taken_for_another_and_the_cache_stays_small():
    cache = ScoreCache(10)
    cache.keep({("ab", "c"): 1.0, ("a", "bc"): 2.0, ("", "abc"): 3.0, ("2 ", ""): 4.0}, cache.epoch)
    for pair, logit in {("ab", "c"): 1.0, ("a", "bc"): 2.0, ("", "abc"): 3.0, ("2 ", ""): 4.0}.items():
        assert cache.among([pair]) == {pair: logit}
    for number in range(100):
        cache.keep({("q", str(number)): float(number)}, cache.epoch)
        assert cache.among([("q", str(number))]) == {("q", str(number)): float(number)}
    assert len(cache.among([("q", str(number)) for number in range(100)])) <= 12
    old = cache.epoch
    cache.clear()
    cache.keep({("q", "late"): 1.0}, old)  # of a call that began before the model changed
    assert cache.among([("q", "late"), ("q", "99")]) == {}
