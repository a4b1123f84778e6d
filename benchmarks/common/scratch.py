"""Folders that are gone when the process ends."""

from __future__ import annotations

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp


def scratch_folder(name: str) -> Path:
    """A new empty folder in the system's place for such, removed at exit."""
    folder = Path(mkdtemp(prefix=f"twotower-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
