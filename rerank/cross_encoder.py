"""The second stage: a model that reads the query and one candidate together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rerank.backends.backend import BACKENDS, BackendName
from rerank.backends.choice import BackendReport, Gate, choose
from rerank.backends.export import FILES
from rerank.backends.network import native_bf16
from rerank.cache import ScoreCache
from rerank.calibrating import CalibrationReport, Labels, calibrate, shares_of
from rerank.calibration import Method
from rerank.card import ModelCard
from rerank.errors import NotFiniteError, require
from rerank.explain import MOST_WORDS, WordWeight, word_weights
from rerank.model import Model
from rerank.ranking import Ranked, check_limits, ranked
from rerank.tokens import Pair, normalized
from rerank.training.data import targets_of
from rerank.training.fit import fit
from rerank.training.losses import LossName
from rerank.training.options import FitOptions
from rerank.training.report import Evaluation, FitReport, Keep
from rerank.truncation import Truncations

if TYPE_CHECKING:
    from peft import PeftConfig

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
        batch_tokens: most tokens of a padded batch when scoring, rows x longest; None is what suits the
            device, 1,024 on a CPU and 16,384 on a GPU.
        backend: what computes scores. "torch" in float32 (on a GPU: as the weights were saved); "torch-bf16" with
            matrix products in bfloat16; "onnx" and "onnx-int8" by ONNX Runtime and "openvino" by OpenVINO in float32,
            on the CPU, exported when first used (some 20 seconds) and kept by `save`; "auto" calls
            `choose_backend` with the first pairs that are at least `AUTO_PAIRS`, and is "torch" until then.
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
        batch_tokens: int | None = None,
        backend: BackendName | Literal["auto"] = "torch",
        cache_pairs: int = 0,
    ) -> None:
        require(backend in (*BACKENDS, AUTO), f"backend is one of {(*BACKENDS, AUTO)}, not {backend!r}.")
        require(max_length is None or max_length >= 1, f"max_length is at least 1, not {max_length}.")
        require(batch_tokens is None or batch_tokens >= 1, f"batch_tokens is at least 1, not {batch_tokens}.")
        require(cache_pairs >= 0, f"cache_pairs is at least 0, not {cache_pairs}.")
        self.model = str(model)
        self._name: BackendName | Literal["auto"] = backend
        self._model = Model(model, device, max_length, batch_tokens)
        self._batch_tokens = batch_tokens
        self._cache = ScoreCache(cache_pairs)
        self._truncations = Truncations()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    @property
    def backend(self) -> BackendName | Literal["auto"]:
        """What computes scores; after `choose_backend`, what that has chosen."""
        return self._name

    @property
    def truncated(self) -> int:
        """How many pairs have been computed and cut to `max_length` so far; `fit` is not counted."""
        return self._truncations.count

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance of each pair: the sigmoid of its logit; after `calibrate`, the probability of being relevant.

        A score depends on its pair alone, not on the other pairs: in float32 to about 1e-5, in bfloat16 and in 8-bit
        integers to about 0.02.

        Args:
            pairs: n pairs of query text and candidate text. Texts are brought to Unicode form NFKC; a pair
                given twice is computed once; a pair that is too long loses the end of its candidate text, and
                the first time that happens a `TruncationWarning` tells.

        Returns:
            float32 in [0, 1], shape (n,), in the order of `pairs`; higher is better.

        Raises:
            InputError: a pair is not two strings.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is no cross-encoder with one score, or its calibration is damaged.
            NotFittedError: the model's head is random; call `fit` first.
            NotFiniteError: the network computed NaN.
        """
        logits = self.logits(pairs)
        return self._model.calibration()(logits)

    def logits(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """What `score` maps to [0, 1]: float32, shape (n,), unbounded, never calibrated. The rest is as there."""
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

    def rank(
        self, query: str, documents: Sequence[str], *, top_k: int | None = None, min_score: float = 0.0
    ) -> list[Ranked]:
        """The documents that answer a query, best first.

        Args:
            query: the query text.
            documents: n candidate texts.
            top_k: most documents to return; None is all.
            min_score: least score of a document, in [0, 1]; with a calibrated reranker, its probability.

        Returns:
            By falling score, ties in the order of `documents`; empty where no document reaches `min_score`.

        Raises:
            InputError: an argument is out of its range; and as `score`.
        """
        check_limits(top_k, min_score)
        require(not isinstance(documents, str), "documents is one text: pass a list of texts.")
        texts = list(documents)
        logits = self.logits([(query, text) for text in texts])
        return ranked(texts, logits, self._model.calibration()(logits), top_k, min_score)

    def explain(self, query: str, document: str, *, most_words: int = MOST_WORDS) -> list[WordWeight]:
        """The words that mattered: each is left out of its text in turn, and the logit is looked at.

        Two copies of a word are two words. What stands behind `max_length` weighs about nothing. It takes as
        long as scoring one pair for each word, and adds to `truncated`.

        Args:
            query: the query text.
            document: the candidate text.
            most_words: the first words of either text that are left out in turn; later ones are not told of.

        Returns:
            A weight for each word, the heaviest first, ties in the order of the text. Words are runs of letters
            and digits; of Chinese, single characters.

        Raises:
            InputError: `most_words` is below 1; and as `score`.
        """
        require(most_words >= 1, f"most_words is at least 1, not {most_words}.")
        normalized([(query, document)])  # refuses what is not text
        return word_weights(self.logits, query, document, most_words)

    def calibrate(
        self, pairs: Sequence[Pair], labels: Labels, *, method: Method = "platt"
    ) -> CalibrationReport:
        """Turn scores into probabilities, by pairs that the model was not fitted on.

        From then on `score` is the probability that a pair is relevant; `save` keeps that, and `fit` forgets it.
        It is a fixed function of the logit, the same for every query, and keeps the order of the logits.

        Args:
            pairs: n pairs of several queries, like those that will be scored; some hundreds or more.
            labels: how relevant each pair is, in [0, 1], shape (n,). Between 0 and 1 it is a share of relevance:
                a label of 0.3 counts as 0.3 of a relevant pair and 0.7 of one that is not.
            method: "platt" fits sigmoid(slope * logit + intercept); "isotonic" fits any rising curve and needs
                more pairs, a thousand or more.

        Returns:
            The errors before and after; `lines` tells it in words.

        Raises:
            InputError: labels do not match the pairs or do not rise with the logits, or there is one query only.
        """
        texts = normalized(pairs)
        shares = shares_of(labels, len(texts))
        report = calibrate(self.logits(texts), shares, [query for query, _ in texts], method)
        self._model.calibrated(report.calibration)
        return report

    def choose_backend(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating] | None = None,
        *,
        most_score_error: float = 0.03,
        most_ndcg_loss: float = 0.003,
    ) -> BackendReport:
        """Measure every back end on this machine and go on with the fastest that scores as float32 does.

        Args:
            pairs: n pairs like those that will be scored, some hundreds of several queries.
            grades: how relevant each pair is, shape (n,), to compare nDCG@10, too; None compares scores alone.
            most_score_error: largest mean difference of a score in [0, 1] from that in float32. That of 8-bit
                integers is about 0.02 where the CPU adds their products in 16 bits.
            most_ndcg_loss: most that nDCG@10 may be lower than in float32.

        Returns:
            What was chosen and why; `lines` tells it in words.

        Raises:
            InputError: there are no pairs, or the grades do not match them; and as `score`.
        """
        texts = normalized(pairs)
        require(bool(texts), "There are no pairs to measure with.")
        if grades is not None:
            grades = targets_of(grades, len(texts))
        bf16 = native_bf16(self._model.network().device.type)
        names = [name for name in BACKENDS if name != "torch-bf16" or bf16]
        report = choose(
            {name: partial(self._model.backend, name) for name in names},
            texts,
            self._model.calibration(),
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
        frozen_layers: int = 0,
        adapters: PeftConfig | None = None,
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
            frozen_layers: so many lower layers stay as they are, and the embeddings with them, which is faster; 0
                trains everything.
            adapters: a config of the package `peft`, such as `LoraConfig`: only adapters, pooler and head are
                trained, and merged into the weights at the end.
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
            frozen_layers=frozen_layers,
            adapters=adapters,
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
        """Write model, tokenizer, `max_length` and calibration to a folder that `load` reads: safetensors and JSON.

        With a back end of ONNX Runtime or OpenVINO its files are there, too: who opens the folder needs no torch.

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
        batch_tokens: int | None = None,
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
        self._truncations.saw(tokens, stacklevel=3)
        logits = backend.logits(tokens)
        if np.isnan(logits).any():
            query, document = pairs[int(np.flatnonzero(np.isnan(logits))[0])]
            raise NotFiniteError(f"{self.model} gave NaN for the pair ({query[:80]!r}, {document[:80]!r}).")
        return dict(zip(pairs, logits.tolist(), strict=True))
