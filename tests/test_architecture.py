"""Imports point one way, read from the source, lazy imports inside functions included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("twotower", "multimodal", "rerank")

# A room of twotower may import from itself and from rooms on a strictly lower floor.
FLOORS = [
    {"types", "errors", "values"},
    {"recall", "store", "towers", "ingest", "recommend"},
    {"corpus", "search"},
    {"retriever", "export"},
    {"presets", "evaluation"},
    {"__init__", "demo"},  # the names that `__init__` exports lazily lie below it
    {"commands"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ASSEMBLERS = {"presets", "demo", "commands"}  # the only rooms that may use the leaves
COMMON = {"errors", "checks"}  # the modules of multimodal that everyone may import
SHARED = {"hub", "precision", "text_normalization"}  # those that rerank may import too


def room_of(path: Path, package: str) -> str:
    return path.relative_to(ROOT / package).parts[0].removesuffix(".py")


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Package and room of every import of our own code."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write absolute imports"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if package in PACKAGES:
                yield package, room if package != "twotower" or room in FLOOR else "__init__"


def violations(package: str, room: str, source: str) -> list[str]:
    found = []
    for target, target_room in imports(source):
        if package == target == "twotower":
            if room != target_room and FLOOR[target_room] >= FLOOR[room]:
                found.append(f"twotower.{room} imports twotower.{target_room}")
        elif target == "multimodal" and (
            target_room in COMMON or (package == "rerank" and target_room in SHARED)
        ):
            continue
        elif package != target and not (package == "twotower" and room in ASSEMBLERS):
            found.append(f"{package}.{room} imports {target}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_to_lower_floors(package):
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    for path in paths:
        if package == "twotower":
            assert room_of(path, package) in FLOOR, f"{path}: give the new room a floor in this test"
        assert violations(package, room_of(path, package), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("package", "room", "source"),
    [
        ("rerank", "decay", "from twotower.types import Item"),
        ("multimodal", "clip", "def f():\n    import rerank.decay"),
        ("rerank", "model", "from multimodal import images"),
        ("rerank", "model", "from multimodal.text.encoder import TextEncoder"),
        ("twotower", "recall", "def f():\n    from twotower import retriever"),
        ("twotower", "recall", "from twotower.store.folder import read_store"),
        ("twotower", "retriever", "from twotower import Item"),
        ("twotower", "retriever", "from rerank import Decay"),
        ("twotower", "retriever", "from multimodal.hub import locate"),
        ("multimodal", "checks", "from twotower.errors import QueryError"),
    ],
)
def test_a_wrong_import_is_caught(package, room, source):
    assert violations(package, room, source)


def imported_modules(source: str, modules: Container[str]) -> Iterator[str]:
    """The modules that are imported, or whose names are; a package's own `__init__` is not followed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name in modules)


def test_no_import_leads_back_to_where_it_came_from():
    """Between single modules, imports for type checking included."""
    paths = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    imports_of = {
        module: {*imported_modules(path.read_text(encoding="utf-8"), modules)} - {module}
        for module, path in modules.items()
        if path.name != "__init__.py"
    }
    tuple(TopologicalSorter(imports_of).static_order())  # a CycleError names the modules


@pytest.mark.parametrize("package", [*PACKAGES, "multimodal.hub", "multimodal.precision"])
def test_importing_is_light(package):
    heavy = "{'torch', 'faiss', 'transformers', 'sentence_transformers', 'open_clip', 'pyarrow'}"
    code = f"import sys, {package}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_defining_items_loads_no_model_library():
    code = "import sys; from twotower import Item, Event, Hit; print(bool({'torch', 'faiss'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_two_builds_of_faiss_are_refused_at_import(tmp_path):
    for name in ("faiss_cpu", "faiss_gpu"):
        folder = tmp_path / f"{name}-1.15.1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.15.1\n"
        )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import twotower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip uninstall -y faiss-cpu faiss-gpu" in done.stderr.splitlines()[-1]
