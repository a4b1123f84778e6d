"""What every column of a shop's file becomes: a field, or an attribute with a type."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

from twotower.errors import CatalogueError
from twotower.ingest.attribute import Attribute
from twotower.ingest.names import RESERVED, UsualNames, fields_of, listed
from twotower.ingest.notes import note_on_amounts, note_on_groups, note_on_missing, note_on_text
from twotower.ingest.options import ColumnType, ReadOptions
from twotower.ingest.row import quoted
from twotower.ingest.survey import Tally
from twotower.ingest.times import is_date_of_unknown_order, moment
from twotower.ingest.values import LITERAL, describe, is_url


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a file become.

    Args:
        fields: the column of each field.
        attributes: the others, by column.
        left_out: columns that are neither, and why.
    """

    fields: Mapping[str, str]
    attributes: Mapping[str, Attribute]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The columns that are used, as the file calls them."""
        return [*self.fields.values(), *self.attributes]

    def required(self, needed: Sequence[str], place: str) -> str:
        """The first of the columns for some fields of which a file must have one.

        Raises:
            CatalogueError: it has none.
        """
        found = next((self.fields[name] for name in needed if name in self.fields), None)
        if found is None:
            raise CatalogueError(
                f"{place}: no column is the {' or '.join(needed)}: {listed(self.names)}, "
                f"as in columns {needed[0]}=NAME"
            )
        return found

    def attribute(self, column: str) -> Attribute | None:
        """The attribute that a column is; None if it is a field or left out."""
        if (found := self.attributes.get(column)) is not None:
            return found
        # Beyond the columns that were surveyed, values are taken as they are.
        if column in self.fields.values() or column in self.left_out:
            return None
        return Attribute(column, column.removeprefix(LITERAL), None)

    def lines(self, searchable: Collection[str] = ()) -> Iterator[str]:
        """The columns as text.

        Args:
            searchable: names of the searchable attributes, in any case.
        """
        searched = {name.casefold() for name in searchable}
        parts = [f"{column}: {name}" for name, column in self.fields.items()]
        for attribute in self.attributes.values():
            words = [
                {"number": "number", "boolean": "boolean", "time": "times"}.get(
                    str(attribute.type), "attribute"
                )
            ]
            if attribute.name != attribute.column.removeprefix(LITERAL):
                words.append(f"as {attribute.name}")
            if attribute.name.casefold() in searched:
                words.append("searchable")
            parts.append(f"{attribute.column}: {', '.join(words)}")
        yield "columns: " + "; ".join(parts)
        yield from (f"  {each.column}: {each.note}" for each in self.attributes.values() if each.note)
        yield from (f"  {column}: left out, {why}" for column, why in self.left_out.items())


def columns_of(
    tallies: Mapping[str, Tally],
    options: ReadOptions,
    usual: UsualNames,
    known: Mapping[str, ColumnType | None],
    place: str,
) -> Columns:
    """Decide what every column becomes.

    Args:
        tallies: what the values of each column look like.
        options: what is declared.
        usual: the fields and their usual names.
        known: the attributes that the store has and their types, None for several; a column that differs from one
            only in case is that attribute.
        place: the file, for errors.

    Raises:
        CatalogueError: something is declared about a column that does not exist, or two columns are the same field.
    """
    ignored = _ignored(tallies, options, place)
    candidates = [name for name in tallies if not name.startswith(LITERAL) and name not in ignored]
    fields = fields_of(candidates, options.columns, usual, place)
    notes = {}
    for name in ("image", "time"):
        if name in fields and name not in options.columns:
            note = _why_not(name, fields[name], tallies[fields[name]], options)
            if note:
                notes[fields.pop(name)] = note
    renamed = {column: name for name, column in options.columns.items() if column and name not in usual}
    spelled = {name.casefold(): name for name in known}
    attributes: dict[str, Attribute] = {}
    left_out = dict.fromkeys(ignored, "as asked")
    for column in tallies.keys() - fields.values() - left_out.keys():
        own = column.removeprefix(LITERAL)  # an export writes the exact name
        as_is = own != column or own in known
        name = renamed.get(column) or (own if as_is else spelled.get(own.casefold(), own))
        if why := _why_left_out(column, name, tallies[column]):
            left_out[column] = why
        else:
            attributes[column] = _attribute(column, name, tallies[column], options, known)
    for column, note in notes.items():
        attributes[column] = replace(attributes[column], note=note)
    names = {attribute.name for attribute in attributes.values()} | attributes.keys() | known.keys()
    if unknown := [name for name in options.types if name not in names]:
        raise CatalogueError(
            f"{place} has no attribute {quoted(unknown[0])} whose type could be declared: {listed(sorted(names))}"
        )
    return Columns(
        fields,
        {column: attributes[column] for column in tallies if column in attributes},
        {column: left_out[column] for column in tallies if column in left_out},
    )


def _ignored(columns: Collection[str], options: ReadOptions, place: str) -> set[str]:
    """The columns to leave out, and all columns of objects to leave out."""
    ignored: set[str] = set()
    for name in options.ignore:
        found = {column for column in columns if column == name or column.startswith(f"{name}.")}
        if not found:
            raise CatalogueError(f"{place} has no column {quoted(name)} to ignore: {listed(list(columns))}")
        ignored |= found
    return ignored


def _why_left_out(column: str, name: str, tally: Tally) -> str:
    """Why a column cannot be an attribute; "" if it can."""
    if name == column and name in RESERVED:
        return f"because filters read {name!r} from the item itself: to keep it, declare columns other_{name}={name}"
    if tally.filled and tally.counts["other"] == tally.filled:
        kind = describe(tally.sample[0]) if tally.sample else "such a list"
        return f"because {kind} cannot be an attribute: use text, numbers, booleans or times"
    return ""


def _why_not(field: str, column: str, tally: Tally, options: ReadOptions) -> str:
    """Why a column is not this field, although it has one of its usual names; "" if nothing is wrong."""
    texts = [value for value in tally.sample if isinstance(value, str)]
    if field == "image" and sum(map(is_url, texts)) > len(texts) / 2:
        return "URLs are not fetched: download the photos, and name their files in a column 'image'"
    if (
        field == "time"
        and column != "time"
        and sum(_is_time(value, options) for value in tally.sample) < len(tally.sample) / 2
    ):
        return "not the time of the items: most of its values are not times"
    return ""


def _is_time(value: object, options: ReadOptions) -> bool:
    try:
        moment(value, options.zone or UTC, options.dates)  # a missing zone is reported for its row
    except ValueError:
        return isinstance(value, str) and is_date_of_unknown_order(value)  # so is a missing order
    return True


def _attribute(
    column: str, name: str, tally: Tally, options: ReadOptions, known: Mapping[str, ColumnType | None]
) -> Attribute:
    if (declared := options.types.get(name) or options.types.get(column)) is not None:
        note = note_on_amounts(tally) if declared == "number" else ""
        return Attribute(column, name, declared, "as declared", mark=tally.mark, note=note)
    if (kept := known.get(name)) is not None:
        return Attribute(
            column,
            name,
            kept,
            f"as '{name}' is in the store",
            tally.allows_codes or kept != "number",
            amounts=bool(tally.units),
            mark=tally.mark,
            note=note_on_amounts(tally) if kept == "number" else "",
        )
    if column.startswith(LITERAL):
        return Attribute(column, name, tally.only())
    inferred = tally.inferred()
    if inferred is None:
        mixed = (
            f"{tally.numbers:,} of {tally.filled:,} values are numbers, the others are not: declare the type"
        )
        return Attribute(column, name, None, note=mixed if tally.numbers else "")
    if inferred == "text":
        return Attribute(column, name, "text", "as its column is", note=note_on_text(tally))
    if inferred == "number" and tally.are_amounts:
        return Attribute(
            column,
            name,
            "number",
            "as most of its column are",
            tally.allows_codes,
            mark=tally.mark,
            note="; ".join(filter(None, (note_on_amounts(tally), note_on_missing(tally)))),
        )
    numbers = tally.numbers - (0 if tally.allows_codes else tally.counts["code"])
    fitting = {"number": numbers, "boolean": tally.counts["boolean"], "time": tally.counts["time"]}[inferred]
    why = f"as {fitting:,} of the column's {tally.filled:,} values are"
    note = "; ".join(filter(None, (note_on_missing(tally), note_on_groups(tally))))
    return Attribute(column, name, inferred, why, tally.allows_codes, amounts=False, note=note)
