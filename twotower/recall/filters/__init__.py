"""Filters: the language of `where`, its predicates, and the columns of attributes that they read."""
