"""The scripts in examples/ as a reader would call them, one after the other, on a BEIR folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from help_examples import help_examples

from twotower import Retriever
from twotower.__main__ import main
from twotower.evaluation import evaluate_run, search_run
from twotower.ingest import read_qrels, read_queries

EXAMPLES = Path(__file__).parents[2] / "examples"
PRODUCTS = ["red running shoes", "blue coffee mug", "brown leather handbag", "green tea cup", "desk lamp"]


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "beir"
    folder.mkdir()
    lines(folder / "corpus.jsonl", [{"_id": f"p{n}", "title": each} for n, each in enumerate(PRODUCTS)])
    queries = {f"q{n}": " ".join(each.split()[1:]) for n, each in enumerate(PRODUCTS)}
    lines(folder / "queries.jsonl", [{"_id": query, "text": text} for query, text in queries.items()])
    (folder / "qrels").mkdir()
    for split, numbers in (("train", (0, 1, 2)), ("dev", (3, 4))):
        rows = "".join(f"q{n}\tp{n}\t2\nq{n}\tp{(n + 1) % 5}\t0\n" for n in numbers)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    assert main(["index", str(folder), "--store", str(folder / "store")]) == 0
    return folder


def call(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_fit_a_reranker_then_evaluate_every_stage(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert main(help_examples()["train rerank"]) == 0
    options = ["--store", data / "store", "--reranker", data.parent / "reranker", "--relevant", "2"]
    written = ["--json", tmp_path / "stages.json", "--plot", tmp_path / "stages.png"]
    table = call("05_evaluate_beir.py", data, *options, *written)
    assert "2 queries with an item of grade 2 or higher" in table
    stages = {stage["name"]: stage for stage in json.loads((tmp_path / "stages.json").read_text())["stages"]}
    # without photos, recall has one modality
    assert list(stages) == ["random", "bm25", "recall", "hybrid", "reranked", "decayed"]
    assert stages["bm25"]["means"]["mrr@10"] == 1  # the queries are words of the titles
    qrels = read_qrels(data, "dev")
    queries = {query: text for query, text in read_queries(data).items() if query in qrels}
    recall = search_run(
        Retriever.open(data / "store", read_only=True).using(decay=None, hybrid=None), queries
    )
    assert stages["recall"]["means"]["ndcg@10"] == pytest.approx(
        evaluate_run(recall, qrels, ["ndcg@10"], relevant=2)["ndcg@10"]
    )
    assert stages["reranked"]["milliseconds"]["p50_ms"] > 0
    assert (tmp_path / "stages.png").read_bytes().startswith(b"\x89PNG")
