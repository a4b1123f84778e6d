"""The language of `where`: MongoDB's query operators over an item's attributes.

A filter is a mapping; all of its entries must hold.

    {"brand": "Acme"}                              the same as {"brand": {"$eq": "Acme"}}
    {"price": {"$gte": 10, "$lt": 100}}            several operators on one attribute: all must hold
    {"tags": {"$in": ["red", "blue"]}}             one of these
    {"tags": {"$all": ["red", "blue"]}}            every one of these
    {"$or": [{"brand": "Acme"}, {"price": {"$lt": 5}}]}
    {"price": {"$not": {"$lt": 5}}}                or, around a whole filter, {"$not": {...}}
    {"discount": {"$exists": False}}
    {"time": {"$gte": datetime(2026, 1, 1, tzinfo=UTC)}}

Operators: `$eq $ne $in $nin $all $gt $gte $lt $lte $exists $not` on an attribute, `$and $or $not` on filters.
The names "id" and "time" read the item itself.

- Text, numbers, booleans and aware datetimes compare only with their own kind: an item whose value is of
  another kind does not match (True is not 1). Text is ordered by code point; booleans have no order.
- If all values of an attribute are of one kind, an operand of another kind is converted where that is exact (the
  text "19.99" to a number, "true", 1 and 0 to a boolean, ISO 8601 with its offset to a time) and refused otherwise.
  `twotower.values` defines what a Decimal, an enum or a numpy scalar means.
- A comparison with a list holds if it holds for one of the elements: `$eq` and `$in` mean membership.
- `$ne`, `$nin` and `$not` are exactly the opposite of `$eq`, `$in` and what they enclose. So an item without
  the attribute matches `{"$exists": False}`, `$ne`, `$nin` and the `$not` of whatever it fails, nothing else.
- The same holds for an attribute that no item has, whether or not one had it before. A name that no item ever had,
  or a text value that no item has although one has a similar one, causes a single `FilterWarning`, which suggests the
  closest.
- `{}` matches everything, `{"$and": []}` too; `{"$or": []}`, `{"$in": []}` and `{"$all": []}` match nothing.

Source of the semantics: MongoDB manual, "Query and Projection Operators". Unlike there, None is not an operand
(use `$exists`), and an empty `$and` or `$or` is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from twotower.errors import FilterError
from twotower.recall.filters.columns import ITEM_FIELDS, kind_and_key
from twotower.recall.filters.operands import Operand, fitted
from twotower.recall.filters.predicates import Among, Every, Exists, Not, Predicate, Range, Some
from twotower.types import Where
from twotower.values import is_no_time, plain

__all__ = ["Predicate", "parse_where"]


def parse_where(where: Where) -> Predicate:
    """Parse a filter once, so that it can be evaluated on many segments.

    Args:
        where: see the docstring of this module.

    Returns:
        The predicate: `predicate.mask(columns)` evaluates it, `predicate.attributes()` are the names it reads.

    Raises:
        FilterError: it has an unknown operator, or an operand that could never match anything.
    """
    try:
        return _filter(where, "where")
    except RecursionError:
        raise FilterError("where is nested too deeply: flatten it") from None


def _filter(where: object, place: str) -> Predicate:
    if not isinstance(where, Mapping):
        raise FilterError(f"{place} must be a filter, a mapping such as {{'brand': 'Acme'}}, got {where!r}")
    return _every([_entry(name, operand) for name, operand in where.items()])


def _entry(name: object, operand: object) -> Predicate:
    if not isinstance(name, str) or not name:
        raise FilterError(f"the name of an attribute in a filter must be non-empty text, got {name!r}")
    if not name.startswith("$"):
        return _condition(name, operand)
    if name == "$not":
        return Not(_filter(operand, "$not"))
    if name not in ("$and", "$or"):
        raise FilterError(f"unknown operator {name!r} around filters: use $and, $or or $not")
    parts = [_filter(part, name) for part in _list(operand, f"{name} must be a list of filters")]
    return _every(parts) if name == "$and" else Some(tuple(parts))


def _condition(name: str, operand: object) -> Predicate:
    if not isinstance(operand, Mapping):
        return _equal(name, "$eq", operand)
    if not operand:
        raise FilterError(f"filter on {name!r}: {{}} has no operator: use one of {', '.join(_OPERATORS)}")
    return _every([_operator(name, operator, value) for operator, value in operand.items()])


def _operator(name: str, operator: object, operand: object) -> Predicate:
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise FilterError(
            f"filter on {name!r}: unknown operator {operator!r}: use one of {', '.join(_OPERATORS)}, or $and, $or or "
            "$not around whole filters"
        )
    return _OPERATORS[operator](name, operator, operand)


def _equal(name: str, operator: str, operand: object) -> Predicate:
    return Among(name, (_operand(name, operator, operand),))


def _in(name: str, operator: str, operand: object) -> Predicate:
    choices = _list(operand, f"filter on {name!r}: {operator} must be a list of values")
    return Among(name, tuple(_operand(name, operator, choice) for choice in choices))


def _all(name: str, operator: str, operand: object) -> Predicate:
    choices = _list(operand, f"filter on {name!r}: {operator} must be a list of values")
    if not choices:
        return Some(())
    return _every([_equal(name, operator, choice) for choice in choices])


def _range(name: str, operator: str, operand: object) -> Predicate:
    kind, key = _operand(name, operator, operand)
    if kind == "boolean":
        raise FilterError(f"filter on {name!r}: {operator} cannot order booleans: use $eq")
    return Range(name, operator, kind, key)


def _exists(name: str, operator: str, operand: object) -> Predicate:
    operand = plain(operand)
    if not isinstance(operand, bool):
        raise FilterError(f"filter on {name!r}: {operator} must be True or False, got {operand!r}")
    return Exists(name) if operand else Not(Exists(name))


def _opposite(parse: Callable[[str, str, object], Predicate]) -> Callable[[str, str, object], Predicate]:
    return lambda name, operator, operand: Not(parse(name, operator, operand))


_OPERATORS: dict[str, Callable[[str, str, object], Predicate]] = {
    "$eq": _equal,
    "$ne": _opposite(_equal),
    "$in": _in,
    "$nin": _opposite(_in),
    "$all": _all,
    "$gt": _range,
    "$gte": _range,
    "$lt": _range,
    "$lte": _range,
    "$exists": _exists,
    "$not": lambda name, operator, operand: Not(_condition(name, operand)),
}


def _operand(name: str, operator: str, operand: object) -> Operand:
    """The operand's kind and key; an error if nothing could ever compare with it."""
    operand = plain(operand)
    if is_no_time(operand):
        problem = "NaT is not a time: use $exists to find items without the attribute"
    elif isinstance(operand, datetime) and operand.utcoffset() is None:
        problem = f"{operand.isoformat()} has no time zone: pass an aware datetime"
    elif isinstance(operand, float) and operand != operand:
        problem = "NaN does not compare with anything: pass a number"
    elif operand is None:
        problem = "None is not a value: use $exists to find items with or without the attribute"
    elif isinstance(operand, list):
        problem = "a list is not a single value: use $in to match any of several, $all to match every one"
    elif (pair := kind_and_key(operand)) is None:
        problem = (
            f"the value must be text, a number, a boolean or an aware datetime, got {type(operand).__name__}"
        )
    else:
        return fitted(name, pair, {ITEM_FIELDS[name]}) if name in ITEM_FIELDS else pair
    raise FilterError(f"filter on {name!r}, operator {operator}: {problem}")


def _list(operand: object, need: str) -> Sequence[object]:
    if isinstance(operand, Iterable) and not isinstance(operand, str | bytes | Mapping):
        with suppress(TypeError):  # a zero-dimensional array
            return tuple(operand)
    raise FilterError(f"{need}, got {operand!r}")


def _every(parts: Sequence[Predicate]) -> Predicate:
    return parts[0] if len(parts) == 1 else Every(tuple(parts))
