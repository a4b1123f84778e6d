"""Fine-tuning of the text tower."""
