"""Evaluation: rankings against graded judgements."""
