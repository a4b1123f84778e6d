"""The result file: fixed keys, nothing half-written, nothing that JSON cannot hold, no folders of a machine."""

from __future__ import annotations

import getpass
import json
import math
import socket
from pathlib import Path

import pytest

from benchmarks.common import contract
from benchmarks.common.contract import Result, ResultRow, Spread, portable, write

RESULT = Result(
    "search",
    seed=3,
    rows=[
        ResultRow(
            "bm25",
            {"k1": 1.2, "reranker": None, "store": "/home/someone/shop"},
            {"ndcg@10": 0.5, "p50_ms": Spread(2.0, 1.0, 4.0, 5)},
        )
    ],
    headline="ours / peer : ndcg@10: 1.",
    ratios={"ours / peer : p50_ms": Spread(0.5, 0.25, 1.0, 5)},
)


def test_keys_are_those_of_the_contract(tmp_path):
    path = write(RESULT, tmp_path / "deep" / "out.json")
    found = json.loads(path.read_text())
    assert list(found) == ["benchmark", "commit", "versions", "hardware", "seed", "rows", "ratios"]
    assert (found["benchmark"], found["seed"]) == ("search", 3)
    assert found["rows"] == [
        {
            "system": "bm25",
            "params": {"k1": 1.2, "reranker": None, "store": "shop"},
            "metrics": {"ndcg@10": 0.5, "p50_ms": {"median": 2.0, "min": 1.0, "max": 4.0, "n": 5}},
        }
    ]
    assert found["ratios"] == {"ours / peer : p50_ms": {"median": 0.5, "min": 0.25, "max": 1.0}}
    assert {"python", "twotower", "numpy", "faiss-cpu"} <= set(found["versions"])
    assert found["hardware"]["cores"] >= found["hardware"]["threads"] >= 1
    assert [file.name for file in path.parent.iterdir()] == ["out.json"]


def test_a_file_names_no_host_and_no_user(tmp_path):
    text = write(RESULT, tmp_path / "out.json").read_text()
    for secret in (
        socket.gethostname(),
        getpass.getuser(),
        str(Path.home()),
        str(contract.RESULTS.parents[1]),
    ):
        assert f'"{secret}' not in text
        assert f"/{secret.strip('/')}" not in text


@pytest.mark.parametrize(
    ("given", "published"),
    [
        ("/data/models/reader", "reader"),
        ("../models/reader", "reader"),
        ("~/reader", "reader"),
        ("local-dir:/data/models/clip", "local-dir:clip"),
        ("intfloat/multilingual-e5-small", "intfloat/multilingual-e5-small"),
        ("ViT-B-32/laion2b", "ViT-B-32/laion2b"),
        ("50 %: 64, 1 %: 128", "50 %: 64, 1 %: 128"),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_a_parameter_keeps_the_name_of_a_model_and_loses_its_folders(given, published):
    assert portable(given) == published


def test_the_default_name_has_the_benchmark_and_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(contract, "RESULTS", tmp_path)
    assert write(RESULT, None).name.startswith("search-20")


@pytest.mark.parametrize(
    "broken",
    [
        ResultRow("bm25", {}, {"ndcg@10": math.nan}),
        ResultRow("bm25", {}, {"p50_ms": Spread(math.inf, 1, 1, 5)}),
    ],
)
def test_what_could_not_be_measured_is_refused_and_the_old_file_stays(tmp_path, broken):
    path = write(RESULT, tmp_path / "out.json")
    before = path.read_text()
    with pytest.raises(ValueError, match=r"nan|inf|JSON"):
        write(Result("search", 0, [broken]), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
