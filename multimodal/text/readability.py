"""Whether a text model can read a text: a share of its tokens, and the scripts of its letters.

The share of unknown tokens is not enough. An English BERT splits "кроссовки" into eight tokens, all of them known but
single letters, and it happens to know about every fourth character of Chinese product names. What matters is whether
the vocabulary has words of the script. The vocabulary of all-MiniLM-L6-v2 (an English BERT) has 246 Han characters
and, of any other script but Latin, at most 8 pieces of two letters or more; that of multilingual-e5-small (XLM-R) has
7,690 Han characters and at least 628 such pieces of each of the 24 other scripts that it was trained on. The
thresholds below lie between the two.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import compress
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimodal.text_normalization import normalize_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_UNREADABLE = 0.5  # share of a text's tokens, or of its letters, above which the model cannot read it
MIN_PIECES = 100  # of two letters or more that a vocabulary needs to read a script
MIN_IDEOGRAPHS = 1000  # Han characters that it needs to read Chinese
IDEOGRAPH_LETTERS = 5  # letters that a Han character counts for, as it is a word or half of one
_HAN, _LATIN = "CJK", "LATIN"  # as the names of their letters begin in Unicode
_PART = 4096  # tokens of the vocabulary that are searched at a time


class Readability:
    """What the tokenizer of a text model can read.

    Args:
        tokenizer: of transformers, or the bare one of `tokenizers` that static embedding models have. Its state is
            never changed, so that other threads may encode with it meanwhile.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend: Tokenizer | None = _backend(tokenizer)
        self._decode = tokenizer.batch_decode if self._backend is None else self._backend.decode_batch
        self._size = len(tokenizer) if self._backend is None else self._backend.get_vocab_size()
        self._unknown = _unknown_id(tokenizer)
        self._lock = Lock()  # of the search, whose state follows
        self._searched = 0  # tokens of the vocabulary
        self._pieces: Counter[str] = Counter()  # of two letters or more, by script
        self._ideographs: set[str] = set()  # Han characters

    def unknown_shares(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `TextEncoder.unknown_shares`."""
        shares = np.zeros(len(texts), dtype=np.float32)
        for row, tokens in enumerate(self._tokens(texts)):
            shares[row] = tokens.count(self._unknown) / max(len(tokens), 1)
        return shares

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """See `TextEncoder.readable`."""
        return np.array(
            [
                len(tokens) > 0
                and tokens.count(self._unknown) <= MAX_UNREADABLE * len(tokens)
                and (text.isascii() or self._foreign_share(text) <= MAX_UNREADABLE)
                for text, tokens in zip(texts, self._tokens(texts), strict=True)
            ],
            dtype=np.bool_,
        )

    def reads_script(self, script: str) -> bool:
        """Whether the vocabulary has words of a script.

        The vocabulary is searched until enough of them are found, each part of it once in all, which takes up to a
        second for the largest.

        Args:
            script: as the names of its letters begin in Unicode, such as "CYRILLIC"; Han is "CJK".
        """
        if script == _LATIN:  # brands and part numbers: not a question of words
            return True
        with self._lock:
            while not (enough := self._has_enough(script)) and self._searched < self._size:
                self._search_on()
            return enough

    def _tokens(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Token numbers of each text, without special tokens and padding."""
        normalized = [normalize_text(text) for text in texts]
        if self._backend is None:
            yield from (
                self._tokenizer(normalized, add_special_tokens=False)["input_ids"] if normalized else ()
            )
            return
        for encoding in self._backend.encode_batch(normalized, add_special_tokens=False):
            yield list(compress(encoding.ids, encoding.attention_mask))

    def _foreign_share(self, text: str) -> float:
        """Share of a text's letters that are of scripts of which the vocabulary has no words."""
        letters = Counter(filter(None, map(script_of, normalize_text(text))))
        letters[_HAN] *= IDEOGRAPH_LETTERS
        foreign = sum(count for script, count in letters.items() if count and not self.reads_script(script))
        return foreign / max(letters.total(), 1)

    def _has_enough(self, script: str) -> bool:
        """Whether enough words of a script were found so far."""
        if script == _HAN:
            return len(self._ideographs) >= MIN_IDEOGRAPHS
        return self._pieces[script] >= MIN_PIECES

    def _search_on(self) -> None:
        """Count the words in the next part of the vocabulary."""
        end = min(self._searched + _PART, self._size)
        numbers = [[number] for number in range(self._searched, end)]
        for piece in self._decode(numbers):  # because some vocabularies are of bytes
            if piece.isascii():
                continue
            letters = Counter(filter(None, map(script_of, piece)))
            self._pieces.update(script for script, count in letters.items() if count > 1)
            if letters[_HAN]:
                self._ideographs.update(letter for letter in piece if script_of(letter) == _HAN)
        self._searched = end


@cache
def script_of(character: str) -> str | None:
    """The script of a letter as its Unicode name begins, such as "CYRILLIC"; None for anything but a letter."""
    if unicodedata.category(character) not in (
        "Lu",
        "Ll",
        "Lt",
        "Lo",
    ):  # Lm: modifiers that many scripts share
        return None
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0] or None


def _backend(tokenizer: Any) -> Tokenizer | None:
    """The compiled tokenizer; None for one that is written in Python."""
    from tokenizers import Tokenizer

    return tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)


def _unknown_id(tokenizer: Any) -> int:
    """Number of the unknown token; -1, which no token has, where there is none, as in byte-level tokenizers."""
    if hasattr(tokenizer, "unk_token_id"):
        number = tokenizer.unk_token_id
    else:
        number = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    return -1 if number is None else int(number)
