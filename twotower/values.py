"""What each type of value means, in attributes and in filters alike.

- A numpy scalar or a member of an `Enum` is its plain value, a number in single precision its shortest decimal.
- A `Decimal` is a number: an int if it is whole, otherwise the nearest float, as 19.99 in a filter is.
- A `date` is its midnight in UTC. A datetime of another library (pandas) is a standard datetime.
- A tuple or a one-dimensional array is a list; None in a list is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np


def plain(value: object) -> Any:
    """A value as a str, bool, int, float, datetime or list of these; any other as it is, for the caller to refuse."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, np.ndarray):
        if value.dtype == object or value.ndim > 1:
            return value
        return plain(list(value)) if value.ndim else plain(value[()])
    if isinstance(value, np.generic):
        return _plain_scalar(value)
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, str | bool | int | float | date):
        return _exactly(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(part) for part in value if part is not None]
    return value


def is_no_time(value: object) -> bool:
    """Whether a value is pandas' NaT, which passes for a datetime but is not one."""
    return isinstance(value, datetime) and value != value


def _exactly(value: str | bool | int | float | date) -> Any:
    """The same value in a standard type rather than a subclass of one."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if type(value) is datetime or is_no_time(value):
        return value
    return datetime.combine(date(value.year, value.month, value.day), value.time(), value.tzinfo).replace(
        fold=value.fold
    )


def _plain_scalar(value: np.generic) -> Any:
    if isinstance(value, np.datetime64):  # item() of nanoseconds would be a number
        moment = (
            value.astype("datetime64[us]").item() if np.datetime_data(value.dtype)[0] != "D" else value.item()
        )
        return value if moment is None else plain(moment)
    if isinstance(value, np.floating):
        return float(str(value))
    return value if isinstance(value, np.void) else value.item()


def _plain_decimal(value: Decimal) -> Any:
    if value.is_finite() and value == value.to_integral_value():
        return int(value)
    return float(value)
