"""Next-basket recommendation on a shop's interactions: ours beside chance, counts, neighbours, EASE, factorisation.

Models are fitted once on what is before the split; a user's own past is visible up to the moment of prediction.
`recent-popularity` and `twotower` also see what others did until then. Every system ranks the whole catalogue. A user
without a past gets the most popular items from each baseline, and everybody's newest events as a history from
`twotower`. Where only new items count, `repeat` has nothing to say and is `popularity`.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.common import arguments
from benchmarks.common.contract import Result, Row, Spread
from benchmarks.common.quality import ratio_of_means
from benchmarks.common.timing import Seconds, interleaved_calls, rate, rate_ratio
from benchmarks.recommend.folder import Shop, read_shop, shrink
from benchmarks.recommend.planted import planted_folder
from benchmarks.recommend.systems import System, fit_baselines, index_ours
from twotower.evaluation.recommendation import (
    METRICS,
    Past,
    RecommenderEvaluation,
    Task,
    evaluate_recommender,
    time_split,
)
from twotower.evaluation.significance import compare_all, mean_interval
from twotower.types import Event

METRIC = "ndcg@10"
FEARED = "repeat all"
OURS = "twotower decayed"  # the library's own default decays; which of our rows is quoted is not chosen by its score
TIMED, QUICK_TIMED = 15, 4  # users asked for in each repetition of the timing
QUICK_USERS, QUICK_ITEMS, QUICK_RESAMPLES = 100, 300, 1_000
RESAMPLES = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, model and half-life."""
    parser.add_argument(
        "--data", type=Path, help="folder with corpus.jsonl and interactions/ (default: made up)"
    )
    parser.add_argument(
        "--split", default="dev", help="name of the interactions file to predict (default: dev)"
    )
    parser.add_argument(
        "--half-life", type=float, default=90.0, help="days, of decayed history (default: 90)"
    )
    arguments.add_models(parser, "text")
    arguments.add_device(parser)


def run(options: argparse.Namespace) -> Result:
    """Fit, evaluate under both protocols, time, compare."""
    folder = planted_folder(options.seed) if options.data is None else options.data
    shop = read_shop(folder, options.split)
    if options.quick:
        shop = shrink(shop, QUICK_USERS, QUICK_ITEMS, options.seed)
    before = time_split(shop.events, shop.start)[0]
    past = Past(shop.start, before)
    systems = [*fit_baselines(shop, past, options), *index_ours(shop, options)]
    print(f"{len(shop.tasks)} users to predict from {shop.start.isoformat()} on, {len(shop.items)} items, "
          f"{len(before)} events before, seed {options.seed}")  # fmt: skip
    rows: list[Row] = []
    ratios: dict[str, Spread] = {}
    sentences = []
    for repeats in (True, False):
        found = {
            system.label: evaluate_recommender(
                system.recommend, shop.tasks, shop.events, repeats=repeats, fitted_on=before
            )
            for system in systems
        }
        seconds = _time(systems, shop, repeats, options)
        rows += _print(systems, found, seconds, shop, repeats, options)
        new_ratios, best = _ratios(systems, found, seconds, repeats, options)
        ratios |= new_ratios
        sentences += [_sentence(best, new_ratios[best])] if best else []
    headline = "; ".join(sentences) + " (95 % bootstrap intervals over users, beside the best baseline)."
    return Result("recommend", options.seed, rows, headline, ratios)


def _time(
    systems: Sequence[System], shop: Shop, repeats: bool, options: argparse.Namespace
) -> dict[str, Seconds]:
    """Seconds of each call for a sample of the users at the split's start, where newcomers still are newcomers."""
    past = Past(shop.start, time_split(shop.events, shop.start)[0])
    count = min(QUICK_TIMED if options.quick else TIMED, len(shop.tasks))
    users = [task.user for task in random.Random(options.seed).sample(shop.tasks, count)]

    def excluded(user: str) -> frozenset[str]:
        return frozenset() if repeats else frozenset(event.item for event in past.of(user))

    asked = [(user, excluded(user)) for user in users]
    calls = {
        system.label: lambda given, recommend=system.recommend: recommend(given[0], past, 100, given[1])
        for system in systems
    }
    return interleaved_calls(calls, asked, warm_up=2)


def _print(
    systems: Sequence[System],
    found: Mapping[str, RecommenderEvaluation],
    seconds: Mapping[str, Seconds],
    shop: Shop,
    repeats: bool,
    options: argparse.Namespace,
) -> list[Row]:
    """Print one protocol's table, and give its rows."""
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    feared = found[FEARED]
    known = _with_past(shop.events, shop.tasks)
    compared = compare_all(
        {label: each.run for label, each in found.items() if label != FEARED},
        feared.run,
        feared.qrels,
        METRIC,
        resamples=resamples,
        seed=options.seed,
    )
    print(
        f"\n{'Repeats allowed' if repeats else 'New items only'}: {len(feared.run)} users, "
        f"{len(known & feared.run.keys())} of them with a past; {len(feared.left_out)} left out: all bought before"
    )
    print(f"| system | {METRIC} [95 %] | with a past | {' | '.join(METRICS[1:])} | p, Holm | queries/s |")
    print("|---" * (len(METRICS) + 4) + "|")
    rows = []
    for system in systems:
        each = found[system.label]
        values = each.users[METRIC]
        interval = mean_interval(list(values.values()), resamples=resamples, seed=options.seed)
        metrics: dict[str, float | Spread] = dict(each.means)
        metrics |= {f"{METRIC}_low": interval.low, f"{METRIC}_high": interval.high}
        if own := [value for user, value in values.items() if user in known]:
            metrics[f"{METRIC}_with_past"] = float(np.mean(own))
        if system.label in compared:
            metrics["p_holm_vs_repeat"] = compared[system.label].p_holm
        speed = rate(seconds[system.label].sum(axis=1), seconds[system.label].shape[1])
        metrics["queries_per_s"] = speed
        rows.append(Row(system.name, system.params | {"repeats": repeats}, metrics))
        cells = [
            system.label,
            f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]",
            f"{metrics.get(f'{METRIC}_with_past', float('nan')):.4f}",
            *(f"{each.means[name]:.4f}" for name in METRICS[1:]),
            f"{compared[system.label].p_holm:.2g}" if system.label in compared else "-",
            f"{speed.median:.0f} ({speed.min:.0f}-{speed.max:.0f})",
        ]
        print(f"| {' | '.join(cells)} |")
    return rows


def _ratios(
    systems: Sequence[System],
    found: Mapping[str, RecommenderEvaluation],
    seconds: Mapping[str, Seconds],
    repeats: bool,
    options: argparse.Namespace,
) -> tuple[dict[str, Spread], str]:
    """Ours over the better row of each peer, and the name of the ratio to the best of all peers."""
    better: dict[str, str] = {}
    for system in sorted(systems, key=lambda system: found[system.label].means[METRIC]):
        better[system.name] = system.label
    del better["twotower"]
    ours = np.array(list(found[OURS].users[METRIC].values()))
    ratios, best = {}, ""
    for name, label in sorted(better.items(), key=lambda item: found[item[1]].means[METRIC]):
        peer = np.array(list(found[label].users[METRIC].values()))
        ratio = ratio_of_means(ours, peer, seed=options.seed)
        setting = f"repeats={str(repeats).lower()}"
        if ratio is None:
            print(f"no ratio to {name} with {setting}: it finds nothing", file=sys.stderr)
            continue
        best = f"twotower / {name} : {METRIC} {setting}"
        ratios[best] = ratio
        ratios[f"twotower / {name} : queries_per_s {setting}"] = rate_ratio(
            seconds[OURS].sum(axis=1), seconds[label].sum(axis=1)
        )
    return ratios, best


def _sentence(name: str, ratio: Spread) -> str:
    return f"{name} is {ratio.median:.3f} ({ratio.min:.3f}-{ratio.max:.3f}, {ratio.n} users)"


def _with_past(events: Sequence[Event], tasks: Sequence[Task]) -> set[str]:
    """Users with any event before their moment."""
    first: dict[str, datetime] = {}
    for event in events:
        first.setdefault(event.user, event.time)
    return {task.user for task in tasks if first[task.user] < task.moment}
