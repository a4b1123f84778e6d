"""The stages of a search: query encoding, candidates, ranking, explanation."""
