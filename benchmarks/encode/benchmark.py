"""Texts and images per second of the two encoders, beside the libraries they are built on.

`TextEncoder` calls `SentenceTransformer.encode` and `ClipEncoder` an open_clip model: the question is what we add.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import models
from benchmarks.common.contract import Result
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.options import IMAGE_MODEL, INPUTS, TEXT_MODEL, Option
from benchmarks.common.speed import Answers, System, cosines, measure_rate, require_equal_vectors
from benchmarks.common.texts import choose, count_tokens, pools
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, synchronised
from benchmarks.encode.photos import photo_sets
from multimodal import ClipEncoder
from multimodal.hub import locate
from multimodal.images import load_image

OPTIONS = (
    *INPUTS,
    TEXT_MODEL,
    IMAGE_MODEL,
    Option("--tokens", "approximate tokens of each mix; a GPU needs a million", 15_000, quick=120),
    Option("--photos", "number of photos of each size", 128, quick=3),
)


def run(options: Namespace) -> Result:
    """Measure texts of every mix of lengths, then photos of every size."""
    data = None if options.data is None else read_dataset(options.data, options.split)
    result = Result("encode", options.seed)
    measure_texts(result, options, data)
    measure_photos(result, options, data)
    result.add("whole run", {}, {"peak_rss_mb": peak_rss_mb()})
    start = f"{OURS} / open_clip : images_per_s "
    photos = " and ".join(
        f"{ratio} times as many photos ({name.removeprefix(start)})"
        for name, ratio in result.ratios.items()
        if name.startswith(start)
    )
    result.headline = (
        f"Over the same weights on {options.device} twotower encodes "
        f"{result.ratios[f'{OURS} / {SENTENCE_TRANSFORMERS} : texts_per_s mixed']} times as many texts a second as "
        f"sentence-transformers, {photos} as open_clip."
    )
    return result


def min_cosine(reference: Answers, other: Answers) -> dict[str, float]:
    """How far vectors are from the reference's: the cosine of the worst pair."""
    return {"min_cosine": float(cosines(reference, other).min())}


measure = partial(measure_rate, require_equal=require_equal_vectors, difference=min_cosine)


def measure_texts(result: Result, options: Namespace, data: Dataset | None) -> None:
    """Texts of every mix of lengths."""
    from sentence_transformers import SentenceTransformer

    ours, device = models.text_encoder(options), options.device
    peer: Any = SentenceTransformer(locate(options.text_model), device=device, local_files_only=True)

    def theirs(batch_size: int) -> System:
        # With the document prompt if the model has one, as ours; ours also brings texts to Unicode form NFKC.
        encode = partial(
            peer.encode_document, normalize_embeddings=True, show_progress_bar=False, batch_size=batch_size
        )
        return System(synchronised(encode, device), {"batch_size": batch_size})

    systems = {
        OURS: System(synchronised(ours.encode_documents, device), {"batch_size": ours.batch_size}),
        SENTENCE_TRANSFORMERS: theirs(ours.batch_size),
        f"{SENTENCE_TRANSFORMERS} batch_size=32": theirs(32),  # its default
    }
    limit = int(peer.max_seq_length)
    shared = {"max_length": limit, "dtype": str(peer.dtype).removeprefix("torch."), "device": device}
    made_up = 5_000 if options.tokens > 15_000 else 500
    for mix, _, pool, rng in pools(peer.tokenizer, limit, data, made_up, options.seed):
        mean = count_tokens(peer.tokenizer, pool, None, limit).mean()
        texts = choose(pool, min(len(pool), max(2, round(options.tokens / mean))), rng)
        tokens = float(count_tokens(peer.tokenizer, texts, None, limit).mean())
        params = {**shared, "mix": mix, "texts": len(texts), "mean_tokens": round(tokens, 1)}
        measure(result, systems, texts, "texts_per_s", mix, params, reference=SENTENCE_TRANSFORMERS)


def measure_photos(result: Result, options: Namespace, data: Dataset | None) -> None:
    """Photos of the data, or drawn ones of two sizes."""
    import open_clip

    ours, device = models.image_encoder(options), options.device
    model, preprocess = open_clip.create_model_from_pretrained(
        ours.architecture, ours.pretrained, device=device
    )
    model.eval()
    systems = photo_systems(ours, model, preprocess, device)
    shared = {
        "input_size": int(np.max(model.visual.image_size)), "batch_size": ours.batch_size,
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."), "device": device,
    }  # fmt: skip
    rng = np.random.default_rng(options.seed)
    with TemporaryDirectory(prefix="twotower-photos-") as folder:
        sets = photo_sets(() if data is None else data.items, Path(folder), options.photos, rng)
        for label, files in sets.items():
            kilobytes = float(np.mean([file.stat().st_size for file in files])) / 1000
            params = {"photos": label, "count": len(files), "mean_kb": round(kilobytes, 1), **shared}
            measure(result, systems, files, "images_per_s", label, params, reference="open_clip")


def photo_systems(
    ours: ClipEncoder, model: Any, preprocess: Callable[[Any], Any], device: str
) -> dict[str, System]:
    """From files to vectors.

    Ours, `load` then `encode_images`, lets the JPEG decoder skip detail and shrinks the photo to twice the model's
    input first. That is less work for slightly different vectors; min_cosine says how different. With all pixels it
    does what the peer does, and also checks the photo's format, size and orientation.
    """
    import torch
    from PIL import Image

    def shrunk(files: list[Path]) -> Answers:
        return ours.encode_images(map(ours.load, files))

    def all_pixels(files: list[Path]) -> Answers:
        return ours.encode_images(map(load_image, files))

    def opened(file: Path) -> Any:
        with Image.open(file) as image:
            return preprocess(image.convert("RGB"))

    def straight(files: list[Path]) -> Answers:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(files), ours.batch_size):
                batch = torch.stack([opened(file) for file in files[start : start + ours.batch_size]])
                rows.append(model.encode_image(batch.to(device), normalize=True).float().cpu().numpy())
        return np.concatenate(rows)

    return {
        OURS: System(synchronised(shrunk, device), {"pixels": "shrunk first"}, exact=False),
        f"{OURS} all-pixels": System(synchronised(all_pixels, device), {"pixels": "all"}),
        "open_clip": System(synchronised(straight, device), {"pixels": "all"}),
    }
