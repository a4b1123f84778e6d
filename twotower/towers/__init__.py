"""Towers: items, queries and users to vectors of one space."""
