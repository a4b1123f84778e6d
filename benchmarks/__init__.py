"""Benchmarks against peers: `python -m benchmarks NAME --help`; see README.md in this folder."""
