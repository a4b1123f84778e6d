"""The searched text of an item: title, description, and the attributes that people type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from reprlib import repr as shown

from multimodal.checks import listed
from twotower.recall.words.tokenizer import words_of
from twotower.types import AttributeValue, Item

# Shoppers type these: queries with a brand or colour find more, and other queries lose nothing measurable.
DEFAULT_SEARCHABLE = (
    *("brand", "category", "color", "colour"),
    *("品牌", "类目", "类别", "分类", "颜色"),
)

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class ItemText:
    """The text of an item for the lexical channel, the text tower and the reranker.

    Args:
        attributes: names of attributes, in any case, whose values follow the description, such as "brand";
            a value that the title or the description already contains is not repeated.
        fold_diacritics: whether the lexical channel treats "café" and "cafe" as the same word.
    """

    attributes: tuple[str, ...] = DEFAULT_SEARCHABLE
    fold_diacritics: bool = True

    @classmethod
    def of(cls, searchable: Sequence[str] | None, fold_diacritics: bool | None = None) -> ItemText:
        """The text with these attributes and this folding; None for the default ones.

        Raises:
            ValueError: `searchable` is not a list of names.
        """
        fold = True if fold_diacritics is None else fold_diacritics
        if not isinstance(fold, bool):
            raise ValueError(f"fold_diacritics must be True or False, got {shown(fold)}")
        if searchable is None:
            return cls(fold_diacritics=fold)
        names = listed("searchable", searchable)
        if any(not isinstance(name, str) or not name for name in names):
            raise ValueError(f"searchable must be a list of attribute names, got {shown(names)}")
        return cls(tuple(dict.fromkeys(names)), fold)

    def __call__(self, item: Item) -> str:
        """The text of an item, the title first so that it survives a model's length limit."""
        return item.words if not self.attributes else self.extended(item).words

    def texts(self, items: Iterable[Item]) -> list[str]:
        """The texts of items."""
        return list(map(self, items))

    def words_of(self, text: str) -> list[str]:
        """The words of a text for the lexical channel."""
        return words_of(text, fold_diacritics=self.fold_diacritics)

    def extended(self, item: Item) -> Item:
        """The same item with the searchable attributes in its description."""
        values = self._values(item)
        if not values:
            return item
        known = _spaced(item.words)
        fresh = [text for text in dict.fromkeys(values) if _spaced(text) not in known]
        if not fresh:
            return item
        return replace(item, text="\n".join(part for part in (item.text.strip(), " ".join(fresh)) if part))

    def is_same(self, one: Item, other: Item) -> bool:
        """Whether two items have the same title and, with the searchable attributes, the same description."""
        if one.title != other.title:
            return False
        if one.text == other.text and self._values(one) == self._values(other):
            return True
        return self.extended(one).text == self.extended(other).text

    def _values(self, item: Item) -> list[str]:
        if not self.attributes:
            return []
        by_name: dict[str, list[AttributeValue]] = {}
        for name, value in item.attributes.items():
            by_name.setdefault(name.casefold(), []).append(value)
        wanted = dict.fromkeys(name.casefold() for name in self.attributes)
        return [text for name in wanted for value in by_name.get(name, ()) for text in _texts(value)]


def _spaced(text: str) -> str:
    """Its words between spaces, so that "red" is in "red shoes" but not in "tailored"."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _texts(value: AttributeValue) -> Sequence[str]:
    """The texts of a value that a person could type; dates and flags are for filters only."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, bool):
        return []
    if isinstance(value, float):
        return [str(int(value) if value.is_integer() else value)]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, Sequence):
        return [text for part in value for text in _texts(part)]
    return []
