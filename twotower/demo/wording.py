"""Put products into words: titles, descriptions and what shoppers type, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twotower.demo.vocabulary import CATEGORIES, NAMES, Language

_TITLES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "{brand} {colour} {pattern} {material} {category}",
        "{brand} {material} {category}, {colour} {pattern}",
        "{colour} {pattern} {category} by {brand}",
        "{brand} {category} {colour} {pattern}",
    ),
    "zh": (
        "{brand} {colour}{pattern}{material}{category}",
        "{brand} 新款{category} {colour}{pattern}",
        "{colour}{pattern}{category} {brand} {material}",
        "{brand}{material}{category} {colour}{pattern}",
    ),
}
_MADE_OF: Mapping[Language, tuple[str, ...]] = {
    "en": ("Made of {material}.", "Crafted from fine {material}.", "The {material} feels good for years."),
    "zh": ("{material}材质。", "精选{material}制作。", "{material}质感，经久耐用。"),
}
_STOP: Mapping[Language, str] = {"en": ".", "zh": "。"}
_QUERIES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "{brand} {colour} {pattern} {material} {category}",
        "{category} {brand} {pattern} {material} {colour}",
    ),
    "zh": (
        "{brand} {colour}{pattern}{material}{category}",
        "{pattern} {colour} {material} {category} {brand}",
        "{category} {brand} {colour} {pattern} {material}",
    ),
}


def title(said: Mapping[str, str], language: Language, rng: np.random.Generator) -> str:
    """A product title.

    Args:
        said: the attributes that it mentions, by name; "category" and "brand" among them.
        language: of the title.
        rng: decides wording.

    Returns:
        One line; English words start with a capital letter.
    """
    line = _filled(_pick(_TITLES[language], rng), _named(said, language, rng))
    return " ".join(word[0].upper() + word[1:] for word in line.split())


def description(category: str, material: str, language: Language, rng: np.random.Generator) -> str:
    """Two short sentences that name neither colour nor pattern."""
    fact = _pick(CATEGORIES[category].facts[language], rng) + _STOP[language]
    made = _pick(_MADE_OF[language], rng).format(material=NAMES["material"][material][language][0])
    return f"{fact} {made}" if language == "en" else fact + made


def search_words(asked: Mapping[str, str], language: Language, rng: np.random.Generator) -> str:
    """What a shopper types who wants these attributes, such as "red striped trainers" or "波点 连衣裙"."""
    return _filled(_pick(_QUERIES[language], rng), _named(asked, language, rng)).strip()


def _named(values: Mapping[str, str], language: Language, rng: np.random.Generator) -> dict[str, str]:
    """One of the names of every value."""
    return {attribute: _pick(NAMES[attribute][value][language], rng) for attribute, value in values.items()}


def _filled(template: str, words: Mapping[str, str]) -> str:
    """The template with its words; what is not mentioned leaves no gap."""
    blank = dict.fromkeys(NAMES, "")
    line = " ".join(template.format(**(blank | dict(words))).split())
    return line.replace(" ,", ",").strip(", ")


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
