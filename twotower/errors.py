"""Every exception of the library, each also the built-in that a caller would expect.

TwoTowerError
  +- ItemError(ValueError)        an item that cannot be indexed
  +- EventError(ValueError)       a behaviour event that cannot be recorded
  +- QueryError(ValueError)       a search that cannot be run
  |    +- FilterError             a `where` that cannot be understood
  +- EncoderError(ValueError)     an encoder that gave something else than (n, dim) finite float32
  +- CatalogueError(ValueError)   a file of items, events, queries or judgements that cannot be read
  +- JudgementError(ValueError)   judgements that cannot be learned from or measured on
  +- LeakError(ValueError)        an evaluation that would have seen the future
  +- UnknownItemError(KeyError)   an id that is not indexed
  +- MissingExtraError(ImportError)  an optional dependency that is not installed
  +- StoreError(OSError)          a store folder that cannot be read or written
       +- StoreVersionError       written by a newer version
       +- StoreDamagedError       a file is missing or is not what was written
       +- StaleError              what a reader knew of was deleted; `Retriever.refresh` helps
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class TwoTowerError(Exception):
    """Base of every exception that `twotower` raises on purpose."""


class ItemError(TwoTowerError, ValueError):
    """One or more items cannot be indexed; the message names the first and what is wrong with it.

    Args:
        message: one sentence.
        reasons: why, by item id, for every bad item that was found; an encoder that can tell should say.
    """

    def __init__(self, message: str, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reasons = dict(reasons or {})


class EventError(TwoTowerError, ValueError):
    """A behaviour event cannot be recorded; the message names its position and the field."""


class QueryError(TwoTowerError, ValueError):
    """A search cannot be run as asked."""


class FilterError(QueryError):
    """A `where` names an unknown operator or attribute, or compares things that do not compare."""


class EncoderError(TwoTowerError, ValueError):
    """An encoder's vectors are not finite float32 of shape (n, dim) with a direction."""


class CatalogueError(TwoTowerError, ValueError):
    """A catalogue or another input file cannot be read; the message names the file, the line and the field."""


class JudgementError(TwoTowerError, ValueError):
    """Judgements cannot be learned from or measured on, because what they speak of is not there."""


class LeakError(TwoTowerError, ValueError):
    """Something from at or after the moment of prediction was, or would have been, visible."""


class UnknownItemError(TwoTowerError, KeyError):
    """An id is not indexed."""

    def __str__(self) -> str:
        # KeyError would print the message in quotes.
        return str(self.args[0]) if self.args else ""


class MissingExtraError(TwoTowerError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Import an optional dependency in the body of this `with`.

    Args:
        extra: of `pip install 'twotower[extra]'`, the one that brings the dependency.
        purpose: what it is needed for, such as "reading Parquet".

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or extra).partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {package}: run `pip install 'twotower[{extra}]'`", name=error.name
        ) from error


class StoreError(TwoTowerError, OSError):
    """A store folder cannot be read or written."""


class StoreVersionError(StoreError):
    """A store was written by a newer version of the library."""


class StaleError(StoreError):
    """Items that this process still knew of were deleted before it could read them; a newer state has the answer."""


class StoreDamagedError(StoreError):
    """A store's file is missing or differs from what was written."""
