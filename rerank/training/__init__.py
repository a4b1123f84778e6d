"""Fine-tuning a cross-encoder on graded pairs.

Not by the trainer of sentence-transformers: it needs `datasets` and `accelerate` and tokenizes each pair anew in
every epoch.
"""
