"""Words: tokens in any script, their postings, and BM25."""
