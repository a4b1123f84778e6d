"""The demo's page: one HTML file that holds everything, photos too, so that it works without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from twotower.demo.stages import LANGUAGES, METRICS, RELEVANT, Table
from twotower.search.explanation import FRESHNESS, RELEVANCE
from twotower.types import Hit, Item

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = ("text", "image", "relevance")  # of the three languages in the chart; names of the style sheet
NAMES = {"en": "English", "zh": "Chinese"}
PARTS = {
    "text": "text",
    "image": "image",
    "lexical": "BM25",
    "relevance": "relevance",
    "user": "history",
    "lost": "lost to age",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A test query, its hits, and the grades of all products."""

    text: str
    language: str
    hits: Sequence[Hit]
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A user, what they viewed last, and what they are recommended."""

    user: str
    history: Sequence[Item]
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Showcase:
    """Everything that the page shows."""

    items: int
    table: Table
    answers: Sequence[Answer]
    photo: Image
    like_photo: Sequence[Hit]
    recommendation: Recommendation


def render(show: Showcase) -> str:
    """The page as HTML."""
    recommended = show.recommendation
    style = files("twotower.demo").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>twotower: the sample shop</title>
<style>
{style}</style>
</head>
<body>
<h1>One shop, every stage</h1>
<p class="soft">{show.items} made-up products with drawn photos and titles in English, Chinese or both, shoppers
with histories, and queries with judgements. Everything is fitted on the train queries and measured on the test
queries.</p>

<h2>What each stage adds</h2>
{_chart(show.table)}
{_table(show.table)}
<p class="soft">A product is judged 3 if it meets every wish and came out within the last year, 2 if it is older,
and 1 if the category and some of the wishes are right. nDCG@10 uses these grades with linear gain; MRR@10 and HR@10
count grade {RELEVANT} and above as relevant.</p>

<h2>Searches</h2>
<p>The first test queries in each language, not picked by hand, answered by all stages together.</p>
{_key()}
{"".join(map(_answer, show.answers))}

<h2>Search by a photo</h2>
<div class="asked"><img src="{_data_uri(show.photo)}" alt="a green striped backpack">
<p>A drawing of a green striped backpack that is not in the shop. Without words, nothing is reranked.</p></div>
{_cards(map(_hit, show.like_photo))}

<h2>Recommended for {escape(recommended.user)}</h2>
<h3>Viewed last</h3>
{_cards(_card(item, "") for item in recommended.history)}
<h3>Recommended now</h3>
{_cards(map(_hit, recommended.hits))}

<h2>What does not work here</h2>
<ul>
<li>The text model, all-MiniLM-L6-v2, knows almost no Chinese. Chinese queries are answered by the photos and BM25,
and the reranker, which has the same tokenizer, does not score them. A shop with Chinese shoppers needs a
multilingual model.</li>
<li>The compact image model was trained on drawings by the same generator, with other seeds. It says nothing about
real photos: those need a real CLIP.</li>
<li>The judgements follow a rule that knows what is true of every product. Real shoppers are less orderly, so the
numbers show that the stages work together, not how well they would do in your shop.</li>
<li>Queries mostly use other words than titles do, so BM25 adds less here than in a real catalogue.</li>
<li>The reranker reads text only. Where the text leaves out the colour, only the photo can tell.</li>
<li>Decay is gentle, because the judge prefers new products only among equals: any stronger, and new products that
meet half of the wishes would pass old ones that meet all.</li>
</ul>
</body>
</html>
"""


def _table(table: Table) -> str:
    groups = "".join(f'<th class="group first" colspan="{len(METRICS)}">{name}</th>' for name in LANGUAGES)
    names = "".join(_cells("th", METRICS) for _ in LANGUAGES)
    rows = "".join(
        f"<tr><td>{escape(stage)}</td>"
        + "".join(_cells("td", [f"{means[name]:.3f}" for name in METRICS]) for means in languages.values())
        + "</tr>\n"
        for stage, languages in table.items()
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr><th></th>{groups}</tr>\n<tr><th>stage</th>{names}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>"
    )


def _cells(tag: str, values: Sequence[str]) -> str:
    first = f'<{tag} class="first">{values[0]}</{tag}>'
    return first + "".join(f"<{tag}>{value}</{tag}>" for value in values[1:])


def _chart(table: Table) -> str:
    """nDCG@10 as horizontal bars, one group per stage, one bar per language."""
    left, width, bar, gap = 170, 700, 13, 16
    shapes, y = [], 8
    for stage, languages in table.items():
        middle = y + bar * len(LANGUAGES) / 2 + 4
        shapes.append(f'<text x="{left - 12}" y="{middle:g}" text-anchor="end">{escape(stage)}</text>')
        for colour, means in zip(COLOURS, languages.values(), strict=True):
            length, value = means["ndcg@10"] * width, f"{means['ndcg@10']:.3f}"
            shapes.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" rx="3" fill="var(--{colour})"/>'
                f'<text x="{left + length + 6:.1f}" y="{y + bar - 3}" style="font-size:11px">{value}</text>'
            )
            y += bar
        y += gap
    key = "".join(
        f'<span><i class="{colour}"></i>{name}</span>'
        for colour, name in zip(COLOURS, LANGUAGES, strict=True)
    )
    return (
        f'<div class="key"><span>nDCG@10, test queries:</span>{key}</div>\n'
        f'<svg viewBox="0 0 {left + width + 60} {y}" role="img" aria-label="nDCG@10 by stage">{"".join(shapes)}</svg>'
    )


def _key() -> str:
    return (
        '<div class="key">'
        + "".join(f'<span><i class="{part}"></i>{name}</span>' for part, name in PARTS.items())
        + "</div>"
    )


def _answer(answer: Answer) -> str:
    cards = _cards(_hit(hit, _judged(answer.grades.get(hit.id, 0))) for hit in answer.hits)
    reranked = any(RELEVANCE in hit.explain for hit in answer.hits)
    note = NAMES[answer.language] + ("" if reranked else ", not reranked: the model cannot read it")
    query = f'<span lang="{answer.language}">{escape(answer.text)}</span>'
    return f"<h3>{query}<small>{note}</small></h3>\n{cards}\n"


def _cards(cards: Iterable[str]) -> str:
    return f'<div class="cards">{"".join(cards)}</div>'


def _judged(grade: int) -> str:
    return f'<span class="grade g{grade}">judged {grade}</span>'


def _hit(hit: Hit, judged: str = "") -> str:
    """A card with the score and its parts; the bar's full width is a score of 1."""
    freshness = hit.explain.get(FRESHNESS, 1.0)
    parts = {name: value for name, value in hit.explain.items() if name != FRESHNESS}
    segments = {name: value * freshness for name, value in parts.items()}
    segments["lost"] = sum(parts.values()) * (1 - freshness)
    bar = "".join(
        f'<i class="{escape(name)}" style="width:{100 * max(0.0, value):.1f}%"></i>'
        for name, value in segments.items()
    )
    numbers = " + ".join(f"{PARTS.get(name, name)} {value:.2f}" for name, value in parts.items())
    return _card(
        hit.item,
        f'<div class="score"><b>{hit.score:.3f}</b>{judged}</div><div class="bar">{bar}</div>'
        f'<div class="parts">{escape(numbers)}<br>&times; freshness {freshness:.3f}</div>',
    )


def _card(item: Item, below: str) -> str:
    photo = '<div class="photo none">no photo</div>'
    if item.image is not None:
        photo = f'<img class="photo" src="{_data_uri(Path(item.image))}" alt="" loading="lazy">'
    language = "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in item.title) else "en"
    price, released = item.attributes.get("price"), item.time
    return (
        f'<article class="card">{photo}<div class="about">'
        f'<div class="title" lang="{language}">{escape(item.title)}</div>'
        f'<div class="facts"><span>{"" if price is None else f"{price:.2f}"}</span>'
        f"<span>{'' if released is None else f'{released:%Y-%m-%d}'}</span></div>{below}</div></article>\n"
    )


def _data_uri(photo: Path | Image) -> str:
    if isinstance(photo, Path):
        data = photo.read_bytes()
    else:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=90)
        data = buffer.getvalue()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
