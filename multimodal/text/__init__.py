"""The text tower: encoding, reading and fine-tuning with any sentence-transformers model."""
