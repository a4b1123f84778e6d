"""Execute the notebooks in place, so that they are committed with the outputs of the present code.

python examples/execute_notebooks.py [NOTEBOOK ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent


def executed(path: Path) -> NotebookNode:
    """Run a notebook in an empty folder, from the first cell to the last."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=300, resources=resources, record_timing=False).execute()
    return notebook


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]] or sorted(HERE.glob("*.ipynb"))
    for path in paths:
        notebook = executed(path)
        notebook.metadata.language_info = {"name": "python"}  # without the version of this machine
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
