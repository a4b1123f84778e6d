"""Rankings against graded judgements, whether a difference is real, and what each stage buys and costs."""

from __future__ import annotations

from twotower.evaluation.baselines import bm25_run, random_run
from twotower.evaluation.metrics import evaluate_queries, evaluate_run
from twotower.evaluation.report import Evaluation, Stage
from twotower.evaluation.significance import (
    Comparison,
    Interval,
    compare,
    compare_all,
    compare_values,
    mean_interval,
    query_values,
    ratio_interval,
)
from twotower.evaluation.slices import evaluate_item_slices, evaluate_query_slices
from twotower.evaluation.stages import evaluate, search_run
from twotower.evaluation.trec import write_run

__all__ = [
    "Comparison",
    "Evaluation",
    "Interval",
    "Stage",
    "bm25_run",
    "compare",
    "compare_all",
    "compare_values",
    "evaluate",
    "evaluate_item_slices",
    "evaluate_queries",
    "evaluate_query_slices",
    "evaluate_run",
    "mean_interval",
    "query_values",
    "random_run",
    "ratio_interval",
    "search_run",
    "write_run",
]
