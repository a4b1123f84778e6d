"""Check arguments; an error names the argument and its value in one short sentence."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as shown
from types import UnionType
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    finite: bool = True,
    error: type[ValueError] = ValueError,
) -> float:
    """Check that a value is a number in a range, and not NaN.

    Args:
        name: of the argument.
        value: to check.
        least: the smallest allowed value; None for no limit.
        above: an exclusive lower limit, instead of `least`.
        most: the largest allowed value.
        finite: whether infinity is refused.
        error: the exception to raise, here and below.

    Returns:
        The number as a plain float.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise error(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number) or (finite and math.isinf(number)):
        raise error(f"{name} must be a finite number, got {shown(value)}")
    low = (least is not None and number < least) or (above is not None and number <= above)
    if low or (most is not None and number > most):
        raise error(f"{name} must be {_range(least, above, most)}, got {shown(value)}")
    return number


def check_whole(
    name: str,
    value: Any,
    *,
    least: int | None = None,
    most: int = sys.maxsize,
    error: type[ValueError] = ValueError,
) -> int:
    """Check that a value is a whole number in a range, which numpy's integers and Python's lists limit.

    Args:
        name: of the argument.
        value: to check.
        least: the smallest allowed value; None for no limit.
        most: the largest allowed value.
        error: the exception to raise.

    Returns:
        The number as a plain int.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise error(f"{name} must be a whole number, got {shown(value)}")
    number = int(value)
    if least is not None and number < least:
        raise error(f"{name} must be at least {least}, got {shown(value)}")
    if not -most <= number <= most:
        raise error(f"{name} must be at most {most}, got {shown(value)}")
    return number


def check_text(name: str, value: Any, *, error: type[ValueError] = ValueError) -> None:
    """Check that a value is text.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise error(f"{name} must be text, got {shown(value)}")


def check_choice(
    name: str, value: Any, choices: Collection[str], *, error: type[ValueError] = ValueError
) -> None:
    """Check that a value is one of the allowed names.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise error(f"{name} must be {' or '.join(map(repr, choices))}, got {shown(value)}")


def check_has(name: str, value: object, methods: Collection[str], what: str) -> None:
    """Check that an object has some methods; its properties, which may load a model, are not touched.

    Args:
        name: of the argument.
        value: any.
        methods: their names.
        what: the type in words, such as "an Encoder".

    Raises:
        ValueError: it lacks one.
    """
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        raise ValueError(f"{name} must be {what}, got {shown(value)}")


def check_is(
    name: str, value: Any, kind: type | UnionType, what: str, *, error: type[ValueError] = ValueError
) -> None:
    """Check that a value is of a type.

    Args:
        name: of the argument.
        value: to check.
        kind: the type, or a runtime-checkable protocol.
        what: the type in words, such as "a mapping".
        error: what to raise.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, type) or not isinstance(value, kind):
        raise error(f"{name} must be {what}, got {shown(value)}")


def check_callable(name: str, value: Any, *, error: type[ValueError] = ValueError) -> None:
    """Check that a value can be called.

    Raises:
        ValueError: it cannot.
    """
    if not callable(value):
        raise error(f"{name} must be a function, got {shown(value)}")


def check_path(name: str, value: Any, what: str = "a path", *, error: type[Exception] = ValueError) -> None:
    """Check that a value is a path that file systems accept.

    Args:
        name: of the argument.
        value: to check.
        what: what it should be, in words.
        error: what to raise.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise error(f"{name} must be {what}, got {shown(value)}")
    path = os.fspath(value)
    try:
        parts = [os.fsencode(part) for part in Path(path).parts]
    except UnicodeEncodeError:
        raise error(f"{name} must be {what}, got {shown(path)} with half of a surrogate pair") from None
    if "\0" in path:
        raise error(f"{name} must be {what}, got {shown(path)} with a null character")
    if any(len(part) > 255 for part in parts):
        raise error(f"{name} must be {what}, got {shown(path)} with a name of more than 255 bytes")


def path_of(name: str, value: Any, *, error: type[Exception] = ValueError) -> Path:
    """The absolute path that a value stands for, which outlives os.chdir; "~" is the home directory.

    Raises:
        ValueError: as `check_path`, or it names the home directory of an unknown user.
    """
    check_path(name, value, error=error)
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise error(
            f"{name} must be a path, got {shown(str(value))}, the home directory of an unknown user"
        ) from None


def listed(name: str, value: Iterable[Any] | Any, *, error: type[ValueError] = ValueError) -> list[Any]:
    """Convert an iterable to a list.

    Raises:
        ValueError: it is a single string, a mapping, or not iterable.
    """
    if isinstance(value, str | bytes):
        raise error(f"{name} must be a list: pass [{shown(value)}]")
    if isinstance(value, Iterable) and not isinstance(value, Mapping | type):
        try:
            return list(value)
        except TypeError:  # a zero-dimensional array
            pass
    raise error(f"{name} must be a list, got {shown(value)}")


def texts_of(name: str, value: Iterable[str] | Any, *, error: type[ValueError] = ValueError) -> list[str]:
    """Convert an iterable of texts to a list.

    Raises:
        ValueError: as `listed`, or an element is not text.
    """
    found = listed(name, value, error=error)
    for place, text in enumerate(found):
        check_text(f"{name}[{place}]", text, error=error)
    return found


def text_pairs(name: str, value: Any, *, error: type[ValueError] = ValueError) -> list[tuple[str, str]]:
    """Convert an iterable of pairs of texts to a list.

    Raises:
        ValueError: as `listed`, or an element is not two texts.
    """
    found = []
    for place, pair in enumerate(listed(name, value, error=error)):
        good = isinstance(pair, Sequence) and len(pair) == 2 and not isinstance(pair, str)
        if not (good and isinstance(pair[0], str) and isinstance(pair[1], str)):
            raise error(f"{name}[{place}] must be a query and a document, two texts, got {shown(pair)}")
        found.append((pair[0], pair[1]))
    return found


def numbers_of(name: str, value: Any, *, error: type[ValueError] = ValueError) -> NDArray[np.float64]:
    """Convert a list of numbers, NaN and infinity included, to float64 of shape (n,).

    Raises:
        ValueError: as `listed`, or an element is not a number.
    """
    wanted = f"{name} must be a list of numbers"
    given = value if hasattr(value, "__array__") else listed(name, value, error=error)
    try:
        found = np.asarray(given)
        if found.dtype.kind == "O" and all(isinstance(each, Real) for each in found.flat):
            found = found.astype(np.float64)
    except Exception as problem:  # arrays of other libraries raise their own kinds
        raise error(f"{wanted}, got {shown(value)}") from problem
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise error(f"{wanted}, got {shown(value)} of shape {found.shape}")
    return found.astype(np.float64, copy=False)


def _range(least: float | None, above: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"between {least:g} and {most:g}"
    lower = f"above {above:g}" if above is not None else f"at least {least:g}" if least is not None else ""
    upper = f"at most {most:g}" if most is not None else ""
    return " and ".join(part for part in (lower, upper) if part)
