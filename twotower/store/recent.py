"""Items that were read not long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twotower.types import Item


class RecentItems:
    """Items by label, of which those that nobody asks for again are forgotten; what a label names never changes.

    Two generations: the young one takes what is asked for, and is the old one when it is full. Threads may share it:
    at worst one of them forgets what another has just kept.

    Args:
        most: about how many items a generation has.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._young: dict[int, Item] = {}
        self._old: dict[int, Item] = {}

    def among(self, labels: Sequence[int]) -> dict[int, Item]:
        """Those of these labels that are remembered."""
        young, old = self._young, self._old
        found = {label: item for label in labels if (item := young.get(label) or old.get(label)) is not None}
        self.keep(found)
        return found

    def keep(self, items: Mapping[int, Item]) -> None:
        """Remember some items by label."""
        if len(self._young) > self._most:
            self._old, self._young = self._young, {}
        self._young.update(items)
