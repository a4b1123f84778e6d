"""A made-up shop with drawn photos, so that everything can be tried without data or network."""
