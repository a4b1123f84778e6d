"""One small judged shop a session, and options with tiny models."""

from __future__ import annotations

import json
from argparse import Namespace
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.__main__ import read_options
from benchmarks.common import models
from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from twotower import DualEncoder, ReciprocalRank, Retriever

COLOURS = ["red", "blue", "green"]
THINGS = ["mug", "lamp", "chair", "table"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Each colour of each thing; every query names both: grade 2 for the one meant, 1 for the same thing."""
    folder = tmp_path_factory.mktemp("beir")
    (folder / "photos").mkdir()
    products = list(product(COLOURS, THINGS))
    with (folder / "corpus.jsonl").open("w") as file:
        for colour, thing in products:
            image = f"photos/{colour}-{thing}.png"
            Image.new("RGB", (32, 32), colour).save(folder / image)
            metadata = {"image": image, "time": "2026-01-01T00:00:00Z", "split": "dev"}
            row = {"_id": f"{colour}-{thing}", "title": f"{colour} {thing}", "text": "", "metadata": metadata}
            file.write(json.dumps(row) + "\n")
        file.write(
            json.dumps({"_id": "elsewhere", "title": "red mug", "metadata": {"split": "train"}}) + "\n"
        )
    with (folder / "queries.jsonl").open("w") as file:
        for colour, thing in products:
            file.write(json.dumps({"_id": f"q-{colour}-{thing}", "text": f"{colour} {thing}"}) + "\n")
    (folder / "qrels").mkdir()
    with (folder / "qrels" / "dev.tsv").open("w") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        for colour, thing in products:
            for other in COLOURS:
                file.write(f"q-{colour}-{thing}\t{other}-{thing}\t{2 if other == colour else 1}\n")
    return folder


@pytest.fixture(scope="session")
def tiny_cross_encoder(tiny_text_folder) -> str:
    """Folder of a cross-encoder with an untrained head."""
    return models.cross_encoder_folder(Namespace(reranker=None, text_model=str(tiny_text_folder)))


@pytest.fixture
def options(folder, tiny_text_folder, tiny_clip_folder, monkeypatch):
    """As the command line gives them; the default retriever has tiny models as well."""

    def default() -> Retriever:
        text = TextEncoder(tiny_text_folder, device="cpu")
        image = ClipEncoder(f"local-dir:{tiny_clip_folder}", device="cpu")
        return Retriever(DualEncoder(text, image, WeightedConcat(0.9, 0.1)), hybrid=ReciprocalRank())

    monkeypatch.setattr(Retriever, "default", default)
    given = ["--data", str(folder), "--text-model", str(tiny_text_folder)]
    options = read_options("search", [*given, "--image-model", f"local-dir:{tiny_clip_folder}"])
    options.student_depth, options.depth = (6, 3), 12
    return options
