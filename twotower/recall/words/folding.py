"""One spelling for words that people type in several ways: case, width, invisible characters, diacritics."""

from __future__ import annotations

import unicodedata

import regex

_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")  # soft hyphens, joiners, variation selectors
_FOREIGN_DIGIT = regex.compile(r"[\p{Nd}--[0-9]]", regex.V1)
# Scripts whose marks people leave out when they type; elsewhere, as in Hindi and Thai, marks belong to the spelling.
_OPTIONAL_MARKS = regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}]\K\p{Mn}+")
# Letters that Unicode does not decompose; in Arabic, variants of yeh, kaf and heh, and the tatweel.
_VARIANTS = str.maketrans(
    {
        **{
            "ø": "o",
            "ł": "l",
            "đ": "d",
            "ð": "d",
            "ħ": "h",
            "ŧ": "t",
            "ı": "i",
            "æ": "ae",
            "œ": "oe",
            "þ": "th",
        },
        **{"\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0629": "\u0647", "\u0640": ""},
    }
)
_ZERO_WIDTH_SPACE = "\u200b"  # ends a word in Thai and Khmer
_DOT_OF_TURKISH_I = "i\u0307"  # what "İ" becomes in lower case


def folded(text: str, *, diacritics: bool) -> str:
    """The text in Unicode's NFKC form, case-folded, with ASCII digits.

    Args:
        text: any text.
        diacritics: also fold the marks of Latin, Greek, Cyrillic, Arabic and Hebrew: "café" becomes "cafe".
    """
    if text.isascii():
        return text.lower()
    text = _IGNORABLE.sub("", text.replace(_ZERO_WIDTH_SPACE, " "))
    text = unicodedata.normalize("NFKC", text).casefold().replace(_DOT_OF_TURKISH_I, "i")
    text = _FOREIGN_DIGIT.sub(lambda found: str(unicodedata.digit(found[0])), text)
    if diacritics:
        text = _OPTIONAL_MARKS.sub("", unicodedata.normalize("NFD", text)).translate(_VARIANTS)
    return unicodedata.normalize("NFKC", text)
