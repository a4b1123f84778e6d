"""Nearest vectors by inner product: which index to build, how it is built, searched and calibrated."""
