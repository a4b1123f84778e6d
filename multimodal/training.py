"""Training an open_clip model on photos and captions: batches, loss, loop and saving.

The loss is the symmetric InfoNCE of CLIP (Radford et al. 2021, arXiv:2103.00020), except that captions which
are true of several photos of a batch are not those photos' negatives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from open_clip.model import CLIP
    from torch import Generator, Tensor

WARMUP = 0.1  # share of the training during which the learning rate rises
WEIGHT_DECAY = 0.05
MAX_SCALE = 100.0  # of the logits, as in CLIP
MEAN, STD = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)  # CLIP's, of red, green, blue


@dataclass(frozen=True, slots=True)
class Batch:
    """Photos, each with one caption.

    Args:
        images: float32 of shape (n, 3, size, size), normalised.
        tokens: int64 of shape (n, context).
        known: bool of shape (n, n); [i, j] says that caption j is true of photo i. The diagonal is True.
    """

    images: Tensor
    tokens: Tensor
    known: Tensor


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor | float, known: Tensor) -> Tensor:
    """Symmetric InfoNCE over a batch, each row's own partner against those that are not known to be true.

    Args:
        images: photo vectors of unit length, shape (n, dim).
        texts: caption vectors of unit length, shape (n, dim).
        scale: what the cosines are multiplied by, one over the temperature.
        known: as in `Batch`.

    Returns:
        The mean of both directions, in nats.
    """
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.arange(len(images), device=images.device)
    also_true = known & ~torch.eye(len(images), dtype=torch.bool, device=images.device)
    logits = (scale * images @ texts.T).masked_fill(also_true, -torch.inf)  # (n, n)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def caption_batches(
    photos: Tensor,
    captions: Sequence[str],
    tokenize: Callable[[list[str]], Tensor],
    *,
    image_size: int,
    batch_size: int = 128,
    seed: int = 0,
) -> Iterator[Batch]:
    """Shuffled batches without end, every photo with its caption; equal captions count as known.

    Args:
        photos: uint8 of shape (n, 3, height, width), n at least 1.
        captions: n texts.
        tokenize: such as `open_clip.get_tokenizer(...)`.
        image_size: of the model, in pixels.
        batch_size: rows a batch, at most n of them.
        seed: decides order and augmentation.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(captions), generator=generator)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            texts = [captions[row] for row in rows.tolist()]
            known = torch.from_numpy(np.array(texts)[:, None] == np.array(texts)[None, :])
            yield Batch(augment(photos[rows], image_size, generator), tokenize(texts), known)


def augment(photos: Tensor, size: int, generator: Generator) -> Tensor:
    """Turn, stretch, crop, mirror, brighten and blur photos at random, each its own way; colours keep their hue.

    Args:
        photos: uint8 of shape (n, 3, height, width).
        size: of the result, in pixels.
        generator: decides everything.

    Returns:
        float32 of shape (n, 3, size, size), normalised as CLIP expects it.
    """
    import torch
    from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

    count = len(photos)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    turn, zoom, stretch = uniform(-0.2, 0.2), uniform(0.85, 1.2), uniform(0.9, 1.1)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # Maps places of the result to places of the photo, so a zoom above 1 makes the product smaller.
    right = torch.stack(
        [turn.cos() * zoom * mirror, -turn.sin() * zoom * stretch, uniform(-0.12, 0.12)], dim=1
    )
    down = torch.stack([turn.sin() * zoom * mirror, turn.cos() * zoom * stretch, uniform(-0.12, 0.12)], dim=1)
    grid = affine_grid(torch.stack([right, down], dim=1), [count, 3, size, size], align_corners=False)
    moved = grid_sample(photos.float() / 255, grid, padding_mode="border", align_corners=False)
    blurred = avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    moved = torch.where((uniform(0, 1) < 0.2)[:, None, None, None], blurred, moved)
    bright = (moved * uniform(0.75, 1.1)[:, None, None, None]).clamp(0, 1)
    return (bright - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def train_clip(
    model: CLIP,
    batches: Iterable[Batch],
    *,
    steps: int,
    learning_rate: float = 1e-3,
    bf16: bool = False,
    progress: bool | None = None,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    """Train both towers of an open_clip model, in place; it is left in evaluation mode.

    Args:
        model: an open_clip `CLIP`.
        batches: at least `steps` of them, on the model's device.
        steps: optimizer steps.
        learning_rate: the highest; it rises during the first tenth, then falls to 0 along a cosine.
        bf16: whether matrix products run in bfloat16.
        progress: whether to show a bar; None shows it where there is a terminal.
        after_step: called with the number of steps taken, such as to save a checkpoint.

    Returns:
        The loss of every step, in nats.

    Raises:
        ValueError: `batches` ended early.
    """
    import torch
    from tqdm import tqdm

    optimizer = torch.optim.AdamW(_decayed(model), lr=learning_rate)
    shares = (np.arange(steps) + 0.5) / max(steps, 1)
    rise, fall = shares / WARMUP, 0.5 + 0.5 * np.cos(np.pi * (shares - WARMUP) / (1 - WARMUP))
    rates = learning_rate * np.where(shares < WARMUP, rise, fall)
    losses: list[float] = []
    hidden = None if progress is None else not progress  # tqdm's None: only where there is a terminal
    model.train()
    with tqdm(total=steps, desc="train", unit="step", disable=hidden) as bar:
        for batch in islice(batches, steps):
            for group in optimizer.param_groups:
                group["lr"] = rates[len(losses)]
            device = batch.images.device.type
            with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
                images = model.encode_image(batch.images, normalize=True)
                texts = model.encode_text(batch.tokens, normalize=True)
            scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
            loss = contrastive_loss(images.float(), texts.float(), scale, batch.known)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
            bar.update()
            if after_step is not None:
                after_step(len(losses))
    model.eval()
    if len(losses) < steps:
        raise ValueError(
            f"batches ended after {len(losses)} of {steps} steps: give more batches or fewer steps"
        )
    return losses


def save_clip(model: CLIP, config: Mapping[str, Any], folder: Path) -> None:
    """Write a folder that open_clip loads as "local-dir:folder"; weights as float16.

    Args:
        model: an open_clip `CLIP`.
        config: "model_cfg" and "preprocess_cfg", as in open_clip's own folders.
        folder: where to write; made where it does not exist.
    """
    import torch
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (tensor.half() if torch.is_floating_point(tensor) else tensor).cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    (folder / "open_clip_model.safetensors").write_bytes(save(weights))
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")


def _decayed(model: CLIP) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay, biases and scales (vectors) do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
