"""Every exception of the library; each also derives from the built-in one that a caller would expect.

TwoTowerError
  +- ItemError(ValueError)        an item that cannot be indexed
  +- EventError(ValueError)       a behaviour event that cannot be recorded
  +- QueryError(ValueError)       a search that cannot be run
  |    +- FilterError             a `where` that is invalid
  +- EncoderError(ValueError)     an encoder whose vectors are not finite float32 of shape (n, dim)
  +- CatalogueError(ValueError)   a file of items, events, queries or judgements that cannot be read
  +- JudgementError(ValueError)   judgements unusable for training or evaluation
  +- LeakError(ValueError)        an evaluation with access to the future
  +- UnknownItemError(KeyError)   an id that is not indexed
  +- MissingExtraError(ImportError)  an optional dependency that is not installed
  +- StoreError(OSError)          a store folder that cannot be read or written
       +- StoreVersionError       written by a newer version
       +- StoreDamagedError       a file is missing or damaged
       +- ClosedError             a retriever that was closed
       +- StaleError              a snapshot that is too old; `maintenance.refresh` helps
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from multimodal.errors import BoundedError, cut


class TwoTowerError(BoundedError):
    """Base of every exception that `twotower` raises on purpose."""


class ItemError(TwoTowerError, ValueError):
    """One or more items cannot be indexed; the message names the first and what is wrong with it.

    Args:
        message: one sentence.
        reasons: by item id, for every bad item found; encoders should pass them if they can.
    """

    def __init__(self, message: str, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reasons = {item_id: cut(reason) for item_id, reason in (reasons or {}).items()}


class EventError(TwoTowerError, ValueError):
    """A behaviour event cannot be recorded; the message names its position and the field."""


class QueryError(TwoTowerError, ValueError):
    """A search cannot be run with these arguments."""


class FilterError(QueryError):
    """A `where` names an unknown operator or attribute, or compares values that cannot be compared."""


class QueryWarning(UserWarning):
    """A search can be run but probably does not do what was meant."""


class FilterWarning(QueryWarning):
    """A filter names an attribute, or a text value, that no item has; the message suggests similar ones."""


class EncoderError(TwoTowerError, ValueError):
    """An encoder's vectors are not finite, nonzero float32 of shape (n, dim)."""


class CatalogueError(TwoTowerError, ValueError):
    """A catalogue or another input file cannot be read; the message names the file, the line and the field."""


class JudgementError(TwoTowerError, ValueError):
    """Judgements cannot be used for training or evaluation, because they name unknown queries or items."""


class LeakError(TwoTowerError, ValueError):
    """Data from the moment of prediction or later was, or would have been, visible."""


class UnknownItemError(TwoTowerError, KeyError):
    """An id is not indexed."""

    def __str__(self) -> str:
        # KeyError would print the message in quotes.
        return str(self.args[0]) if self.args else ""


class MissingExtraError(TwoTowerError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Import an optional dependency in the body of this `with`.

    Args:
        extra: the one that installs the dependency, as in `pip install 'twotower[extra]'`.
        purpose: what needs it, such as "reading Parquet".

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


class ClosedError(StoreError):
    """A retriever was closed; the message is the same for every call."""

    def __init__(self) -> None:
        super().__init__("the retriever is closed: open the store again, or make a new one")


class StaleError(StoreError):
    """A snapshot is stale: its items were deleted before they could be read; a newer one has the answer."""


class StoreDamagedError(StoreError):
    """A file of a store is missing or damaged."""
