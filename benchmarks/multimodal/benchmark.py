"""Text, photos and every fusion of both, also where half of the photos or of the texts are missing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

import numpy as np

from benchmarks.common import arguments, models
from benchmarks.common.contract import Parameter, Result, Row
from benchmarks.common.data import read_dataset
from benchmarks.common.quality import (
    counting_of,
    quality,
    quality_ratio,
    quality_table,
    sentence,
    shared_params,
)
from benchmarks.multimodal.cached_towers import RememberedImages, RememberedTexts
from multimodal import WeightedConcat, WeightedSum
from twotower import DualEncoder, Item, Retriever
from twotower.evaluation import bm25_run, evaluate_item_slices, random_run, search_run
from twotower.evaluation.metrics import Run
from twotower.evaluation.slices import has_image, has_text
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT

DEPTH = 100
QUICK_QUERIES, QUICK_ITEMS = 30, 300
PEERS = ("mean", "bm25")
Systems: TypeAlias = dict[str, tuple[DualEncoder, dict[str, Parameter]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, models and counting."""
    arguments.add_data(parser)
    arguments.add_models(parser, "text", "image")
    arguments.add_device(parser)
    arguments.add_counting(parser)


def run(options: argparse.Namespace) -> Result:
    """Search under three conditions with every system."""
    limits = {"limit": QUICK_QUERIES, "corpus_limit": QUICK_ITEMS} if options.quick else {}
    data = read_dataset(options.data, options.split, where=options.where, **limits)
    counting = counting_of(options)
    shared = shared_params(data, options) | {
        "text_model": options.text_model or "all-MiniLM-L6-v2",
        "image_model": options.image_model or "compact",
    }
    systems = systems_of(options)
    rows, ratios = [], {}
    for condition, items in conditions(data.items, options.seed).items():
        words = data.texts
        runs: dict[str, Run] = {
            "random": random_run(data.queries, [item.id for item in items], DEPTH, seed=options.seed),
            "bm25": bm25_run(words, items, DEPTH),
        }
        for name, (encoder, _) in systems.items():
            retriever = Retriever(encoder)
            retriever.upsert(items, on_error="skip")  # one modality alone cannot index what lacks it
            runs[name] = search_run(retriever, data.worded if name == "text" else data.queries, DEPTH)
        found = []
        for name, each in runs.items():
            metrics = quality(each, data.qrels, counting, seed=options.seed)
            for label in (has_image, has_text):
                sliced = evaluate_item_slices(each, data.qrels, items, label, ["ndcg@10"], **counting)
                metrics |= {f"ndcg@10 {part}": means["ndcg@10"] for part, means in sliced.items()}
            own = systems[name][1] if name in systems else {}
            found.append(Row(name, shared | {"condition": condition} | own, metrics))
        print(
            f"\n{condition}\n\n"
            + quality_table(found, runs, PEERS[0], data.qrels, counting, seed=options.seed)
        )
        rows += found
        for name, peer in product(("text", "image", "concat"), PEERS):
            ratio = quality_ratio(runs[name], runs[peer], data.qrels, counting, seed=options.seed)
            if ratio is not None:
                ratios[f"{name} / {peer} : ndcg@10 {condition}"] = ratio
    # A CLIP that sees little makes the first of them large, so BM25 stands beside it.
    headline = {
        name: ratio for name, ratio in ratios.items() if name.startswith("concat") and "complete" in name
    }
    return Result("multimodal", options.seed, rows, sentence(headline), ratios)


def systems_of(options: argparse.Namespace) -> Systems:
    """Encoders by row; the models are shared, so every text and photo is encoded once.

    "mean" is the peer, the mean of the CLIP model's own text and image vectors; "concat" has our default weights.
    """
    text, image = (
        RememberedTexts(models.text_encoder(options)),
        RememberedImages(models.image_encoder(options)),
    )
    weights = {"text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT}
    return {
        "text": (DualEncoder(text), {}),
        "image": (DualEncoder(text, image, WeightedConcat(text=0, image=1)), {}),
        "mean": (DualEncoder(image.words(), image, WeightedSum(text=0.5, image=0.5)), {}),
        "concat": (DualEncoder(text, image, WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)), weights),
    }


def conditions(items: Sequence[Item], seed: int) -> dict[str, list[Item]]:
    """The catalogue as it is, without half of its photos, and without half of its texts.

    Where an item has only one of the two, that stays: an item with neither is no item.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(items)) < len(items) // 2  # (n,)
    return {
        "complete": list(items),
        "half of images removed": [
            replace(item, image=None) if drop and item.words else item
            for item, drop in zip(items, chosen, strict=True)
        ],
        "half of texts removed": [
            replace(item, title="", text="") if drop and item.image is not None else item
            for item, drop in zip(items, chosen, strict=True)
        ],
    }
