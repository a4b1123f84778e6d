"""What an index was measured to achieve, as a record to show and to store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twotower.recall.plan import Effort

K = 10  # of the recall that is measured


@dataclass(frozen=True, slots=True)
class Calibration:
    """The recall that an index was measured to reach, and the effort it takes.

    Args:
        target: the recall@10 that was asked for.
        effort: the least effort that achieves it for each kind of query, or the greatest there is.
        recall: recall@10 against exhaustive search, by kind of query: "words", "photo", "words and photo", or
            "made-up queries".
        queries: how many of each kind were asked.
        rows: how many the index had.
    """

    target: float
    effort: Effort
    recall: Mapping[str, float]
    queries: Mapping[str, int]
    rows: int

    def lines(self) -> Iterator[str]:
        """The numbers in words, one line per kind of query."""
        for kind, recall in self.recall.items():
            short = "" if recall >= self.target else f", less than the {self.target:g} asked for"
            yield f"    recall@{K} {recall:.3f} for {self.queries[kind]} {kind}{short}"

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, for `from_description`."""
        return asdict(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Calibration:
        """Rebuild what `describe` described."""
        return cls(**{**description, "effort": Effort(**description["effort"])})
