"""What text that stands for a number means: its digits, separators, and the currency beside them."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

Decimal: TypeAlias = Literal[".", ","] | None

_SIGNS = "$¢£¤¥֏؋฿៛₠-⃏"
# of ISO 4217, those in which shops price
_CODES = (
    "AED|ARS|AUD|BDT|BGN|BHD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|DZD|EGP|EUR|GBP|GEL|HKD|"
    "HUF|IDR|ILS|INR|IQD|IRR|ISK|JOD|JPY|KES|KRW|KWD|KZT|LBP|LKR|MAD|MXN|MYR|NGN|NOK|"
    "NZD|OMR|PEN|PHP|PKR|PLN|QAR|RMB|RON|RSD|RUB|SAR|SEK|SGD|THB|TND|TRY|TWD|UAH|USD|"
    "UYU|UZS|VND|ZAR"
)
_UNIT = (
    rf"(?:(?:A|AU|C|CA|CN|HK|MX|NT|NZ|R|S|US)?[{_SIGNS}]"
    rf"|(?<![A-Za-z])(?i:{_CODES})(?![A-Za-z])|元|円|원|zł|Kč|kr\.?|%)"
)
_AMOUNT = re.compile(rf"([+-]?)\s*({_UNIT})?\s*([+-]?[\d.].*?)\s*({_UNIT})?")

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = {
    ".": re.compile(r"[+-]?(\d{1,3}([, '])\d{3}(\2\d{3})*|\d{1,2}(,\d{2})+,\d{3})(\.\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(\d+|\d{1,3}([. '])\d{3}(\2\d{3})*)(,\d+)?", re.ASCII),
}
_GROUPS = {".": ", '", ",": ". '"}
_CODE = re.compile(r"\+\d+|0\d+|\d+[eE]\d+|\d{16,}", re.ASCII)
_NARROW = {0xFF01 + place: 0x21 + place for place in range(94)} | str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
        "\u2212": "-",
        "\u2019": "'",
        "￥": "¥",
        "￡": "£",
        "￦": "₩",
    }
)
"""Full-width characters, the blanks of typesetters, a real minus and apostrophe, as programs write them."""


class Amount(NamedTuple):
    """A number as shops write it.

    Args:
        value: the number.
        unit: the currency or "%" beside it; "" if there is none.
    """

    value: int | float
    unit: str


def number(text: str, decimal: Decimal = None) -> int | float | None:
    """The number that text stands for, None if it is not a finite one; see `ReadOptions` for `decimal`."""
    text = _narrow(text)
    if decimal is not None and _GROUPED[decimal].fullmatch(text):
        text = text.translate({ord(mark): None for mark in _GROUPS[decimal]}).replace(decimal, ".")
    elif decimal == "," or not _PLAIN.fullmatch(text):
        return None
    try:
        value = int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:  # an integer of thousands of digits
        return None
    return value if abs(value) <= sys.float_info.max else None


def amount(text: str, decimal: Decimal = None) -> Amount | None:
    """The number that text stands for, beside which a currency or "%" may stand.

    Args:
        text: such as "$1,299.00" or "15 EUR".
        decimal: see `ReadOptions`; None takes separators of which only one reading is possible, and "1.299" as it is.

    Returns:
        None if it is not a number, or could be several.
    """
    found = _parts(text)
    if found is None:
        return None
    digits, unit = found
    if decimal is not None:
        value = number(digits, decimal)
    elif (value := number(digits)) is None:
        readings = set(_readings(digits).values())
        value = readings.pop() if len(readings) == 1 else None
    return None if value is None else Amount(value, unit)


@lru_cache(maxsize=1 << 16)
def decimals(text: str) -> str:
    """The decimal marks by which text is a number: "." or ","; ".," if it would be different numbers, "" if equal."""
    found = _parts(text)
    readings = {} if found is None else _readings(found[0])
    if len(readings) == 2:
        return "" if len(set(readings.values())) == 1 else ".,"
    return "".join(readings)


def is_code(text: str) -> bool:
    """Whether a number has a form that only codes have: "007", "+49301234", "12E5", or 16 digits or more."""
    return _CODE.fullmatch(_narrow(text)) is not None


def looks_numeric(text: str) -> bool:
    """Whether text is a number in another notation, such as "1.299,00", "1,299.00" or "$5"."""
    found = _parts(text)
    return found is not None and bool(_readings(found[0]))


def _narrow(text: str) -> str:
    text = text.strip()
    return text if text.isascii() else text.translate(_NARROW).strip()


def _parts(text: str) -> tuple[str, str] | None:
    """The signed digits, and the unit before or after them."""
    if len(text) > 60 or (match := _AMOUNT.fullmatch(_narrow(text))) is None:
        return None
    sign, before, digits, after = match.groups()
    if (before and after) or (sign and digits[0] in "+-"):
        return None
    return sign + digits, (before or after or "").upper()


def _readings(digits: str) -> dict[str, int | float]:
    """The number by each decimal mark by which there is one."""
    marks: tuple[Literal["."], Literal[","]] = (".", ",")
    return {mark: value for mark in marks if (value := number(digits, mark)) is not None}
