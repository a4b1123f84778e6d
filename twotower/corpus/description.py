"""How a store describes the parts of a retriever, and how it tells whether two parts are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from twotower.types import Describable

OWN = "own"  # stands for the description of a part that has none
CONTENT = "content"

Description: TypeAlias = Mapping[str, Any] | str | None


def describe(part: object) -> Description:
    """The description of a part as a store keeps it; `OWN` if it has none, None if there is no part.

    Raises:
        ValueError: the part describes itself by something other than plain JSON values.
    """
    if part is None:
        return None
    if not isinstance(part, Describable):
        return OWN
    try:
        description: Mapping[str, Any] = json.loads(json.dumps(part.describe(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"describe() of {type(part).__name__} must return plain JSON values: {error}"
        ) from error
    return description


def identity(description: Description) -> str:
    """What identifies a part in its description: for a model its content, wherever its files are."""
    return json.dumps(_essence(description), sort_keys=True)


def in_short(description: Description) -> str:
    """A description for a message: shortened, and without hashes."""
    return json.dumps(_without_content(description), ensure_ascii=False)[:200]


def _essence(description: Any) -> Any:
    if not isinstance(description, Mapping):
        return description
    if CONTENT in description:
        return description[CONTENT]
    return {name: _essence(value) for name, value in description.items()}


def _without_content(description: Any) -> Any:
    if not isinstance(description, Mapping):
        return description
    return {name: _without_content(value) for name, value in description.items() if name != CONTENT}
