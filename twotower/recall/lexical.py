"""Words for BM25, in English and Chinese, and BM25 over them."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HAN = "\u3400-\u9fff"
_PIECES = re.compile(f"[{_HAN}]+|[^\\W_{_HAN}]+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: English stems, Chinese words, and codes such as "006r90321" whole.

    English by Snowball's stemmer (Porter 2001), Chinese by jieba's dictionary. No stop words are taken out; their
    inverse document frequency does that.
    """
    words: list[str] = []
    for piece in _PIECES.findall(unicodedata.normalize("NFKC", text).lower()):
        if "\u3400" <= piece[0] <= "\u9fff":
            words += _jieba().lcut(piece)
        else:
            words.append(_stemmer().stemWord(piece))
    return words


class BM25:
    """Lexical search over n texts.

    Source: Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", with the inverse
    document frequency of Lucene.

    Args:
        texts: n texts.
        k1: how soon repeated words stop to count.
        b: how much long texts are held back, in [0, 1].
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.2, b: float = 0.75) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.NOTSET)  # its import turns debug messages on
        corpus = [words_of(text) for text in texts]
        self._size = len(corpus)
        self._vocabulary = {word for words in corpus for word in words}
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
        if self._vocabulary:
            self._index.index(corpus, show_progress=False)

    def search(self, query: str, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k best texts that share a word with the query.

        Args:
            query: words.
            k: at least 1.

        Returns:
            Scores and rows, each of shape (at most k,), best first; equal scores in the order of the texts.
        """
        known = [word for word in words_of(query) if word in self._vocabulary]
        if not known:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        scores = np.asarray(self._index.get_scores(known), dtype=np.float32)
        found = np.flatnonzero(scores > 0)
        if len(found) > k:
            least = np.partition(scores[found], -k)[-k]
            found = found[scores[found] >= least]
        rows = found[np.argsort(-scores[found], kind="stable")][:k]
        return scores[rows], rows


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@cache
def _jieba() -> Any:
    import jieba

    tokenizer = jieba.Tokenizer()
    # As jieba's own `initialize` does, but without its cache, a file of Python objects in a folder of everybody's.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
