"""Towers: encode items, queries and users as vectors in one space."""
