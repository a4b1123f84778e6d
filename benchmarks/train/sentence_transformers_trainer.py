"""sentence-transformers' own trainer, set up to do what `TextEncoder.fit` does."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from benchmarks.common.timing import synchronised
from multimodal.optimizer import MAX_GRADIENT_NORM
from multimodal.text.training import WEIGHT_DECAY, schedule

Pairs: TypeAlias = list[tuple[str, str]]

TEMPERATURE = 0.05
NEEDS = ("datasets", "accelerate")


def peer_trainer(
    network: Any,
    pairs: Pairs,
    options: Namespace,
    *,
    bf16: bool,
    epochs: int,
    sampler: str,
    seconds: float | None = None,
) -> Callable[[], tuple[float, list[int]]]:
    """Their trainer with our batch size, optimizer, weight decay, clipping and schedule; AdamW is fused in both.

    Returns what trains the network, once, until the step in which the seconds have passed, if any. That returns the
    seconds from its first batch on, and the number of examples of every step. What `Trainer.train` does before
    (collecting garbage takes most of it) is not counted, because it would weigh much in a short run and nothing in a
    long one.
    """
    import datasets
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
            return 0.0 if seconds is None else (time.monotonic() - self.begun) / seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            control.should_training_stop |= self.passed() >= 1

    stop = Stop()

    class Trainer(SentenceTransformerTrainer):
        """Theirs, with a learning rate that follows the time as ours does, and a length limit while training."""

        def train(self, *given: Any, **named: Any) -> Any:
            limit = network.max_seq_length
            network.max_seq_length = options.max_length
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
            per_device_train_batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=MAX_GRADIENT_NORM,
            prompts=_prompts(network),
            batch_sampler=sampler,
            bf16=bf16,
            use_cpu=options.device == "cpu",
            dataloader_pin_memory=options.device != "cpu",
            seed=options.seed,
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
    columns = dict(zip(("anchor", "positive"), map(list, zip(*pairs, strict=True)), strict=True))
    trainer = Trainer(network, settings, datasets.Dataset.from_dict(columns), loss=loss, callbacks=[stop])
    trainer.remove_callback(PrinterCallback)

    def train() -> tuple[float, list[int]]:
        synchronised(trainer.train, options.device)()
        return time.monotonic() - stop.begun, examples

    return train


def _prompts(network: Any) -> dict[str, str]:
    """The prompts that `encode_query` and `encode_document` would use, by column."""
    document = next((name for name in ("document", "passage", "corpus") if name in network.prompts), None)
    found = {"anchor": network.prompts.get("query"), "positive": network.prompts.get(document)}
    return {column: prompt for column, prompt in found.items() if prompt}
