"""Pairs of texts as token ids, truncated to what the model can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimodal.text_normalization import normalize_text
from rerank.checks import text_pairs
from rerank.cross_encoder.batching import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pair = tuple[str, str]
Batch = dict[str, NDArray[np.int64]]
"""What a network reads, by input name ("input_ids", "attention_mask", ...): each of shape (rows, longest)."""


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Tokenized pairs, not yet padded.

    Args:
        columns: for each input of the network, the token ids (or mask) of every pair.
        padding: for each input, the value that fills up shorter rows.
        truncated: whether each pair lost some of its text, shape (n,).
    """

    columns: Mapping[str, list[list[int]]]
    padding: Mapping[str, int]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Tokens of each pair, shape (n,)."""
        return np.array([len(row) for row in self.columns["input_ids"]], dtype=np.intp)

    def rows(self, rows: Rows) -> EncodedPairs:
        """These rows only, in this order."""
        columns = {name: [column[row] for row in rows] for name, column in self.columns.items()}
        return EncodedPairs(columns, self.padding, self.truncated[rows])

    def batch(self, rows: Rows) -> Batch:
        """These rows, padded on the right to the longest of them."""
        return {
            name: _pad([column[row] for row in rows], self.padding[name])
            for name, column in self.columns.items()
        }


def tokenize(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], max_length: int) -> EncodedPairs:
    """Query and document as one sequence, with the separators the model was trained with.

    A pair of more than `max_length` tokens loses the end of its document. If even an empty document would not
    fit, the longer of the two texts is truncated until both fit.
    """
    inputs: dict[str, Any] = {"return_attention_mask": True, "verbose": False}
    whole = tokenizer([query for query, _ in pairs], [document for _, document in pairs], **inputs)
    columns = {name: whole[name] for name in tokenizer.model_input_names if name in whole}
    too_long = np.array([len(ids) > max_length for ids in columns["input_ids"]], dtype=np.bool_)
    for row in np.flatnonzero(too_long).tolist():
        excess = len(columns["input_ids"][row]) - max_length
        document = tokenizer(pairs[row][1], add_special_tokens=False, verbose=False)["input_ids"]
        strategy = "only_second" if excess < len(document) else "longest_first"
        # Passed as lists: on its own, an empty document is taken for none and loses its separator.
        one = [[text] for text in pairs[row]]
        cut = tokenizer(*one, truncation=strategy, max_length=max_length, **inputs)
        for name, column in columns.items():
            column[row] = cut[name][0]
    padding = dict.fromkeys(columns, 0)
    padding |= {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    return EncodedPairs(columns, padding, too_long)


def normalized(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in Unicode form NFKC, so that full-width and composed characters match the vocabulary.

    Raises:
        InputError: a pair is not two strings; the message names its position.
    """
    found = text_pairs("pairs", pairs)
    return [(normalize_text(query), normalize_text(document)) for query, document in found]


def _pad(rows: Sequence[Sequence[int]], value: int) -> NDArray[np.int64]:
    padded = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
