"""Training an open_clip model on photos and captions: batches, loop and saving.

The loss is CLIP's, except that captions that are true of several photos of a batch are not those photos' negatives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal.clip.augmentation import augment
from multimodal.losses import symmetric_loss
from multimodal.optimizer import MAX_GRADIENT_NORM, WARMUP, adamw

if TYPE_CHECKING:
    from open_clip.model import CLIP
    from torch import Tensor

WEIGHT_DECAY = 0.05
MAX_SCALE = 100.0  # of the logits, as in CLIP


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


def caption_batches(
    photos: Tensor,
    captions: Sequence[str],
    tokenize: Callable[[list[str]], Tensor],
    *,
    image_size: int,
    batch_size: int = 128,
    seed: int = 0,
) -> Iterator[Batch]:
    """Yield shuffled batches without end, every photo with its caption; equal captions count as known.

    Args:
        photos: uint8 of shape (n, 3, height, width), n at least 1.
        captions: n texts.
        tokenize: such as `open_clip.get_tokenizer(...)`.
        image_size: of the model, in pixels.
        batch_size: rows per batch, at most n.
        seed: of order and augmentation.
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
        learning_rate: the highest; it rises over the first tenth and then falls to 0 along a cosine.
        bf16: whether matrix products run in bfloat16.
        progress: whether to show a progress bar; None shows it on a terminal.
        after_step: called with the number of steps taken, for example to save a checkpoint.

    Returns:
        The loss of every step, in nats.

    Raises:
        ValueError: `batches` ended early.
    """
    import torch
    from tqdm import tqdm

    optimizer = adamw(model, learning_rate, WEIGHT_DECAY)
    shares = (np.arange(steps) + 0.5) / max(steps, 1)
    rise, fall = shares / WARMUP, 0.5 + 0.5 * np.cos(np.pi * (shares - WARMUP) / (1 - WARMUP))
    rates = learning_rate * np.where(shares < WARMUP, rise, fall)
    losses: list[float] = []
    hidden = None if progress is None else not progress  # tqdm's None: shown on a terminal only
    model.train()
    with tqdm(total=steps, desc="train", unit="step", disable=hidden) as bar:
        for batch in islice(batches, steps):
            for group in optimizer.param_groups:
                group["lr"] = rates[len(losses)]
            with torch.autocast(batch.images.device.type, dtype=torch.bfloat16, enabled=bf16):
                images = model.encode_image(batch.images, normalize=True)
                texts = model.encode_text(batch.tokens, normalize=True)
            scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
            loss = symmetric_loss(images.float(), texts.float(), scale, batch.known)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
            bar.update()
            if after_step is not None:
                after_step(len(losses))
    model.eval()
    if len(losses) < steps:
        raise ValueError(
            f"batches must last for {steps} steps, ended after {len(losses)}: pass more batches or fewer steps"
        )
    return losses


def save_clip(model: CLIP, config: Mapping[str, Any], folder: Path) -> None:
    """Write a folder that open_clip loads as "local-dir:folder"; weights as float16.

    Args:
        model: an open_clip `CLIP`.
        config: "model_cfg" and "preprocess_cfg", as in open_clip's own folders.
        folder: where to write; created if it does not exist.
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
