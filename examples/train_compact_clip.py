"""Train the compact CLIP model that the library ships, from drawn photos alone.

    python examples/train_compact_clip.py --folder my-clip --steps 3000

Every photo shows one category in one colour and pattern; its captions name some of these in English or Chinese, in
the sample shop's words. The photos come from seeds that no shop uses.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP
from tqdm import tqdm

from multimodal.clip.augmentation import MEAN, STD, augment
from multimodal.clip.training import Batch, save_clip, train_clip
from twotower.demo.photos import draw_photo
from twotower.demo.vocabulary import BRANDS, CATEGORIES, COLOURS, MATERIALS, PATTERNS, Language
from twotower.demo.wording import search_words, title

SIZE, CONTEXT = 64, 32
DRAWN = SIZE + SIZE // 4  # room for cropping
CONFIG = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 14, "head_width": 64},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 2},
    },
    # "longest" and white: a photo that is not square is padded like studio paper, never cropped.
    "preprocess_cfg": {
        "size": SIZE, "mean": MEAN, "std": STD, "interpolation": "bicubic",
        "resize_mode": "longest", "fill_color": 255,
    },
}  # fmt: skip
ATTRIBUTES = ("category", "colour", "pattern")
LOOKS = np.array(list(product(CATEGORIES, COLOURS, PATTERNS)))  # (looks, attribute)
# Words that say nothing about the photo, so that the model learns to ignore such words.
FILLERS = {
    "en": ("new", "for men", "for women", "casual", "classic", "with", "the", "cheap", "summer", "gift"),
    "zh": ("新款", "男", "女", "休闲", "经典", "的", "夏季", "礼物", "优惠", "百搭"),
}
MENTIONED = (0.9, 0.8, 0.65)  # how often a caption names category, colour and pattern
TRAINING_STREAM = 2  # shops draw from the streams 0 and 1 of their seed


def draw_training_photos(variants: int, seed: int) -> torch.Tensor:
    """Draw every look `variants` times: uint8 of shape (looks * variants, 3, DRAWN, DRAWN), looks vary fastest."""
    photos = np.empty((len(LOOKS) * variants, DRAWN, DRAWN, 3), dtype=np.uint8)
    for number in tqdm(range(len(photos)), desc="draw", unit="photo"):
        rng = np.random.default_rng((seed, TRAINING_STREAM, number))
        photos[number] = np.asarray(draw_photo(*map(str, LOOKS[number % len(LOOKS)]), rng, size=DRAWN))
    return torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous()


def batches(photos: torch.Tensor, batch_size: int, seed: int) -> Iterator[Batch]:
    """Yield batches of random photos with new captions, without end."""
    rng, generator = np.random.default_rng((seed, TRAINING_STREAM)), torch.Generator().manual_seed(seed)
    tokenize = open_clip.SimpleTokenizer(context_length=CONTEXT)
    while True:
        rows = rng.integers(len(photos), size=batch_size)
        looks = LOOKS[rows % len(LOOKS)]  # (n, attribute)
        said = rng.random(looks.shape) < MENTIONED  # (n, attribute)
        said[~said.any(axis=1), 0] = True
        captions = [caption(look, mask, rng) for look, mask in zip(looks, said, strict=True)]
        # A caption is true of every photo that agrees in all that it mentions.
        known = ((looks[:, None] == looks[None, :]) | ~said[None, :]).all(axis=2)
        images = augment(photos[torch.from_numpy(rows)], SIZE, generator)
        yield Batch(images, tokenize(captions), torch.from_numpy(known))


def caption(look: np.ndarray, said: np.ndarray, rng: np.random.Generator) -> str:
    """Describe a look, sometimes with a brand, a material or a word that no photo shows."""
    language: Language = "en" if rng.random() < 0.55 else "zh"
    words = {name: str(value) for name, value, told in zip(ATTRIBUTES, look, said, strict=True) if told}
    if rng.random() < 0.3:
        words["material"] = str(rng.choice(list(MATERIALS)))
    if rng.random() < 0.35:
        words["brand"] = str(rng.choice(list(BRANDS)))
    if "brand" in words and rng.random() < 0.5:
        return title(words, language, rng)
    text = search_words(words, language, rng)
    if rng.random() < 0.2:
        return " ".join(rng.permutation([text, str(rng.choice(FILLERS[language]))]))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the compact CLIP model on drawn photos.")
    parser.add_argument("--folder", type=Path, required=True, help="where to write the model")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--variants", type=int, default=40, help="photos of every look")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="faster where the processor has bfloat16")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    model = CLIP(**CONFIG["model_cfg"])
    # A word that never occurs in training stays exactly zero and so contributes nothing.
    torch.nn.init.zeros_(model.token_embedding.weight)
    photos = draw_training_photos(arguments.variants, arguments.seed)

    def checkpoint(step: int) -> None:
        if step % 250 == 0 or step == arguments.steps:
            save_clip(model, CONFIG, arguments.folder)

    train_clip(
        model,
        batches(photos, arguments.batch_size, arguments.seed),
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        bf16=arguments.bf16,
        progress=True,
        after_step=checkpoint,
    )


if __name__ == "__main__":
    main()
