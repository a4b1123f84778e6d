"""The vocabulary of the library: what goes in, what comes out, and what a user may replace.

These are plain records. They are checked where they enter (`Retriever.upsert`, `record`, `search`), so that a
batch with one bad record can be reported as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Vectors: TypeAlias = NDArray[np.float32]
"""Rows of unit length, C-contiguous, shape (n, dim)."""
Scores: TypeAlias = NDArray[np.float32]
"""Higher is better, always."""
Where: TypeAlias = Mapping[str, Any]
"""A filter such as `{"price": {"$lt": 100}, "brand": "Acme"}`; see `twotower.recall.filters`."""
AttributeValue: TypeAlias = "str | int | float | bool | datetime | Sequence[str] | None"
"""What an attribute may hold; None is the same as not having the attribute."""
ImageSource: TypeAlias = "str | Path | Image"
"""A photo: the path of a JPEG, PNG or WebP file, or an open PIL image."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product of the catalogue.

    Args:
        id: the shop's own id, any non-empty string.
        title: what a shopper reads first; any language.
        text: the description.
        image: path of a photo (JPEG, PNG or WebP), or None.
        time: when the product was released, an aware datetime, or None where unknown.
        attributes: what filters and explanations read, by name.
    """

    id: str
    title: str = ""
    text: str = ""
    image: str | Path | None = None
    time: datetime | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Title and description as one text, the title first so that it survives a model's length limit."""
        return "\n".join(part for part in (self.title.strip(), self.text.strip()) if part)


@dataclass(frozen=True, slots=True)
class Event:
    """One act of one user on one item.

    Args:
        user: the shop's own id of the user.
        item: the id of an indexed item.
        kind: what happened, such as "view", "click", "cart" or "purchase".
        time: when it happened, an aware datetime.
        value: how much it counts beside other events of its kind, at least 0.
    """

    user: str
    item: str
    kind: str
    time: datetime
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class Query:
    """What a shopper asks by: words, a photo, or both.

    Args:
        text: the words, possibly "".
        image: a photo, or None.
    """

    text: str = ""
    image: ImageSource | None = field(default=None, hash=False)  # an open photo has no hash

    @property
    def kind(self) -> str:
        """What it consists of: "words", "photo", "words and photo" or "nothing"."""
        parts = [
            name for name, given in (("words", self.text.strip()), ("photo", self.image is not None)) if given
        ]
        return " and ".join(parts) or "nothing"


class Hit(NamedTuple):
    """One result. A tuple, because a batch of searches makes thousands of them.

    Args:
        item: the item as it was indexed.
        score: higher is better.
        explain: the parts of the score by name. "freshness", where it is there, multiplies;
            all others add up: score = (sum of the others) * freshness.
        ranks: the item's place after "recall" and after each stage of reranking that has read it, from 1 on; empty
            where nothing was to be reranked.
    """

    item: Item
    score: float
    explain: Mapping[str, float]
    ranks: Mapping[str, int] = MappingProxyType({})

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id

    def __reduce__(self) -> tuple[Any, ...]:
        return Hit, (self.item, self.score, dict(self.explain), dict(self.ranks))  # a proxy cannot be pickled


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item that `upsert` left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """What one `upsert` did.

    Args:
        upserted: how many items are now indexed as given.
        skipped: the items left out, in the order they came (only with `on_error="skip"`).
    """

    upserted: int
    skipped: tuple[BadItem, ...] = ()


class Encoder(Protocol):
    """The two towers in one object, so that query side and item side cannot be mismatched."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    def encode_items(self, items: Sequence[Item], /) -> NDArray[np.float32]:
        """Item tower: float32 of shape (n, dim)."""
        ...

    def encode_queries(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Query tower: float32 of shape (n, dim) for the words of n queries."""
        ...


@runtime_checkable
class ImageQueryEncoder(Protocol):
    """An encoder that also reads queries with a photo; without this method they are refused."""

    def encode_image_queries(self, queries: Sequence[Query], /) -> NDArray[np.float32]:
        """Query tower: float32 of shape (n, dim) for n queries, at least one of which has a photo."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """An encoder that can tell which words it understands, so that hybrid recall does not trust its guesses."""

    def readable(self, texts: Sequence[str], /) -> NDArray[np.bool_]:
        """Bool of shape (n,): False for texts in a script, or of codes, that the text model cannot read."""
        ...


@runtime_checkable
class Describable(Protocol):
    """An encoder that a store can name, so that `Retriever.open` can build it again."""

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that say which models and weights this is."""
        ...


@runtime_checkable
class Blocked(Protocol):
    """An encoder whose inner product is a sum over named parts of the vector, so that hits can explain it."""

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Name of each part and its columns; together they cover the vector."""
        ...


class Reranker(Protocol):
    """Reads a query beside each candidate."""

    def score(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float32]:
        """Relevance in [0, 1], shape (n,), of n pairs of query and candidate text."""
        ...


class RerankResult(Protocol):
    """How the n candidates of one query were reranked; arrays of shape (n,), in the order they were given."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """What they are ordered by."""
        ...

    @property
    def relevance(self) -> NDArray[np.float32]:
        """In [0, 1]; 0 for those that were not read."""
        ...

    @property
    def order(self) -> NDArray[np.intp]:
        """Their positions, best first."""
        ...

    @property
    def ranks(self) -> Mapping[str, NDArray[np.intp]]:
        """By stage, the place of each after it, from 1 on; 0 for those that it did not read."""
        ...


@runtime_checkable
class ListwiseReranker(Protocol):
    """A reranker that decides which candidates of a list to read in the time it has; see `rerank.Cascade`."""

    @property
    def depth(self) -> int | None:
        """How many candidates of a query it reads at most; None for all."""
        ...

    def rerank(
        self,
        queries: Sequence[str],
        candidates: Sequence[Sequence[str]],
        blend: Callable[[int, NDArray[np.float32]], NDArray[np.float64]],
        /,
        *,
        deadline: float | None = None,
    ) -> Sequence[RerankResult]:
        """Order the candidates of q queries.

        Args:
            queries: q queries.
            candidates: texts for each query, best first.
            blend: makes scores of the number of a query and the relevance of its candidates.
            deadline: when to be done, in seconds of `time.perf_counter`; None for no hurry.
        """
        ...


class Decay(Protocol):
    """What age does to a score."""

    def factor(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Multiplier in (0, 1], shape (n,), of ages in days, shape (n,); NaN is an unknown age."""
        ...


@runtime_checkable
class DecayByAttribute(Decay, Protocol):
    """A decay that depends on an attribute of the item, too; `factor` is that of items with none of the values."""

    @property
    def attribute(self) -> str:
        """Its name."""
        ...

    @property
    def values(self) -> Sequence[str | int | float | bool]:
        """The values that are told apart."""
        ...

    def factor_of(self, ages: NDArray[np.float64], places: NDArray[np.int64], /) -> NDArray[np.float64]:
        """As `factor`, of items that have the values at `places`, shape (n,); `len(values)` is none of them."""
        ...
