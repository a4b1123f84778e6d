"""The report and the page show what the files say, worst first, and never measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.common.contract import Result, ResultRow, Spread, write
from benchmarks.report import command as report
from benchmarks.report.page import FRONT, FULL_RUNS, MARKED, PAGE
from benchmarks.report.tables import slowness

ROOT = Path(__file__).parents[3]


@pytest.fixture
def results(tmp_path) -> list[Path]:
    speed = Result(
        "rerank",
        0,
        [
            ResultRow("twotower", {"mix": "short", "device": "cpu"}, {"pairs_per_s": Spread(50, 40, 60, 5)}),
            ResultRow(
                "peer",
                {"mix": "short", "device": "cpu", "batch": 32},
                {"pairs_per_s": Spread(100, 90, 99, 5)},
            ),
        ],
        {
            "twotower / peer : pairs_per_s short": Spread(0.5, 0.4, 0.6, 5),
            "twotower / peer : p50_ms short": Spread(0.25, 0.2, 0.3, 5),
            "twotower / peer : p99_ms short": Spread(3.0, 2.0, 4.0, 5),
        },
    )
    quality = Result(
        "search",
        1,
        [ResultRow("bm25", {"data": "shop"}, {"ndcg@10": 0.5, "ndcg@10_low": 0.4, "ndcg@10_high": 0.6})],
        {"ours / bm25 : ndcg@10": Spread(0.8, 0.7, 0.9, 5), "ours / bm25 : recall@100": Spread(0, 0, 0, 5)},
    )
    return [write(speed, tmp_path / "rerank.json"), write(quality, tmp_path / "search.json")]


def test_report_has_every_number_and_the_worst_first(results, tmp_path, capsys):
    assert report.main([*map(str, results), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "report.md")
    text = (tmp_path / "out" / "report.md").read_text()
    worst = text.split("## Where we look worst")[1].split("## rerank")[0].strip().splitlines()[2:]
    assert [line.split(" | ")[1] for line in worst] == [
        "ours / bm25 : recall@100",
        "twotower / peer : p99_ms short",
        "twotower / peer : pairs_per_s short",
    ]
    assert worst[1].endswith("| 3 (2 to 4) | 3 |")
    assert "mix short, device cpu" in text
    assert "| system | batch | pairs_per_s |" in text
    assert "| peer | 32 | 100 (90 to 99) |" in text
    assert "| bm25 | 0.5 (0.4 to 0.6) |" in text
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {"rerank-ratios.png", "search-ratios.png", "search-ndcg.png"}
    assert all(f"]({name})" in text for name in pictures)


@pytest.mark.parametrize(
    ("name", "median", "times"),
    [
        ("a / b : p50_ms n=5 single", 4, 4),
        ("a / b : queries_per_s", 4, 0.25),
        ("a / b : peak_rss_mb", 2, 2),
        ("a / b : open_s n=9", 2, 2),
    ],
)
def test_worse_is_above_one_whichever_way_a_metric_goes(name, median, times):
    assert slowness(name, median) == times


def test_other_files_are_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(json.dumps({"rows": []}))
    for name, message in (("a.json", "is not JSON"), ("b.json", "its keys must be"), ("c.json", "c.json")):
        assert report.main([str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("report: ")
        assert message in line
    assert not (tmp_path / "out").exists()


def test_a_report_loads_no_model_library(results, tmp_path):
    code = (
        "import sys; from benchmarks.report import command as report; "
        f"report.main({[str(path) for path in results]!r} + ['--out', {str(tmp_path / 'out')!r}]); "
        "print(sorted({'torch', 'faiss', 'twotower'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_page_in_the_repository_is_drawn_from_the_files_beside_it():
    assert report.main(["--check"]) == 0
    blocks = {found[1] for found in MARKED.finditer(PAGE.read_text(encoding="utf-8"))}
    assert blocks == set(BENCHMARKS) == {command.split()[0] for command in FULL_RUNS.values()}


@pytest.fixture
def page(results, tmp_path) -> dict:
    """Arguments for a page with two blocks over the folder of `results`; what stands in the blocks is wrong."""
    text = "# Page\n\n" + "\n".join(
        f"<!-- results: {name} -->\nold\n<!-- end of results -->\nprose" for name in ("search", "rerank")
    )
    (tmp_path / "page.md").write_text(text)
    (tmp_path / "rerank-20260101T000000Z.json").write_text("a run that nobody named")
    return {"pages": [tmp_path / "page.md"], "results": tmp_path}


def test_a_page_is_drawn_and_checked_against_its_files(page, tmp_path, capsys):
    assert report.main(["--check"], **page) == 1
    assert "page.md' differs from the files in" in capsys.readouterr().err
    assert report.main([], **page) == 0
    assert report.main(["--check"], **page) == 0
    text = (tmp_path / "page.md").read_text()
    search, rerank = (part.split("<!-- end")[0] for part in text.split("<!-- results: ")[1:])
    assert "old" not in text
    assert text.count("prose") == 2
    assert "| bm25 | 0.5 (0.4 to 0.6) |" in search
    assert "Not measured: `python -m benchmarks search --data DATA/chorus" in search
    assert "| twotower / peer : p50_ms short | 0.25 (0.2 to 0.3) |" in rerank.split("<details>")[0]
    assert "| peer | 32 | 100 (90 to 99) |" in rerank.split("<details>")[1]
    assert "Not measured" not in rerank
    changed = json.loads((tmp_path / "rerank.json").read_text())
    changed["ratios"]["twotower / peer : p50_ms short"]["median"] = 0.26
    (tmp_path / "rerank.json").write_text(json.dumps(changed))
    assert report.main(["--check"], **page) == 1


def test_the_readme_shows_the_default_beside_bm25_for_every_catalogue_that_was_measured(tmp_path):
    rows = [
        {"system": name, "params": {}, "metrics": {"ndcg@10": value}}
        for name, value in (("bm25", 0.5), ("default", 0.55))
    ]
    rows.append({"system": "bm25", "params": {"ranked": "judged only"}, "metrics": {"ndcg@10": 0.9}})
    file = {
        "benchmark": "search", "commit": "", "versions": {}, "hardware": {}, "seed": 0, "rows": rows, "ratios": {},
    }  # fmt: skip
    page = tmp_path / "front.md"
    page.write_text("<!-- results: default -->\n<!-- end of results -->")
    arguments = {"pages": [page], "results": tmp_path}
    assert report.main([], **arguments) == 0
    assert "Not measured yet." in page.read_text()
    (tmp_path / "search-myntra.json").write_text(json.dumps(file))
    assert report.main([], **arguments) == 0
    assert "| Myntra, fashion | 0.500 | **0.550** | +10 % |" in page.read_text()
    assert "Chorus" not in page.read_text()
    assert FRONT.read_text(encoding="utf-8").count("<!-- results: default -->") == 1
