"""Every notebook runs from the first cell to the last, as a reader would run it, and shows what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def executed(name: str, folder: Path) -> tuple[str, list[dict]]:
    """What the notebook printed, and everything that it displayed."""
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs), [
        output.get("data", {}) for output in outputs
    ]


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jupyter's and zmq's own


def test_quickstart(tmp_path):
    printed, shown = executed("01_quickstart", tmp_path)
    assert "items" in printed
    assert sum("<img" in data.get("text/html", "") for data in shown) >= 5


@pytest.mark.slow
def test_evaluation(tmp_path):
    printed, shown = executed("02_evaluation", tmp_path)
    (table,) = (data["text/markdown"] for data in shown if "text/markdown" in data)
    assert [line.split(" | ")[0] for line in table.splitlines()[4:]] == [
        "| random", "| bm25", "| recall, text only", "| recall, image only", "| fused", "| decayed",
    ]  # fmt: skip
    assert any("image/png" in data for data in shown)
    assert "p = " in printed
    assert "items with image" in printed
    assert "caught: User " in printed


@pytest.mark.slow
def test_store_and_index(tmp_path):
    printed, shown = executed("03_store_and_index", tmp_path)
    acknowledged = int(printed.split(" acknowledged, 0 lost, damage: []")[0].split()[-1])
    assert acknowledged >= 300
    assert [line.split()[0] for line in printed.splitlines() if " hits  " in line] == [
        "graph", "graph", "scan", "subset",
    ]  # fmt: skip
    assert "'lexical'" in printed
    assert [line.split(":")[0] for line in printed.splitlines() if ": 12,000 rows" in line] == [
        "  graph", "  graph-8bit", "  ivf-pq", "  ivf-rabitq",
    ]  # fmt: skip
    assert "asked for" not in printed
    assert any("image/png" in data for data in shown)


@pytest.mark.slow
def test_reranking(tmp_path):
    printed, shown = executed("04_reranking", tmp_path)
    assert "Warning" not in printed
    assert printed.count("  kept\n") == 1
    before, after = re.search(r"expected calibration error: (\S+) before, (\S+) after", printed).groups()
    assert float(after) < float(before)
    assert "garden hose:\n  nothing relevant\n" in printed
    assert printed.count("(chosen)") == 1
    assert float(re.search(r"largest difference after loading: (\S+)", printed)[1]) <= 0.02
    assert "1 ms: {'recall': 12, 'student': 0, 'full': 0}" in printed
    time = dict(re.findall(r"^(.+?) +(\S+) of the time", printed, flags=re.MULTILINE))
    assert {"recall alone", "student", "cascade", "full, torch", "full, onnx", "full, onnx-int8"} <= set(time)
    assert time["full, torch"] == "1.00"
    assert sum("image/png" in data for data in shown) == 3


def test_no_notebook_is_left_out():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == {
        "01_quickstart", "02_evaluation", "03_store_and_index", "04_reranking",
    }  # fmt: skip
