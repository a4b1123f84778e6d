"""Text, photos and every fusion of both, also where half of the photos or of the texts are missing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import arguments, models
from benchmarks.common.contract import Parameter, Result
from benchmarks.common.data import read_dataset
from benchmarks.common.quality import (
    DEPTH,
    NDCG,
    counting_of,
    quality_ratios,
    quality_rows,
    sentence,
    shared_params,
)
from benchmarks.multimodal.cached_towers import CachedPhotos, CachedTexts
from multimodal import WeightedConcat, WeightedSum
from twotower import DualEncoder, Item, Retriever
from twotower.evaluation import bm25_run, evaluate_item_slices, random_run, search_run
from twotower.evaluation.metrics import Run
from twotower.evaluation.slices import has_image, has_text
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT

QUICK_LIMITS = {"limit": 30, "corpus_limit": 300}
FUSIONS, RIVALS = ("text", "image", "concat"), ("mean", "bm25")
Systems: TypeAlias = dict[str, tuple[DualEncoder, dict[str, Parameter]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, models and counting."""
    arguments.add_data(parser)
    arguments.add_models(parser, "text", "image")
    arguments.add_device(parser)
    arguments.add_counting(parser)


def run(options: argparse.Namespace) -> Result:
    """Search under three conditions with every system."""
    limits = QUICK_LIMITS if options.quick else {}
    data = read_dataset(options.data, options.split, where=options.where, **limits)
    counting, seed = counting_of(options), options.seed
    shared = shared_params(data, options) | {
        "text_model": models.text_name(options),
        "image_model": options.image_model or "compact",
    }
    systems = systems_of(options)
    result = Result("multimodal", seed)
    everything = conditions(data.items, seed)
    for condition, items in tqdm(everything.items(), unit="condition", disable=None, leave=False):
        runs: dict[str, Run] = {
            "random": random_run(data.queries, [item.id for item in items], DEPTH, seed=seed),
            "bm25": bm25_run(data.texts, items, DEPTH),
        }
        for name, (encoder, _) in systems.items():
            retriever = Retriever(encoder, hybrid=None)
            retriever.upsert(items, on_error="skip")  # one modality alone cannot index what lacks it
            runs[name] = search_run(retriever, data.worded if name == "text" else data.queries, DEPTH)
        params = {
            name: {**shared, "condition": condition, **(systems[name][1] if name in systems else {})}
            for name in runs
        }
        for row in quality_rows(runs, params, data.qrels, counting, baseline=RIVALS[0], seed=seed):
            metrics = dict(row.metrics)
            for label in (has_image, has_text):
                slices = evaluate_item_slices(runs[row.system], data.qrels, items, label, [NDCG], **counting)
                metrics |= {f"{NDCG} {part}": means[NDCG] for part, means in slices.items()}
            result.rows.append(replace(row, metrics=metrics))
        result.ratios |= quality_ratios(
            runs, product(FUSIONS, RIVALS), data.qrels, counting, note=condition, seed=seed
        )
    # A CLIP that sees little makes the first of these ratios large, so BM25 stands beside it.
    names = [name for name in result.ratios if name.startswith("concat") and "complete" in name]
    result.headline = sentence({name: result.ratios[name] for name in names})
    return result


def systems_of(options: argparse.Namespace) -> Systems:
    """Encoders by row; the models are shared, so every text and photo is encoded once.

    "mean" is the peer, the mean of the CLIP model's own text and image vectors; "concat" has our default weights.
    """
    text, image = CachedTexts(models.text_encoder(options)), CachedPhotos(models.image_encoder(options))
    weights = {"text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT}
    return {
        "text": (DualEncoder(text), {}),
        "image": (DualEncoder(text, image, WeightedConcat(text=0, image=1)), {}),
        "mean": (DualEncoder(image.words(), image, WeightedSum(text=0.5, image=0.5)), {}),
        "concat": (DualEncoder(text, image, WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)), weights),
    }


def conditions(items: Sequence[Item], seed: int) -> dict[str, list[Item]]:
    """The catalogue as it is, without half of its photos, and without half of its texts.

    An item that has only one of the two keeps it: an item with neither is no item.
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
