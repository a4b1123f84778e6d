"""Next-basket recommendation on a shop's interactions: ours beside chance, counts, neighbours, EASE, factorisation.

Models are fitted once on everything before the split; a user's own past is visible up to the moment of prediction.
`recent-popularity` and `twotower` also see what others did until then. Every system ranks the whole catalogue. A user
without a past gets the most popular items from each baseline, and everybody's newest events as a history from
`twotower`. If only new items count, `repeat` has nothing to say and is `popularity`.
"""

from __future__ import annotations

import random
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import timing
from benchmarks.common.contract import Result
from benchmarks.common.options import DEVICE, TEXT_MODEL, Option
from benchmarks.common.quality import NDCG, ratio_of_means, sentence, with_ends
from benchmarks.common.timing import Seconds
from benchmarks.recommend.folder import RecommendFolder, read_shop
from benchmarks.recommend.made_up_shop import made_up_folder
from benchmarks.recommend.systems import FittedSystem, fit_baselines, index_ours
from twotower.evaluation import (
    Past,
    RecommenderEvaluation,
    compare_all,
    evaluate_recommender,
    mean_interval,
    time_split,
)  # fmt: skip

BASELINE = "repeat all"
REPORTED = "twotower decayed"  # decay is the library's default; the row for ratios is not chosen by its score
MADE_UP, QUICK_MADE_UP = {"users": 300, "per_kind": 30}, {"users": 100, "per_kind": 10}
OPTIONS = (
    Option("--data", "folder with corpus.jsonl and interactions/ (default: made up)", type=Path),
    Option("--split", "name of the interactions file to predict", "dev"),
    Option("--half-life", "days, of decayed history", 90.0),
    Option("--users", "of the split, the first so many", quick=100),
    Option("--timed", "users in each repetition of the timing", 15, quick=4),
    Option("--resamples", "of the intervals and tests", 10_000, quick=1_000),
    TEXT_MODEL,
    DEVICE,
)
Found = Mapping[str, RecommenderEvaluation]


def run(options: Namespace) -> Result:
    """Fit, evaluate under both protocols, time, compare."""
    made_up = QUICK_MADE_UP if options.quick else MADE_UP
    shop = read_shop(options.data or made_up_folder(options.seed, **made_up), options.split)
    tasks = shop.tasks[: options.users]
    before = time_split(shop.events, shop.start)[0]
    past = Past(shop.start, before)
    systems = [*fit_baselines(shop, past, options), *index_ours(shop, options)]
    result = Result("recommend", options.seed)
    best = []
    for repeats in (True, False):
        bar = tqdm(systems, desc="recommending", unit="system", disable=None, leave=False)
        found = {
            system.label: evaluate_recommender(
                system.recommend, tasks, shop.events, repeats=repeats, fitted_on=before
            )
            for system in bar
        }
        users = random.Random(options.seed).sample(tasks, min(options.timed, len(tasks)))
        seconds = _time(systems, past, [task.user for task in users], repeats)
        _add_rows(result, systems, found, seconds, shop, repeats, options)
        best += list(_add_ratios(result, systems, found, seconds, repeats))[-1:]
    result.headline = "Beside the best baseline: " + sentence({name: result.ratios[name] for name in best})
    return result


def _time(
    systems: Sequence[FittedSystem], past: Past, users: Sequence[str], repeats: bool
) -> dict[str, Seconds]:
    """Seconds of each call for some users at the split's start, where newcomers still are newcomers."""
    seen = [frozenset() if repeats else frozenset(event.item for event in past.of(user)) for user in users]
    calls = {
        system.label: lambda given, recommend=system.recommend: recommend(given[0], past, 100, given[1])
        for system in systems
    }
    return timing.interleaved_calls(calls, list(zip(users, seen, strict=True)), warm_up=2)


def _add_rows(
    result: Result,
    systems: Sequence[FittedSystem],
    found: Found,
    seconds: Mapping[str, Seconds],
    shop: RecommendFolder,
    repeats: bool,
    options: Namespace,
) -> None:
    """One protocol's rows, each tested against the user's own frequencies."""
    resampled = {"resamples": options.resamples, "seed": options.seed}
    baseline = found[BASELINE]
    known = _with_past(shop)
    others = {label: each.run for label, each in found.items() if label != BASELINE}
    compared = compare_all(others, baseline.run, baseline.qrels, NDCG, **resampled)
    for system in systems:
        each, own_seconds = found[system.label], seconds[system.label]
        values = each.users[NDCG]
        interval = mean_interval(list(values.values()), **resampled)
        metrics = with_ends(NDCG, interval.mean, interval) | each.means
        if own := [value for user, value in values.items() if user in known]:
            metrics[f"{NDCG}_with_past"] = float(np.mean(own))
        if system.label in compared:
            metrics["p_holm_vs_repeat"] = compared[system.label].p_holm
        metrics["queries_per_s"] = timing.rate(own_seconds.sum(axis=1), own_seconds.shape[1])
        counted = {"repeats": repeats, "users": len(each.run), "users_left_out": len(each.left_out)}
        result.add(system.name, system.params | counted, metrics)


def _add_ratios(
    result: Result,
    systems: Sequence[FittedSystem],
    found: Found,
    seconds: Mapping[str, Seconds],
    repeats: bool,
) -> Iterator[str]:
    """Add ours over the better row of each peer; gives the ratios' names, that to the best of all peers last."""
    ranked = sorted(systems, key=lambda system: found[system.label].means[NDCG])
    better = {system.name: system.label for system in ranked if system.name != "twotower"}
    ours = np.array(list(found[REPORTED].users[NDCG].values()))
    setting = f"repeats={str(repeats).lower()}"
    for name, label in sorted(better.items(), key=lambda item: found[item[1]].means[NDCG]):
        peer = np.array(list(found[label].users[NDCG].values()))
        ratio = ratio_of_means(ours, peer, result.seed)
        if ratio is None:
            print(f"no ratio to {name} with {setting}: it finds nothing", file=sys.stderr)
            continue
        result.ratios[f"twotower / {name} : {NDCG} {setting}"] = ratio
        result.ratios[f"twotower / {name} : queries_per_s {setting}"] = timing.rate_ratio(
            seconds[REPORTED].sum(axis=1), seconds[label].sum(axis=1)
        )
        yield f"twotower / {name} : {NDCG} {setting}"


def _with_past(shop: RecommendFolder) -> set[str]:
    """Users with any event before their moment."""
    first: dict[str, datetime] = {}
    for event in shop.events:
        first.setdefault(event.user, event.time)
    return {task.user for task in shop.tasks if first[task.user] < task.moment}
