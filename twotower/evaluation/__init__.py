"""Measure rankings against judgements, test whether a difference is real, and see what each stage adds and costs."""

from __future__ import annotations

from twotower.evaluation.baselines import bm25_run, random_run
from twotower.evaluation.judgements import JudgedOrdering, JudgedReport, judged_run, measure_judged
from twotower.evaluation.metrics import evaluate_queries, evaluate_run
from twotower.evaluation.recommendation import (
    Past,
    RecommenderEvaluation,
    Task,
    check_blind,
    evaluate_recommender,
    last_baskets,
    next_baskets,
    time_split,
)
from twotower.evaluation.report import EvaluationReport, StageResult
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
    "EvaluationReport",
    "Interval",
    "JudgedOrdering",
    "JudgedReport",
    "Past",
    "RecommenderEvaluation",
    "StageResult",
    "Task",
    "bm25_run",
    "check_blind",
    "compare",
    "compare_all",
    "compare_values",
    "evaluate",
    "evaluate_item_slices",
    "evaluate_queries",
    "evaluate_query_slices",
    "evaluate_recommender",
    "evaluate_run",
    "judged_run",
    "last_baskets",
    "mean_interval",
    "measure_judged",
    "next_baskets",
    "query_values",
    "random_run",
    "ratio_interval",
    "search_run",
    "time_split",
    "write_run",
]
