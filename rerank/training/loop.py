"""The training loop of a cross-encoder, to be read from top to bottom."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from rerank.cross_encoder.batching import Rows
from rerank.errors import NotFiniteError
from rerank.serving.torch import forward, predict
from rerank.training.batching import group_batches, shuffled_batches
from rerank.training.best_weights import BestWeights
from rerank.training.checkpoint import Checkpoint, Progress
from rerank.training.data import GradedPairs
from rerank.training.held_out import mean_loss, mean_ndcg
from rerank.training.losses import total
from rerank.training.options import FitOptions
from rerank.training.report import FitReport, TrainingEvaluation

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch.nn import Parameter
    from torch.optim import Optimizer

EVALUATIONS_PER_EPOCH, MAX_EVALUATIONS = 4, 20
WARMUP = 0.1  # share of the training during which the learning rate rises
WEIGHT_DECAY = 0.01
MAX_GRADIENT = 1.0


def train(
    network: CrossEncoder,
    data: GradedPairs,
    held_out: GradedPairs,
    best: BestWeights,
    options: FitOptions,
    *,
    batch_tokens: int | None,
    bf16: bool,
    checkpoint: Checkpoint | None,
) -> FitReport:
    """Minimise the losses over the parameters that require gradients; see `CrossEncoderReranker.fit`.

    The caller restores `best`, even after an exception.
    """
    import torch
    from tqdm import tqdm

    batches = _batches(data, options)
    device = network.device
    optimizer = _adamw(network, options.learning_rate)
    evaluations = min(EVALUATIONS_PER_EPOCH * options.epochs, MAX_EVALUATIONS)
    interval = math.ceil(len(batches) / evaluations)
    losses: list[float] = []  # since the last evaluation

    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        tqdm(total=len(batches), desc="fit", unit="step", disable=_disable(options.progress)) as bar,
    ):
        torch.manual_seed(options.seed)  # dropout
        progress = (checkpoint and checkpoint.read(network, optimizer, best)) or Progress()
        started = time.monotonic() - progress.seconds
        bar.update(progress.step)

        def done(steps: float) -> float:
            """Share of the training that is complete, by steps or by time, whichever is further."""
            elapsed = time.monotonic() - started
            by_time = 0.0 if options.max_seconds is None else elapsed / options.max_seconds
            return min(1.0, max(steps / len(batches), by_time))

        while True:
            step = progress.step
            over = step > 0 and done(step) >= 1
            if (step % interval == 0 or over) and progress.evaluated_at != step:
                logits = predict(network, held_out.encoded, batch_tokens, bf16=bf16)
                evaluation = TrainingEvaluation(
                    step,
                    _mean(losses),
                    mean_loss(options.losses, logits, held_out),
                    mean_ndcg(logits, held_out),
                )
                losses.clear()
                improved = best.offer(evaluation)
                progress.add(evaluation, improved=improved, seconds=time.monotonic() - started)
                bar.set_postfix(
                    train=f"{evaluation.train_loss:.4f}",
                    held_out=f"{evaluation.held_out_loss:.4f}",
                    ndcg=f"{evaluation.held_out_ndcg:.4f}",
                )
                if checkpoint is not None:
                    checkpoint.write(network, optimizer, best, progress)
                if options.watch is not None:
                    options.watch(evaluation)
            stopped_early = len(held_out.targets) > 0 and progress.unimproved >= options.patience
            if stopped_early or over:
                break

            rows = batches[step]  # (b,)
            network.train()
            _set_rate(optimizer, options.learning_rate * schedule(done(step + 0.5)))
            logits_now = forward(network, data.encoded.batch(rows), bf16=bf16)  # (b,), float32
            targets = torch.from_numpy(data.targets[rows]).to(device)
            groups = torch.from_numpy(data.groups[rows]).to(device)
            loss = total(options.losses, logits_now, targets, groups)
            if not torch.isfinite(loss):
                raise NotFiniteError(f"the loss of step {step + 1} is not a number: lower learning_rate")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
            optimizer.step()
            losses.append(loss.item())

            progress.step += 1
            best.stepped(progress.step)
            bar.update()
    network.eval()
    if checkpoint is not None:
        checkpoint.remove()
    return FitReport(
        evaluations=tuple(progress.evaluations),
        steps=progress.step,
        best_step=best.step,
        kept=best.criterion,
        train_pairs=len(data.targets),
        held_out_pairs=len(held_out.targets),
        trained_parameters=sum(weights.numel() for weights in _trained(network)),
        stopped_early=stopped_early,
        out_of_time=progress.step < len(batches) and not stopped_early,
        bf16=bf16,
        seconds=time.monotonic() - started,
    )


def schedule(done: float) -> float:
    """Factor of the learning rate after a share of the training: up to 1 during `WARMUP`, then down to 0."""
    return min(done / WARMUP, (1.0 - done) / (1.0 - WARMUP))


def _batches(data: GradedPairs, options: FitOptions) -> list[Rows]:
    """The batches of all epochs; a loss that compares the pairs of a group needs them together."""
    generator = np.random.default_rng(options.seed)
    rows, lengths, size = np.arange(len(data.targets)), data.encoded.lengths, options.batch_size
    batches: list[Rows] = []
    for _ in range(options.epochs):
        if options.losses == ("pointwise",):
            batches += shuffled_batches(rows, lengths, size, generator)
        else:
            batches += group_batches(data.groups, lengths, size, generator)
    return batches


def _adamw(network: CrossEncoder, learning_rate: float) -> Optimizer:
    """AdamW without weight decay for biases and normalisation scales (the vectors)."""
    import torch

    matrices = [weights for weights in _trained(network) if weights.ndim > 1]
    vectors = [weights for weights in _trained(network) if weights.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=learning_rate,
    )


def _trained(network: CrossEncoder) -> list[Parameter]:
    return [weights for weights in network.parameters() if weights.requires_grad]


def _set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _disable(progress: bool | None) -> bool | None:
    return None if progress is None else not progress  # None makes tqdm look for a terminal
