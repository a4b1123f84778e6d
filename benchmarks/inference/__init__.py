"""Parts of the benchmarks of the cross-encoder and the encoders."""
