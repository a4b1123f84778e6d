"""Next-basket recommendation on a shop's interactions: ours beside chance, counts, neighbours, EASE, factorisation.

Models are fitted once on everything before the split; a user's own past is visible up to the moment of prediction.
`recent-popularity` and `twotower` also see what others did until then. Every system ranks the whole catalogue. A user
without a past gets the most popular items from each baseline, and everybody's newest events as a history from
`twotower` unless it is "fitted": then its ranker decides. If only new items count, `repeat` has nothing to say and is
`popularity`.
"""

from __future__ import annotations

import random
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.common import timing
from benchmarks.common.contract import Result
from benchmarks.common.options import DEVICE, TEXT_MODEL, Option
from benchmarks.common.quality import NDCG, ratio_of_means, sentence, with_ends
from benchmarks.common.timing import Seconds
from benchmarks.recommend.folder import RecommendFolder, read_shop
from benchmarks.recommend.made_up_shop import made_up_shop
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
REPORTED = "twotower fitted"  # the row for ratios is decided beforehand, not chosen by its score
MADE_UP, QUICK_MADE_UP = {"users": 300, "per_kind": 30}, {"users": 100, "per_kind": 10}
OPTIONS = (
    Option("--data", "folder with corpus.jsonl and interactions/ (default: made up)", type=Path),
    Option("--split", "name of the interactions file to predict", "dev"),
    Option("--half-life", "half-life of decayed history, in days", 90.0),
    Option("--users", "number of users, the first of the split", quick=100),
    Option("--timed", "users in each repetition of the timing", 15, quick=4),
    Option("--resamples", "resamples of the intervals and tests", 10_000, quick=1_000),
    TEXT_MODEL,
    DEVICE,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One system under one protocol."""

    system: FittedSystem
    found: RecommenderEvaluation
    seconds: Seconds  # of each repetition, for the same users, shape (repetitions,)

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """Of each user, shape (users,)."""
        return np.array(list(self.found.users[NDCG].values()))


def run(options: Namespace) -> Result:
    """Fit, evaluate under both protocols, time, compare."""
    if options.data is None:
        shop = made_up_shop(options.seed, **(QUICK_MADE_UP if options.quick else MADE_UP))
    else:
        shop = read_shop(options.data, options.split)
    past = Past(shop.start, time_split(shop.events, shop.start)[0])
    everyone = chain(fit_baselines(shop, past, options), index_ours(shop, options))
    systems = list(tqdm(everyone, desc="fitting", unit="system", disable=None, leave=False))
    result = Result("recommend", options.seed)
    best = []
    for repeats in (True, False):
        measured = {each.system.label: each for each in _measure(systems, shop, past, repeats, options)}
        _add_rows(result, measured, shop, repeats, options)
        best += list(_add_ratios(result, measured, repeats))[-1:]
    result.headline = "Beside the best baseline: " + sentence({name: result.ratios[name] for name in best})
    return result


def _measure(
    systems: Sequence[FittedSystem], shop: RecommendFolder, past: Past, repeats: bool, options: Namespace
) -> list[Measured]:
    """Evaluate, and time some users at the split's start, where newcomers still are newcomers."""
    tasks, how = shop.tasks[: options.users], {"repeats": repeats, "fitted_on": past.since()}
    bar = tqdm(systems, desc="recommending", unit="system", disable=None, leave=False)
    found = [evaluate_recommender(system.recommend, tasks, shop.events, **how) for system in bar]
    users = [task.user for task in random.Random(options.seed).sample(tasks, min(options.timed, len(tasks)))]
    seen = [frozenset() if repeats else frozenset(event.item for event in past.of(user)) for user in users]
    calls = {
        system.label: lambda given, recommend=system.recommend: recommend(given[0], past, 100, given[1])
        for system in systems
    }
    seconds = timing.interleaved_calls(calls, list(zip(users, seen, strict=True)), warm_up=2)
    totals = [seconds[system.label].sum(axis=1) for system in systems]
    return list(map(Measured, systems, found, totals))


def _add_rows(
    result: Result, measured: Mapping[str, Measured], shop: RecommendFolder, repeats: bool, options: Namespace
) -> None:
    """One protocol's rows, each tested against the user's own frequencies."""
    resampled = {"resamples": options.resamples, "seed": options.seed}
    baseline = measured[BASELINE].found
    known = _with_past(shop)
    others = {label: each.found.run for label, each in measured.items() if label != BASELINE}
    compared = compare_all(others, baseline.run, baseline.qrels, NDCG, **resampled)
    timed = min(options.timed, len(shop.tasks[: options.users]))
    for label, each in measured.items():
        found, interval = each.found, mean_interval(each.ndcg, **resampled)
        metrics = with_ends(NDCG, interval.mean, interval) | found.means
        if own := [value for user, value in found.users[NDCG].items() if user in known]:
            metrics[f"{NDCG}_with_past"] = float(np.mean(own))
        if label in compared:
            metrics["p_holm_vs_repeat"] = compared[label].p_holm
        metrics["queries_per_s"] = timing.rate(each.seconds, timed)
        counted = {"repeats": repeats, "users": len(found.run), "users_left_out": len(found.left_out)}
        result.add(each.system.name, each.system.params | counted, metrics)


def _add_ratios(result: Result, measured: Mapping[str, Measured], repeats: bool) -> Iterator[str]:
    """Add ours over the better row of each peer; returns the ratios' names, that to the best of all peers last."""
    ours, setting = measured[REPORTED], f"repeats={str(repeats).lower()}"
    ranked = sorted(measured.values(), key=lambda each: each.found.means[NDCG])
    better = {each.system.name: each for each in ranked if each.system.name != ours.system.name}
    for peer in (each for each in ranked if each is better.get(each.system.name)):
        name = peer.system.name
        ratio = ratio_of_means(ours.ndcg, peer.ndcg, result.seed)
        if ratio is None:
            print(f"{name} has no ratio with {setting}: it finds nothing", file=sys.stderr)
            continue
        result.ratios[f"twotower / {name} : {NDCG} {setting}"] = ratio
        speed = timing.rate_ratio(ours.seconds, peer.seconds)
        result.ratios[f"twotower / {name} : queries_per_s {setting}"] = speed
        yield f"twotower / {name} : {NDCG} {setting}"


def _with_past(shop: RecommendFolder) -> set[str]:
    """Users with any event before their moment."""
    first: dict[str, datetime] = {}
    for event in shop.events:
        first.setdefault(event.user, event.time)
    return {task.user for task in shop.tasks if first[task.user] < task.moment}
