"""What a search does once it has been asked: encoding, candidates, ranking, explanation."""
