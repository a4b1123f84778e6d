"""The cross-encoder: its public class, and the model underneath from files to padded batches of token ids."""
