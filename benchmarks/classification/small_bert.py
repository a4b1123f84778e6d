"""A small BERT with random weights and a vocabulary of your own texts, for where no pretrained model is at hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.common.scratch import scratch_folder

LAYERS, HIDDEN, HEAD = 2, 128, 32
VOCABULARY, ALPHABET = 8_000, 6_000


def small_bert(
    texts: Iterable[str],
    *,
    layers: int = LAYERS,
    hidden: int = HIDDEN,
    dropout: float = 0.1,
    max_length: int = 128,
    seed: int = 0,
) -> Path:
    """Write a cross-encoder that knows nothing yet; `CrossEncoderReranker(folder).fit(...)` teaches it.

    The vocabulary is one of word pieces, lower case: every Han character is a token, as in BERT itself.

    Args:
        texts: what the vocabulary is made from.
        layers: how many.
        hidden: numbers of a token's vector, a multiple of 32, which is what each attention head takes.
        dropout: share of numbers dropped in training.
        max_length: most tokens of a pair.
        seed: of the weights.

    Returns:
        Its folder, gone when the process ends.
    """
    import torch
    from tokenizers.implementations import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(
        texts, vocab_size=VOCABULARY, limit_alphabet=ALPHABET, min_frequency=2, show_progress=False
    )
    vocabulary = trained.get_vocab()
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = BertForSequenceClassification(config)
    folder = scratch_folder("small-bert")
    network.save_pretrained(folder)
    BertTokenizer(vocabulary, model_max_length=max_length).save_pretrained(folder)
    return folder
