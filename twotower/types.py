"""The public records of the library, and the protocols of the parts that users may replace.

Records are validated when they are used (`Retriever.upsert`, `record`, `search`), not when they are created, so that
all bad records of a batch can be reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Vectors: TypeAlias = NDArray[np.float32]
"""Rows of unit length, C-contiguous, shape (n, dim)."""
Scores: TypeAlias = NDArray[np.float32]
"""Higher is better, always."""
Where: TypeAlias = Mapping[str, Any]
"""A filter such as `{"price": {"$lt": 100}, "brand": "Acme"}`; see `twotower.recall.filters.where`."""
Scalar: TypeAlias = "str | int | float | bool | Decimal | date | Enum | np.generic"
AttributeValue: TypeAlias = "Scalar | Sequence[Scalar] | None"
"""The value of an attribute; None is the same as not having the attribute. See `twotower.values`."""
ImageSource: TypeAlias = "str | Path | bytes | BinaryIO | Image"
"""A photo: a JPEG, PNG or WebP file by its path, as bytes or as a file opened for reading bytes; or a PIL image."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product of the catalogue.

    Args:
        id: the shop's own id, any non-empty string.
        title: in any language.
        text: the description.
        image: path of a photo (JPEG, PNG or WebP), or None. A relative path is made absolute, so that it outlives
            `os.chdir`.
        time: when the product was released, an aware datetime, or None where unknown.
        attributes: by name, for filters, decay by attribute, and search (see `Retriever`'s `searchable`).
    """

    id: str
    title: str = ""
    text: str = ""
    image: str | Path | None = None
    time: datetime | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", _absolute(self.image))

    @property
    def words(self) -> str:
        """Title and description as one text, the title first so that it survives a model's length limit."""
        return "\n".join(part for part in (self.title.strip(), self.text.strip()) if part)


@dataclass(frozen=True, slots=True)
class Event:
    """One interaction of a user with an item.

    An event counts once, however often it is recorded: an event without an id is known by its other fields.

    Args:
        user: the shop's own id of the user.
        item: the id of an indexed item.
        kind: what happened, such as "view", "click", "cart" or "purchase".
        time: when it happened, an aware datetime.
        value: its weight relative to other events of its kind, at least 0.
        id: the shop's own id of the event; "" if it has none.
    """

    user: str
    item: str
    kind: str
    time: datetime
    value: float = 1.0
    id: str = ""


EVENT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"purchase": 1.0, "cart": 0.6, "click": 0.3, "view": 0.1}
)
"""How much an event of each kind counts, unless told otherwise; other kinds count 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query: words, a photo, or both.

    Args:
        text: the words, possibly "".
        image: a photo, or None.
    """

    text: str = ""
    image: ImageSource | None = field(default=None, hash=False)  # an open image is not hashable

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", _absolute(self.image))

    @property
    def kind(self) -> str:
        """Its content: "words", "photo", "words and photo" or "nothing"."""
        parts = [
            name for name, given in (("words", self.text.strip()), ("photo", self.image is not None)) if given
        ]
        return " and ".join(parts) or "nothing"


def _absolute(photo: object) -> object:
    """A path made absolute; anything else, such as a URL or an open image, as it is."""
    if isinstance(photo, Path):
        return photo.absolute()
    if isinstance(photo, str) and photo and "://" not in photo and not photo.startswith("data:"):
        return str(Path(photo).absolute())
    return photo


class Hit(NamedTuple):
    """One result. A tuple, because a batch of searches makes thousands of them.

    Args:
        item: the item as it was indexed.
        score: higher is better.
        explain: the terms of the score by name. "freshness", if present, is a factor, all others are summands:
            score = (sum of the others) * freshness.
        ranks: the item's rank after "recall" and after each reranking stage that has read it, from 1; empty without
            reranking.
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
    """An item that `upsert` skipped, and the reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """The result of `upsert` and `update`.

    Args:
        upserted: how many items were indexed.
        skipped: the items that were skipped, in order (only with `on_error="skip"`).
        without_photo: the items that were indexed by their words alone (only with `on_bad_photo="words"`).
    """

    upserted: int
    skipped: tuple[BadItem, ...] = ()
    without_photo: tuple[BadItem, ...] = ()


@dataclass(frozen=True, slots=True)
class BadEvent:
    """An event that `record` skipped: its position among the events given, from 0, and the reason."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecordReport:
    """The result of `record`.

    Args:
        recorded: how many events were new.
        repeated: how many were recorded before or occurred twice, and count once.
        skipped: the events that were skipped, in order (only with `on_error="skip"`).
    """

    recorded: int
    repeated: int = 0
    skipped: tuple[BadEvent, ...] = ()


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
    """An encoder that also encodes queries with a photo; without this method they are refused."""

    def encode_image_queries(self, queries: Sequence[Query], /) -> NDArray[np.float32]:
        """Query tower: float32 of shape (n, dim) for n queries, at least one of which has a photo."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """An encoder that can tell which texts it reads, so that hybrid recall ignores its vectors of the others."""

    def readable(self, texts: Sequence[str], /) -> NDArray[np.bool_]:
        """Bool of shape (n,): False for texts in a script, or of codes, that the text model cannot read."""
        ...


@runtime_checkable
class Describable(Protocol):
    """A part with a description that a store keeps, so that `Retriever.open` can rebuild it."""

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that identify the part, such as its models and weights.

        Where they hold a value named "content", such as a hash of a model's weights, this value alone decides whether
        two parts are the same; those beside it say where the part is, which may change.
        """
        ...


@runtime_checkable
class Blocked(Protocol):
    """An encoder whose inner product is a sum over named parts of the vector, so that hits can explain it."""

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Name of each part and its columns; together they cover the vector."""
        ...


class Reranker(Protocol):
    """Scores the relevance of candidates, reading each together with the query."""

    def score(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float32]:
        """Relevance in [0, 1], shape (n,), of n pairs of query and candidate text."""
        ...


class ListwiseResult(Protocol):
    """The reranked candidates of one query; arrays of shape (n,), in the order of the input."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores that determine the order."""
        ...

    @property
    def relevance(self) -> NDArray[np.float32]:
        """Relevance in [0, 1]; 0 for candidates that were not read."""
        ...

    @property
    def order(self) -> NDArray[np.intp]:
        """Positions of the candidates, best first."""
        ...

    @property
    def ranks(self) -> Mapping[str, NDArray[np.intp]]:
        """By stage, the rank of each candidate after it, from 1; 0 for candidates that it did not read."""
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
    ) -> Sequence[ListwiseResult]:
        """Order the candidates of q queries.

        Args:
            queries: q queries.
            candidates: texts for each query, best first.
            blend: computes scores from the number of a query and the relevance of its candidates.
            deadline: when to finish, in seconds of `time.perf_counter`; None for no deadline.
        """
        ...


class TimeDecay(Protocol):
    """Computes the factor by which age lowers a score."""

    def factor(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Multiplier in (0, 1], shape (n,), of ages in days, shape (n,); NaN is an unknown age."""
        ...


@runtime_checkable
class DecayByAttribute(TimeDecay, Protocol):
    """A decay that also depends on an attribute of the item; `factor` is for items with none of the values."""

    @property
    def attribute(self) -> str:
        """The name of the attribute."""
        ...

    @property
    def values(self) -> Sequence[str | int | float | bool]:
        """The values with a decay of their own."""
        ...

    def factor_of(self, ages: NDArray[np.float64], places: NDArray[np.int64], /) -> NDArray[np.float64]:
        """As `factor`, for items with the values at `places`, shape (n,); `len(values)` means none of them."""
        ...
