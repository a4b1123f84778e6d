"""Next-basket recommendation on a shop's interactions: ours beside chance, counts, neighbours, EASE, factorisation.

Models are fitted once on everything before the split; a user's own past is visible up to the moment of prediction.
`recent-popularity` and `twotower` also see what others did until then. Every system ranks the whole catalogue. A user
without a past gets the most popular items from each baseline, and everybody's newest events as a history from
`twotower`. If only new items count, `repeat` has nothing to say and is `popularity`.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.common import arguments, timing
from benchmarks.common.contract import Result, ResultRow, Spread
from benchmarks.common.quality import NDCG, ratio_of_means, sentence
from benchmarks.common.timing import Seconds
from benchmarks.recommend.folder import RecommendFolder, read_shop
from benchmarks.recommend.made_up_shop import made_up_folder
from benchmarks.recommend.systems import FittedSystem, fit_baselines, index_ours
from twotower.evaluation.recommendation import (
    Past,
    RecommenderEvaluation,
    Task,
    evaluate_recommender,
    time_split,
)
from twotower.evaluation.significance import compare_all, mean_interval
from twotower.types import Event

BASELINE = "repeat all"
REPORTED = "twotower decayed"  # decay is the library's default; the row for ratios is not chosen by its score
TIMED, QUICK_TIMED = 15, 4  # users in each repetition of the timing
QUICK_SHOP, QUICK_USERS, QUICK_RESAMPLES = {"users": 100, "per_kind": 10}, 100, 1_000
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
    size = QUICK_SHOP if options.quick else {}
    folder = made_up_folder(options.seed, **size) if options.data is None else options.data
    shop = read_shop(folder, options.split)
    if options.quick:
        shop = replace(shop, tasks=shop.tasks[:QUICK_USERS])
    before = time_split(shop.events, shop.start)[0]
    systems = [*fit_baselines(shop, Past(shop.start, before), options), *index_ours(shop, options)]
    result = Result("recommend", options.seed)
    best = []
    for repeats in (True, False):
        found = {
            system.label: evaluate_recommender(
                system.recommend, shop.tasks, shop.events, repeats=repeats, fitted_on=before
            )
            for system in systems
        }
        seconds = _time(systems, shop, repeats, options)
        result.rows += _rows(systems, found, seconds, shop, repeats, options)
        best.append(_add_ratios(result, systems, found, seconds, repeats))
    result.headline = "Beside the best baseline: " + sentence(
        {name: result.ratios[name] for name in best if name}
    )
    return result


def _time(
    systems: Sequence[FittedSystem], shop: RecommendFolder, repeats: bool, options: argparse.Namespace
) -> dict[str, Seconds]:
    """Seconds of each call for a sample of the users at the split's start, where newcomers still are newcomers."""
    past = Past(shop.start, time_split(shop.events, shop.start)[0])
    count = min(QUICK_TIMED if options.quick else TIMED, len(shop.tasks))
    users = [task.user for task in random.Random(options.seed).sample(shop.tasks, count)]
    seen = [frozenset() if repeats else frozenset(event.item for event in past.of(user)) for user in users]
    calls = {
        system.label: lambda given, recommend=system.recommend: recommend(given[0], past, 100, given[1])
        for system in systems
    }
    return timing.interleaved_calls(calls, list(zip(users, seen, strict=True)), warm_up=2)


def _rows(
    systems: Sequence[FittedSystem],
    found: Mapping[str, RecommenderEvaluation],
    seconds: Mapping[str, Seconds],
    shop: RecommendFolder,
    repeats: bool,
    options: argparse.Namespace,
) -> list[ResultRow]:
    """One protocol's rows, each tested against the user's own frequencies."""
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    baseline = found[BASELINE]
    known = _with_past(shop.events, shop.tasks)
    others = {label: each.run for label, each in found.items() if label != BASELINE}
    compared = compare_all(others, baseline.run, baseline.qrels, NDCG, resamples=resamples, seed=options.seed)
    rows = []
    for system in systems:
        each = found[system.label]
        values = each.users[NDCG]
        interval = mean_interval(list(values.values()), resamples=resamples, seed=options.seed)
        metrics: dict[str, float | Spread] = {NDCG: interval.mean}
        metrics |= {f"{NDCG}_low": interval.low, f"{NDCG}_high": interval.high, **each.means}
        if own := [value for user, value in values.items() if user in known]:
            metrics[f"{NDCG}_with_past"] = float(np.mean(own))
        if system.label in compared:
            metrics["p_holm_vs_repeat"] = compared[system.label].p_holm
        own_seconds = seconds[system.label]
        metrics["queries_per_s"] = timing.rate(own_seconds.sum(axis=1), own_seconds.shape[1])
        counted = {"repeats": repeats, "users": len(each.run), "users_left_out": len(each.left_out)}
        rows.append(ResultRow(system.name, system.params | counted, metrics))
    return rows


def _add_ratios(
    result: Result,
    systems: Sequence[FittedSystem],
    found: Mapping[str, RecommenderEvaluation],
    seconds: Mapping[str, Seconds],
    repeats: bool,
) -> str:
    """Add ours over the better row of each peer; returns the name of the ratio to the best of all peers."""
    better: dict[str, str] = {}
    for system in sorted(systems, key=lambda system: found[system.label].means[NDCG]):
        better[system.name] = system.label
    del better["twotower"]
    ours = np.array(list(found[REPORTED].users[NDCG].values()))
    best, setting = "", f"repeats={str(repeats).lower()}"
    for name, label in sorted(better.items(), key=lambda item: found[item[1]].means[NDCG]):
        peer = np.array(list(found[label].users[NDCG].values()))
        ratio = ratio_of_means(ours, peer, seed=result.seed)
        if ratio is None:
            print(f"no ratio to {name} with {setting}: it finds nothing", file=sys.stderr)
            continue
        best = f"twotower / {name} : {NDCG} {setting}"
        result.ratios[best] = ratio
        result.ratios[f"twotower / {name} : queries_per_s {setting}"] = timing.rate_ratio(
            seconds[REPORTED].sum(axis=1), seconds[label].sum(axis=1)
        )
    return best


def _with_past(events: Sequence[Event], tasks: Sequence[Task]) -> set[str]:
    """Users with any event before their moment."""
    first: dict[str, datetime] = {}
    for event in events:
        first.setdefault(event.user, event.time)
    return {task.user for task in tasks if first[task.user] < task.moment}
