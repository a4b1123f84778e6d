"""Items per second into the store, and searches at the same time."""
