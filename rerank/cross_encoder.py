"""The second stage: a model that reads the query and one candidate together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank.batching import split_groups
from rerank.checkpoints import has_new_head, open_checkpoint, save_checkpoint
from rerank.errors import InputError, NotFiniteError, NotFittedError
from rerank.forward import predict
from rerank.tokens import Pair, Tokens, normalized, tokenize
from rerank.training import BestWeights, FitReport, native_bf16, train

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class CrossEncoderReranker:
    """Relevance of candidate texts to a query, in [0, 1], by a BERT-like cross-encoder.

    Any sentence-transformers cross-encoder with one score per pair will do. A model without a scoring head,
    such as a sentence encoder, gets a random one and refuses to score until it was trained by `fit`.

    Constructing reads no file and loads no torch: the model is opened, or downloaded to the hub's cache, by
    the first call that needs it. Remote code is never run and pickled weights are never read. Scoring from
    several threads is safe; scoring during `fit` is not.

    Args:
        model: a folder, or a name on the model hub such as "cross-encoder/ms-marco-MiniLM-L6-v2". A `Path` is
            always a folder; a string is one where it exists. A cached model of the hub is used as it is.
        device: as torch names it, such as "cpu" or "cuda:0"; None is the best there is.
        max_length: most tokens of a pair, query and candidate together; None is the most the model takes.
        batch_tokens: most tokens of a padded batch when scoring, rows x longest; 16,384 suits a GPU.

    Raises:
        InputError: `max_length` or `batch_tokens` is below 1.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str | None = None,
        max_length: int | None = None,
        batch_tokens: int = 1024,
    ) -> None:
        _require(max_length is None or max_length >= 1, f"max_length is at least 1, not {max_length}.")
        _require(batch_tokens >= 1, f"batch_tokens is at least 1, not {batch_tokens}.")
        self.model = str(model)
        self.truncated = 0
        """How many pairs `score` and `logits` have cut to `max_length` so far."""
        self._source = model
        self._device = device
        self._max_length = max_length
        self._batch_tokens = batch_tokens
        self._network: CrossEncoder | None = None
        self._new_head = False
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance of each pair: the sigmoid of its logit.

        A score depends on its pair alone, not on the other pairs (in float32, to about 1e-5).

        Args:
            pairs: n pairs of query text and candidate text. Texts are brought to Unicode form NFKC; a pair
                given twice is computed once; a pair that is too long loses the end of its candidate text.

        Returns:
            float32 in [0, 1], shape (n,), in the order of `pairs`; higher is better.

        Raises:
            InputError: a pair is not two strings.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is no cross-encoder with one score.
            NotFittedError: the model's head is random; call `fit` first.
            NotFiniteError: the network computed NaN.
        """
        return sigmoid(self.logits(pairs))

    def logits(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """What `score` takes the sigmoid of: float32, shape (n,), unbounded. The rest is as there."""
        texts = normalized(pairs)
        if not texts:
            return np.empty(0, dtype=np.float32)
        position = {pair: number for number, pair in enumerate(dict.fromkeys(texts))}
        network = self._open()
        if self._new_head:
            raise NotFittedError(f"{self.model} has no trained scoring head: call fit() before score().")
        tokens = self._tokenize(network, list(position))
        with self._lock:
            self.truncated += sum(bool(tokens.cut[position[pair]]) for pair in texts)
        logits = predict(network, tokens, self._batch_tokens)
        if np.isnan(logits).any():
            query, document = list(position)[int(np.flatnonzero(np.isnan(logits))[0])]
            raise NotFiniteError(f"{self.model} gave NaN for the pair ({query[:80]!r}, {document[:80]!r}).")
        return logits[[position[pair] for pair in texts]]

    def fit(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating],
        *,
        groups: Sequence[Hashable] | None = None,
        epochs: int = 1,
        learning_rate: float = 5e-5,
        batch_size: int = 32,
        held_out: float = 0.1,
        patience: int = 3,
        max_seconds: float | None = None,
        bf16: bool | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> FitReport:
        """Train on graded pairs, then keep the weights of the lowest held-out loss.

        Binary cross-entropy with soft targets on the one logit, AdamW, the learning rate rising over the
        first tenth and falling to 0. The held-out loss is looked at before training, then four times an epoch
        or twenty times in all, whichever is less often.
        Training goes on from the present weights, so a second `fit` refines the first. If it is interrupted
        (Ctrl-C), the best weights so far stay and the exception is raised again. With one seed, machine and
        number of threads, and without `max_seconds`, two fits give the same weights.

        Args:
            pairs: n pairs of query text and candidate text.
            grades: how relevant each is, at least 0, shape (n,). Grades up to 1 are taken as they are; if any
                is above 1, all are divided by the highest, so that 0 to 3 becomes 0 to 1.
            groups: what is held out together, one per pair; None is the query text.
            epochs: passes over the pairs.
            learning_rate: the highest of the schedule.
            batch_size: pairs of one step.
            held_out: share of the groups to hold out, in [0, 1); 0 trains on all and keeps the last weights.
            patience: looks without a lower held-out loss after which training stops.
            max_seconds: time after which training stops, its schedule run to the end; the last look comes on top.
            bf16: whether matrix products run in bfloat16; None is yes where the hardware does that natively.
            seed: of the split, the order and the dropout.
            progress: whether to draw a progress bar; None is only on a terminal.

        Raises:
            InputError: the pairs, grades or groups do not match or an argument is out of its range.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is no cross-encoder with one score.
            NotFiniteError: the loss became NaN; lower `learning_rate`.
        """
        texts = normalized(pairs)
        targets = _targets(grades, len(texts))
        groups = [query for query, _ in texts] if groups is None else groups
        _require(len(groups) == len(texts), f"There are {len(texts)} pairs but {len(groups)} groups.")
        for name, value in {"epochs": epochs, "batch_size": batch_size, "patience": patience}.items():
            _require(value >= 1, f"{name} is at least 1, not {value}.")
        _require(learning_rate > 0, f"learning_rate is above 0, not {learning_rate}.")
        _require(max_seconds is None or max_seconds > 0, f"max_seconds is above 0, not {max_seconds}.")
        _require(0 <= held_out < 1, f"held_out is a share from 0 to below 1, not {held_out}.")
        train_rows, held_out_rows = split_groups(groups, held_out, np.random.default_rng(seed))
        _require(len(train_rows) > 0, "One query cannot be split: pass pairs of more queries, or held_out=0.")

        network = self._open().float()
        best = BestWeights(network, start_counts=not self._new_head)
        try:
            return train(
                network,
                self._tokenize(network, texts),
                targets,
                train_rows,
                held_out_rows,
                best,
                epochs=epochs,
                learning_rate=learning_rate,
                batch_size=batch_size,
                batch_tokens=self._batch_tokens,
                patience=patience,
                seed=seed,
                bf16=native_bf16(network.device.type) if bf16 is None else bf16,
                progress=progress,
                max_seconds=max_seconds,
            )
        finally:
            best.restore()
            self._new_head = self._new_head and best.step == 0

    def save(self, folder: str | Path, /) -> None:
        """Write model, tokenizer and `max_length` to a folder that `load` reads, in safetensors and JSON.

        An earlier save of the same name is replaced. The folder appears under its name only when complete.

        Raises:
            InputError: the folder exists and is something else than a saved cross-encoder.
            NotFittedError: the model's head is random; call `fit` first.
        """
        network = self._open()
        if self._new_head:  # its random head would come back as a trained one
            raise NotFittedError(f"{self.model} has no trained scoring head: call fit() before save().")
        save_checkpoint(network, Path(folder))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        /,
        *,
        device: str | None = None,
        max_length: int | None = None,
        batch_tokens: int = 1024,
    ) -> CrossEncoderReranker:
        """The reranker that `save` wrote, opened at once. Arguments and errors as those of the class."""
        reranker = cls(Path(folder), device=device, max_length=max_length, batch_tokens=batch_tokens)
        reranker._open()
        return reranker

    def _open(self) -> CrossEncoder:
        with self._lock:
            if self._network is None:
                network = open_checkpoint(self._source, self._device)
                if self._max_length is not None:
                    limit = network.tokenizer.model_max_length
                    _require(self._max_length <= limit, f"max_length of {self.model} is at most {limit}.")
                    network.tokenizer.model_max_length = self._max_length  # saved with the tokenizer
                self._new_head = has_new_head(network)
                self._network = network
            return self._network

    def _tokenize(self, network: CrossEncoder, pairs: Sequence[Pair]) -> Tokens:
        with self._lock:  # a tokenizer holds its truncation as state
            return tokenize(network.tokenizer, pairs, network.tokenizer.model_max_length)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logit)) in float32, without overflow."""
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(logits))
    scores: NDArray[np.float32] = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def _targets(grades: Sequence[float] | NDArray[np.floating], count: int) -> NDArray[np.float32]:
    targets = np.asarray(grades, dtype=np.float32)
    _require(targets.shape == (count,), f"There are {count} pairs but grades of shape {targets.shape}.")
    _require(count > 0, "There are no pairs to learn from.")
    bad = np.flatnonzero(~np.isfinite(targets) | (targets < 0))
    if bad.size:
        raise InputError(f"Grade {bad[0]} is {targets[bad[0]]:g}: grades are finite numbers, at least 0.")
    return np.divide(targets, max(1.0, targets.max()), dtype=np.float32)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)
