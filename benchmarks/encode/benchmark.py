"""Texts and images per second of the two encoders, beside the libraries that they are built on.

`TextEncoder` calls `SentenceTransformer.encode` and `ClipEncoder` an open_clip model: the question is what we add.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import models, timing
from benchmarks.common.arguments import add_device, add_models
from benchmarks.common.contract import Parameter, Result, ResultRow, Spread
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.equal_work import cosines, require_equal_vectors
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.texts import (
    MIXES,
    Lengths,
    choose,
    count_tokens,
    draw_lengths,
    draw_texts,
    item_texts,
    words_of,
)
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, Clock, synchronised
from benchmarks.encode.photos import photo_sets
from multimodal.images import load_image

if TYPE_CHECKING:
    from multimodal import ClipEncoder

Encode: TypeAlias = Callable[[], NDArray[np.float32]]
TOKENS, QUICK_TOKENS = 15_000, 120
PHOTOS, QUICK_PHOTOS = 128, 3


@dataclass(frozen=True, slots=True)
class EncodingSystem:
    """An encoder to measure on inputs that it holds.

    Args:
        encode: all of them at once, to float32 of shape (n, dim) and unit length.
        params: what it runs with.
        exact: whether its vectors have to be those of the reference.
    """

    encode: Encode
    params: Mapping[str, Parameter] = field(default_factory=dict)
    exact: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `run` reads."""
    add_device(parser)
    add_models(parser, "text", "image")
    parser.add_argument(
        "--data", type=Path, help="BEIR folder for texts and photos (default: seeded words, drawings)"
    )
    parser.add_argument("--split", default="dev", help="whose items, with --data (default: dev)")
    parser.add_argument(
        "--tokens", type=int, help="about how many each mix has (default: 15000; a GPU needs a million)"
    )
    parser.add_argument("--photos", type=int, help="of each size (default: 128)")


def run(options: argparse.Namespace) -> Result:
    """Measure texts of every mix of lengths, then photos of every size."""
    data = None if options.data is None else read_dataset(options.data, options.split)
    result = Result("encode", options.seed)
    measure_texts(result, options, data)
    measure_photos(result, options, data)
    result.rows.append(ResultRow("whole run", {}, {"peak_rss_mb": peak_rss_mb()}))
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


def measure(
    result: Result,
    systems: Mapping[str, EncodingSystem],
    reference: str,
    count: int,
    metric: str,
    label: str,
    params: Mapping[str, Parameter],
    *,
    clock: Clock = time.perf_counter,
) -> None:
    """Time systems on the same inputs, after a check that they give the same vectors.

    Args:
        result: gets the rows and the ratios of ours to every peer.
        systems: by name; ours start with "twotower".
        reference: the peer that the others' vectors are compared with.
        count: inputs of one call.
        metric: "texts_per_s" or "images_per_s".
        label: names the inputs in a ratio.
        params: of every row.
        clock: a monotonic clock, in seconds.

    Raises:
        UnequalWorkError: a system that has to give the reference's vectors gives others.
    """
    vectors = {name: system.encode() for name, system in systems.items()}  # the warm-up too
    for name, system in systems.items():
        if system.exact:
            require_equal_vectors(vectors[reference], vectors[name], name)
    calls = {name: system.encode for name, system in systems.items()}
    seconds = timing.interleaved(calls, warm_up=0, clock=clock)
    for name, system in systems.items():
        metrics: dict[str, float | Spread] = {metric: timing.rate(seconds[name], count)}
        if name != reference:
            metrics["min_cosine"] = float(cosines(vectors[reference], vectors[name]).min())
        result.rows.append(ResultRow(name, {**system.params, **params}, metrics))
    result.ratios |= timing.ratios(f"{metric} {label}", seconds)


def measure_texts(result: Result, options: argparse.Namespace, data: Dataset | None) -> None:
    """Texts of every mix of lengths."""
    from sentence_transformers import SentenceTransformer

    ours = models.text_encoder(options)
    peer: Any = SentenceTransformer(models.text_model(options), device=options.device, local_files_only=True)
    max_length = int(peer.max_seq_length)
    dtype = str(peer.dtype).removeprefix("torch.")
    tokens = options.tokens or (QUICK_TOKENS if options.quick else TOKENS)
    # With the document prompt if the model has one, as ours; ours also brings texts to Unicode form NFKC.
    theirs = partial(peer.encode_document, normalize_embeddings=True, show_progress_bar=False)
    words = words_of(peer.tokenizer) if data is None else []
    for number, mix in enumerate(MIXES):
        rng = np.random.default_rng([options.seed, number])
        texts, lengths = _draw(mix, words, data, tokens, peer.tokenizer, max_length, rng)
        calls = {
            OURS: (ours.batch_size, partial(ours.encode_documents, texts)),
            SENTENCE_TRANSFORMERS: (ours.batch_size, partial(theirs, texts, batch_size=ours.batch_size)),
            f"{SENTENCE_TRANSFORMERS} batch_size=32": (
                32,
                partial(theirs, texts, batch_size=32),
            ),  # its default
        }
        systems = {
            name: EncodingSystem(synchronised(call, options.device), {"batch_size": size})
            for name, (size, call) in calls.items()
        }
        params = {
            "max_length": max_length, "dtype": dtype, "device": options.device, "mix": mix,
            "texts": len(texts), "mean_tokens": round(float(lengths.mean()), 1),
        }  # fmt: skip
        measure(result, systems, SENTENCE_TRANSFORMERS, len(texts), "texts_per_s", mix, params)


def measure_photos(result: Result, options: argparse.Namespace, data: Dataset | None) -> None:
    """Photos of the data, or drawn ones of two sizes."""
    import open_clip

    ours = models.image_encoder(options)
    model, preprocess = open_clip.create_model_from_pretrained(
        ours.architecture, ours.pretrained, device=options.device
    )
    model.eval()
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    side = int(np.max(model.visual.image_size))
    count = options.photos or (QUICK_PHOTOS if options.quick else PHOTOS)
    rng = np.random.default_rng(options.seed)
    with TemporaryDirectory(prefix="twotower-photos-") as folder:
        items = None if data is None else data.items
        for label, files in photo_sets(items, Path(folder), count, rng).items():
            systems = _photo_systems(ours, model, preprocess, files, options.device)
            kilobytes = float(np.mean([file.stat().st_size for file in files])) / 1000
            params = {
                "photos": label, "count": len(files), "input_size": side, "mean_kb": round(kilobytes, 1),
                "batch_size": ours.batch_size, "dtype": dtype, "device": options.device,
            }  # fmt: skip
            measure(result, systems, "open_clip", len(files), "images_per_s", label, params)


def _draw(
    mix: str,
    words: list[str],
    data: Dataset | None,
    tokens: int,
    tokenizer: Any,
    max_length: int,
    rng: np.random.Generator,
) -> tuple[list[str], Lengths]:
    """Different texts with about so many tokens in all, and the tokens of each."""
    if data is None:
        most = min(max_length, 512) - 8  # room for special tokens and a prompt
        lengths = draw_lengths(mix, 5_000 if tokens > TOKENS else 500, most, rng)
        pool = draw_texts(words, lengths.tolist(), rng)
    else:
        pool = item_texts(data.items, mix)
    mean = count_tokens(tokenizer, pool, None, max_length).mean()
    texts = choose(pool, min(len(pool), max(2, round(tokens / mean))), rng)
    return texts, count_tokens(tokenizer, texts, None, max_length)


def _photo_systems(
    ours: ClipEncoder, model: Any, preprocess: Callable[[Any], Any], files: list[Path], device: str
) -> dict[str, EncodingSystem]:
    """From files to vectors.

    Ours, `load` then `encode_images`, has the JPEG decoder skip detail and shrinks the photo to twice the model's
    input first. That is less work for slightly different vectors: min_cosine says how different. With all pixels it
    does what the peer does, and also checks the photo's format, size and orientation.
    """
    import torch
    from PIL import Image

    def shrunk() -> NDArray[np.float32]:
        return ours.encode_images(map(ours.load, files))

    def all_pixels() -> NDArray[np.float32]:
        return ours.encode_images(load_image(file) for file in files)

    def opened(file: Path) -> Any:
        with Image.open(file) as image:
            return preprocess(image.convert("RGB"))

    def straight() -> NDArray[np.float32]:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(files), ours.batch_size):
                batch = torch.stack([opened(file) for file in files[start : start + ours.batch_size]])
                rows.append(model.encode_image(batch.to(device), normalize=True).float().cpu().numpy())
        return np.concatenate(rows)

    return {
        OURS: EncodingSystem(synchronised(shrunk, device), {"pixels": "shrunk first"}, exact=False),
        f"{OURS} all-pixels": EncodingSystem(synchronised(all_pixels, device), {"pixels": "all"}),
        "open_clip": EncodingSystem(synchronised(straight, device), {"pixels": "all"}),
    }
