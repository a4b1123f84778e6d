"""Fine-tuning a cross-encoder on graded pairs.

The trainer of sentence-transformers is not used: it needs `datasets` and `accelerate`, and tokenizes every pair anew
in every epoch.
"""
