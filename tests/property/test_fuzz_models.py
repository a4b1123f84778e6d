"""Whatever is passed to models, their options and training, an error is one of the library's own, and short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import HashEncoder, OverlapReranker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junk import Call, check_error_of, list_of, with_junk
from PIL import Image

from multimodal import ClipEncoder, TextEncoder, TextFitOptions, WeightedConcat, WeightedSum, load_image
from rerank import (
    Cascade,
    CrossEncoderReranker,
    Decay,
    DecayBy,
    FitOptions,
    Metric,
    ModelCard,
    Stage,
    distil,
    expected_calibration_error,
    mine_pairs,
)
from twotower import DualEncoder, Item, Query, Retriever

PAIRS = [("red mug", "a red mug"), ("red mug", "blue lamp"), ("lamp", "a lamp"), ("lamp", "a chair")]
GRADES = [1.0, 0.0, 1.0, 0.0]
ITEM = Item("1", "red mug")
PHOTO = Image.new("RGB", (40, 40), "red")
ROWS = np.eye(2, dtype=np.float32)
BOTH = np.ones(2, dtype=np.bool_)
FIT: Mapping[str, Any] = {"epochs": 1, "learning_rate": 1e-4, "batch_size": 2}
LOADING: Mapping[str, Any] = {"device": "cpu", "max_length": 8, "batch_tokens": 64, "backend": "torch"}
DECAY: Mapping[str, Any] = {"scale": 9.0, "decay": 0.5, "weight": 0.3, "floor": 0.0, "missing": None}


def shop() -> Retriever:
    retriever = Retriever(HashEncoder())
    retriever.upsert([ITEM, Item("2", "blue lamp")])
    return retriever


def rising(reranker: CrossEncoderReranker) -> list[bool]:
    """Labels of `PAIRS` that can be calibrated on: of each query the pair with the higher logit is relevant."""
    first, second, third, fourth = reranker.logits(PAIRS).tolist()
    return [first > second, first <= second, third > fourth, third <= fourth]


OPTIONS: dict[str, Call] = {
    "WeightedConcat": (WeightedConcat, {"text": 0.5, "image": 0.5}),
    "WeightedSum": (WeightedSum, {"text": 0.5, "image": 0.5}),
    "fuse": (WeightedConcat().fuse, {"text": ROWS, "image": ROWS, "has_text": BOTH, "has_image": BOTH}),
    "fusion dim": (WeightedSum().dim, {"text_dim": 2, "image_dim": 2}),
    "fusion blocks": (WeightedConcat().blocks, {"text_dim": 2, "image_dim": 2}),
    "TextFitOptions": (
        TextFitOptions,
        {
            **FIT,
            **{"temperature": 0.1, "max_seconds": None, "max_length": None, "bf16": None, "seed": 0},
            "progress": False,
        },
    ),
    "FitOptions": (
        FitOptions,
        {
            **FIT,
            **{"loss": "ranknet", "held_out": 0.1, "keep": None, "patience": 1, "max_seconds": None},
            **{"bf16": None, "seed": 0, "frozen_layers": 0, "adapters": None, "checkpoint": None},
            **{"watch": None, "progress": False},
        },
    ),
    "Decay values": (lambda ages: Decay.half_life(9).factor(ages), {"ages": [1.0, 2.0]}),
    "half_life": (Decay.half_life, {"days": 9.0, "weight": 0.3, "floor": 0.1, "offset": 1.0}),
    "gaussian": (Decay.gaussian, DECAY),
    "Decay from": (lambda values: Decay.from_description(values), {"values": Decay.half_life(9).describe()}),
    "DecayBy from": (
        lambda values: DecayBy.from_description(values),
        {"values": DecayBy("a", {}, Decay(9)).describe()},
    ),
    "Cascade": (
        lambda **given: Cascade((OverlapReranker(), 5), Stage(**given)),
        {"reranker": OverlapReranker(), "depth": 2, "name": "second"},
    ),
    "Cascade of": (lambda stage: Cascade(stage), {"stage": (OverlapReranker(), 2)}),
    "Cascade.rank": (
        Cascade((OverlapReranker(), 2)).rank,
        {"query": "red", "documents": ["a", "red"], "top_k": 1, "min_score": 0.1, "budget_ms": 10.0},
    ),
    "Cascade.rerank": (
        Cascade((OverlapReranker(), 2)).rerank,
        {"queries": ["red"], "candidates": [["a", "red"]], "deadline": None},
    ),
    "mine_pairs": (
        mine_pairs,
        {
            **{"recall": shop(), "queries": {"q": "red"}, "qrels": {"q": {"1": 1}}, "negatives": 1},
            **{"ranks": (0, 2), "random": 1, "scorer": None, "margin": 0.9, "seed": 0, "progress": False},
        },
    ),
    "expected_calibration_error": (
        expected_calibration_error,
        {"scores": [0.1, 0.9], "labels": [0, 1], "bins": 3},
    ),
    "Metric": (Metric, {"system": "recall", "name": "ndcg@10", "value": 0.5, "low": 0.4, "high": 0.6}),
    "ModelCard": (
        lambda **given: str(ModelCard(**given)),
        {
            **{"name": "m", "made_on": dt.date(2026, 6, 1), "dataset": "d", "data": {"pairs": 2}},
            **{"settings": {"loss": "ranknet"}, "metrics": (), "measured_system": "reranker", "command": ""},
            **{"base_model": None, "versions": {"torch": "2"}},
        },
    ),
    "load_image": (load_image, {"source": PHOTO, "long_side": 10}),
}


@pytest.fixture(scope="module")
def calls(
    tiny_text_folder: Path, tiny_clip_folder: Path, text_encoder: TextEncoder, clip_encoder: ClipEncoder
) -> dict[str, Call]:
    """Calls of models, with weights of their own, as they are trained."""
    text = TextEncoder(tiny_text_folder, device="cpu")
    dual = DualEncoder(text_encoder, clip_encoder, WeightedConcat())
    text.save("text")
    student = CrossEncoderReranker("text", device="cpu", max_length=16)
    student.fit(PAIRS, GRADES, options=FitOptions(held_out=0, progress=False))
    student.save("reranker")
    reranker = CrossEncoderReranker("reranker", device="cpu")
    quiet = FitOptions(held_out=0, progress=False)
    return {
        "TextEncoder": (TextEncoder, {"model": "text", "device": "cpu", "batch_size": 2}),
        "encode_queries": (text_encoder.encode_queries, {"texts": ["red"]}),
        "encode_documents": (text_encoder.encode_documents, {"texts": ["red"]}),
        "readable": (text_encoder.readable, {"texts": ["red"]}),
        "unknown_shares": (text_encoder.unknown_shares, {"texts": ["red"]}),
        "TextEncoder.fit": (text.fit, {"pairs": PAIRS, **FIT, "options": TextFitOptions(progress=False)}),
        "TextEncoder.save": (text.save, {"folder": "text"}),
        "ClipEncoder": (
            ClipEncoder,
            {
                "architecture": f"local-dir:{tiny_clip_folder}",
                **{"pretrained": None, "device": "cpu", "batch_size": 2},
            },
        ),
        "encode_images": (clip_encoder.encode_images, {"images": [PHOTO]}),
        "encode_texts": (clip_encoder.encode_texts, {"texts": ["red"]}),
        "ClipEncoder.load": (clip_encoder.load, {"source": PHOTO}),
        "ClipWords": (clip_encoder.words().encode_queries, {"texts": ["red"]}),
        "DualEncoder": (DualEncoder, {"text": text_encoder, "image": clip_encoder, "fusion": WeightedConcat()}),
        "encode_items": (dual.encode_items, {"items": [ITEM]}),
        "dual_encode_queries": (dual.encode_queries, {"queries": ["red", Query("mug", PHOTO)]}),
        "encode_image_queries": (dual.encode_image_queries, {"queries": [Query("mug", PHOTO)]}),
        "dual_readable": (dual.readable, {"texts": ["red"]}),
        "CrossEncoderReranker": (
            lambda **given: CrossEncoderReranker(**given).score(PAIRS),
            {**LOADING, "model": "reranker", "cache_pairs": 2},
        ),
        "load": (
            lambda folder, **given: CrossEncoderReranker.load(folder, **given),
            {**LOADING, "folder": "reranker"},
        ),
        "score": (lambda pairs: reranker.score(pairs), {"pairs": PAIRS}),
        "logits": (lambda pairs: reranker.logits(pairs), {"pairs": PAIRS}),
        "rank": (reranker.rank, {"query": "red", "documents": ["a", "red"], "top_k": 1, "min_score": 0.1}),
        "word_weights": (
            lambda **given: list_of(reranker.word_weights(**given)),
            {"query": "red mug", "document": "red", "max_words": 2},
        ),
        "calibrate": (
            reranker.calibrate,
            {"pairs": PAIRS, "labels": rising(reranker), "method": "platt"},
        ),
        "fit": (
            student.fit,
            {"pairs": PAIRS, "grades": GRADES, "groups": None, "loss": "pointwise", **FIT, "options": quiet},
        ),
        "save": (lambda folder, **given: student.save(folder, **given), {"folder": "reranker", "card": None}),
        "distil": (distil, {"teacher": reranker, "pairs": PAIRS, "layers": 1, **FIT, "options": quiet}),
    }  # fmt: skip


MODEL_CALLS = [
    *["TextEncoder", "encode_queries", "encode_documents", "readable", "unknown_shares", "TextEncoder.fit"],
    *["TextEncoder.save", "ClipEncoder", "encode_images", "encode_texts", "ClipEncoder.load", "ClipWords"],
    *["DualEncoder", "encode_items", "dual_encode_queries", "encode_image_queries", "dual_readable"],
    *["CrossEncoderReranker", "load", "score", "logits", "rank", "word_weights", "calibrate", "fit", "save"],
    "distil",
]
"""The names of what `calls` makes."""


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where files may be written under any name, and no hub answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr("huggingface_hub.model_info", _no_hub)
        yield


def _no_hub(name: str, timeout: float) -> None:
    raise ConnectionError(name)


@pytest.mark.parametrize("name", OPTIONS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_error_is_ours_and_short(name: str, data: st.DataObject):
    call, usual = OPTIONS[name]
    check_error_of(call, with_junk(data, usual))


@pytest.mark.parametrize("name", MODEL_CALLS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_error_of_a_model_is_ours_and_short(name: str, data: st.DataObject, calls: dict[str, Call]):
    call, usual = calls[name]
    arguments = with_junk(data, usual)
    if isinstance(arguments.get("epochs"), int) and arguments["epochs"] > 2:  # which is good, but takes long
        arguments["epochs"] = 2
    check_error_of(call, arguments)


def test_the_usual_arguments_are_good(calls: dict[str, Call]):
    """Else the tests above would only see the first check of each call."""
    assert list(calls) == MODEL_CALLS
    for call, usual in (*OPTIONS.values(), *calls.values()):
        call(**usual)
