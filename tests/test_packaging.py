"""What is exported, what a wheel holds, and that our packages are the ones imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("twotower", "multimodal", "rerank")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there_and_documented(package):
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"
        assert name in dir(module)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = module.nothing_of_this_name


def test_the_three_packages_come_from_one_place():
    # Other distributions on PyPI install packages named `rerank` and `multimodal`.
    homes = {Path(importlib.import_module(package).__file__).parents[1] for package in PACKAGES}
    assert len(homes) == 1


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {
        "multimodal/clip/compact/open_clip_config.json",
        "multimodal/clip/compact/open_clip_model.safetensors",
    } <= set(names)
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert set(tracked) <= set(names)
    metadata = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert "License-Expression: Apache-2.0" in metadata
