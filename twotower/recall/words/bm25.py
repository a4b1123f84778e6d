"""BM25 over segments: one inverted index per segment, scored with the statistics of the whole collection.

Scores are computed at query time from global statistics, so an item scores the same whichever segment it is in.

Source: Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", with the inverse
document frequency of Lucene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.recall.filters.columns import moved_rows
from twotower.recall.selection import Selection
from twotower.recall.words.item_text import ItemText
from twotower.recall.words.tokenizer import words_of
from twotower.types import Item, Scores

K1 = 0.6  # term-frequency saturation
B = 0.5  # length normalisation
ROWS_PER_READ = 1_000  # items in memory while postings are built


@dataclass(frozen=True)
class Postings:
    """An inverted index: which of n rows contain each word, and how often.

    Args:
        counts: scipy sparse matrix in CSC format, of shape (n, words).
        columns: the column of every word.
        lengths: number of words of each row, shape (n,).
    """

    counts: Any
    columns: Mapping[str, int]
    lengths: NDArray[np.float32]

    @classmethod
    def of(cls, texts: Iterable[str], size: int, words_of: Callable[[str], list[str]] = words_of) -> Postings:
        """Index `size` texts, tokenized by `words_of`."""
        from scipy.sparse import csc_matrix
        from sklearn.feature_extraction.text import CountVectorizer

        vectorizer = CountVectorizer(analyzer=words_of, dtype=np.float32)
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn's answer where no text has a word
            empty = csc_matrix((size, 0), dtype=np.float32)
            return cls(empty, {}, np.zeros(size, dtype=np.float32))
        lengths = np.asarray(counts.sum(axis=1), dtype=np.float32).ravel()
        columns = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
        return cls(counts.tocsc(), columns, lengths)

    @classmethod
    def joined(cls, parts: Sequence[tuple[Postings, NDArray[np.int64]]]) -> Postings:
        """The postings of the chosen rows of several segments, concatenated."""
        from scipy.sparse import csr_matrix, vstack

        columns: dict[str, int] = {}
        for postings, _ in parts:
            for word in postings.columns:
                columns.setdefault(word, len(columns))
        moved = []
        for postings, rows in parts:
            counts = postings.counts.tocsr()[rows]
            new_columns = np.array([columns[word] for word in _in_order(postings.columns)], dtype=np.int32)
            indices = new_columns[counts.indices] if len(new_columns) else counts.indices
            moved.append(csr_matrix((counts.data, indices, counts.indptr), (len(rows), len(columns))))
        lengths = np.concatenate([postings.lengths[rows] for postings, rows in parts])
        return cls(vstack(moved).tocsc(), columns, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def rows_with(self, word: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The rows that contain a word, ascending, and how often each does."""
        column = self.columns.get(word)
        if column is None:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        part = slice(self.counts.indptr[column], self.counts.indptr[column + 1])
        return self.counts.indices[part], self.counts.data[part]


def _in_order(columns: Mapping[str, int]) -> list[str]:
    return sorted(columns, key=columns.__getitem__)


class LexicalIndex:
    """The postings of a segment, built on first use.

    Two threads may build them at the same time; both get the same result, and either is kept.

    Args:
        size: n, the number of rows.
        read: as for `Columns`.
        text_of: what lexical search reads, as words.

    Attributes:
        missing_rows: as for `Columns`.
    """

    def __init__(
        self, size: int, read: Callable[[Sequence[int]], Sequence[Item | None]], text_of: ItemText
    ) -> None:
        self._size = size
        self._read = read
        self.text_of = text_of
        self.missing_rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    @classmethod
    def joined(
        cls,
        parts: Sequence[tuple[LexicalIndex, NDArray[np.int64]]],
        read: Callable[[Sequence[int]], Sequence[Item | None]],
    ) -> LexicalIndex:
        """The chosen rows of several segments, concatenated; the postings are ready if any of theirs are."""
        joined = cls(sum(len(rows) for _, rows in parts), read, parts[0][0].text_of)
        if any(index.is_ready for index, _ in parts):
            joined.postings = Postings.joined([(index.postings, rows) for index, rows in parts])
            joined.missing_rows = moved_rows([(index.missing_rows, rows) for index, rows in parts])
        return joined

    @property
    def is_ready(self) -> bool:
        """Whether `postings` are built."""
        return "postings" in vars(self)

    @cached_property
    def postings(self) -> Postings:
        """The postings of all rows."""
        missing: list[int] = []
        postings = Postings.of(self._texts(missing), self._size, self.text_of.words_of)
        self.missing_rows = np.array(missing, dtype=np.int64)
        return postings

    def _texts(self, missing: list[int]) -> Iterator[str]:
        """The text of each row, reading a block of items at a time; collects the rows that have lost theirs."""
        for start in range(0, self._size, ROWS_PER_READ):
            items = self._read(range(start, min(start + ROWS_PER_READ, self._size)))
            for row, item in enumerate(items, start):
                if item is None:
                    missing.append(row)
                yield "" if item is None else self.text_of(item)


@dataclass(frozen=True)
class LivePostings:
    """The postings of a segment some of whose rows may have been deleted.

    Args:
        postings: of all n rows.
        alive: the rows that count.
    """

    postings: Postings
    alive: Selection

    @classmethod
    def whole(cls, postings: Postings) -> LivePostings:
        """With all rows live."""
        return cls(postings, Selection(np.ones(len(postings), dtype=np.bool_)))

    @cached_property
    def length(self) -> float:
        """Number of words in the live rows."""
        return float(self.postings.lengths[self.alive.mask].sum(dtype=np.float64))

    def document_frequency(self, word: str) -> int:
        """How many live rows contain a word."""
        rows = self.postings.rows_with(word)[0]
        return len(rows) if self.alive.count == len(self.postings) else int(self.alive.mask[rows].sum())


@dataclass(frozen=True, slots=True)
class CollectionStatistics:
    """The statistics of the whole collection that BM25 needs.

    Deleted rows do not count, so that scores depend neither on merges nor on which process searches.

    Args:
        rows: how many live rows there are.
        mean_length: words in a row, on average.
        idf: inverse document frequency of each query word that occurs in the collection.
    """

    rows: int
    mean_length: float
    idf: Mapping[str, float]

    @classmethod
    def of(cls, parts: Sequence[LivePostings], words: Iterable[str]) -> CollectionStatistics:
        """The statistics of all segments for the words of a query."""
        rows = sum(part.alive.count for part in parts)
        length = sum(part.length for part in parts)
        idf = {}
        for word in words:
            if document_frequency := sum(part.document_frequency(word) for part in parts):
                idf[word] = float(np.log(1 + (rows - document_frequency + 0.5) / (document_frequency + 0.5)))
        return cls(rows, length / max(rows, 1), idf)

    def upper_bound(self, words: Iterable[str]) -> float:
        """An upper bound of the score of any row for these words."""
        return sum(self.idf.get(word, 0.0) for word in words)

    def scores(self, part: Postings, words: Iterable[str]) -> Scores:
        """BM25 of every row of a segment, shape (n,); 0 for rows with none of the words."""
        scores = np.zeros(len(part), dtype=np.float32)
        for word in words:
            rows, frequency = part.rows_with(word)
            if word in self.idf and rows.size:
                length = part.lengths[rows] / np.float32(self.mean_length)
                saturated = frequency / (frequency + K1 * (1 - B + B * length))
                scores[rows] += np.float32(self.idf[word]) * saturated
        return scores
