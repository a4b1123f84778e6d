"""The arguments of a search, checked before anything is encoded."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from reprlib import repr as shown
from typing import Any, TypeGuard

import numpy as np

from multimodal.checks import listed, texts_of
from twotower.errors import QueryError, QueryWarning
from twotower.types import ImageSource, Query

MAX_CHARACTERS = 10_000  # of a query; no model reads as many, and every further word costs time


def query_of(given: object, image: ImageSource | None = None) -> Query:
    """One query of words, a photo or both.

    Only the first `MAX_CHARACTERS` characters count; a `QueryWarning` says so once. Half of a surrogate pair, left
    behind by a truncated emoji, is replaced by U+FFFD, "�", as decoders do.

    Args:
        given: a str or a `Query`.
        image: a photo that replaces the query's own.

    Raises:
        QueryError: it is neither.
    """
    text = given.text if isinstance(given, Query) else given
    if not isinstance(text, str):
        raise QueryError(
            f"a query must be text or a Query with text, got {type(text).__name__} {shown(text)}"
        )
    whole = _whole(_shortened(text))
    if isinstance(given, Query):
        if image is None and whole is text:
            return given
        image = given.image if image is None else image
    return Query(whole, image)


def queries_of(given: object) -> list[Query]:
    """A list of queries.

    Raises:
        QueryError: it is a single query, or not a list; or as `query_of`.
    """
    return [query_of(query) for query in _listed("queries", given)]


def users_of(given: object, queries: int) -> list[str | None] | None:
    """A list of the users of some queries; None for no users.

    Raises:
        QueryError: it is a single user, not a list, or of another length; or as `user_of`.
    """
    if given is None:
        return None
    users = [None if user is None else user_of(user) for user in _listed("users", given)]
    if len(users) != queries:
        raise QueryError(f"users must name one user per query, got {len(users)} for {queries} queries")
    return users


def user_of(given: object) -> str:
    """The id of a user.

    Raises:
        QueryError: it is not text.
    """
    return _id("user", given)


def item_id_of(given: object) -> str:
    """The id of an item.

    Raises:
        QueryError: it is not text.
    """
    return _id("item_id", given)


def whole_of(name: str, given: object, *, at_least: int) -> int:
    """A whole number of at least `at_least`.

    Raises:
        QueryError: it is not.
    """
    if not is_whole(given, at_least=at_least):
        raise QueryError(f"{name} must be a whole number of at least {at_least}, got {shown(given)}")
    return int(given)


def now_of(given: object) -> datetime:
    """The moment to search at; None is the present.

    Raises:
        QueryError: it is not an aware datetime.
    """
    if given is None:
        return datetime.now(UTC)
    if not isinstance(given, datetime):
        raise QueryError(f"now must be an aware datetime, got {shown(given)}")
    if given != given:
        raise QueryError("now must be an aware datetime, got NaT")
    if given.tzinfo is None or given.utcoffset() is None:
        raise QueryError(f"now must be an aware datetime, got {given.isoformat()} without a time zone")
    return given


def deadline_of(budget_ms: object) -> float | None:
    """The end of a time budget that starts now, in seconds of `time.perf_counter`; None without one.

    Raises:
        QueryError: it is not a number above 0.
    """
    if budget_ms is None:
        return None
    if not is_number(budget_ms) or not budget_ms > 0:
        raise QueryError(f"budget_ms must be a number of milliseconds above 0, got {shown(budget_ms)}")
    return time.perf_counter() + float(budget_ms) / 1000


def min_score_of(given: object) -> float | None:
    """The lowest score of a hit; None for any.

    Raises:
        QueryError: it is not a number.
    """
    if given is None:
        return None
    if not is_number(given) or given != given:
        raise QueryError(f"min_score must be a number, got {shown(given)}")
    return float(given)


def is_whole(value: object, *, at_least: int) -> TypeGuard[int]:
    """Whether a value is a whole number of at least `at_least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= at_least


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number and not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return not isinstance(value, int) or abs(value) < sys.float_info.max


def _id(name: str, given: object) -> str:
    if not isinstance(given, str):
        raise QueryError(f"{name} must be text, got {type(given).__name__} {shown(given)}")
    if _whole(given) != given:
        raise QueryError(f"{name} must be text, got {shown(given)} with half of a surrogate pair")
    return given


def _listed(name: str, given: Any) -> list[Any]:
    if isinstance(given, Query):
        raise QueryError(f"{name} must be a list: pass [{shown(given)}]")
    return listed(name, given, error=QueryError)


def _shortened(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    warnings.warn(  # the same words each time, so that Python shows it once
        f"only the first {MAX_CHARACTERS:,} characters of a query are searched: pass fewer",
        QueryWarning,
        stacklevel=2,
    )
    return text[:MAX_CHARACTERS]


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def basket_of(context: object) -> list[str]:
    """The ids of the items in a user's basket now.

    Args:
        context: `{"basket": ids}`, or None.

    Raises:
        QueryError: it is something else.
    """
    if context is None:
        return []
    if not isinstance(context, Mapping) or context.keys() - {"basket"}:
        raise QueryError(f"context must be a mapping such as {{'basket': ['sku-1']}}, got {shown(context)}")
    return texts_of("the basket", context.get("basket", ()), error=QueryError)
