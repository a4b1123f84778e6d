"""Fine-tuning the text tower: examples per second, and quality after a fixed time, beside sentence-transformers.

Speed: both go once through the same pairs, from the same weights, in turns. Quality: each trains alone for the
same time, one after the other, with the learning rate falling over that time.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import models, quality, timing
from benchmarks.common.contract import Metrics, Result
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.machine import installed
from benchmarks.common.options import COUNTING, DATA, DEVICE, TEXT_MODEL, Option
from benchmarks.common.quality import NDCG
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, synchronised
from benchmarks.train.data import sampled_corpus, training_pairs
from benchmarks.train.sentence_transformers_trainer import NEEDS, TEMPERATURE, Pairs, peer_trainer
from multimodal import TextEncoder, TextFitOptions
from multimodal.precision import native_bf16
from twotower import DualEncoder, IndexPolicy, Retriever
from twotower.evaluation import evaluate_run, search_run
from twotower.evaluation.metrics import Run

EPOCHS = 1000  # more than any budget of time allows
SHOWN = (NDCG, "judged@10", "recall@100")
OPTIONS = (
    DATA,
    Option("--split", "qrels file to train on", "train"),
    Option("--eval-split", "qrels file to measure on", "dev"),
    Option("--queries", "number of queries to measure", quick=5),
    Option("--corpus-size", "number of products: the judged ones, then a random sample", 10_000, quick=60),
    *COUNTING,
    TEXT_MODEL,
    DEVICE,
    Option("--minutes", "training time of each system", 4.0, quick=0.02),
    Option("--steps", "steps in each repetition of the speed test", 6, quick=1),
    Option("--batch-size", "pairs per step", 64, quick=4),
    Option("--learning-rate", "peak of the schedule", 5e-5),
    Option("--max-length", "maximum tokens per text", 128),
)


def run(options: Namespace) -> Result:
    """Measure speed, then quality."""
    train = read_dataset(options.data, options.split)
    held_out = read_dataset(options.data, options.eval_split, limit=options.queries)
    pairs = training_pairs(train, held_out.texts.values(), options.relevant)
    data = replace(held_out, items=tuple(sampled_corpus(held_out, options.corpus_size, options.seed)))
    systems = {OURS: models.text_encoder(options)}
    if installed("sentence-transformers' trainer", *NEEDS):
        systems[SENTENCE_TRANSFORMERS] = models.text_encoder(options)
    options.max_length = min(options.max_length, network_of(systems[OURS]).max_seq_length)
    weights = {name: tensor.clone() for name, tensor in network_of(systems[OURS]).state_dict().items()}
    count = min(len(pairs), options.steps * options.batch_size)
    some = [pairs[row] for row in np.random.default_rng(options.seed).permutation(len(pairs))[:count]]
    runs: dict[str, Run] = quality.baseline_runs(data, data.items, options.seed)
    runs["untrained"] = retrieve(systems[OURS], data)
    precisions = ("bf16", "fp32") if native_bf16(options.device) else ("fp32",)
    speed = {
        precision: measure_speed(systems, weights, some, options, bf16=precision == "bf16")
        for precision in precisions
    }
    costs: dict[str, Metrics] = {}
    for name, encoder in tqdm(systems.items(), desc="training", unit="system", disable=None, leave=False):
        network_of(encoder).load_state_dict(weights)
        costs[name] = train_for_a_time(name, encoder, pairs, options, bf16=precisions[0] == "bf16")
        runs[name] = retrieve(encoder, data)

    params = {
        "data": train.name, "eval_queries": len(data.queries), "corpus": len(data.items),
        "corpus_sampled_from": len(held_out.items), **quality.counting_of(options),
        "text_model": options.text_model, "device": options.device,
    }  # fmt: skip
    training = {
        "train_pairs": len(pairs), "batch_size": options.batch_size, "speed_examples": count,
        "learning_rate": options.learning_rate, "max_length": options.max_length,
        "quality_seconds": 60 * options.minutes,
    }  # fmt: skip
    counting = quality.counting_of(options)
    found = {name: evaluate_run(each, data.qrels, SHOWN, **counting) for name, each in runs.items()}
    result = Result("train", options.seed)
    for name in found:
        if name not in systems:
            result.add(name, params, found[name])
    for precision, seconds in speed.items():
        first = precision == precisions[0]  # the one that quality was measured with
        for name in seconds:
            own = {**found[name], **costs[name]} if first else {}
            metrics = {**own, "examples_per_s": timing.rate(seconds[name], count)}
            result.add(name, params | training | {"precision": precision}, metrics)
        result.ratios |= timing.ratios("examples_per_s" + ("" if first else f" {precision}"), seconds)
    after = f"after {60 * options.minutes:g} s"
    for metric in (NDCG, "recall@100"):  # each system trained once: the interval is over queries
        pair = [(OURS, SENTENCE_TRANSFORMERS)]
        result.ratios |= quality.quality_ratios(runs, pair, data.qrels, options, metric=metric, note=after)
    result.headline = headline(result, after)
    return result


def headline(result: Result, after: str) -> str:
    """The sentence with both ratios; without the peer, our speed."""
    rate = result.ratios.get(f"{OURS} / {SENTENCE_TRANSFORMERS} : examples_per_s")
    if rate is None:
        own = next(row.metrics["examples_per_s"] for row in result.rows if row.system == OURS)
        return f"{OURS} trains on {own} examples a second; {SENTENCE_TRANSFORMERS}' trainer is not installed."
    sentence = (
        f"{OURS} trains on {rate} times as many examples a second as {SENTENCE_TRANSFORMERS} "
        f"({rate.n} repetitions)"
    )
    ratio = result.ratios.get(f"{OURS} / {SENTENCE_TRANSFORMERS} : {NDCG} {after}")
    if ratio is None:
        return f"{sentence}."
    return f"{sentence}, and its {NDCG} {after} is {ratio} times theirs (95 % interval over queries)."


def retrieve(encoder: TextEncoder, data: Dataset) -> Run:
    """The best products of each query by cosine, exactly."""
    policy = IndexPolicy(exact_up_to=len(data.items))
    retriever = Retriever(DualEncoder(encoder), index=policy, hybrid=None)
    retriever.upsert(data.items, on_error="skip")
    return search_run(retriever, data.queries, quality.DEPTH)


def measure_speed(
    systems: Mapping[str, TextEncoder],
    weights: Mapping[str, Any],
    pairs: Pairs,
    options: Namespace,
    *,
    bf16: bool,
) -> dict[str, timing.Seconds]:
    """Seconds of each repetition by system, each going once through the same pairs from the same weights.

    All of our `fit` is counted, tokenizing too. Of the peer what comes before its first batch is not; see
    `peer_trainer`.
    """
    spent: dict[str, list[float]] = {name: [] for name in systems}

    def once(name: str) -> None:
        network_of(systems[name]).load_state_dict(weights)
        seconds, examples, _ = fit(name, systems[name], pairs, options, bf16=bf16, epochs=1)
        spent[name].append(seconds)
        assert examples == len(pairs)

    # Takes the turns; each call measures itself, without its preparation.
    timing.interleaved({name: partial(once, name) for name in systems})
    return {name: np.array(seconds[1:]) for name, seconds in spent.items()}  # the first was the warm-up


def train_for_a_time(
    name: str, encoder: TextEncoder, pairs: Pairs, options: Namespace, *, bf16: bool
) -> dict[str, float]:
    """Train one system for the budget; returns what it took.

    Their trainer is made before the budget begins (`setup_s`); our tokenizing is within ours.
    """
    begun, budget = time.monotonic(), 60 * options.minutes
    spent, examples, steps = fit(name, encoder, pairs, options, bf16=bf16, epochs=EPOCHS, seconds=budget)
    setup = time.monotonic() - begun - spent
    return {"steps": steps, "examples": examples, "train_s": spent, "setup_s": setup}


def fit(
    name: str,
    encoder: TextEncoder,
    pairs: Pairs,
    options: Namespace,
    *,
    bf16: bool,
    epochs: int,
    seconds: float | None = None,
) -> tuple[float, int, int]:
    """Train one system; returns the seconds, examples and steps.

    Within a time budget the peer gets the batches that its documentation recommends for this loss: no text occurs
    twice, so that most false negatives are gone; we mask them in the loss. That may take another step for leftovers,
    so where both go once through the pairs it gets its default.
    """
    if name != OURS:
        sampler = "batch_sampler" if seconds is None else "no_duplicates"
        network, how = network_of(encoder), {"bf16": bf16, "epochs": epochs, "seconds": seconds}
        spent, counts = peer_trainer(network, pairs, options, sampler=sampler, **how)()
        return spent, sum(counts), len(counts)
    begun = time.monotonic()
    report = synchronised(encoder.fit, options.device)(
        pairs,
        epochs=epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        options=TextFitOptions(
            temperature=TEMPERATURE,
            max_seconds=seconds,
            max_length=options.max_length,
            bf16=bf16,
            seed=options.seed,
            progress=False,
        ),
    )
    return time.monotonic() - begun, report.examples, report.steps


def network_of(encoder: TextEncoder) -> Any:
    """The model inside: both systems train such an object, and are evaluated through the same class."""
    return encoder._model
