"""Write rows as Parquet, every attribute in a column of its own type."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower.errors import StoreError, needs_extra
from twotower.export.sheet import Shape, Sheet
from twotower.ingest.values import JSON, LITERAL, TIME
from twotower.store.records import moment

if TYPE_CHECKING:
    from pyarrow import DataType, Schema

_BATCH_ROWS = 1_000


def write_parquet(path: Path, sheet: Sheet) -> None:
    """Write a column for each field and each attribute, "attributes.NAME".

    Whole numbers in a column with fractions become fractions. Values without a type in common become objects
    {"$json": their JSON}.

    Raises:
        MissingExtraError: pyarrow is not installed.
        StoreError: the name of an attribute has a NUL character.
    """
    with needs_extra("parquet", "writing Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    schema = _schema(sheet)
    rows = iter(sheet.rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH_ROWS)):
            arrays = [
                pa.array([_cell(_value(row, field.name), field.type) for row in batch], field.type)
                for field in schema
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _schema(sheet: Sheet) -> Schema:
    import pyarrow as pa

    fields = {"text": pa.string(), "time": pa.timestamp("us", "UTC"), "number": pa.float64()}
    columns = [(name, fields[kind]) for name, kind in sheet.fields.items()]
    for name in sheet.shapes():
        if "\0" in name:
            raise StoreError(
                f"attribute {name!r}: Parquet cannot hold NUL characters in a name: export to .jsonl"
            )
    attributes = [(LITERAL + name, _type_of(shapes)) for name, shapes in sheet.shapes().items()]
    return pa.schema(columns + attributes)


def _type_of(shapes: Collection[Shape]) -> DataType:
    import pyarrow as pa

    kinds = set(shapes) - {"single", "list"}
    if kinds <= {"text"}:  # or nothing but empty lists
        kind = pa.string()
    elif kinds == {"boolean"}:
        kind = pa.bool_()
    elif kinds == {"time"}:
        kind = pa.timestamp("us", "UTC")
    elif kinds <= {"whole", "long"}:
        kind = pa.int64()
    elif kinds <= {"whole", "fraction"}:
        kind = pa.float64()
    else:
        kind = None
    if kind is None or {"single", "list"} <= set(shapes):
        return pa.struct([(JSON, pa.string())])
    return pa.list_(kind) if "list" in shapes else kind


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column.startswith(LITERAL):
        return row.get("attributes", {}).get(column.removeprefix(LITERAL))
    return row.get(column)


def _cell(value: Any, kind: DataType) -> Any:
    """Plain JSON values as pyarrow takes them for a column of this type."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {JSON: json.dumps(value, ensure_ascii=False)}
    if pa.types.is_list(kind):
        return [_cell(part, kind.value_type) for part in value]
    if pa.types.is_timestamp(kind):
        return moment(datetime.fromisoformat(value[TIME] if isinstance(value, Mapping) else value))
    return json.dumps(value) if isinstance(value, Mapping) else value  # the path of a photo
