"""Notices an encoder that was trained while vectors that it made before are searched."""

from __future__ import annotations

from collections.abc import Sized

from twotower.errors import EncoderError
from twotower.types import Encoder


class TrainingGuard:
    """Refuses to mix the vectors of an encoder from before and after a training.

    Args:
        encoder: its `revision`, if it has one, rises when it is trained.
        corpus: the items that it has encoded; while there are none, it may be trained.
    """

    def __init__(self, encoder: Encoder, corpus: Sized) -> None:
        self._encoder = encoder
        self._corpus = corpus
        self._revision = _revision(encoder)

    def check(self) -> None:
        """Check the encoder before it encodes, and before its description is stored.

        Raises:
            EncoderError: it was trained after items were encoded.
        """
        revision = _revision(self._encoder)
        if revision == self._revision:
            return
        if len(self._corpus):
            raise EncoderError(
                "the encoder was trained after items were encoded with it: save it and open the store with "
                "reindex=True, or index all items in a new Retriever"
            )
        self._revision = revision


def _revision(encoder: Encoder) -> int:
    return int(getattr(encoder, "revision", 0))
