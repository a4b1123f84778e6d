"""Read a catalogue: items from a shop's file or from a BEIR folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from multimodal.checks import check_is, check_path
from twotower.errors import CatalogueError
from twotower.ingest.fields import image_path, required_text, text, time
from twotower.ingest.names import ITEM_NAMES
from twotower.ingest.options import ColumnType, ReadOptions
from twotower.ingest.row import OnBad, Row, stop
from twotower.ingest.table import Source, Table, file_source
from twotower.ingest.values import describe, is_finite
from twotower.types import AttributeValue, Item


class Catalogue(Table):
    """The items of a file, which is read once to see what its columns are, and again for each call of `items`.

    Args:
        place: the file, for errors.
        source: reads the rows.
        folder: that the paths of photos are relative to and must not leave, absolute and without links; None takes
            any path.
        options: how to read them.
        known: the attributes that the store has and their types, None for several: a value of another type is an
            error, and a column that differs from one only in case is that attribute.

    Raises:
        CatalogueError: something is declared about a column that does not exist, or two columns are the same field.
    """

    def __init__(
        self,
        place: str,
        source: Source,
        folder: Path | None,
        options: ReadOptions | None = None,
        known: Mapping[str, ColumnType | None] | None = None,
    ) -> None:
        super().__init__(place, source, ITEM_NAMES, options or ReadOptions(), known or {})
        self._folder = folder

    @classmethod
    def of_file(
        cls,
        path: Path,
        options: ReadOptions | None = None,
        known: Mapping[str, ColumnType | None] | None = None,
    ) -> Catalogue:
        """The catalogue in a file or a BEIR folder; see `read_catalogue`."""
        options = ReadOptions() if options is None else options
        check_path("path", path)
        check_is("options", options, ReadOptions, "ReadOptions")
        source, folder = file_source(Path(path).absolute(), options)
        return cls(str(path), source, folder, options, known)

    def items(self, on_bad: OnBad = stop) -> Iterator[Item]:
        """The items, in order; ids may repeat.

        Args:
            on_bad: receives the error of each row that cannot be used; `stop` raises the first.
        """
        for row in self.rows(on_bad):
            try:
                item = self._item(row)
            except CatalogueError as error:
                on_bad(error)
            else:
                yield item

    def _item(self, row: Row) -> Item:
        fields = self.columns.fields
        return Item(
            id=required_text(row, self.columns.required(("id",), row.place)),
            title=text(row, fields.get("title")),
            text=text(row, fields.get("text")),
            image=image_path(row, fields.get("image"), self._folder, anywhere=self.options.photos_anywhere),
            time=time(row, fields.get("time"), self.options.zone, self.options.dates),
            attributes=dict(self._attributes(row)),
        )

    def _attributes(self, row: Row) -> Iterator[tuple[str, AttributeValue]]:
        seen: set[str] = set()
        for column, raw in row.values.items():
            attribute = self.columns.attribute(column)
            if attribute is None:
                continue
            value = attribute.value(row, raw, self.options)
            if value is None:
                continue
            if attribute.name in seen:
                raise row.error(column, "two values would get this name: rename one of them")
            seen.add(attribute.name)
            _check(row, column, value)
            yield attribute.name, value


def read_catalogue(
    path: Path, options: ReadOptions | None = None, *, bad: list[CatalogueError] | None = None
) -> Iterator[Item]:
    """Read the items of a catalogue one by one.

    The fields are id, title, text, image and time. Where a file has no column of such a name, one of the usual names
    is taken, such as sku, name, description, photo or release_date, in any case; every other column is an attribute.
    `Catalogue.of_file(path).columns` shows what each became.

    - An object inside an object becomes "outer.inner", a list stays a list. null, NaN, NaT and in CSV an empty cell
      mean that the value is missing; in a list it is left out.
    - JSON and Parquet say which values are text, numbers, booleans and times. In CSV the whole column decides: it
      holds numbers or booleans if at least two thirds of its cells do, and words such as "N/A" are missing values
      there. Codes stay text: whole numbers with leading zeros, a leading +, an exponent or more than 15 digits.
      Prices in one currency are numbers.
    - A value of another type than its column's is converted if nothing is lost ("30" among numbers); otherwise it is
      an error of its row. Inside an object, such as specifications, JSON and Parquet may mix words and numbers.
    - Ids may be whole numbers. A decimal is a number, and a number in single precision is its shortest decimal. Times
      are aware datetimes, ISO-8601 text, or numbers since 1970; a date is its midnight. See `ReadOptions.timezone`.
    - Attributes inside an object `attributes` keep their names and values, whatever they are. In CSV they are columns
      "attributes.NAME", whose cells are JSON, or text that is not: 5, true, ["a", "b"], "0.5", Acme.
    - Images are paths relative to the catalogue's folder and must not leave it unless `ReadOptions.photos_anywhere`;
      `Item.image` is absolute. URLs are not fetched.

    Args:
        path: a .jsonl, .json, .csv, .tsv or .parquet file, all but the last possibly gzipped (.gz), or a BEIR folder
            with a corpus.jsonl, whose `metadata` keys count as columns. It is read twice.
        options: what the file itself does not say, such as the types of its columns.
        bad: collects the error of each row that cannot be used; None raises the first.

    Returns:
        The items, in the order of the file. Ids may repeat.

    Raises:
        CatalogueError: at once if there is no such catalogue, or its columns cannot be used; while reading, if a row
            cannot be used, naming the file, the line and the column.
        MissingExtraError: a Parquet file needs pyarrow, which is not installed.
    """
    return Catalogue.of_file(path, options).items(stop if bad is None else bad.append)


def _check(row: Row, column: str, value: object) -> None:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int | float) and not is_finite(part):
            raise row.error(column, f"{describe(part)} cannot be an attribute: use a finite number")
        if not isinstance(part, str | int | float | datetime):
            where = "in a list, " if isinstance(value, list) else ""
            raise row.error(
                column,
                f"{where}{describe(part)} cannot be an attribute: use text, a finite number, a boolean or a time",
            )
