"""Vector search beside raw FAISS, hnswlib and usearch."""
