"""The demo from beginning to end: a shop, an index, a trained reranker, a measured table and a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from multimodal.clip.encoder import ClipEncoder
from multimodal.text.encoder import TextEncoder
from twotower.demo.page import Answer, Recommendation, Showcase, render
from twotower.demo.photos import draw_photo
from twotower.demo.shop import Shop, make_shop
from twotower.demo.stages import (
    DECAY,
    LANGUAGES,
    METRICS,
    RELEVANT,
    Searcher,
    Table,
    fit_reranker,
    measure,
    random_run,
    recall_stages,
)
from twotower.evaluation.caching import CachingReranker
from twotower.presets import Retriever

SHOWN_ENGLISH, SHOWN_CHINESE, CARDS = 5, 3, 6


def run_demo(folder: Path, *, say: Callable[[str], None], items: int = 640, queries: int = 500) -> Path:
    """Index, train, search and measure on the sample shop.

    Args:
        folder: gets the shop's photos and the page; created if missing.
        say: called with each line of the report.
        items: size of the shop.
        queries: number of judged queries, of which some are for training.

    Returns:
        The page.
    """
    started = time.monotonic()
    say("Making the shop ...")
    shop = make_shop(folder, items=items, queries=queries)
    test = [query for query in shop.queries if query.split == "test"]
    say(f"Indexing {len(shop.items)} products by text, by photos and by both ...")
    words, photos = TextEncoder(), ClipEncoder.compact()
    retrievers = recall_stages(shop, words, photos)
    say("Fine-tuning a cross-encoder on the judgements of the train queries ...")
    hybrid = retrievers["hybrid"]
    reranker = CachingReranker(fit_reranker(shop, Searcher(hybrid, words, shop)))
    retrievers["reranked"] = hybrid.using(reranker=reranker)
    retrievers["reranked with decay"] = final = hybrid.using(reranker=reranker, decay=DECAY)
    say(f"Searching with {len(test)} test queries at every stage ...")
    runs = {name: Searcher(each, words, shop).run(test) for name, each in retrievers.items()}
    runs = {"random": random_run(shop, test)} | runs
    table = {name: measure(run, test, shop) for name, run in runs.items()}
    for line in table_lines(table):
        say(line)
    page = folder / "index.html"
    page.write_text(render(_showcase(shop, table, final, Searcher(final, words, shop))), encoding="utf-8")
    say(f"Page: {page} ({time.monotonic() - started:.0f} seconds in all)")
    return page


def table_lines(table: Table) -> Iterator[str]:
    """The means of every stage as text, by language."""
    yield f"nDCG@10 has linear gain; MRR@10 and HR@10 count grade {RELEVANT} and above as relevant."
    yield " " * 20 + "".join(f"  {name:<23}" for name in LANGUAGES)
    yield f"{'stage':<20}" + "".join("  " + " ".join(f"{name:>7}" for name in METRICS) for _ in LANGUAGES)
    for stage, languages in table.items():
        means = ("  " + " ".join(f"{means[name]:7.3f}" for name in METRICS) for means in languages.values())
        yield f"{stage:<20}" + "".join(means)


def _showcase(shop: Shop, table: Table, final: Retriever, searcher: Searcher) -> Showcase:
    """The first test queries of each language, a photo that is not in the shop, and the first user."""
    test = [query for query in shop.queries if query.split == "test"]
    shown = [query for query in test if query.language == "en"][:SHOWN_ENGLISH]
    shown += [query for query in test if query.language == "zh"][:SHOWN_CHINESE]
    hits = searcher.search(shown, CARDS)
    answers = [Answer(query.text, query.language, hits[query.id], shop.qrels[query.id]) for query in shown]
    photo = draw_photo("backpack", "green", "striped", np.random.default_rng(2026))
    user = min(event.user for event in shop.events)
    seen = dict.fromkeys(event.item for event in reversed(shop.events) if event.user == user)
    return Showcase(
        items=len(shop.items),
        table=table,
        answers=answers,
        photo=photo,
        like_photo=final.search(image=photo, k=CARDS, now=shop.now),
        recommendation=Recommendation(
            user,
            [final.get(item_id) for item_id in list(seen)[:CARDS]],
            final.recommend(user, CARDS, now=shop.now),
        ),
    )
