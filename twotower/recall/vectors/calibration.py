"""The measured recall of an index, as a record that is shown and stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twotower.recall.plan import Effort

K = 10  # of recall@k


@dataclass(frozen=True, slots=True)
class Calibration:
    """The recall that an index was measured to reach, and the search effort it takes.

    Args:
        target: the recall@10 to reach.
        effort: the least effort that reaches it for every kind of query, or the greatest available.
        recall: recall@10 against exhaustive search, by kind of query: "words", "photo", "words and photo", or
            "made-up queries".
        queries: how many of each kind were measured.
        rows: how many the index had at the time.
    """

    target: float
    effort: Effort
    recall: Mapping[str, float]
    queries: Mapping[str, int]
    rows: int

    def lines(self) -> Iterator[str]:
        """A readable summary, one line per kind of query."""
        for kind, recall in self.recall.items():
            shortfall = "" if recall >= self.target else f", less than the {self.target:g} asked for"
            yield f"    recall@{K} {recall:.3f} for {self.queries[kind]} {kind}{shortfall}"

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, for `from_description`."""
        return asdict(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Calibration:
        """Rebuild a calibration from its description."""
        return cls(**{**description, "effort": Effort(**description["effort"])})
