"""Both towers in one object: encodes items and queries, words and photos, in one vector space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_is, check_text, listed, texts_of
from twotower.errors import ItemError, QueryError
from twotower.towers.parts import Fusion, ImageTower, TextTower
from twotower.types import ImageSource, Item, Query, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class DualEncoder:
    """Query tower and item tower over a text model and an image model.

    An item is encoded from its title, its description and its photo, a query from its words and its photo. If a query
    has no photo, the image model's own text tower encodes its words, to find matching photos. Query words that the
    text model cannot read (most of their tokens are unknown) are ignored if the query has an image part. The words of
    an item are never ignored: their weight would pass to the photo, and rank these items above all others for every
    query that has only an image part.

    Args:
        text: the text model.
        image: the image model; None to encode words alone.
        fusion: combines the two vectors; required with `image`, and only then.

    Raises:
        ValueError: only one of `image` and `fusion` is passed, or the fusion cannot combine the two models.
    """

    def __init__(
        self, text: TextTower, image: ImageTower | None = None, fusion: Fusion | None = None
    ) -> None:
        check_is("text", text, TextTower, "a TextTower, such as a TextEncoder")
        if image is not None:
            check_is("image", image, ImageTower, "an ImageTower, such as a ClipEncoder")
        if fusion is not None:
            check_is("fusion", fusion, Fusion, "a Fusion, such as WeightedConcat")
        if (image is None) != (fusion is None):
            raise ValueError("image and fusion belong together: pass both or neither")
        self._text = text
        self._image = image
        self._fusion = fusion
        _ = self.dim  # raises at once if the fusion cannot combine the two

    @property
    def dim(self) -> int:
        """Length of every vector."""
        if self._image is None or self._fusion is None:
            return self._text.dim
        return self._fusion.dim(self._text.dim, self._image.dim)

    @property
    def revision(self) -> int:
        """How often its models were trained since they were loaded."""
        return sum(int(getattr(model, "revision", 0)) for model in (self._text, self._image))

    @property
    def blocks(self) -> Mapping[str, slice]:
        """The columns of each block of the vector; the inner products of the blocks add up to the similarity."""
        if self._image is None or self._fusion is None:
            return {"text": slice(0, self.dim)}
        return self._fusion.blocks(self._text.dim, self._image.dim)

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that identify the models and weights."""
        return {
            "text": self._text.describe(),
            "image": None if self._image is None else self._image.describe(),
            "fusion": None if self._fusion is None else self._fusion.describe(),
        }

    def encode_items(self, items: Sequence[Item]) -> Vectors:
        """Item tower.

        Args:
            items: n items.

        Returns:
            float32 of shape (n, dim), rows of unit length.

        Raises:
            ItemError: a photo cannot be used, or an item has nothing to encode; `reasons` names every such item.
        """
        items = listed("items", items)
        for place, item in enumerate(items):
            check_is(f"items[{place}]", item, Item, "an Item")
        photos, failures = self._photos([item.image for item in items])
        words = [item.words for item in items]
        texts = {row: text for row, text in enumerate(words) if text and self._reads}
        self._text.readable(words)  # logs a warning about texts that it cannot read
        for row in range(len(items)):
            if row not in photos and row not in texts:
                failures.setdefault(row, "it has neither words nor a photo that this encoder reads")
        if failures:
            reasons = {items[row].id: failures[row] for row in sorted(failures)}
            first, reason = next(iter(reasons.items()))
            raise ItemError(f"item '{first}' cannot be indexed: {reason}", reasons)
        text = _placed(len(items), self._text.dim, _encoded(texts, self._text.encode_documents))
        if self._image is None:
            return text[0]
        return self._fuse(text, _placed(len(items), self._image.dim, photos))

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Whether at least half of a query vector comes from a model that reads the text, shape (n,).

        An image model's text tower counts as reading everything, since it cannot tell.
        """
        if self._fusion is not None and self._sees and self._fusion.image >= self._fusion.text:
            return np.ones(len(texts_of("texts", texts)), dtype=np.bool_)
        return self._text.readable(texts)

    def encode_image_queries(self, queries: Sequence[Query]) -> Vectors:
        """See `ImageQueryEncoder`."""
        return self.encode_queries(queries)

    def encode_queries(self, queries: Sequence[str | Query]) -> Vectors:
        """Query tower.

        Args:
            queries: n queries; each has words, a photo, or both.

        Returns:
            float32 of shape (n, dim), rows of unit length.

        Raises:
            QueryError: a query is empty, or its photo cannot be used.
        """
        queries = listed("queries", queries, error=QueryError)
        parsed = [query if isinstance(query, Query) else Query(query) for query in queries]
        for place, query in enumerate(parsed):
            check_text(f"queries[{place}]", query.text, error=QueryError)
        words = [query.text.strip() for query in parsed]
        photos, failures = self._photos([query.image for query in parsed])
        for reason in failures.values():
            raise QueryError(f"the query's photo cannot be used: {reason}")
        captions = {row: text for row, text in enumerate(words) if text and row not in photos and self._sees}
        texts = self._readable(words, others={**photos, **captions})
        for row in range(len(queries)):
            if row not in photos and row not in texts and row not in captions:
                raise QueryError("the query has neither words nor a photo that this encoder reads: pass one")
        text = _placed(len(queries), self._text.dim, _encoded(texts, self._text.encode_queries))
        if self._image is None:
            return text[0]
        image = photos | _encoded(captions, self._image.encode_texts)
        return self._fuse(text, _placed(len(queries), self._image.dim, image))

    @property
    def _reads(self) -> bool:
        return self._fusion is None or self._fusion.text > 0

    @property
    def _sees(self) -> bool:
        return self._fusion is not None and self._fusion.image > 0

    def _photos(self, sources: Sequence[ImageSource | None]) -> tuple[dict[int, Vectors], dict[int, str]]:
        """The vectors of photos by row, and the reason by row for those that cannot be opened or encoded."""
        photos: dict[int, Image] = {}
        failures: dict[int, str] = {}
        if self._image is None or not self._sees:
            return {}, failures
        for row, source in enumerate(sources):
            if source is not None:
                try:
                    photos[row] = self._image.load(source)
                except (
                    Exception
                ) as error:  # whatever a photo does to a decoder is a fault of that photo alone
                    failures[row] = str(error)
        try:
            return _encoded(photos, self._image.encode_images), failures
        except Exception:  # of a whole batch, because of one photo
            vectors: dict[int, Vectors] = {}
            for row, photo in photos.items():
                try:
                    vectors |= _encoded({row: photo}, self._image.encode_images)
                except Exception as error:
                    failures[row] = f"the photo cannot be encoded ({error}): replace it"
            return vectors, failures

    def _readable(self, words: Sequence[str], others: Mapping[int, Any]) -> dict[int, str]:
        """The texts to encode, by row: those that the model can read, and those of queries without another part."""
        if not self._reads:
            return {}
        readable = self._text.readable(words)
        return {row: text for row, text in enumerate(words) if text and (readable[row] or row not in others)}

    def _fuse(
        self, text: tuple[Vectors, NDArray[np.bool_]], image: tuple[Vectors, NDArray[np.bool_]]
    ) -> Vectors:
        assert self._fusion is not None  # with an image model there is a fusion, see __init__
        return self._fusion.fuse(text[0], image[0], text[1], image[1])


def _encoded(inputs: Mapping[int, T], encode: Callable[[Sequence[T]], Vectors]) -> dict[int, Vectors]:
    """The vectors of inputs by row; nothing is called for none."""
    return dict(zip(inputs, encode(list(inputs.values())), strict=True)) if inputs else {}


def _placed(count: int, dim: int, vectors: Mapping[int, Vectors]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors by row as an array of shape (count, dim), with a mask (count,) of the rows that have one."""
    placed = np.zeros((count, dim), dtype=np.float32)
    present = np.zeros(count, dtype=np.bool_)
    for row, vector in vectors.items():
        placed[row] = vector
        present[row] = True
    return placed, present
