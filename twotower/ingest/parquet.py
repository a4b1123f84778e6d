"""Read Parquet files, a batch at a time, as plain Python values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twotower.errors import CatalogueError, needs_extra
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import OnBad, Row, stop

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch

_BATCH_ROWS = 1000


def read_parquet(path: Path, options: ReadOptions | None = None, on_bad: OnBad = stop) -> Iterator[Row]:
    """Read a file row by row; nulls are absent, and times with a zone are in UTC.

    A number in single precision becomes its shortest decimal, 19.99 and not 19.989999771; a map becomes an object.

    Args:
        path: of an existing file.
        options: not used.
        on_bad: receives the error of a row with a value that Python cannot hold, such as a date in the year 20000.

    Raises:
        MissingExtraError: while reading, if pyarrow is not installed.
        CatalogueError: while reading, if the file is not Parquet or repeats a column's name.
    """
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for position, name in enumerate(names):
                if name in names[:position]:
                    raise CatalogueError(f"{path} names the column {name!r} twice: rename one of them")
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from _rows(path, _plain(batch), number, on_bad)
                number += len(batch)
    except CatalogueError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CatalogueError(f"{path} cannot be read as Parquet after row {number} ({reason})") from None


def _rows(path: Path, batch: RecordBatch, before: int, on_bad: OnBad) -> Iterator[Row]:
    import pyarrow as pa

    maps = [field.name for field in batch.schema if pa.types.is_map(field.type)]
    try:
        columns = [column.to_pylist() for column in batch.columns]
    except (ValueError, OverflowError) as error:
        if len(batch) > 1:  # so that only the rows that cannot be held are left out
            for offset in range(len(batch)):
                yield from _rows(path, batch.slice(offset, 1), before + offset, on_bad)
        else:
            on_bad(
                CatalogueError(
                    f"{path}, row {before + 1}: Python cannot hold a value ({str(error)[:100]}): repair it"
                )
            )
        return
    for offset, cells in enumerate(zip(*columns, strict=True), before + 1):
        values = dict(zip(batch.schema.names, cells, strict=True))
        for name in maps:
            values[name] = None if values[name] is None else dict(values[name])
        yield Row(f"{path}, row {offset}", values)


def _plain(batch: RecordBatch) -> RecordBatch:
    """The same values, cast to types that convert to plain Python values."""
    import pyarrow as pa

    table = pa.table(batch)
    for change in (_as_text, _as_plain):
        schema = pa.schema([field.with_type(change(field.type)) for field in batch.schema])
        table = table.cast(schema, safe=False)  # a datetime holds microseconds; anything finer is dropped
    return table.combine_chunks().to_batches()[0]


def _as_text(kind: DataType) -> DataType:
    """The type with text in place of numbers in single precision: their shortest decimals."""
    import pyarrow as pa

    return pa.string() if pa.types.is_float32(kind) else _inside(kind, _as_text)


def _as_plain(kind: DataType) -> DataType:
    """The type with double precision, times in microseconds and UTC, and no dictionaries."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=None if kind.tz is None else "UTC")
    return _inside(kind, _as_plain)


def _inside(kind: DataType, change: Callable[[DataType], DataType]) -> DataType:
    """A list, an object or a dictionary with its inner types changed; any other type as it is."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return change(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(change(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(change(kind.value_type)))
    return kind
