"""Every benchmark runs as a user calls it and keeps the contract; speed itself is never asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.report import command as report

ROOT = Path(__file__).parents[2]
KEYS = ["benchmark", "commit", "versions", "hardware", "seed", "rows", "ratios"]
SYSTEMS = {
    "search": {"random", "bm25", "dense", "fused", "hybrid", "default", "sentence-transformers"},
    "pipeline": {"twotower", "sentence-transformers"},
    "recall": {"twotower", "faiss", "hnswlib", "usearch"},
    "ingest": {"twotower", "faiss", "hnswlib"},
    "opening": {"twotower", "faiss"},
    "crash": {"twotower"},
    "rerank": {"twotower", "sentence-transformers"},
    "encode": {"twotower", "sentence-transformers", "open_clip"},
    "train": {"random", "bm25", "untrained", "twotower", "sentence-transformers"},
    "recommend": {
        "random", "popularity", "recent-popularity", "repeat", "item-knn", "als", "bpr", "ease", "twotower",
    },
    "multimodal": {"random", "bm25", "text", "image", "mean", "concat"},
}  # fmt: skip


# Real models, many kills or many models of users. Their parts run at small sizes in tests/unit/benchmarks.
LONG = {"search", "pipeline", "opening", "crash", "rerank", "encode", "train", "recommend", "multimodal"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in BENCHMARKS]
)
def test_quick_run_keeps_the_contract(name, tmp_path):
    out = tmp_path / f"{name}.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--seed", "3", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    headline = done.stdout.rstrip("\n").splitlines()[-1]
    assert headline.endswith(".")
    assert any(character.isdigit() for character in headline)
    found = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert list(found) == KEYS
    assert (found["benchmark"], found["seed"]) == (name, 3)
    assert {row["system"] for row in found["rows"]} >= SYSTEMS[name]
    for row in found["rows"]:
        assert list(row) == ["system", "params", "metrics"]
        assert row["metrics"], row["system"]
        for metric, value in row["metrics"].items():
            if isinstance(value, dict):
                assert list(value) == ["median", "min", "max", "n"], metric
                assert value["min"] <= value["median"] <= value["max"], metric
            else:
                assert math.isfinite(value), metric
    assert found["ratios"] or SYSTEMS[name] == {"twotower"}  # alone: a count of faults has no peer
    for ratio, value in found["ratios"].items():
        ours, _, rest = ratio.partition(" / ")
        peer, _, metric = rest.partition(" : ")
        assert ours, ratio
        assert peer, ratio
        assert metric, ratio
        assert list(value) == ["median", "min", "max"]
        assert value["min"] <= value["median"] <= value["max"], ratio
    assert report.main([str(out), "--out", str(tmp_path / "report")]) == 0


def test_wrong_usage_is_reported(capsys):
    for argv in ([], ["speed"], ["search", "--no-such-option"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 2
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err
