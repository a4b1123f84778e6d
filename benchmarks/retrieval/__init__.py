"""Parts of the benchmarks of search quality."""
