"""Warnings about filters that find nothing because a name or a text value in them is misspelled."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from twotower.errors import FilterWarning
from twotower.recall.filters.columns import ITEM_FIELDS
from twotower.recall.filters.predicates import Among, Every, Not, Predicate, Some
from twotower.recall.segment import Part

MAX_FILTERS = 1_000  # filters beyond these are not checked: their values may come from shoppers
MAX_COMPARED = 5_000  # distinct texts; if there are more, only differences in case are noticed
MAX_NEAR = 3


class FilterAdvice:
    """Gives each warning about the filters of one index once; see `twotower.recall.filters.where`."""

    def __init__(self) -> None:
        self._names = set(ITEM_FIELDS)
        self._considered: set[Predicate] = set()
        self._told: set[str] = set()

    def remember(self, names: Iterable[str]) -> None:
        """Remember attribute names that items have, so that they stay known when no item has them any more."""
        self._names.update(names)

    def consider(self, predicate: Predicate, parts: Sequence[Part]) -> None:
        """Warn about names that no item ever had, and about text that no item has although one has a similar one."""
        if not parts or predicate in self._considered or len(self._considered) >= MAX_FILTERS:
            return
        self._considered.add(predicate)
        unknown = predicate.attributes() - self._names
        if unknown:
            for part in parts:
                self.remember(part.segment.columns.names)
        for name in sorted(unknown - self._names):
            known = sorted(self._names)
            nearest = _nearest(name, known)[:1]
            self._tell(f"no item has the attribute '{name}'", nearest, known=known)
        for name, text in _texts(predicate):
            if name not in ITEM_FIELDS and not any(_has(part, name, text) for part in parts):
                near = [
                    each for each in _near(name, text, parts) if any(_has(part, name, each) for part in parts)
                ]
                if near:
                    self._tell(f"no item has the {name} '{text}'", near[:MAX_NEAR])

    def _tell(self, problem: str, nearest: Sequence[str], *, known: Sequence[str] = ()) -> None:
        if problem not in self._told:
            self._told.add(problem)
            hint = (
                f"did you mean {' or '.join(map(repr, nearest))}?"
                if nearest
                else f"the attributes are {', '.join(known)}"
            )
            warnings.warn(f"{problem[:200]}: {hint[:200]}", FilterWarning, stacklevel=2)


def _texts(predicate: Predicate) -> Iterator[tuple[str, str]]:
    """Each attribute and the text that it is compared with for equality."""
    match predicate:
        case Among(name, choices):
            yield from ((name, key) for kind, key in choices if kind == "text")
        case Not(part):
            yield from _texts(part)
        case Every(parts) | Some(parts):
            for part in parts:
                yield from _texts(part)


def _has(part: Part, name: str, text: str) -> bool:
    """Whether a live item has this text."""
    return bool((Among(name, (("text", text),)).mask(part.segment.columns) & part.alive.mask).any())


def _near(name: str, text: str, parts: Sequence[Part]) -> list[str]:
    """The texts of an attribute that are most similar to this one, the closest first."""
    columns = [part.segment.columns.column(name).by_kind.get("text") for part in parts]
    known = sorted(set[str]().union(*(column.values for column in columns if column is not None)))
    return _nearest(text, known)


def _nearest(text: str, known: Sequence[str]) -> list[str]:
    """The most similar of the known texts: those that differ only in case, or else those with a similar spelling."""
    folded = text.casefold()
    same = [each for each in known if each.casefold() == folded]
    if same or len(known) > MAX_COMPARED:
        return same
    by_folded = {each.casefold(): each for each in known}
    return [by_folded[each] for each in get_close_matches(folded, by_folded, n=MAX_NEAR, cutoff=0.7)]
