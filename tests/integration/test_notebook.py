"""Every notebook runs from the first cell to the last, as a reader would run it, and shows what it promises."""

from __future__ import annotations

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


def test_evaluation(tmp_path):
    printed, shown = executed("04_evaluation", tmp_path)
    (table,) = (data["text/markdown"] for data in shown if "text/markdown" in data)
    assert [line.split(" | ")[0] for line in table.splitlines()[4:]] == [
        "| random", "| bm25", "| recall, text only", "| recall, image only", "| fused", "| decayed",
    ]  # fmt: skip
    assert any("image/png" in data for data in shown)
    assert "p = " in printed
    assert "items with image" in printed
    assert "caught: User " in printed


def test_no_notebook_is_left_out():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == {"01_quickstart", "04_evaluation"}
