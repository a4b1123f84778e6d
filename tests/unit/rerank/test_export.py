"""ONNX files are exported once for the weights they belong to, and never used with others."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from rerank import CrossEncoderReranker, FitOptions, ModelError
from rerank.calibration import sigmoid
from rerank.cross_encoder import model
from rerank.serving.export import _quantize, _skip_unread_tokens, export, exported


def test_a_failing_exporter_is_reported_and_skipped(scorer, pairs, monkeypatch):
    def broken(*given, **options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr("torch.onnx.export", broken)
    report = CrossEncoderReranker(scorer, device="cpu").choose_backend(pairs)
    found = {each.backend: each.refused for each in report.measured}
    assert report.chosen in ("torch", "torch-bf16")
    assert found["onnx-int8"] == (
        "cannot run: this model cannot be exported here (no such operator): use the torch back end"
    )


def test_a_full_disk_is_not_the_models_fault(scorer, pairs, monkeypatch):
    def full(*given, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.onnx.export", full)
    with pytest.raises(OSError, match="No space left"):
        CrossEncoderReranker(scorer, device="cpu", backend="onnx").score(pairs)


def test_wrong_shapes_noted_by_an_exporter_do_not_matter(with_onnx, tmp_path):
    """torch 2.11 notes such shapes of intermediate values."""
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


@pytest.mark.parametrize("reads_all", [False, True])
def test_the_last_layer_computes_only_what_the_head_reads(scorer, reads_all):
    """The first token; all tokens, as before, if a head takes their mean."""
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
        _skip_unread_tokens(model, inputs)
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-6)
    assert (computed[0], computed[-1]) == (4, 4 if reads_all else 1)


def test_files_of_other_weights_are_ignored_and_damaged_files_refused(with_onnx, encoder, tmp_path):
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


def test_an_export_is_copied_by_save_and_repeated_only_for_new_weights(
    with_onnx, pairs, tmp_path, monkeypatch
):
    exports = []
    monkeypatch.setattr(model, "export", lambda *given: exports.append(export(*given)))
    reranker = CrossEncoderReranker(with_onnx, device="cpu", backend="onnx")
    before = reranker.score(pairs)
    reranker.save(tmp_path / "first")
    CrossEncoderReranker(tmp_path / "first", device="cpu", backend="onnx").save(tmp_path / "second")
    copied = CrossEncoderReranker(tmp_path / "second", device="cpu", backend="onnx")
    np.testing.assert_array_equal(copied.score(pairs), before)
    assert exports == []

    grades = [float("red" in document) for _, document in pairs]
    options = FitOptions(held_out=0, progress=False)
    reranker.fit(pairs, grades, epochs=3, learning_rate=1e-2, options=options)
    after = reranker.score(pairs)
    assert np.abs(after - before).max() > 0.05
    network = reranker._model.backend("torch")
    np.testing.assert_allclose(after, sigmoid(network.logits(network.tokenize(pairs))), atol=1e-5)
    reranker.save(tmp_path / "third")
    trained = CrossEncoderReranker(tmp_path / "third", device="cpu", backend="onnx")
    np.testing.assert_array_equal(trained.score(pairs), after)
    plain = CrossEncoderReranker(tmp_path / "third", device="cpu")
    np.testing.assert_allclose(plain.score(pairs), after, atol=1e-5)
    assert len(exports) == 1  # scoring and saving share it
