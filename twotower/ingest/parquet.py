"""Rows of a Parquet file, a batch at a time, as plain Python values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower.errors import CatalogError

if TYPE_CHECKING:
    from pyarrow import Schema

_BATCH_ROWS = 1000


def read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers from 1; nulls are absent and times are aware, in UTC.

    Raises:
        CatalogError: not a Parquet file, a column's name is there twice, or a timestamp has no time zone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            schema = _schema(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                # Microseconds are what datetime holds; finer parts are dropped.
                for values in pa.table(batch).cast(schema, safe=False).to_pylist():
                    number += 1
                    yield number, {name: value for name, value in values.items() if value is not None}
    except CatalogError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CatalogError(f"{path} cannot be read as Parquet after row {number} ({reason}).") from None


def _schema(path: Path, schema: Schema) -> Schema:
    import pyarrow as pa

    for position, field in enumerate(schema):
        if field.name in schema.names[:position]:
            raise CatalogError(f"{path} names the column {field.name!r} twice; rename one of them.")
        if not pa.types.is_timestamp(field.type):
            continue
        if field.type.tz is None:
            raise CatalogError(
                f"{path}, field {field.name!r}: its timestamps have no time zone; write timestamps in UTC."
            )
        schema = schema.set(position, field.with_type(pa.timestamp("us", tz="UTC")))
    return schema
