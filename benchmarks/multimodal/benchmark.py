"""Text, photos and every fusion of both, also where half of the photos or of the texts are missing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import models, quality
from benchmarks.common.cached_towers import cached_photos, cached_texts
from benchmarks.common.contract import Params, Result
from benchmarks.common.data import dataset_of
from benchmarks.common.options import DEVICE, IMAGE_MODEL, JUDGED_DATA, TEXT_MODEL, Option
from benchmarks.common.quality import NDCG
from multimodal import WeightedConcat, WeightedSum
from twotower import DualEncoder, Item
from twotower.evaluation import evaluate_item_slices
from twotower.evaluation.slices import has_image, has_text
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT

FUSIONS, RIVALS = ("text", "image", "concat"), ("mean", "bm25")
OPTIONS = (
    *JUDGED_DATA,
    Option("--queries", "number of queries, the first of the split", quick=30),
    Option("--items", "number of items: the judged ones, then others", quick=300),
    TEXT_MODEL,
    IMAGE_MODEL,
    DEVICE,
)


def run(options: Namespace) -> Result:
    """Search under three conditions with every system."""
    whole = dataset_of(options)
    names = {"text_model": options.text_model, "image_model": options.image_model}
    shared = quality.shared_params(whole, options) | names
    systems = systems_of(options)
    counting = quality.counting_of(options)
    result = Result("multimodal", options.seed)
    everything = conditions(whole.items, options.seed)
    for condition, items in tqdm(everything.items(), unit="condition", disable=None, leave=False):
        data = replace(whole, items=tuple(items))
        # One modality alone cannot index what lacks it.
        retrievers = {name: models.indexed(data, encoder) for name, (encoder, _) in systems.items()}
        runs = quality.baseline_runs(data, items, options.seed)
        runs |= quality.search_runs(retrievers, data, words_only={"text"})
        own = {name: systems[name][1] if name in systems else {} for name in runs}
        params = {name: {**shared, "condition": condition, **own[name]} for name in runs}
        for row in quality.quality_rows(runs, params, data.qrels, options, baseline=RIVALS[0]):
            metrics = dict(row.metrics)
            for label in (has_image, has_text):
                slices = evaluate_item_slices(runs[row.system], data.qrels, items, label, [NDCG], **counting)
                metrics |= {f"{NDCG} {part}": means[NDCG] for part, means in slices.items()}
            result.add(row.system, row.params, metrics)
        pairs = product(FUSIONS, RIVALS)
        result.ratios |= quality.quality_ratios(runs, pairs, data.qrels, options, note=condition)
    # A CLIP that sees little makes the first of these ratios large, so BM25 stands beside it.
    complete = [name for name in result.ratios if name.startswith("concat") and "complete" in name]
    result.headline = quality.sentence({name: result.ratios[name] for name in complete})
    return result


def systems_of(options: Namespace) -> dict[str, tuple[DualEncoder, Params]]:
    """Encoders by row; the models are shared, so every text and photo is encoded once.

    "mean" is the peer, the mean of the CLIP model's own text and image vectors; "concat" has our default weights.
    """
    clip = models.image_encoder(options)
    text, image, words = (
        cached_texts(models.text_encoder(options)),
        cached_photos(clip),
        cached_texts(clip.words()),
    )
    weights = {"text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT}
    return {
        "text": (DualEncoder(text), {}),
        "image": (DualEncoder(text, image, WeightedConcat(text=0, image=1)), {}),
        "mean": (DualEncoder(words, image, WeightedSum(text=0.5, image=0.5)), {}),
        "concat": (DualEncoder(text, image, WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)), weights),
    }


def conditions(items: Sequence[Item], seed: int) -> dict[str, list[Item]]:
    """The catalogue as it is, without half of its photos, and without half of its texts.

    An item that has only one of the two keeps it, since an item needs one.
    """
    rng = np.random.default_rng(seed)
    drawn = list(zip(items, rng.permutation(len(items)) < len(items) // 2, strict=True))
    return {
        "complete": list(items),
        "half of images removed": [
            replace(item, image=None) if drop and item.words else item for item, drop in drawn
        ],
        "half of texts removed": [
            replace(item, title="", text="") if drop and item.image is not None else item
            for item, drop in drawn
        ],
    }
