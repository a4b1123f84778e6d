"""A model's tokenizer, read from its files by the `tokenizers` library alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank.cross_encoder.tokens import EncodedPairs, Pair
from rerank.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

COLUMNS = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}


@dataclass(frozen=True, slots=True)
class FileTokenizer:
    """A tokenizer, and what its model expects of it.

    Args:
        tokenizer: with padding and truncation off.
        max_length: maximum tokens that the model reads.
        padding: for each input, the value that fills up shorter rows.
    """

    tokenizer: Tokenizer
    max_length: int
    padding: dict[str, int]

    def tokenize(self, pairs: Sequence[Pair], max_length: int) -> EncodedPairs:
        """The same as `rerank.cross_encoder.tokens.tokenize`. Not thread-safe."""
        encodings = self.tokenizer.encode_batch(list(pairs))
        too_long = np.array([len(encoding) > max_length for encoding in encodings], dtype=np.bool_)
        for row in np.flatnonzero(too_long).tolist():
            encodings[row] = self._truncate(pairs[row], len(encodings[row]) - max_length, max_length)
        columns = {name: [getattr(each, part) for each in encodings] for name, part in COLUMNS.items()}
        return EncodedPairs(columns, self.padding, too_long)

    def _truncate(self, pair: Pair, excess: int, max_length: int) -> Encoding:
        document = len(self.tokenizer.encode(pair[1], add_special_tokens=False))
        self.tokenizer.enable_truncation(
            max_length, strategy="only_second" if excess < document else "longest_first"
        )
        try:
            return self.tokenizer.encode(*pair)
        finally:
            self.tokenizer.no_truncation()


def read_tokenizer(folder: Path) -> FileTokenizer:
    """The tokenizer in a model's folder.

    Raises:
        ModelError: there is none, or it cannot be read without transformers.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        padding: int = tokenizer.get_vocab()[_text(config["pad_token"])]
        max_length = int(config["model_max_length"])
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            f"{folder} has no tokenizer that can be read without transformers ({error}): use the torch back end"
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    type_padding = int(config.get("pad_token_type_id", 0))
    paddings = {"input_ids": padding, "token_type_ids": type_padding, "attention_mask": 0}
    return FileTokenizer(tokenizer, max_length, paddings)


def _text(token: str | dict[str, str]) -> str:
    return token if isinstance(token, str) else token["content"]
