"""Whether two texts mean the same: the reranker as a classifier of pairs, in Chinese or any other language.

The model is fitted on most of the training pairs. The rest of them calibrate it and choose the thresholds of
every system. What is reported is measured on other pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.classification.data import Labelled, Pair, made_up, read_pairs, split, unseen
from benchmarks.classification.decisions import (
    RESAMPLES,
    Scores,
    Thresholds,
    Truth,
    metrics,
    right,
    thresholds,
)
from benchmarks.classification.lexical import TfIdf, jaccard
from benchmarks.classification.small_bert import HIDDEN, LAYERS, small_bert
from benchmarks.common import arguments
from benchmarks.common.contract import Parameter, Result, Row, Spread
from benchmarks.common.quality import ratio_of_means
from rerank import CrossEncoderReranker, FitReport, InputError, expected_calibration_error

OURS, CONSTANT = "twotower", "constant"
QUICK_TRAIN, QUICK_DEV, QUICK_RESAMPLES = 2_500, 300, 50
QUICK = {"layers": 1, "hidden": 64, "epochs": 2, "learning_rate": 2e-3}
CALIBRATION_SHARE = 0.1
SHOWN = ("accuracy", "f1", "average_precision", "roc_auc")


@dataclass(frozen=True, slots=True)
class System:
    """What one system gave.

    Args:
        scores: of the evaluated pairs, shape (n,).
        chosen: on the pairs of the calibration.
    """

    scores: Scores
    chosen: Thresholds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, model and training."""
    parser.add_argument(
        "--train", type=Path, help='JSON lines of "query", "title", "label" (default: made up)'
    )
    parser.add_argument("--dev", type=Path, help="the same, to measure on")
    parser.add_argument("--relevant", type=float, help="least label that is a yes (default: the highest)")
    parser.add_argument("--base", help="folder or hub name to start from (default: a small BERT, random)")
    parser.add_argument("--layers", type=int, default=LAYERS, help=f"of the small BERT (default: {LAYERS})")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help=f"its width (default: {HIDDEN})")
    parser.add_argument("--minutes", type=float, default=8.0, help="most time of the fit (default: 8)")
    parser.add_argument("--epochs", type=int, default=4, help="most passes over the pairs (default: 4)")
    parser.add_argument("--learning-rate", type=float, help="the highest (default: 5e-4, with --base 5e-5)")
    parser.add_argument("--predictions", type=Path, help="write every score to this file, JSON lines")
    arguments.add_device(parser)


def run(options: argparse.Namespace) -> Result:
    """Fit, calibrate, and compare with what needs no model."""
    if options.quick:
        options = argparse.Namespace(**vars(options) | QUICK)
    train, dev = _data(options)
    fitting, part = split(train, CALIBRATION_SHARE, options.seed)
    least = train.labels.max() if options.relevant is None else options.relevant
    truth, part_truth = dev.labels >= least, part.labels >= least
    texts = [text for pair in fitting.pairs for text in pair]

    reranker, report = _fitted(fitting, texts, options)
    plain = reranker.score(dev.pairs)
    calibrated = _calibrated(reranker, part.pairs, part_truth)
    score = {
        CONSTANT: lambda pairs: np.full(len(pairs), part_truth.mean()),
        "jaccard": jaccard,
        "tf-idf": TfIdf(texts),
        OURS: reranker.score,
    }
    systems = {
        name: System(of(dev.pairs), thresholds(of(part.pairs), part_truth)) for name, of in score.items()
    }
    if options.predictions is not None:
        _write(options.predictions, systems, truth)

    shared: dict[str, Parameter] = {
        "train": "made up" if options.train is None else options.train.name,
        "dev": "made up" if options.dev is None else options.dev.name,
        "pairs": len(truth),
        "share_of_yes": float(truth.mean()),
        "calibration_pairs": len(part_truth),
    }
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    found = {
        name: metrics(system.scores, truth, system.chosen, resamples=resamples, seed=options.seed)
        for name, system in systems.items()
    }
    found[OURS] |= {
        "ece_before": expected_calibration_error(plain, truth),
        "fit_s": report.seconds,
    }
    if calibrated:
        found[OURS]["ece_after"] = expected_calibration_error(systems[OURS].scores, truth)
    own = {OURS: _training(options, report)}
    rows = [Row(name, shared | own.get(name, {}), found[name]) for name in systems]
    print(_table(rows))
    ratios = _ratios(systems, truth, options.seed)
    return Result("pairs", options.seed, rows, headline(found, len(truth)), ratios)


def headline(found: Mapping[str, Mapping[str, float]], pairs: int) -> str:
    """Accuracy and F1 of all systems, ours first and with their intervals."""
    ours = found[OURS]
    told = [
        f"{name} {ours[name]:.3f} ({ours[f'{name}_low']:.3f} to {ours[f'{name}_high']:.3f})"
        for name in ("accuracy", "f1")
    ]
    others = [
        f"{'the same answer for all' if name == CONSTANT else name} {each['accuracy']:.3f} and {each['f1']:.3f}"
        for name, each in found.items()
        if name != OURS
    ]
    return f"{' and '.join(told)} on {pairs:,} pairs, with 95 % intervals; {', '.join(others)}."


def _data(options: argparse.Namespace) -> tuple[Labelled, Labelled]:
    if (options.train is None) != (options.dev is None):
        raise SystemExit("pairs: --train and --dev go together; without both the pairs are made up.")
    if options.train is None:
        return made_up(QUICK_TRAIN, options.seed), made_up(QUICK_DEV, options.seed + 1)
    train, dev = read_pairs(options.train), read_pairs(options.dev)
    if options.quick:
        train, dev = train.first(QUICK_TRAIN), dev.first(QUICK_DEV)
    return unseen(train, dev), dev


def _fitted(
    fitting: Labelled, texts: Sequence[str], options: argparse.Namespace
) -> tuple[CrossEncoderReranker, FitReport]:
    """The model, and how its training went."""
    base = options.base
    if base is None:
        base = small_bert(texts, layers=options.layers, hidden=options.hidden, seed=options.seed)
    reranker = CrossEncoderReranker(base, device=options.device, cache_pairs=100_000)
    report = reranker.fit(
        fitting.pairs,
        fitting.labels,
        epochs=options.epochs,
        learning_rate=_rate(options),
        max_seconds=60 * options.minutes,
        keep="loss",  # most queries have one pair, so there is nothing to order
        seed=options.seed,
    )
    return reranker, report


def _calibrated(reranker: CrossEncoderReranker, pairs: Sequence[Pair], truth: Truth) -> bool:
    """Calibrate, unless the model has learned nothing that could be."""
    try:
        reranker.calibrate(pairs, truth)
    except InputError as error:
        print(f"The scores stay uncalibrated. {error}", file=sys.stderr)
        return False
    return True


def _rate(options: argparse.Namespace) -> float:
    if options.learning_rate is not None:
        return float(options.learning_rate)
    return 5e-4 if options.base is None else 5e-5


def _training(options: argparse.Namespace, report: FitReport) -> dict[str, Parameter]:
    small = f"small BERT, {options.layers} layers of {options.hidden}, from random weights"
    return {
        "base": small if options.base is None else str(options.base),
        "train_pairs": report.train_pairs,
        "held_out_pairs": report.held_out_pairs,
        "learning_rate": _rate(options),
        "steps": report.steps,
        "best_step": report.best_step,
        "stopped_early": report.stopped_early,
        "out_of_time": report.out_of_time,
        "device": options.device,
    }


def _ratios(systems: Mapping[str, System], truth: Truth, seed: int) -> dict[str, Spread]:
    values = {name: right(system.scores, truth, system.chosen) for name, system in systems.items()}
    return {
        f"{OURS} / {peer} : accuracy": ratio
        for peer in systems
        if peer != OURS
        if (ratio := ratio_of_means(values[OURS], values[peer], seed=seed)) is not None
    }


def _table(rows: Sequence[Row]) -> str:
    header = ["system", *SHOWN, "ece before", "ece after"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        found = row.metrics
        cells = [
            f"{found[name]:.4f} ({found[f'{name}_low']:.4f} to {found[f'{name}_high']:.4f})" for name in SHOWN
        ]
        cells += [f"{found[name]:.4f}" if name in found else "" for name in ("ece_before", "ece_after")]
        lines.append(f"| {row.system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _write(path: Path, systems: Mapping[str, System], truth: Truth) -> None:
    """One line for each pair, in the order of `--dev`: the truth and, by system, its score and its two answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row, yes in enumerate(truth.tolist()):
            line: dict[str, object] = {"truth": yes}
            for name, system in systems.items():
                score = float(system.scores[row])
                line[name] = {
                    "score": score,
                    "accuracy": score >= system.chosen.accuracy,
                    "f1": score >= system.chosen.f1,
                }
            file.write(json.dumps(line) + "\n")
