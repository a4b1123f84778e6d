"""The second stage: a model that reads the query and one candidate together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rerank.backends.backend import BACKENDS, BackendName
from rerank.backends.choice import BackendReport, Gate, choose
from rerank.backends.export import FILES
from rerank.backends.network import native_bf16
from rerank.cache import ScoreCache
from rerank.card import ModelCard
from rerank.errors import InputError, NotFiniteError
from rerank.model import Model
from rerank.tokens import Pair, normalized
from rerank.training.data import targets_of
from rerank.training.fit import fit
from rerank.training.losses import LossName
from rerank.training.options import FitOptions
from rerank.training.report import Evaluation, FitReport, Keep

AUTO: Literal["auto"] = "auto"
AUTO_PAIRS = 64


class CrossEncoderReranker:
    """Relevance of candidate texts to a query, in [0, 1], by a BERT-like cross-encoder.

    Any sentence-transformers cross-encoder with one score per pair will do. A model without a scoring head,
    such as a sentence encoder, gets a random one and refuses to score until it was trained by `fit`.

    Constructing reads no file and loads no torch: the model is opened, or downloaded to the hub's cache, by
    the first call that needs it. A back end of ONNX Runtime that was saved with the model needs no torch
    at all. Remote code is never run and pickled weights are never read. Scoring from
    several threads is safe; scoring during `fit` is not.

    Args:
        model: a folder, or a name on the model hub such as "cross-encoder/ms-marco-MiniLM-L6-v2". A `Path` is
            always a folder; a string is one where it exists. A cached model of the hub is used as it is.
        device: as torch names it, such as "cpu" or "cuda:0"; None is the best there is.
        max_length: most tokens of a pair, query and candidate together; None is the most the model takes.
        batch_tokens: most tokens of a padded batch when scoring, rows x longest; 16,384 suits a GPU.
        backend: what computes scores. "torch" in float32 (on a GPU: as the weights were saved); "torch-bf16" with
            matrix products in bfloat16; "onnx" and "onnx-int8" by ONNX Runtime on the CPU, exported when first used
            (some 20 seconds) and kept by `save`; "auto" calls `choose_backend` with the first pairs that are at
            least `AUTO_PAIRS`, and is "torch" until then.
        cache_pairs: about how many pairs of texts are remembered with their scores (100,000 take some 20 MB); 0
            remembers none. A changed item is another text; `fit` and `choose_backend` forget everything.

    Raises:
        InputError: `max_length` or `batch_tokens` is below 1, or there is no such back end.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str | None = None,
        max_length: int | None = None,
        batch_tokens: int = 1024,
        backend: BackendName | Literal["auto"] = "torch",
        cache_pairs: int = 0,
    ) -> None:
        _require(backend in (*BACKENDS, AUTO), f"backend is one of {(*BACKENDS, AUTO)}, not {backend!r}.")
        _require(max_length is None or max_length >= 1, f"max_length is at least 1, not {max_length}.")
        _require(batch_tokens >= 1, f"batch_tokens is at least 1, not {batch_tokens}.")
        _require(cache_pairs >= 0, f"cache_pairs is at least 0, not {cache_pairs}.")
        self.model = str(model)
        self._name: BackendName | Literal["auto"] = backend
        self.truncated = 0
        """How many pairs `score` and `logits` have computed and cut to `max_length` so far."""
        self._model = Model(model, device, max_length, batch_tokens)
        self._batch_tokens = batch_tokens
        self._cache = ScoreCache(cache_pairs)
        self._counting = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    @property
    def backend(self) -> BackendName | Literal["auto"]:
        """What computes scores; after `choose_backend`, what that has chosen."""
        return self._name

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance of each pair: the sigmoid of its logit.

        A score depends on its pair alone, not on the other pairs: in float32 to about 1e-5, in bfloat16 and in 8-bit
        integers to about 0.01.

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
        distinct = list(dict.fromkeys(texts))
        if self.backend == AUTO and len(distinct) >= AUTO_PAIRS:
            self.choose_backend(distinct[:AUTO_PAIRS])
        epoch = self._cache.epoch
        known = self._cache.among(distinct)
        fresh = self._computed([pair for pair in distinct if pair not in known])
        self._cache.keep(fresh, epoch)
        known |= fresh
        return np.array([known[pair] for pair in texts], dtype=np.float32)

    def choose_backend(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating] | None = None,
        *,
        most_score_error: float = 0.01,
        most_ndcg_loss: float = 0.003,
    ) -> BackendReport:
        """Measure every back end on this machine and go on with the fastest that scores as float32 does.

        Args:
            pairs: n pairs like those that will be scored, some hundreds of several queries.
            grades: how relevant each pair is, shape (n,), to compare nDCG@10, too; None compares scores alone.
            most_score_error: largest mean difference of a score in [0, 1] from that in float32.
            most_ndcg_loss: most that nDCG@10 may be lower than in float32.

        Returns:
            What was chosen and why; `lines` tells it in words.

        Raises:
            InputError: there are no pairs, or the grades do not match them; and as `score`.
        """
        texts = normalized(pairs)
        _require(bool(texts), "There are no pairs to measure with.")
        if grades is not None:
            grades = targets_of(grades, len(texts))
        bf16 = native_bf16(self._model.network().device.type)
        names = [name for name in BACKENDS if name != "torch-bf16" or bf16]
        report = choose(
            {name: partial(self._model.backend, name) for name in names},
            texts,
            sigmoid,
            Gate(most_score_error, most_ndcg_loss),
            grades,
        )
        self._name = report.chosen
        self._model.keep_only(report.chosen)
        self._cache.clear()
        return report

    def fit(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating],
        *,
        groups: Sequence[Hashable] | None = None,
        loss: LossName | Sequence[LossName] = "pointwise",
        epochs: int = 1,
        learning_rate: float = 5e-5,
        batch_size: int = 32,
        held_out: float = 0.1,
        keep: Keep | None = None,
        patience: int = 3,
        max_seconds: float | None = None,
        bf16: bool | None = None,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        watch: Callable[[Evaluation], None] | None = None,
        progress: bool | None = None,
    ) -> FitReport:
        """Train on graded pairs, then keep the weights that did best on the held-out pairs.

        AdamW, the learning rate rising over the first tenth and falling to 0. The held-out pairs are looked at
        before training, then four times an epoch or twenty times in all, whichever is less often.
        Training goes on from the present weights, so a second `fit` refines the first. If it is interrupted
        (Ctrl-C), the best weights so far stay and the exception is raised again. With one seed, machine and
        number of threads, and without `max_seconds`, two fits give the same weights.

        Args:
            pairs: n pairs of query text and candidate text.
            grades: how relevant each is, at least 0, shape (n,). Grades up to 1 are taken as they are; if any
                is above 1, all are divided by the highest, so that 0 to 3 becomes 0 to 1.
            groups: whose pairs are compared with one another and held out together, one per pair; None is the
                query text.
            loss: "pointwise", binary cross-entropy with soft targets, whose scores are near the grades; or one that
                compares the pairs of a group and leaves the size of the scores open: "ranknet" (two by two),
                "lambda" (two by two, weighted for nDCG), "listwise" (all at once). Several are summed.
            epochs: passes over the pairs.
            learning_rate: the highest of the schedule.
            batch_size: most pairs of one step. A loss that compares gets whole groups; one of more pairs is cut.
            held_out: share of the groups to hold out, in [0, 1); 0 trains on all and keeps the last weights.
            keep: the best weights are those of the highest held-out "ndcg" (of nDCG@10, and where it is equal the
                lower loss) or of the lowest held-out "loss"; None is "ndcg" where 30 held-out groups or more have
                pairs of different grades: fewer give too coarse a mean.
            patience: looks that are not the best so far after which training stops.
            max_seconds: time after which training stops, its schedule run to the end; the last look comes on top.
            bf16: whether matrix products run in bfloat16; None is yes where the hardware does that natively.
            seed: of the split, the order and the dropout.
            checkpoint: a folder for the state of the training, written at every look (four times the size of the
                model). The same fit goes on from there, to the same weights. It is deleted when the fit ends well.
            watch: called with every look, to log it elsewhere; what it raises ends the training.
            progress: whether to draw a progress bar; None is only on a terminal.

        Raises:
            InputError: the pairs, grades or groups do not match, an argument is out of its range, or `checkpoint`
                holds another fit.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is no cross-encoder with one score.
            NotFiniteError: the loss became NaN; lower `learning_rate`.
        """
        options = FitOptions(
            loss=(loss,) if isinstance(loss, str) else tuple(loss),
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            held_out=held_out,
            keep=keep,
            patience=patience,
            max_seconds=max_seconds,
            bf16=bf16,
            seed=seed,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            watch=watch,
            progress=progress,
        )
        try:
            return fit(
                self._model,
                self.model,
                normalized(pairs),
                grades,
                groups,
                options,
                batch_tokens=self._batch_tokens,
            )
        finally:
            self._cache.clear()

    def save(self, folder: str | Path, /, *, card: str | ModelCard | None = None) -> None:
        """Write model, tokenizer and `max_length` to a folder that `load` reads, in safetensors and JSON.

        With a back end of ONNX Runtime its files are there, too, and whoever opens the folder needs no torch.

        An earlier save of the same name is replaced. The folder appears under its name only when complete.

        Args:
            folder: a new name, or an earlier save.
            card: what its README.md says, such as a `ModelCard`; None writes none.

        Raises:
            InputError: the folder exists and is something else than a saved cross-encoder.
            NotFittedError: the model's head is random; call `fit` first.
        """
        self._model.save(Path(folder), onnx=self.backend in FILES, card=None if card is None else str(card))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        /,
        *,
        device: str | None = None,
        max_length: int | None = None,
        batch_tokens: int = 1024,
        backend: BackendName | Literal["auto"] = "torch",
    ) -> CrossEncoderReranker:
        """The reranker that `save` wrote, opened at once. Arguments and errors as those of the class."""
        reranker = cls(
            Path(folder), device=device, max_length=max_length, batch_tokens=batch_tokens, backend=backend
        )
        reranker._model.backend("torch" if backend == AUTO else backend)
        return reranker

    def _computed(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """The logits of distinct pairs."""
        backend = self._model.backend("torch" if self.backend == AUTO else self.backend)
        if not pairs:
            return {}
        tokens = backend.tokenize(pairs)
        with self._counting:
            self.truncated += int(tokens.cut.sum())
        logits = backend.logits(tokens)
        if np.isnan(logits).any():
            query, document = pairs[int(np.flatnonzero(np.isnan(logits))[0])]
            raise NotFiniteError(f"{self.model} gave NaN for the pair ({query[:80]!r}, {document[:80]!r}).")
        return dict(zip(pairs, logits.tolist(), strict=True))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logit)) in float32, without overflow."""
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(logits))
    scores: NDArray[np.float32] = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)
