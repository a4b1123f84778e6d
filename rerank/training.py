"""Fine-tuning a cross-encoder on graded pairs: one loop, read from top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank.backends.network import forward, predict
from rerank.batching import Rows, shuffled_batches
from rerank.errors import NotFiniteError
from rerank.tokens import Tokens

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor
    from torch.optim import Optimizer

LOOKS_PER_EPOCH, MOST_LOOKS = 4, 20  # at the held-out loss
WARMUP = 0.1  # share of the training during which the learning rate rises
WEIGHT_DECAY = 0.01
MAX_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look at the losses, both binary cross-entropy in nats.

    Args:
        step: optimizer steps taken so far.
        train_loss: mean over the batches since the evaluation before; NaN before the first step.
        held_out_loss: mean over the held-out pairs; NaN where nothing is held out.
    """

    step: int
    train_loss: float
    held_out_loss: float


@dataclass(frozen=True, slots=True)
class FitReport:
    """What one `fit` did.

    Args:
        evaluations: the losses, the first from before training.
        steps: optimizer steps taken.
        best_step: the step whose weights the model now has.
        train_pairs: pairs trained on.
        held_out_pairs: pairs only evaluated on; they share no query with the others.
        stopped_early: whether `patience` ended the training.
        out_of_time: whether `max_seconds` ended the training.
        bf16: whether matrix products ran in bfloat16.
        seconds: wall-clock time of the training.
    """

    evaluations: tuple[Evaluation, ...]
    steps: int
    best_step: int
    train_pairs: int
    held_out_pairs: int
    stopped_early: bool
    out_of_time: bool
    bf16: bool
    seconds: float


class BestWeights:
    """The weights of the lowest held-out loss so far; until there is one, the latest.

    Args:
        network: what is trained.
        start_counts: whether the weights from before training may be the best; a random head's may not.
    """

    def __init__(self, network: CrossEncoder, *, start_counts: bool) -> None:
        self._network = network
        self._start_counts = start_counts
        self._weights: dict[str, Tensor] | None = None
        self._loss = math.inf
        self.step = 0

    def passed(self, step: int) -> None:
        """The network's weights are now those after `step`."""
        if self._weights is None:
            self.step = step

    def offer(self, step: int, loss: float) -> bool:
        """Keep the present weights if `loss` is the lowest so far; returns whether it is."""
        if not loss < self._loss or not (step > 0 or self._start_counts):
            return False
        self.step, self._loss = step, loss
        self._weights = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        return True

    def restore(self) -> None:
        """Put the best weights back into the network."""
        if self._weights is not None:
            self._network.load_state_dict(self._weights)


def train(
    network: CrossEncoder,
    tokens: Tokens,
    targets: NDArray[np.float32],
    train_rows: Rows,
    held_out_rows: Rows,
    best: BestWeights,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    batch_tokens: int,
    patience: int,
    seed: int,
    bf16: bool,
    progress: bool | None,
    max_seconds: float | None,
) -> FitReport:
    """Minimise the binary cross-entropy of sigmoid(logit) and target; see `CrossEncoderReranker.fit`.

    The caller restores `best`, also after an exception.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits
    from tqdm import tqdm

    generator = np.random.default_rng(seed)
    lengths = tokens.lengths
    batches = [b for _ in range(epochs) for b in shuffled_batches(train_rows, lengths, batch_size, generator)]
    held_out = tokens.rows(held_out_rows)
    device = network.device
    optimizer = _adamw(network, learning_rate)
    evaluations: list[Evaluation] = []
    losses: list[float] = []  # since the last evaluation
    step, unimproved, done, stopped_early = 0, 0, 0.0, False
    between_looks = math.ceil(len(batches) / min(LOOKS_PER_EPOCH * epochs, MOST_LOOKS))
    started = time.monotonic()

    def progressed(steps: float) -> float:
        """Share of the training that is over, by steps or by time, whichever is further."""
        by_time = 0.0 if max_seconds is None else (time.monotonic() - started) / max_seconds
        return min(1.0, max(steps / len(batches), by_time))

    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        tqdm(total=len(batches), desc="fit", unit="step", disable=_disable(progress)) as bar,
    ):
        torch.manual_seed(seed)  # dropout
        while True:
            if step % between_looks == 0 or done >= 1:
                held_out_logits = predict(network, held_out, batch_tokens, bf16=bf16)
                held_out_loss = cross_entropy(held_out_logits, targets[held_out_rows])
                evaluations.append(Evaluation(step, _mean(losses), held_out_loss))
                bar.set_postfix(train=f"{_mean(losses):.4f}", held_out=f"{held_out_loss:.4f}")
                losses.clear()
                unimproved = 0 if best.offer(step, held_out_loss) else unimproved + (step > 0)
                stopped_early = len(held_out_rows) > 0 and unimproved >= patience
            if stopped_early or done >= 1:
                break

            rows = batches[step]  # (b,)
            network.train()
            _set_rate(optimizer, learning_rate * schedule(progressed(step + 0.5)))
            logits = forward(network, tokens.batch(rows), bf16=bf16)  # (b,), float32
            wanted = torch.from_numpy(targets[rows]).to(device)  # (b,)
            loss = binary_cross_entropy_with_logits(logits, wanted)
            if not torch.isfinite(loss):
                raise NotFiniteError(f"The loss of step {step + 1} is not a number: lower learning_rate.")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
            optimizer.step()
            losses.append(loss.item())

            step += 1
            best.passed(step)
            bar.update()
            done = progressed(step)
    network.eval()
    return FitReport(
        evaluations=tuple(evaluations),
        steps=step,
        best_step=best.step,
        train_pairs=len(train_rows),
        held_out_pairs=len(held_out_rows),
        stopped_early=stopped_early,
        out_of_time=step < len(batches) and not stopped_early,
        bf16=bf16,
        seconds=time.monotonic() - started,
    )


def cross_entropy(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Mean of -t log p - (1 - t) log(1 - p) in nats, p = sigmoid(logit); NaN of nothing."""
    x, t = logits.astype(np.float64), targets.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, x) - t * x)) if len(x) else math.nan


def schedule(done: float) -> float:
    """Share of the learning rate after a share of the training: up to 1 during `WARMUP`, then down to 0."""
    return min(done / WARMUP, (1.0 - done) / (1.0 - WARMUP))


def _adamw(network: CrossEncoder, learning_rate: float) -> Optimizer:
    """AdamW that leaves biases and normalisation scales (the vectors) undecayed."""
    import torch

    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=learning_rate,
    )


def _set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _disable(progress: bool | None) -> bool | None:
    return None if progress is None else not progress  # tqdm's None: only where there is a terminal
