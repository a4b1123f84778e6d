"""Pairs per second of the cross-encoder."""
