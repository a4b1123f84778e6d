"""The one form in which every text reaches a model."""

from __future__ import annotations

import unicodedata


def normalize_text(text: str) -> str:
    """Unicode NFKC: full-width and half-width forms of the same letter become one.

    Half of a surrogate pair, which a cut emoji leaves behind, becomes U+FFFD, as tokenizers take no such text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFKC", text)
