"""Arguments of every type for every parameter, and what an error must be like."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import linecache
import math
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fakes import HashEncoder
from hypothesis import strategies as st

from multimodal import MultimodalError
from rerank import Decay
from rerank.errors import RerankError
from twotower import Event, Item, Query
from twotower.errors import TwoTowerError

PACKAGES = [Path(__file__).parents[1] / name for name in ("twotower", "rerank", "multimodal")]
LONGEST = 500  # characters of a message
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)

Call = tuple[Callable[..., Any], Mapping[str, Any]]
"""What is called, and arguments with which it does what it is for."""


class Colour(enum.Enum):
    RED = "red"


class Nothing:
    """An object that has no use at all."""


def counting() -> Any:
    yield from range(3)


SCALARS: list[Any] = [
    *[None, True, False, 0, 1, -1, 10, 2**70, 10**400, 0.5, -0.5, 1e308, math.nan, math.inf, -math.inf, 1j],
    *["", " ", "red", "1", "\ud83d", "\x00", "👟", "a" * 5_000, "2026-01-01", "$in", "../x"],
    *["/nowhere/at/all", "~nobody-of-this-name/x"],
    *[b"", b"\xff\x00red", bytearray(b"x"), memoryview(b"x"), object(), Nothing(), Nothing, Colour.RED, len],
    *[np.int64(3), np.float32("nan"), np.bool_(True), np.str_("red"), np.datetime64("NaT")],
    *[decimal.Decimal("NaN"), decimal.Decimal(1), fractions.Fraction(1, 3), np.array(3.0), np.array(["a"])],
    *[NOW, NOW.replace(tzinfo=None), NOW.date(), NOW.time(), dt.timedelta(1), Path("/nowhere"), Path()],
    *[Item("1", "red"), Event("u", "1", "view", NOW), Query("red"), Decay.half_life(9), HashEncoder()],
    slice(3),
]
scalars: st.SearchStrategy[Any] = st.sampled_from(SCALARS)
names = st.sampled_from(
    ["price", "id", "time", "$and", "$or", "$in", "$lt", "$exists", "$all", "", "q", "1", 3, None]
)
junk: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(names, inner, max_size=3),
        st.lists(st.floats(width=32), max_size=4).map(np.array),
        st.builds(counting),
        st.just(np.zeros((2, 2, 3), dtype=np.uint8)),
    ),
    max_leaves=6,
)


def with_junk(data: st.DataObject, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The usual arguments, one or two of them replaced."""
    changed = data.draw(st.lists(st.sampled_from(sorted(usual)), min_size=1, max_size=2, unique=True))
    return {**usual, **{parameter: data.draw(junk, label=parameter) for parameter in changed}}


def check_error_of(call: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Whatever is wrong with the arguments, the error must be one of ours, raised on purpose, and short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(**arguments)
            return
        except Exception as error:
            raised = error
    own = isinstance(raised, TwoTowerError | RerankError | MultimodalError)
    assert own or _on_purpose(raised), f"raised by a dependency or by chance: {raised!r:.300}"
    assert 0 < len(str(raised)) < LONGEST, f"{len(str(raised)):,} characters: {raised!s:.300}"


def list_of(found: Any) -> Any:
    """Reads what is lazy, hits and their parts included."""
    return (
        [str(each) for each in found] if hasattr(found, "__iter__") and not isinstance(found, str) else found
    )


def _on_purpose(error: BaseException) -> bool:
    """Whether an error was raised by a `raise` of ours, not by what we called or by the interpreter."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = any(Path(frame.filename).is_relative_to(package) for package in PACKAGES)
    return ours and linecache.getline(frame.filename, frame.lineno or 0).strip().startswith("raise")
