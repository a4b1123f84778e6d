"""What a shop should know about how a column is read."""

from __future__ import annotations

from twotower.ingest.numbers import amount, number
from twotower.ingest.row import quoted
from twotower.ingest.survey import Tally


def note_on_amounts(tally: Tally) -> str:
    """What is left out beside numbers."""
    if not tally.units:
        return note_on_groups(tally)
    units = " and ".join(unit for unit, _ in tally.units.most_common(5))
    if len(tally.units) > 1:
        return (
            f"number, but in several currencies, which are left out: {units}: repair it if they are compared"
        )
    return f"number, {units} left out"


def note_on_groups(tally: Tally) -> str:
    """That numbers such as 1.299 may be thousands."""
    if tally.typed or tally.mark is not None or "." not in tally.ambiguous:
        return ""
    return (
        f"{quoted(tally.ambiguous)} is read as {number(tally.ambiguous)}: set decimal to a comma if its dot "
        "separates thousands, or to a point if it does not"
    )


def note_on_missing(tally: Tally) -> str:
    """Which words count as missing values."""
    if not tally.missing_words:
        return ""
    word, place = next(iter(tally.missing_words.items()))
    line = place.rsplit(", ", 1)[-1]
    count = tally.counts["missing"]
    values, are = ("value", "counts") if count == 1 else ("values", "count")
    return f"{count:,} {values} such as {quoted(word)} ({line}) {are} as missing"


def note_on_text(tally: Tally) -> str:
    """Why a column is text, if that may surprise."""
    looks = tally.counts["almost number"] + tally.numbers
    if tally.typed:
        others = tally.filled - tally.counts["text"] - tally.counts["almost number"]
        return (
            f"text, although {others:,} of {tally.filled:,} values are not: declare the type"
            if others
            else ""
        )
    if tally.are_codes:
        return f"text, because {tally.counts['code']:,} of {tally.filled:,} values look like codes"
    if not tally.filled or looks < tally.filled / 2:
        return ""
    first = quoted(str(tally.sample[0]))
    such = f"text, although {looks:,} of {tally.filled:,} values look like numbers, such as {first}"
    if len(tally.units) > 1:
        return (
            f"{such}, in several currencies, {' and '.join(unit for unit, _ in tally.units.most_common(5))}"
        )
    if tally.mark is None and tally.ambiguous:
        dot, comma = amount(tally.ambiguous, "."), amount(tally.ambiguous, ",")
        if dot is not None and comma is not None:
            return (
                f"{such}: set decimal to a point if {quoted(tally.ambiguous)} is {dot.value}, "
                f"or to a comma if it is {comma.value}"
            )
    decimal = {".": ", with decimal a point", ",": ", with decimal a comma"}.get(str(tally.mark), "")
    return f"{such}: repair them, or declare the type{decimal}"
