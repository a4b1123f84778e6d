"""Fine-tuning the text tower: examples per second, and quality after a fixed time, beside sentence-transformers.

Speed: both go once through the same pairs, from the same weights, in turns. Quality: each trains alone for the
same time, one after the other, with the learning rate falling over that time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.common import arguments, models, timing
from benchmarks.common.contract import Parameter, Result, ResultRow, Spread
from benchmarks.common.data import read_dataset
from benchmarks.common.quality import DEPTH, NDCG, counting_of, quality_ratios
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS
from benchmarks.train.data import sampled_corpus, training_pairs
from benchmarks.train.sentence_transformers_trainer import (
    TEMPERATURE,
    Pairs,
    Setting,
    peer_is_there,
    peer_trainer,
    synchronize,
)
from multimodal import TextEncoder, TextFitOptions, TextFitReport
from multimodal.precision import native_bf16
from twotower.evaluation.baselines import bm25_run, random_run
from twotower.evaluation.metrics import Run, evaluate_run
from twotower.types import Item, Query

EPOCHS = 1000  # more than any budget of time allows
SHOWN = (NDCG, "judged@10", "recall@100")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    arguments.add_data(parser, split=False)
    parser.add_argument("--split", default="train", help="qrels file to train on (default: train)")
    parser.add_argument("--eval-split", default="dev", help="qrels file to measure on (default: dev)")
    arguments.add_counting(parser)
    arguments.add_models(parser, "text")
    arguments.add_device(parser)
    parser.add_argument("--minutes", type=float, default=4.0, help="training of each system (default: 4)")
    parser.add_argument("--steps", type=int, default=6, help="of a repetition of the speed (default: 6)")
    parser.add_argument("--batch-size", type=int, default=64, help="pairs of a step (default: 64)")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="the highest (default: 5e-5)")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a text (default: 128)")
    parser.add_argument(
        "--corpus-size",
        type=int,
        default=10_000,
        help="search the judged products and a random sample of others, so many in all (default: 10000)",
    )


def run(options: argparse.Namespace) -> Result:
    """Measure speed, then quality."""
    setting = _setting(options)
    train = read_dataset(options.data, options.split)
    held_out = read_dataset(train.folder, options.eval_split, limit=setting.queries)
    queries, qrels = held_out.queries, held_out.qrels
    pairs = training_pairs(train, held_out.texts.values(), options.relevant)
    items = sampled_corpus(held_out, setting.corpus_size, setting.seed)
    systems = {OURS: models.text_encoder(options)}
    if peer_is_there():
        systems[SENTENCE_TRANSFORMERS] = models.text_encoder(options)
    setting = replace(setting, max_length=min(setting.max_length, _network(systems[OURS]).max_seq_length))
    weights = {name: tensor.clone() for name, tensor in _network(systems[OURS]).state_dict().items()}
    count = min(len(pairs), setting.steps * setting.batch_size)
    some = [pairs[row] for row in np.random.default_rng(setting.seed).permutation(len(pairs))[:count]]
    runs: dict[str, Run] = {
        "random": random_run(queries, [item.id for item in items], DEPTH, seed=setting.seed),
        "bm25": bm25_run(held_out.texts, items, DEPTH),
        "untrained": retrieve(systems[OURS], queries, items),
    }
    precisions = ("bf16", "fp32") if native_bf16(setting.device) else ("fp32",)
    speed = {
        precision: measure_speed(systems, weights, some, setting, bf16=precision == "bf16")
        for precision in precisions
    }
    costs: dict[str, dict[str, float]] = {}
    for name, encoder in systems.items():
        _network(encoder).load_state_dict(weights)
        costs[name] = train_for_a_time(name, encoder, pairs, setting, bf16=precisions[0] == "bf16")
        runs[name] = retrieve(encoder, queries, items)

    params: dict[str, Parameter] = {
        "data": options.data.name if options.data else "sample shop",
        "eval_queries": len(queries),
        "corpus": len(items),
        "corpus_sampled_from": len(held_out.items),
        "relevant": options.relevant,
        "gain": options.gain,
        "text_model": models.text_name(options),
        "device": setting.device,
    }
    training: dict[str, Parameter] = {
        "train_pairs": len(pairs),
        "batch_size": setting.batch_size,
        "speed_examples": count,
        "learning_rate": setting.learning_rate,
        "max_length": setting.max_length,
        "quality_seconds": setting.seconds,
    }
    counting = counting_of(options)
    quality = {name: evaluate_run(found, qrels, SHOWN, **counting) for name, found in runs.items()}
    result = Result("train", options.seed)
    result.rows += [ResultRow(name, params, quality[name]) for name in runs if name not in systems]
    for precision, seconds in speed.items():
        first = precision == precisions[0]  # the one that quality was measured with
        for name in seconds:
            metrics: dict[str, float | Spread] = {**quality[name], **costs[name]} if first else {}
            metrics["examples_per_s"] = timing.rate(seconds[name], count)
            result.rows.append(ResultRow(name, params | training | {"precision": precision}, metrics))
        result.ratios |= timing.ratios("examples_per_s" + ("" if first else f" {precision}"), seconds)
    after = f"after {setting.seconds:g} s"
    for metric in (NDCG, "recall@100"):  # each system trained once: the interval is over queries
        result.ratios |= quality_ratios(
            runs,
            [(OURS, SENTENCE_TRANSFORMERS)],
            qrels,
            counting,
            metric=metric,
            note=after,
            seed=options.seed,
        )
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
    quality = result.ratios.get(f"{OURS} / {SENTENCE_TRANSFORMERS} : {NDCG} {after}")
    if quality is None:
        return f"{sentence}."
    return f"{sentence}, and its {NDCG} {after} is {quality} times theirs (95 % interval over queries)."


def retrieve(encoder: TextEncoder, queries: Mapping[str, Query], items: Sequence[Item]) -> Run:
    """The best products of each query by cosine, exactly."""
    documents = encoder.encode_documents([item.words for item in items])  # (items, dim)
    vectors = encoder.encode_queries([query.text for query in queries.values()])  # (queries, dim)
    found = {}
    for query, scores in zip(queries, vectors @ documents.T, strict=True):  # (items,)
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        found[query] = {items[row].id: float(scores[row]) for row in best}
    return found


def measure_speed(
    systems: Mapping[str, TextEncoder],
    weights: Mapping[str, Any],
    pairs: Pairs,
    setting: Setting,
    *,
    bf16: bool,
) -> dict[str, timing.Seconds]:
    """Seconds of each repetition, each going once through the same pairs from the same weights.

    All of our `fit` is counted, tokenizing too. Of the peer what comes before its first batch is not; see
    `peer_trainer`.

    Returns:
        By system, shape (repetitions,).
    """
    spent: dict[str, list[float]] = {name: [] for name in systems}
    calls: dict[str, Callable[[], object]] = {}

    def ours() -> None:
        _network(systems[OURS]).load_state_dict(weights)
        begun = time.monotonic()
        report = _fit(systems[OURS], pairs, setting, bf16, epochs=1, max_seconds=None)
        synchronize(setting.device)
        spent[OURS].append(time.monotonic() - begun)
        assert report.examples == len(pairs)

    calls[OURS] = ours
    if SENTENCE_TRANSFORMERS in systems:
        network = _network(systems[SENTENCE_TRANSFORMERS])

        def theirs() -> None:
            network.load_state_dict(weights)
            # The default sampler: that without duplicates may need another step for its leftovers.
            call = peer_trainer(network, pairs, setting, bf16=bf16, epochs=1, sampler="batch_sampler")
            seconds, examples = call()
            spent[SENTENCE_TRANSFORMERS].append(seconds)
            assert sum(examples) == len(pairs)

        calls[SENTENCE_TRANSFORMERS] = theirs
    timing.interleaved(calls)  # takes the turns; each call measures itself, without its preparation
    return {name: np.array(seconds[1:]) for name, seconds in spent.items()}  # the first was the warm-up


def train_for_a_time(
    name: str, encoder: TextEncoder, pairs: Pairs, setting: Setting, *, bf16: bool
) -> dict[str, float]:
    """Train one system for the budget; returns what it took.

    The peer gets the batches that its documentation recommends for this loss: without a text twice, so that most
    false negatives are gone; we mask them in the loss. Its trainer is made before the budget begins (`setup_s`);
    our tokenizing is within ours.
    """
    begun = time.monotonic()
    if name == OURS:
        report = _fit(encoder, pairs, setting, bf16, epochs=EPOCHS, max_seconds=setting.seconds)
        synchronize(setting.device)
        examples, steps, seconds = report.examples, report.steps, time.monotonic() - begun
    else:
        call = peer_trainer(
            _network(encoder),
            pairs,
            setting,
            bf16=bf16,
            epochs=EPOCHS,
            sampler="no_duplicates",
            seconds=setting.seconds,
        )
        seconds, counts = call()
        examples, steps = sum(counts), len(counts)
    setup = time.monotonic() - begun - seconds
    return {"steps": steps, "examples": examples, "train_s": seconds, "setup_s": setup}


def _setting(options: argparse.Namespace) -> Setting:
    small = options.quick
    return Setting(
        batch_size=4 if small else options.batch_size,
        steps=1 if small else options.steps,
        seconds=1.0 if small else 60 * options.minutes,
        corpus_size=60 if small else options.corpus_size,
        queries=5 if small else None,
        learning_rate=options.learning_rate,
        max_length=options.max_length,
        device=options.device,
        seed=options.seed,
    )


def _fit(
    encoder: TextEncoder,
    pairs: Pairs,
    setting: Setting,
    bf16: bool,
    *,
    epochs: int,
    max_seconds: float | None,
) -> TextFitReport:
    return encoder.fit(
        pairs,
        epochs=epochs,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        options=TextFitOptions(
            temperature=TEMPERATURE,
            max_seconds=max_seconds,
            max_length=setting.max_length,
            bf16=bf16,
            seed=setting.seed,
            progress=False,
        ),
    )


def _network(encoder: TextEncoder) -> Any:
    return encoder._model  # both systems train such an object, and are evaluated through the same class
