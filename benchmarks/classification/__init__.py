"""Parts of the benchmark of pairs."""
