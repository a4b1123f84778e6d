"""Draw how a query flows through the stages, as the SVG that the README shows.

python examples/draw_query_flow.py examples/images/query_flow.svg
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 1060, 292
BOX_WIDTH, BOX_HEIGHT = 124, 92
TOP, MIDDLE, BOTTOM = 76, 146, 216  # centres of the upper, the single and the lower row
BLUE, GOLD, GREEN, GREY = "#4477aa", "#b8860b", "#228833", "#555555"


@dataclass(frozen=True)
class Box:
    """A stage, centred at x, y."""

    name: str
    lines: tuple[str, ...]
    x: int
    y: int
    colour: str


QUERY = Box("query", ("words, photo,", "user, filter,", "moment"), 76, MIDDLE, GREY)
ENCODE = Box("encode", ("text + CLIP fused,", "user history", "added"), 224, MIDDLE, BLUE)
DENSE = Box("dense recall", ("FAISS: exact,", "graph or codes,", "filtered"), 384, TOP, BLUE)
LEXICAL = Box("lexical recall", ("BM25: stems,", "Chinese words,", "codes, filtered"), 384, BOTTOM, GOLD)
FUSION = Box("fusion", ("both channels", "become one", "similarity"), 544, MIDDLE, GREEN)
DECAY = Box("decay", ("times freshness,", "so that nothing", "fresh is cut"), 688, MIDDLE, GREEN)
RERANK = Box("rerank", ("a cross-encoder", "reads query and", "candidate"), 832, MIDDLE, GREEN)
BLEND = Box("blend", ("similarity and", "relevance, times", "freshness"), 976, MIDDLE, GREEN)
BOXES = (QUERY, ENCODE, DENSE, LEXICAL, FUSION, DECAY, RERANK, BLEND)
ARROWS = (
    (QUERY, ENCODE),
    (ENCODE, DENSE),
    (ENCODE, LEXICAL),
    (DENSE, FUSION),
    (LEXICAL, FUSION),
    (FUSION, DECAY),
    (DECAY, RERANK),
    (RERANK, BLEND),
)


def box(each: Box) -> Iterator[str]:
    """A rounded rectangle with its name and what happens there."""
    left, top = each.x - BOX_WIDTH // 2, each.y - BOX_HEIGHT // 2
    yield (
        f'<rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="#fff" '
        f'stroke="{each.colour}" stroke-width="1.5"/>'
    )
    yield f'<text x="{each.x}" y="{top + 24}" class="name" fill="{each.colour}">{escape(each.name)}</text>'
    for row, line in enumerate(each.lines):
        yield f'<text x="{each.x}" y="{top + 45 + 16 * row}">{escape(line)}</text>'


def arrow(start: Box, end: Box) -> str:
    """From the right side of one box to the left side of another."""
    left, right = start.x + BOX_WIDTH // 2, end.x - BOX_WIDTH // 2 - 6
    bend = (left + right) // 2
    return f'<path d="M{left} {start.y} C{bend} {start.y} {bend} {end.y} {right} {end.y}" marker-end="url(#tip)"/>'


def drawing() -> str:
    """The whole picture."""
    shapes = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#fafafa"/>',
        *(arrow(start, end) for start, end in ARROWS),
        *(line for each in BOXES for line in box(each)),
        f'<path d="M{BLEND.x} {BLEND.y + BOX_HEIGHT // 2} L{BLEND.x} {BOTTOM + 26}" marker-end="url(#tip)"/>',
        f'<text x="{BLEND.x + 62}" y="{BOTTOM + 52}" class="hits">hits, best first: id, item, score, and '
        "explain = {dense, lexical, relevance, freshness}</text>",
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'aria-label="How a query flows through the stages">',
            "<style>text { font: 12px sans-serif; text-anchor: middle; fill: #333 } "
            ".name { font-weight: bold; font-size: 14px } .hits { text-anchor: end; font-size: 13px } "
            "path { fill: none; stroke: #888; stroke-width: 1.5 } marker path { fill: #888; stroke: none }</style>",
            '<marker id="tip" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
            '<path d="M0 0 L6 3 L0 6 z"/></marker>',
            *shapes,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawing(), encoding="utf-8")
