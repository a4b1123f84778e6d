"""Parts of the benchmarks of vector search and ingestion."""
