"""Recall and reranking end to end."""
