"""Texts and images per second."""
