"""Pairs of query and document as tokens, in batches of similar length, with the positives that are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

POOL = 32  # batches whose rows are sorted by length together: fewer need more padding, more are less random
_TEXTS = 1024  # tokenized in one call
# The names of the prompts of each side; the first that a model has is used, as in sentence-transformers.
_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}

Rows = NDArray[np.intp]
"""Positions of rows, shape (rows,)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokenized texts of one side, not padded yet.

    Args:
        columns: for each input of the network ("input_ids", "attention_mask", ...) the numbers of every text.
        padding: for each input, the number that fills up shorter rows.
        padding_side: "left" or "right".
        constants: inputs that are not a number per token.
    """

    columns: Mapping[str, list[Tensor]]
    padding: Mapping[str, int]
    padding_side: str
    constants: Mapping[str, Any]

    def batch(self, rows: Rows, device: Any) -> dict[str, Any]:
        """These rows on `device`, padded to the longest of them: shape (rows, longest)."""
        from torch.nn.utils.rnn import pad_sequence

        return {
            name: pad_sequence(
                [column[row] for row in rows],
                batch_first=True,
                padding_value=self.padding[name],
                padding_side=self.padding_side,
            ).to(device)
            for name, column in self.columns.items()
        } | dict(self.constants)


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """n pairs as tokens; texts that the model cannot tell apart are one text.

    Args:
        queries: tokens of the distinct queries.
        documents: tokens of the distinct documents.
        query: which query each pair has, shape (n,).
        document: which document each pair has, shape (n,).
        positives: one number for each distinct pair of a query and a document, sorted.
    """

    queries: Tokens
    documents: Tokens
    query: Rows
    document: Rows
    positives: NDArray[np.int64]

    @classmethod
    def tokenize(
        cls, model: SentenceTransformer, pairs: Sequence[tuple[str, str]], max_length: int | None
    ) -> TrainingPairs:
        """Tokenize pairs of query and document; see `tokenize`."""
        queries, query = _distinct(model, [text for text, _ in pairs], "query", max_length)
        documents, document = _distinct(model, [text for _, text in pairs], "document", max_length)
        return cls(queries, documents, query, document, np.unique(_numbers(query, document)))

    def lengths(self) -> NDArray[np.intp]:
        """Tokens of each pair's document, the longer side, shape (n,)."""
        return np.array([len(row) for row in self.documents.columns["input_ids"]])[self.document]

    def known_positives(self, rows: Rows) -> NDArray[np.bool_]:
        """Which documents of a batch are positives of which of its queries, by any of the n pairs.

        Args:
            rows: pairs of the batch, shape (b,).

        Returns:
            bool of shape (b, b). A copy of a query's own document is a positive too.
        """
        wanted = _numbers(self.query[rows][:, None], self.document[rows][None, :])
        places = np.minimum(np.searchsorted(self.positives, wanted), len(self.positives) - 1)
        return np.asarray(self.positives[places] == wanted, dtype=np.bool_)


def tokenize(model: SentenceTransformer, texts: Sequence[str], side: str, max_length: int | None) -> Tokens:
    """Tokenize texts as `encode_query` and `encode_document` would, with the model's prompt.

    Args:
        model: has the tokenizer and the prompts.
        texts: at least one.
        side: "query" or "document".
        max_length: maximum tokens per text; None is the model's own maximum.

    Raises:
        ValueError: the model does not read padded rows of tokens.
    """
    import torch

    name = next((name for name in _PROMPTS[side] if name in model.prompts), model.default_prompt_name)
    prompt = None if name is None else model.prompts[name]
    columns: dict[str, list[Tensor]] = {}
    constants: dict[str, Any] = {}
    for start in range(0, len(texts), _TEXTS):
        chunk = list(texts[start : start + _TEXTS])
        features = model.preprocess(chunk, prompt=prompt, task=side, max_length=max_length)
        if "attention_mask" not in features:
            raise ValueError(f"{type(model[0]).__name__} cannot be fitted: pass a transformer model")
        real = features["attention_mask"].bool()  # (chunk, longest)
        for name, value in features.items():
            if torch.is_tensor(value) and value.shape == real.shape:
                columns.setdefault(name, []).extend(torch.split(value[real], real.sum(1).tolist()))
            else:
                constants[name] = value
    padding = dict.fromkeys(columns, 0)
    padding["input_ids"] = model.tokenizer.pad_token_id or 0
    return Tokens(columns, padding, model.tokenizer.padding_side, constants)


def shuffled_batches(
    lengths: NDArray[np.intp], size: int, epochs: int, generator: np.random.Generator
) -> Iterator[Rows]:
    """Random batches of similar length: shuffle, cut into pools, sort each, cut into batches, shuffle these.

    Args:
        lengths: tokens of each row, shape (n,).
        size: rows per batch; the last batch of an epoch may have fewer.
        epochs: passes over the rows.
        generator: the source of randomness.
    """
    for _ in range(epochs):
        order = generator.permutation(len(lengths))
        batches: list[Rows] = []
        for start in range(0, len(order), POOL * size):
            pool = order[start : start + POOL * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[cut : cut + size] for cut in range(0, len(pool), size)]
        for batch in generator.permutation(len(batches)):
            yield batches[batch]


def _distinct(
    model: SentenceTransformer, texts: Sequence[str], side: str, max_length: int | None
) -> tuple[Tokens, Rows]:
    """Tokens of the texts that the model can tell apart, and the place of each text among them, shape (n,)."""
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    tokens = tokenize(model, list(place), side, max_length)
    first: dict[bytes, int] = {}
    same = [first.setdefault(row.numpy().tobytes(), n) for n, row in enumerate(tokens.columns["input_ids"])]
    return tokens, np.array([same[place[text]] for text in texts], dtype=np.intp)


def _numbers(queries: Rows, documents: Rows) -> NDArray[np.int64]:
    """One number for each pair of a query and a document."""
    return queries.astype(np.int64) << 32 | documents
