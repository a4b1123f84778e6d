"""Fine-tuning a text model on pairs of query and document with an in-batch softmax loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from multimodal.losses import in_batch_loss
from multimodal.optimizer import MAX_GRADIENT_NORM, WARMUP, adamw
from multimodal.precision import native_bf16
from multimodal.text.options import TextFitOptions
from multimodal.text.training_data import Rows, Tokens, TrainingPairs, shuffled_batches

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class TextFitReport:
    """What one `fit` did.

    Args:
        steps: optimizer steps taken.
        examples: pairs seen, a pair counted each time.
        seconds: wall-clock time, tokenizing included.
        losses: of every step, in nats; batches differ in size and difficulty, so only their trend says something.
        out_of_time: whether `max_seconds` ended the training.
        bf16: whether matrix products ran in bfloat16.
    """

    steps: int
    examples: int
    seconds: float
    losses: tuple[float, ...]
    out_of_time: bool
    bf16: bool


def train(
    model: SentenceTransformer,
    pairs: Sequence[tuple[str, str]],
    options: TextFitOptions,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> TextFitReport:
    """Train a model in place; see `TextEncoder.fit`. It is left in evaluation mode, even after an exception.

    Args:
        model: a transformer with a pooling layer.
        pairs: n >= 1 pairs of a query and a document.
        options: how to train.
        clock: gives the time in seconds.
    """
    import torch
    from tqdm import tqdm

    started = clock()
    model.float()
    data = TrainingPairs.tokenize(model, pairs, options.max_length)
    device = model.device
    bf16 = native_bf16(device.type) if options.bf16 is None else options.bf16
    optimizer = adamw(model, options.learning_rate, WEIGHT_DECAY)
    batches = shuffled_batches(
        data.lengths(), options.batch_size, options.epochs, np.random.default_rng(options.seed)
    )
    steps = options.epochs * math.ceil(len(pairs) / options.batch_size)
    deadline = math.inf if options.max_seconds is None else started + options.max_seconds
    losses: list[float] = []
    examples = 0

    def vectors(tokens: Tokens, rows: Rows, side: str) -> Tensor:
        """Unit vectors in float32, shape (rows, dim), as the encoder will give them."""
        # Autocast keeps its casts of the weights until it ends, so it must not outlive an optimizer step.
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            embedding = model(tokens.batch(rows, device), task=side)["sentence_embedding"]
        return torch.nn.functional.normalize(embedding.float()[:, : model.truncate_dim], dim=1)

    def loss_of(rows: Rows) -> Tensor:
        queries = vectors(data.queries, data.query[rows], "query")  # (b, dim)
        documents = vectors(data.documents, data.document[rows], "document")  # (b, dim)
        known = torch.from_numpy(data.known_positives(rows)).to(device)
        return in_batch_loss(queries @ documents.T / options.temperature, known)

    begun = clock()
    hidden = (
        None if options.progress is None else not options.progress
    )  # tqdm's None: shown on a terminal only
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        tqdm(total=steps, desc="fit", unit="step", disable=hidden) as bar,
    ):
        torch.manual_seed(options.seed)  # dropout
        model.train()
        try:
            for rows in batches:  # (b,)
                now = clock()
                if now >= deadline:
                    break
                done = max((len(losses) + 0.5) / steps, (now - begun) / (deadline - begun))
                for group in optimizer.param_groups:
                    group["lr"] = options.learning_rate * schedule(done)
                loss = loss_of(rows)
                if not math.isfinite(loss.item()):
                    raise FloatingPointError(f"loss {len(losses) + 1} is not a number: lower learning_rate")
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
                optimizer.step()
                losses.append(loss.item())
                examples += len(rows)
                bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
                bar.update()
        finally:
            model.eval()
            optimizer.zero_grad()  # gradients take as much memory as the model
    return TextFitReport(
        len(losses), examples, clock() - started, tuple(losses), out_of_time=len(losses) < steps, bf16=bf16
    )


def schedule(done: float) -> float:
    """Share of the learning rate after a share of the training: up to 1 during `WARMUP`, then down to 0."""
    return max(0.0, min(done / WARMUP, (1.0 - done) / (1.0 - WARMUP)))
