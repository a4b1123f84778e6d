"""A made-up shop with a known structure: favourite kinds of goods that drift, and articles bought again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.common.data import write_json_lines
from benchmarks.common.machine import scratch_folder

GOODS = ("lamp", "mug", "scarf", "lantern", "notebook", "clock", "basket", "cushion", "kettle", "ribbon")
TRAITS = ("red", "blue", "green", "white", "striped", "spotted", "wooden", "paper", "vintage", "tiny")
HEADER = "user_id\titem_id\ttimestamp\tevent\tquantity\tprice\tinvoice"
START = 1_700_000_000  # unix seconds
DAYS, DEV_DAYS = 240, 30
AGAIN, FAVOURITE, DRIFT = 0.35, 0.8, 0.1  # shares of a basket's lines, and chance of a new favourite a basket


def made_up_folder(seed: int, users: int = 300, per_kind: int = 30) -> Path:
    """Write a temporary folder with the splits train and dev, in the layout that `read_shop` reads.

    Every user has a favourite kind, which changes with probability 0.1 before a basket. Each line of a basket repeats
    an earlier purchase with probability 0.35; otherwise it is of the favourite kind with probability 0.8, and of any
    kind with 0.2, the first articles of a kind more often than the last. So neighbours of bought items help, old
    purchases mislead, and counting repeats misses new articles. Each of the ten kinds has `per_kind` articles.
    """
    rng = np.random.default_rng(seed)
    folder = scratch_folder("planted")
    write_json_lines(
        folder / "corpus.jsonl",
        (
            {"_id": f"{kind}-{number}", "title": f"{TRAITS[number % 10]} {kind} {number}", "text": ""}
            for kind in GOODS
            for number in range(per_kind)
        ),
    )
    rows = sorted(row for user in range(users) for row in _purchases(rng, user, per_kind))
    cut = START + (DAYS - DEV_DAYS) * 86_400
    (folder / "interactions").mkdir()
    for split in ("train", "dev"):
        lines = [
            f"{user}\t{item}\t{time}\tpurchase\t1\t1.0\t{user}-{time}\n"
            for time, user, item in rows
            if (time >= cut) == (split == "dev")
        ]
        (folder / "interactions" / f"{split}.tsv").write_text(f"{HEADER}\n{''.join(lines)}", encoding="utf-8")
    return folder


def _purchases(rng: np.random.Generator, user: int, per_kind: int) -> list[tuple[int, str, str]]:
    """Lines of (unix seconds, user, item)."""
    chance = 1 / np.arange(1, per_kind + 1)
    favourite, before = int(rng.integers(len(GOODS))), list[str]()
    lines: list[tuple[int, str, str]] = []
    moments = np.sort(rng.integers(START, START + DAYS * 86_400, rng.integers(2, 14)))
    for moment in np.unique(moments):
        if rng.random() < DRIFT:
            favourite = int(rng.integers(len(GOODS)))
        basket: dict[str, None] = {}
        for _ in range(rng.integers(2, 8)):
            if before and rng.random() < AGAIN:
                basket[before[rng.integers(len(before))]] = None
                continue
            kind = favourite if rng.random() < FAVOURITE else int(rng.integers(len(GOODS)))
            basket[f"{GOODS[kind]}-{rng.choice(per_kind, p=chance / chance.sum())}"] = None
        before += basket
        lines += [(int(moment), f"user-{user}", item) for item in basket]
    return lines
