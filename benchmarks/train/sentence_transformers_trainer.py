"""sentence-transformers' own trainer, set up to do what `TextEncoder.fit` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from multimodal.optimizer import MAX_GRADIENT_NORM
from multimodal.text.training import WEIGHT_DECAY, schedule

Pairs: TypeAlias = list[tuple[str, str]]

TEMPERATURE = 0.05
NEEDS = ("datasets", "accelerate")


@dataclass(frozen=True, slots=True)
class Setting:
    """What both systems train with.

    Args:
        batch_size: pairs of a step.
        steps: of one repetition of the speed measurement.
        seconds: of training before quality is measured.
        corpus_size: products searched; the judged ones are always there.
        queries: most queries evaluated; None is all.
        learning_rate: the highest.
        max_length: most tokens of a text while training.
        device: where.
        seed: of batches and dropout.
    """

    batch_size: int
    steps: int
    seconds: float
    corpus_size: int
    queries: int | None
    learning_rate: float
    max_length: int
    device: str
    seed: int


def peer_is_there() -> bool:
    """Whether their trainer can run; says on stderr what is missing."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        print(f"sentence-transformers' trainer is left out: install {', '.join(missing)}", file=sys.stderr)
    return not missing


def peer_trainer(
    network: Any,
    pairs: Pairs,
    setting: Setting,
    *,
    bf16: bool,
    epochs: int,
    sampler: str,
    seconds: float = float("inf"),
) -> Callable[[], tuple[float, list[int]]]:
    """Their trainer with our batch size, optimizer, weight decay, clipping and schedule; AdamW is fused in both.

    Args:
        network: a SentenceTransformer, trained in place.
        pairs: to train on.
        setting: what both train with.
        bf16: whether it runs under autocast.
        epochs: how often each pair comes.
        sampler: of batches, by their name for it.
        seconds: stop after the step in which so many have passed.

    Returns:
        What trains, once, and returns the seconds from its first batch on and the number of examples of every
        step. What `Trainer.train` does before (collecting garbage takes most of it) is not counted, because it
        would weigh much in a short run and nothing in a long one.
    """
    import datasets  # type: ignore[import-untyped]
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import PrinterCallback, TrainerCallback

    class Stop(TrainerCallback):
        """Ends the training when its time is over."""

        begun = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self.begun = time.monotonic()

        def passed(self) -> float:
            return (time.monotonic() - self.begun) / seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            control.should_training_stop |= self.passed() >= 1

    stop = Stop()

    class Trainer(SentenceTransformerTrainer):
        """Theirs, with a learning rate that follows the time as ours does, and a length limit while training."""

        def train(self, *given: Any, **named: Any) -> Any:
            limit = network.max_seq_length
            network.max_seq_length = setting.max_length
            stop.begun = time.monotonic()  # for the scheduler, which is made before the training begins
            try:
                return super().train(*given, **named)
            finally:
                network.max_seq_length = limit

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            def factor(step: int) -> float:
                return schedule(max((step + 0.5) / num_training_steps, stop.passed()))

            chosen: Any = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = LambdaLR(chosen, factor)
            return self.lr_scheduler

    with TemporaryDirectory() as unused:  # nothing is saved
        settings = SentenceTransformerTrainingArguments(
            output_dir=unused,
            num_train_epochs=epochs,
            per_device_train_batch_size=setting.batch_size,
            learning_rate=setting.learning_rate,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=MAX_GRADIENT_NORM,
            prompts=_prompts(network),
            batch_sampler=sampler,
            bf16=bf16,
            use_cpu=setting.device == "cpu",
            dataloader_pin_memory=setting.device != "cpu",
            seed=setting.seed,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
    loss = MultipleNegativesRankingLoss(network, scale=1 / TEMPERATURE)
    examples: list[int] = []
    loss.register_forward_hook(lambda module, given, out: examples.append(len(given[0][0]["input_ids"])))
    datasets.disable_progress_bars()
    columns = {"anchor": [query for query, _ in pairs], "positive": [document for _, document in pairs]}
    trainer = Trainer(network, settings, datasets.Dataset.from_dict(columns), loss=loss, callbacks=[stop])
    trainer.remove_callback(PrinterCallback)

    def train() -> tuple[float, list[int]]:
        trainer.train()
        synchronize(setting.device)
        return time.monotonic() - stop.begun, examples

    return train


def synchronize(device: str) -> None:
    """Wait for what was given to a GPU."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _prompts(network: Any) -> dict[str, str]:
    """The prompts that `encode_query` and `encode_document` would use, by column."""
    document = next((name for name in ("document", "passage", "corpus") if name in network.prompts), None)
    found = {"anchor": network.prompts.get("query"), "positive": network.prompts.get(document)}
    return {column: prompt for column, prompt in found.items() if prompt}
