"""The one form in which every text reaches a model."""

from __future__ import annotations

import unicodedata


def normalize_text(text: str) -> str:
    """Unicode NFKC: full-width and half-width forms of the same letter become one."""
    return unicodedata.normalize("NFKC", text)
