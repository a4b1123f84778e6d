"""What all benchmarks share: the contract, fair timing, data, models, options, tables."""
