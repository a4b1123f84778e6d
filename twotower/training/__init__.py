"""From judgements to what a reranker learns from, and to how well it has learned."""

from twotower.training.judged import JudgedReport, Measured, judged_run, measure_judged
from twotower.training.mining import Mined, mine_pairs

__all__ = ["JudgedReport", "Measured", "Mined", "judged_run", "measure_judged", "mine_pairs"]
