"""Read Parquet files, a batch at a time, as plain Python values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twotower.errors import CatalogueError, needs_extra
from twotower.ingest.row import Row

if TYPE_CHECKING:
    from pyarrow import Schema

_BATCH_ROWS = 1000


def read_parquet(path: Path) -> Iterator[Row]:
    """Read a file row by row; nulls are absent and times are aware, in UTC.

    Args:
        path: of an existing file.

    Raises:
        MissingExtraError: while reading, if pyarrow is not installed.
        CatalogueError: while reading, if the file is not Parquet, repeats a column's name or has timestamps without
            a time zone.
    """
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            schema = _schema(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                # A datetime holds microseconds; anything finer is dropped.
                for values in pa.table(batch).cast(schema, safe=False).to_pylist():
                    number += 1
                    present = {name: value for name, value in values.items() if value is not None}
                    yield Row(f"{path}, row {number}", present)
    except CatalogueError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CatalogueError(f"{path} cannot be read as Parquet after row {number} ({reason})") from None


def _schema(path: Path, schema: Schema) -> Schema:
    import pyarrow as pa

    for position, field in enumerate(schema):
        if field.name in schema.names[:position]:
            raise CatalogueError(f"{path} names the column {field.name!r} twice: rename one of them")
        if not pa.types.is_timestamp(field.type):
            continue
        if field.type.tz is None:
            raise CatalogueError(
                f"{path}, field {field.name!r}: its timestamps have no time zone: write timestamps in UTC"
            )
        schema = schema.set(position, field.with_type(pa.timestamp("us", tz="UTC")))
    return schema
