"""Files that tests of reading write, and how their faults are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from twotower.errors import CatalogueError
from twotower.ingest import read_catalogue

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def lines(*objects):
    return "".join(json.dumps(value) + "\n" for value in objects)


def refusal(path, read=read_catalogue):
    """The message, which must begin with the file."""
    with pytest.raises(CatalogueError) as caught:
        list(read(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))
