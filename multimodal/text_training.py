"""Fine-tuning a text tower on pairs of query and document: tokens, batches, loss, one loop.

The loss is in-batch softmax: every other document of the batch is a negative of a query (Henderson et al. 2017,
arXiv:1705.00652, section 4.4, there called multiple negatives), unless it is known to be a positive too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor
    from torch.optim import Optimizer

POOL = 32  # batches whose rows are sorted by length together: fewer pad more, more make less random batches
WARMUP = 0.1  # share of the training during which the learning rate rises
WEIGHT_DECAY = 0.01
MAX_GRADIENT = 1.0
_TEXTS = 1024  # tokenized at once
# The prompts of either side by name, the first that a model has; as in sentence-transformers.
_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}

Rows = NDArray[np.intp]
"""Positions of rows, shape (rows,)."""


@dataclass(frozen=True, slots=True)
class TextFitReport:
    """What one `fit` did.

    Args:
        steps: optimizer steps taken.
        examples: pairs gone through, one counted each time.
        seconds: wall-clock time, tokenizing included.
        losses: of every step, in nats; batches differ in size and difficulty, so look at their trend.
        out_of_time: whether `max_seconds` ended the training.
        bf16: whether matrix products ran in bfloat16.
    """

    steps: int
    examples: int
    seconds: float
    losses: tuple[float, ...]
    out_of_time: bool
    bf16: bool


def in_batch_loss(logits: Tensor, known: Tensor) -> Tensor:
    """Mean cross-entropy of each query's own document against the others that are not known to be positives.

    Args:
        logits: of n queries and m >= n documents, shape (n, m); the own document of query i is document i.
        known: bool of shape (n, m); [i, j] says that document j is a positive of query i. The own may be either.

    Returns:
        The mean over the queries, in nats.
    """
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.arange(len(logits), device=logits.device)
    others = known.clone()
    others[own, own] = False
    return cross_entropy(logits.masked_fill(others, -torch.inf), own)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokenized texts of one side, not padded yet.

    Args:
        columns: for each input of the network ("input_ids", "attention_mask", ...) the numbers of every text.
        padding: for each input, what fills up shorter rows.
        padding_side: "left" or "right".
        constants: what is no tensor of tokens.
    """

    columns: Mapping[str, list[Tensor]]
    padding: Mapping[str, int]
    padding_side: str
    constants: Mapping[str, Any]

    def batch(self, rows: Rows, device: Any) -> dict[str, Any]:
        """These rows on `device`, padded to the longest of them: shape (rows, longest)."""
        from torch.nn.utils.rnn import pad_sequence

        return {
            name: pad_sequence(
                [column[row] for row in rows],
                batch_first=True,
                padding_value=self.padding[name],
                padding_side=self.padding_side,
            ).to(device)
            for name, column in self.columns.items()
        } | dict(self.constants)


def tokenize(model: SentenceTransformer, texts: Sequence[str], side: str, max_length: int | None) -> Tokens:
    """Tokenize texts as `encode_query` and `encode_document` would, with the model's prompt.

    Args:
        model: whose tokenizer and prompts.
        texts: at least one.
        side: "query" or "document".
        max_length: most tokens of a text; None is the most the model takes.

    Raises:
        ValueError: the model does not read padded rows of tokens.
    """
    import torch

    name = next((name for name in _PROMPTS[side] if name in model.prompts), model.default_prompt_name)
    prompt = None if name is None else model.prompts[name]
    columns: dict[str, list[Tensor]] = {}
    constants: dict[str, Any] = {}
    for start in range(0, len(texts), _TEXTS):
        chunk = list(texts[start : start + _TEXTS])
        features = model.preprocess(chunk, prompt=prompt, task=side, max_length=max_length)
        if "attention_mask" not in features:
            raise ValueError(f"{type(model[0]).__name__} cannot be fitted: pass a transformer model")
        real = features["attention_mask"].bool()  # (chunk, longest)
        for name, value in features.items():
            if torch.is_tensor(value) and value.shape == real.shape:
                columns.setdefault(name, []).extend(torch.split(value[real], real.sum(1).tolist()))
            else:
                constants[name] = value
    padding = dict.fromkeys(columns, 0)
    padding["input_ids"] = model.tokenizer.pad_token_id or 0
    return Tokens(columns, padding, model.tokenizer.padding_side, constants)


def train(
    model: SentenceTransformer,
    pairs: Sequence[tuple[str, str]],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    temperature: float,
    max_seconds: float | None,
    max_length: int | None,
    bf16: bool,
    seed: int,
    progress: bool | None,
    clock: Callable[[], float] = time.monotonic,
) -> TextFitReport:
    """Train a model in place; see `TextEncoder.fit`. It is left in evaluation mode, also after an exception."""
    import torch
    from tqdm import tqdm

    started = clock()
    model.float()
    query_tokens, query = _tokenized(model, [text for text, _ in pairs], "query", max_length)
    document_tokens, document = _tokenized(model, [text for _, text in pairs], "document", max_length)
    positives = np.unique(_key(query, document))
    lengths = np.array([len(row) for row in document_tokens.columns["input_ids"]])[
        document
    ]  # the longer side
    steps = epochs * math.ceil(len(pairs) / batch_size)
    batches = epochs_of_batches(lengths, batch_size, epochs, np.random.default_rng(seed))
    device = model.device
    optimizer = _adamw(model, learning_rate)
    losses: list[float] = []
    examples = 0
    hidden = None if progress is None else not progress  # tqdm's None: only where there is a terminal
    begun, deadline = clock(), math.inf if max_seconds is None else started + max_seconds

    def vectors(tokens: Tokens, rows: Rows, side: str) -> Tensor:
        """Unit vectors in float32, shape (rows, dim), as the encoder will give them."""
        # Autocast keeps its casts of the weights until it ends, so it must not outlive an optimizer step.
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            embedding = model(tokens.batch(rows, device), task=side)["sentence_embedding"]
        return torch.nn.functional.normalize(embedding.float()[:, : model.truncate_dim], dim=1)

    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        tqdm(total=steps, desc="fit", unit="step", disable=hidden) as bar,
    ):
        torch.manual_seed(seed)  # dropout
        model.train()
        try:
            for rows in batches:  # (b,)
                now = clock()
                if now >= deadline:
                    break
                done = max((len(losses) + 0.5) / steps, (now - begun) / (deadline - begun))
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * schedule(done)
                queries = vectors(query_tokens, query[rows], "query")  # (b, dim)
                documents = vectors(document_tokens, document[rows], "document")  # (b, dim)
                known = torch.from_numpy(known_positives(query[rows], document[rows], positives)).to(device)
                loss = in_batch_loss(queries @ documents.T / temperature, known)
                if not math.isfinite(loss.item()):
                    raise FloatingPointError(f"loss {len(losses) + 1} is not a number: lower learning_rate")
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
                optimizer.step()
                losses.append(loss.item())
                examples += len(rows)
                bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
                bar.update()
        finally:
            model.eval()
            optimizer.zero_grad()  # gradients are as large as the model
    return TextFitReport(
        len(losses), examples, clock() - started, tuple(losses), out_of_time=len(losses) < steps, bf16=bf16
    )


def known_positives(queries: Rows, documents: Rows, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which documents of a batch are positives of which queries, by any of the pairs of the training.

    Args:
        queries: number of each query of the batch, shape (b,); equal ones have the same.
        documents: number of each document, shape (b,).
        keys: `_key` of all pairs, sorted.

    Returns:
        bool of shape (b, b). A second copy of a query's own document is one, since it has the same number.
    """
    wanted = _key(queries[:, None], documents[None, :])
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[places] == wanted, dtype=np.bool_)


def epochs_of_batches(
    lengths: NDArray[np.intp], size: int, epochs: int, generator: np.random.Generator
) -> Iterator[Rows]:
    """Random batches of similar length: shuffle, cut into pools, sort each, cut into batches, shuffle these.

    Args:
        lengths: tokens of each row, shape (n,).
        size: rows of a batch; the last of an epoch may have fewer.
        epochs: how often each row comes.
        generator: where the randomness comes from.
    """
    for _ in range(epochs):
        order = generator.permutation(len(lengths))
        batches: list[Rows] = []
        for start in range(0, len(order), POOL * size):
            pool = order[start : start + POOL * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[cut : cut + size] for cut in range(0, len(pool), size)]
        for batch in generator.permutation(len(batches)):
            yield batches[batch]


def schedule(done: float) -> float:
    """Share of the learning rate after a share of the training: up to 1 during `WARMUP`, then down to 0."""
    return max(0.0, min(done / WARMUP, (1.0 - done) / (1.0 - WARMUP)))


def _tokenized(
    model: SentenceTransformer, texts: Sequence[str], side: str, max_length: int | None
) -> tuple[Tokens, Rows]:
    """Tokens of the texts that the model can tell apart, and for each text its place among them, shape (n,)."""
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    tokens = tokenize(model, list(place), side, max_length)
    first: dict[bytes, int] = {}
    same = [first.setdefault(row.numpy().tobytes(), n) for n, row in enumerate(tokens.columns["input_ids"])]
    return tokens, np.array([same[place[text]] for text in texts], dtype=np.intp)


def _key(queries: Rows, documents: Rows) -> NDArray[np.int64]:
    return queries.astype(np.int64) << 32 | documents


def _adamw(model: SentenceTransformer, learning_rate: float) -> Optimizer:
    """AdamW that leaves biases and normalisation scales (the vectors) undecayed."""
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=learning_rate,
        fused=True,
    )
