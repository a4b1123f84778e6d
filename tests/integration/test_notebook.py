"""Every notebook runs from the first cell to the last and gives the outputs that it is committed with."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import nbformat
import pytest
from notebook_outputs import differences, pictures_of, text_of

from examples.execute_notebooks import HERE as EXAMPLES
from examples.execute_notebooks import executed

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jupyter's and zmq's own
NAMES = ["01_quickstart", "02_evaluation", "03_store_and_index", "04_reranking"]


def committed(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook):
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def check_quickstart(notebook):
    assert sum("<img" in output.get("data", {}).get("text/html", "") for output in outputs(notebook)) >= 5
    assert re.search(r"score (\S+)", printed(notebook))[1] == re.search(r"= (\d\.\d+)", printed(notebook))[1]


def check_evaluation(notebook):
    (table,) = (text_of(output) for output in outputs(notebook) if "text/markdown" in output.get("data", {}))
    assert [line.split(" | ")[0] for line in table.splitlines()[4:]][:2] == ["| random", "| bm25"]
    assert "p = " in printed(notebook)
    assert "items with image" in printed(notebook)
    assert "caught: user '" in printed(notebook)


def check_store_and_index(notebook):
    said = printed(notebook)
    assert "at least 200 acknowledged: True\n0 lost, damage: []" in said
    assert [line.split()[0] for line in said.splitlines() if " hits  " in line] == [
        "graph", "graph", "scan", "subset",
    ]  # fmt: skip
    assert "'lexical'" in said
    assert [line.split(":")[0] for line in said.splitlines() if ": 12,000 rows" in line] == [
        "  graph", "  graph-8bit", "  ivf-pq", "  ivf-rabitq",
    ]  # fmt: skip
    assert "asked for" not in said


def check_reranking(notebook):
    said = printed(notebook)
    assert "Warning" not in said
    assert said.count("  kept\n") == 1
    before, after = re.search(r"expected calibration error: (\S+) before, (\S+) after", said).groups()
    assert float(after) < float(before)
    assert "garden hose:\n  nothing relevant\n" in said
    assert said.count("(chosen)") == 1
    assert float(re.search(r"largest difference after loading: (\S+)", said)[1]) <= 0.02
    assert "1 ms: {'recall': 12, 'student': 0, 'full': 0}" in said
    time = dict(re.findall(r"^(.+?) +(\S+) of the time", said, flags=re.MULTILINE))
    assert {"recall alone", "student", "cascade", "full, torch", "full, onnx", "full, onnx-int8"} <= set(time)
    assert time["full, torch"] == "1.00"


CHECKS = {
    "01_quickstart": check_quickstart,
    "02_evaluation": check_evaluation,
    "03_store_and_index": check_store_and_index,
    "04_reranking": check_reranking,
}


@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])]
)
def test_a_fresh_run_gives_the_committed_outputs(name):
    fresh = executed(EXAMPLES / f"{name}.ipynb")
    assert differences(committed(name), fresh) == []
    CHECKS[name](fresh)


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_committed_with_their_outputs(name):
    notebook = committed(name)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in notebook.cells))
    )
    assert not any(output.get("name") == "stderr" for output in outputs(notebook))
    assert any(pictures_of(output) for output in outputs(notebook))
    CHECKS[name](notebook)
    assert str(Path.home()) not in nbformat.writes(notebook)


def test_notebooks_are_numbered_without_a_gap():
    assert sorted(path.stem for path in EXAMPLES.glob("*.ipynb")) == NAMES
    numbers = [path.name.split("_")[0] for path in sorted(EXAMPLES.iterdir()) if path.name[0].isdigit()]
    assert numbers == [f"{number:02}" for number in range(1, len(numbers) + 1)]


def test_another_output_is_noticed():
    """A changed word, a changed number and a picture of another size, one at a time."""
    right = committed("01_quickstart")

    def changed(old, new):
        wrong = copy.deepcopy(right)
        for output in outputs(wrong):
            if output.output_type == "stream":
                output.text = output.text.replace(old, new)
            elif "text/html" in output.get("data", {}):
                output.data["text/html"] = output.data["text/html"].replace(old, new)
        return differences(right, wrong)

    assert changed("nothing of the sort", "x") == []
    assert len(changed("items,", "things,")) == 1
    assert len(changed("320", "420")) >= 1
    assert changed("freshness 0.", "freshness 9.") != []
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    (first, *_) = re.findall(r"data:image/jpeg;base64,[^\"]+", "".join(map(str, outputs(right))))
    assert "draws pictures" in changed(first, f"data:image/png;base64,{pixel}")[0]
