"""Recall: nearest items under filters and decay, from an index that changes while it is searched."""
