"""A model's tokenizer from its files, by the `tokenizers` library alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank.errors import ModelError
from rerank.tokens import Pair, Tokens

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

COLUMNS = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """A tokenizer and what its model expects of it.

    Args:
        tokenizer: without padding and truncation.
        max_length: most tokens that the model reads.
        padding: what fills up shorter rows, for each input.
    """

    tokenizer: Tokenizer
    max_length: int
    padding: dict[str, int]

    def tokenize(self, pairs: Sequence[Pair], max_length: int) -> Tokens:
        """The same as `rerank.tokens.tokenize`; one thread at a time."""
        encodings = self.tokenizer.encode_batch(list(pairs))
        too_long = np.array([len(encoding) > max_length for encoding in encodings], dtype=np.bool_)
        for row in np.flatnonzero(too_long).tolist():
            encodings[row] = self._cut(pairs[row], len(encodings[row]) - max_length, max_length)
        columns = {name: [getattr(each, part) for each in encodings] for name, part in COLUMNS.items()}
        return Tokens(columns, self.padding, too_long)

    def _cut(self, pair: Pair, excess: int, max_length: int) -> Encoding:
        document = len(self.tokenizer.encode(pair[1], add_special_tokens=False))
        self.tokenizer.enable_truncation(
            max_length, strategy="only_second" if excess < document else "longest_first"
        )
        try:
            return self.tokenizer.encode(*pair)
        finally:
            self.tokenizer.no_truncation()


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """The tokenizer in a model's folder.

    Raises:
        ModelError: there is none that can be read without transformers.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        padding: int = tokenizer.get_vocab()[_text(config["pad_token"])]
        max_length = int(config["model_max_length"])
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            f"{folder} has no tokenizer that can be read without transformers ({error}): use the torch back end."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    type_padding = int(config.get("pad_token_type_id", 0))
    paddings = {"input_ids": padding, "token_type_ids": type_padding, "attention_mask": 0}
    return TokenizerFiles(tokenizer, max_length, paddings)


def _text(token: str | dict[str, str]) -> str:
    return token if isinstance(token, str) else token["content"]
