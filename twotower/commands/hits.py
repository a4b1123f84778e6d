"""Print hits: as a table for people, as JSON Lines for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

from twotower.types import Hit

TITLE_CELLS = 48
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\u0085\u2028\u2029"}  # JSON does not escape these


def as_json(hits: Sequence[Hit], first: int = 1, *, ascii_only: bool = False) -> Iterator[str]:
    """One JSON object per line; times are in ISO 8601.

    Args:
        hits: best first.
        first: the rank of the first of them.
        ascii_only: escape all other characters, for a terminal that may not show them.
    """
    for rank, hit in enumerate(hits, start=first):
        item = hit.item
        record = {
            "rank": rank,
            "id": item.id,
            "score": hit.score,
            "title": item.title,
            "explain": dict(hit.explain),
            "ranks": dict(hit.ranks),
            "text": item.text,
            "image": item.image,
            "time": item.time,
            "attributes": dict(item.attributes),
        }
        yield json.dumps(record, ensure_ascii=ascii_only, default=_to_text).translate(_LINE_ENDS)


def as_table(hits: Sequence[Hit], first: int = 1) -> Iterator[str]:
    """Rank, score, id, title, and the parts of the score; see `as_json`."""
    if not hits:
        yield "no hits"
    ids = max((_cells(_line(hit.id)) for hit in hits), default=0)
    titles = min(TITLE_CELLS, max((_cells(_line(hit.item.title)) for hit in hits), default=0))
    for rank, hit in enumerate(hits, start=first):
        parts = "  ".join(f"{name} {value:.3f}" for name, value in hit.explain.items())
        yield f"{rank:>3}  {hit.score:.3f}  {_padded(hit.id, ids)}  {_padded(hit.item.title, titles)}  {parts}"


def _to_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _line(text: str) -> str:
    """One line without control characters, which a terminal could interpret."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _cells(text: str) -> int:
    """Width in a terminal; a Chinese character takes two cells."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, cells: int) -> str:
    text = _line(text)
    if _cells(text) > cells:
        while _cells(text) > cells - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (cells - _cells(text))
