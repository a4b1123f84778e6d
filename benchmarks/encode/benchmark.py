"""Texts and images a second of the two encoders, beside the libraries that they stand on.

`TextEncoder` calls `SentenceTransformer.encode` and `ClipEncoder` an open_clip model: the question is what we add.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import models
from benchmarks.common.arguments import add_device, add_models
from benchmarks.common.contract import Parameter, Result, Row, Spread
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.equal_work import cosines, require_equal_vectors
from benchmarks.common.flops import (
    Ceiling,
    bert_flops,
    ceiling_row,
    counted_flops,
    flop_metrics,
    matmul_ceiling,
    synchronised,
)
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.table import print_ratios, print_rows
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
from benchmarks.common.timing import Clock, interleaved, rate, rate_ratio
from benchmarks.encode.photos import photo_sets
from multimodal.images import load_image

if TYPE_CHECKING:
    from multimodal import ClipEncoder

Encode: TypeAlias = Callable[[], NDArray[np.float32]]
OURS = "twotower"
PEER = "sentence-transformers"
ALL_PIXELS = "twotower all-pixels"
TOKENS, QUICK_TOKENS = 15_000, 120
PHOTOS, QUICK_PHOTOS = 128, 3


@dataclass(frozen=True, slots=True)
class System:
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
    """What `run` reads."""
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
    text_rows, text_ratios = _texts(options, data)
    image_rows, image_ratios = _images(options, data)
    rows = [*text_rows, *image_rows, Row("whole run", {}, {"peak_rss_mb": peak_rss_mb()})]
    ratios = {**text_ratios, **image_ratios}
    print_rows(rows, ("mix", "photos", "batch_size"))
    print_ratios(ratios)
    text = ratios[f"{OURS} / {PEER} : texts_per_s mixed"]
    start = f"{OURS} / open_clip : images_per_s "
    photos = " and ".join(
        f"{ratio.median:.2f} ({ratio.min:.2f} to {ratio.max:.2f}) times as many photos ({name.removeprefix(start)})"
        for name, ratio in ratios.items()
        if name.startswith(start)
    )
    headline = (
        f"Over the same weights on {options.device} twotower encodes {text.median:.2f} ({text.min:.2f} to "
        f"{text.max:.2f}) times as many texts a second as sentence-transformers, {photos} as open_clip."
    )
    return Result("encode", options.seed, rows, headline, ratios)


def measure(
    systems: Mapping[str, System],
    reference: str,
    count: int,
    metric: str,
    setting: Mapping[str, Parameter],
    flops: float | None,
    ceiling: Ceiling,
    *,
    clock: Clock = time.perf_counter,
) -> tuple[list[Row], dict[str, Spread]]:
    """Time systems on the same inputs, after a check that they give the same vectors.

    Args:
        systems: by name; ours start with "twotower".
        reference: the peer whose vectors the others are held against.
        count: inputs of one call.
        metric: "texts_per_s" or "images_per_s".
        setting: parameters of every row; "label" names them in a ratio.
        flops: of one call, None where unknown.
        ceiling: takes its turn among the systems.
        clock: seconds since any moment.

    Returns:
        Rows, and ratios of ours over every peer.

    Raises:
        UnequalWorkError: a system that has to give the reference's vectors gives others.
    """
    vectors = {name: system.encode() for name, system in systems.items()}  # the warm-up too
    for name, system in systems.items():
        if system.exact:
            require_equal_vectors(vectors[reference], vectors[name], name)
    seconds = interleaved(
        {**{name: system.encode for name, system in systems.items()}, "matmul": ceiling.multiply},
        warm_up=0,
        clock=clock,
    )
    label = setting["label"]
    params = {name: value for name, value in setting.items() if name != "label"}
    rows = [ceiling_row(ceiling, seconds["matmul"], params)]
    for name, system in systems.items():
        metrics: dict[str, float | Spread] = {metric: rate(seconds[name], count)}
        metrics |= flop_metrics(seconds[name], flops, seconds["matmul"], ceiling)
        if name != reference:
            metrics["min_cosine"] = float(cosines(vectors[reference], vectors[name]).min())
        rows.append(Row(name, {**system.params, **params}, metrics))
    ratios = {
        f"{own} / {peer} : {metric} {label}": rate_ratio(seconds[own], seconds[peer])
        for own in systems
        for peer in systems
        if own.startswith(OURS) and not peer.startswith(OURS)
    }
    return rows, ratios


def _texts(options: argparse.Namespace, data: Dataset | None) -> tuple[list[Row], dict[str, Spread]]:
    from sentence_transformers import SentenceTransformer

    ours = models.text_encoder(options)
    peer: Any = SentenceTransformer(models.text_model(options), device=options.device, local_files_only=True)
    max_length = int(peer.max_seq_length)
    ceiling = matmul_ceiling(options.device, peer.dtype, quick=options.quick)
    shared = {"max_length": max_length, "dtype": ceiling.dtype, "device": options.device}
    tokens = options.tokens or (QUICK_TOKENS if options.quick else TOKENS)
    # With the document prompt where the model has one, as ours; ours brings texts to Unicode form NFKC on top.
    theirs = partial(peer.encode_document, normalize_embeddings=True, show_progress_bar=False)
    words = words_of(peer.tokenizer) if data is None else []
    rows: list[Row] = []
    ratios: dict[str, Spread] = {}
    for number, mix in enumerate(MIXES):
        rng = np.random.default_rng([options.seed, number])
        texts, lengths = _draw(mix, words, data, tokens, peer.tokenizer, max_length, rng)
        calls = {
            OURS: (ours.batch_size, partial(ours.encode_documents, texts)),
            PEER: (ours.batch_size, partial(theirs, texts, batch_size=ours.batch_size)),
            f"{PEER} batch_size=32": (32, partial(theirs, texts, batch_size=32)),  # its default
        }
        systems = {
            name: System(synchronised(call, options.device), {"batch_size": size})
            for name, (size, call) in calls.items()
        }
        setting = {
            **shared, "label": mix, "mix": mix, "texts": len(texts), "mean_tokens": round(float(lengths.mean()), 1),
        }  # fmt: skip
        flops = bert_flops(peer[0].auto_model.config, lengths, labels=0)
        found, compared = measure(systems, PEER, len(texts), "texts_per_s", setting, flops, ceiling)
        rows += found
        ratios |= compared
    return rows, ratios


def _draw(
    mix: str,
    words: Sequence[str],
    data: Dataset | None,
    tokens: int,
    tokenizer: Any,
    max_length: int,
    rng: np.random.Generator,
) -> tuple[list[str], Lengths]:
    """Different texts of about so many tokens in all, and the tokens of each."""
    if data is None:
        most = min(max_length, 512) - 8  # room for special tokens and a prompt
        pool = draw_texts(
            words, draw_lengths(mix, 5_000 if tokens > TOKENS else 500, most, rng).tolist(), rng
        )
    else:
        pool = item_texts(data.items, mix)
    lengths = count_tokens(tokenizer, pool, None, max_length)
    texts = choose(pool, min(len(pool), max(2, round(tokens / lengths.mean()))), rng)
    return texts, count_tokens(tokenizer, texts, None, max_length)


def _images(options: argparse.Namespace, data: Dataset | None) -> tuple[list[Row], dict[str, Spread]]:
    import open_clip

    ours = models.image_encoder(options)
    model, preprocess = open_clip.create_model_from_pretrained(
        ours.architecture, ours.pretrained, device=options.device
    )
    model.eval()
    weight = next(model.parameters())
    side = np.broadcast_to(model.visual.image_size, 2).tolist()
    one = weight.new_zeros((1, 3, *side))
    flops = counted_flops(lambda: model.encode_image(one))
    ceiling = matmul_ceiling(options.device, weight.dtype, quick=options.quick)
    count = options.photos or (QUICK_PHOTOS if options.quick else PHOTOS)
    rng = np.random.default_rng(options.seed)
    rows: list[Row] = []
    ratios: dict[str, Spread] = {}
    with TemporaryDirectory(prefix="twotower-photos-") as folder:
        for label, files in photo_sets(
            None if data is None else data.items, Path(folder), count, rng
        ).items():
            systems = _image_systems(ours, model, preprocess, files, options.device)
            setting = {
                "label": label, "photos": label, "count": len(files), "input_size": side[0],
                "mean_kb": round(float(np.mean([file.stat().st_size for file in files])) / 1000, 1),
                "batch_size": ours.batch_size, "dtype": ceiling.dtype, "device": options.device,
            }  # fmt: skip
            found, compared = measure(
                systems, "open_clip", len(files), "images_per_s", setting, flops * len(files), ceiling
            )
            rows += found
            ratios |= compared
    return rows, ratios


def _image_systems(
    ours: ClipEncoder, model: Any, preprocess: Callable[[Any], Any], files: list[Path], device: str
) -> dict[str, System]:
    """From files to vectors.

    Ours, `load` then `encode_images`, has the JPEG decoder skip detail and shrinks the photo to twice the model's
    input first. That is less work for slightly other vectors: min_cosine says how far apart they are. With all
    pixels it does what the peer does, and checks the photo's format, size and orientation on top.
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
        OURS: System(synchronised(shrunk, device), {"pixels": "shrunk first"}, exact=False),
        ALL_PIXELS: System(synchronised(all_pixels, device), {"pixels": "all"}),
        "open_clip": System(synchronised(straight, device), {"pixels": "all"}),
    }
