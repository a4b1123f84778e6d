from __future__ import annotations

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes text or bytes to a file below a folder of its own, and returns the path."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
