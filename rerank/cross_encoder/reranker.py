"""`CrossEncoderReranker`: scores, ranks, weighs words, calibrates, trains and saves."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimodal.hub import locate
from multimodal.precision import native_bf16
from rerank.calibration import CalibrationReport, Labels, Method, calibrate, shares_of
from rerank.checks import (
    check_choice,
    check_is,
    check_number,
    check_text,
    check_whole,
    listed,
    path_of,
    texts_of,
)
from rerank.cross_encoder.model import Model
from rerank.cross_encoder.scoring import PairScorer
from rerank.cross_encoder.tokens import Pair, normalized
from rerank.errors import require
from rerank.model_card import ModelCard
from rerank.ranked import Ranked, check_limits, ranked
from rerank.serving.backend import BACKENDS, BackendName
from rerank.serving.choice import BackendReport, Tolerance, choose
from rerank.serving.export import FILES
from rerank.training.data import normalized_grades
from rerank.training.fit import fit
from rerank.training.losses import LossName
from rerank.training.options import FitOptions
from rerank.training.report import FitReport
from rerank.word_weights import MAX_WORDS, WordWeight, word_weights

AUTO: Literal["auto"] = "auto"
AUTO_PAIRS = 64


class CrossEncoderReranker:
    """Relevance of candidate texts to a query, in [0, 1], by a BERT-like cross-encoder.

    Any sentence-transformers cross-encoder with one score per pair works. A model without a scoring head, such as a
    sentence encoder, is given a random one and refuses to score until it has been trained by `fit`.

    Constructing loads no torch: the model is opened, or downloaded to the hub's cache, by the first call that needs
    it. A model saved with a back end of ONNX Runtime can be served without torch. Remote code is never run, and
    pickled weights are never read. Scoring is thread-safe; do not score while `fit` runs.

    Args:
        model: a folder, or a name on the model hub such as "cross-encoder/ms-marco-MiniLM-L6-v2", found as by
            `multimodal.TextEncoder`: a `Path` is always a folder, a string is one if it exists, and a model that is
            installed as a package or in the hub's cache is used without asking the hub.
        device: a torch device such as "cpu" or "cuda:0"; None takes the best one available.
        max_length: maximum tokens of a pair, query and candidate together; None takes the model's own limit.
        batch_tokens: maximum tokens of a padded batch when scoring, rows x longest; None takes what suits the
            device, 1,024 on a CPU and 16,384 on a GPU.
        backend: what computes scores. "torch" in float32 (on a GPU: in the precision of the weights); "torch-bf16"
            with matrix products in bfloat16; "onnx" and "onnx-int8" by ONNX Runtime and "openvino" by OpenVINO in
            float32, on the CPU, exported when first used (some 20 seconds) and kept by `save`; "auto" calls
            `choose_backend` with the first `AUTO_PAIRS` pairs that come in one call, and is "torch" until then.
        cache_pairs: how many pairs are remembered with their scores (100,000 take about 25 MB); 0 remembers none.
            An item whose text changes is scored again; `fit` and `choose_backend` clear the cache.

    Raises:
        InputError: `max_length` or `batch_tokens` is below 1, or there is no such back end.
        ModelNotFoundError: `model` is a path at which there is no folder.
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
        check_choice("backend", backend, (*BACKENDS, AUTO))
        for name, value in {"max_length": max_length, "batch_tokens": batch_tokens}.items():
            if value is not None:
                check_whole(name, value, least=1)
        check_whole("cache_pairs", cache_pairs, least=0)
        if device is not None:
            check_text("device", device)
        location = locate(model)
        # A folder by its absolute path, which outlives os.chdir; any other model by its hub name.
        self.model = location if Path(model).expanduser().is_dir() else str(model)
        self._backend_name: BackendName | Literal["auto"] = backend
        self._model = Model(location, device, max_length, batch_tokens)
        self._batch_tokens = batch_tokens
        self._scorer = PairScorer(self._model, self.model, cache_pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    @property
    def backend(self) -> BackendName | Literal["auto"]:
        """What computes scores; after `choose_backend`, the one it chose."""
        return self._backend_name

    @property
    def truncated(self) -> int:
        """How many pairs have been truncated to `max_length` and scored so far; those of `fit` do not count."""
        return self._scorer.truncated

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance of each pair: the sigmoid of its logit; after `calibrate`, the probability of being relevant.

        A score depends on its pair alone, not on the other pairs, up to rounding: about 1e-5 in float32, about 0.02
        in bfloat16 and 8-bit integers.

        Args:
            pairs: n pairs of query text and candidate text. Texts are brought to Unicode form NFKC; a pair
                given twice is computed once; a pair that is too long loses the end of its candidate text, about
                which a `TruncationWarning` is issued the first time.

        Returns:
            float32 in [0, 1], shape (n,), in the order of `pairs`; higher is better.

        Raises:
            InputError: a pair is not two strings.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is not a cross-encoder with one score, or its calibration is damaged.
            NotFittedError: the model's head is random; call `fit` first.
            NotFiniteError: the network computed NaN.
        """
        logits = self.logits(pairs)
        return self._model.calibration()(logits)

    def logits(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """What `score` maps to [0, 1]: float32, shape (n,), unbounded, never calibrated; otherwise like `score`."""
        texts = normalized(pairs)
        if not texts:
            return np.empty(0, dtype=np.float32)
        if self.backend == AUTO:
            distinct = list(dict.fromkeys(texts))
            if len(distinct) >= AUTO_PAIRS:
                self.choose_backend(distinct[:AUTO_PAIRS])
        return self._scorer.logits(texts, self._scoring_backend())

    def rank(
        self, query: str, documents: Sequence[str], *, top_k: int | None = None, min_score: float = 0.0
    ) -> list[Ranked]:
        """Rank documents by how well they answer a query, best first.

        Args:
            query: the query text.
            documents: n candidate texts.
            top_k: maximum number of documents to return; None returns all.
            min_score: minimum score of a document, in [0, 1]; with a calibrated reranker, its probability.

        Returns:
            By descending score, ties in the order of `documents`; empty if no document reaches `min_score`.

        Raises:
            InputError: an argument is out of range; and whatever `score` raises.
        """
        check_limits(top_k, min_score)
        check_text("query", query)
        texts = texts_of("documents", documents)
        logits = self.logits([(query, text) for text in texts])
        return ranked(texts, logits, self._model.calibration()(logits), top_k, min_score)

    def word_weights(self, query: str, document: str, *, max_words: int = MAX_WORDS) -> list[WordWeight]:
        """Measure which words matter: each is left out of its text in turn, and the change of the logit taken.

        Two copies of a word are two words. Words beyond `max_length` get weights near 0. This takes as long as
        scoring one pair for each word, and adds to `truncated`.

        Args:
            query: the query text.
            document: the candidate text.
            max_words: how many words of each text are examined, from its beginning; later ones are not reported.

        Returns:
            A weight for each word, by descending weight, ties in the order of the text. Words are runs of letters
            and digits; in Chinese, single characters.

        Raises:
            InputError: `max_words` is below 1; and whatever `score` raises.
        """
        check_whole("max_words", max_words, least=1)
        check_text("query", query)
        check_text("document", document)
        return word_weights(self.logits, query, document, max_words)

    def calibrate(
        self, pairs: Sequence[Pair], labels: Labels, *, method: Method = "platt"
    ) -> CalibrationReport:
        """Turn scores into probabilities, using pairs that the model was not fitted on.

        From then on `score` is the probability that a pair is relevant; `save` keeps the calibration and `fit`
        discards it. It is a fixed function of the logit, the same for every query, and keeps the order of the logits.

        Args:
            pairs: n pairs of several queries, like those that will be scored; some hundreds or more.
            labels: how relevant each pair is, in [0, 1], shape (n,). A label between 0 and 1 is a share: 0.3 counts
                as 0.3 of a relevant pair and 0.7 of an irrelevant one.
            method: "platt" fits sigmoid(slope * logit + intercept); "isotonic" fits any increasing curve and needs
                more pairs, a thousand or more.

        Returns:
            The errors before and after; its `lines` give the report in words.

        Raises:
            InputError: labels do not match the pairs or do not rise with the logits, or there is only one query.
        """
        texts = normalized(pairs)
        shares = shares_of(labels, len(texts))
        report = calibrate(self.logits(texts), shares, [query for query, _ in texts], method)
        self._model.set_calibration(report.calibration)
        return report

    def choose_backend(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating] | None = None,
        *,
        max_score_error: float = 0.03,
        max_ndcg_loss: float = 0.003,
    ) -> BackendReport:
        """Measure every back end on this machine, and switch to the fastest that scores like float32.

        Args:
            pairs: n pairs like those that will be scored, some hundreds of several queries.
            grades: how relevant each pair is, shape (n,), to compare nDCG@10 too; None compares scores only.
            max_score_error: maximum mean difference of a score in [0, 1] from float32. That of 8-bit integers is
                about 0.02 on CPUs that add their products in 16 bits.
            max_ndcg_loss: how much lower than in float32 nDCG@10 may be.

        Returns:
            What was chosen and why; its `lines` give the report in words.

        Raises:
            InputError: there are no pairs, or the grades do not match them; and whatever `score` raises.
        """
        check_number("max_score_error", max_score_error, least=0)
        check_number("max_ndcg_loss", max_ndcg_loss, least=0)
        texts = normalized(pairs)
        require(bool(texts), "there are no pairs to measure with")
        if grades is not None:
            grades = normalized_grades(grades, len(texts))
        bf16 = native_bf16(self._model.network().device.type)
        names = [name for name in BACKENDS if name != "torch-bf16" or bf16]
        report = choose(
            {name: partial(self._model.backend, name) for name in names},
            texts,
            self._model.calibration(),
            Tolerance(max_score_error, max_ndcg_loss),
            grades,
        )
        self._backend_name = report.chosen
        self._model.keep_only(report.chosen)
        self._scorer.forget()
        return report

    def fit(
        self,
        pairs: Sequence[Pair],
        grades: Sequence[float] | NDArray[np.floating],
        *,
        groups: Sequence[Hashable] | None = None,
        loss: LossName | Sequence[LossName] | None = None,
        epochs: int | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        options: FitOptions | None = None,
    ) -> FitReport:
        """Train on graded pairs, then keep the weights that did best on the held-out pairs.

        The optimizer is AdamW; the learning rate rises over the first tenth and then falls to 0. The held-out pairs
        are evaluated before training, then four times an epoch or twenty times in total, whichever is less often.
        Training starts from the present weights, so a second `fit` refines the first. If it is interrupted (Ctrl-C),
        the best weights so far stay and the exception is raised again. With the same seed, machine and number of
        threads, and without `max_seconds`, two fits give the same weights.

        Args:
            pairs: n pairs of query text and candidate text.
            grades: how relevant each is, at least 0, shape (n,). Grades up to 1 are taken as they are; if any
                is above 1, all are divided by the highest, so that 0 to 3 becomes 0 to 1.
            groups: the group of each pair, whose members are compared with each other and held out together; None
                groups by query text.
            loss: as in `FitOptions`; None leaves it to `options`.
            epochs: the same.
            learning_rate: the same.
            batch_size: the same.
            options: everything else; None takes the defaults of `FitOptions`.

        Raises:
            InputError: the pairs, grades or groups do not match, an argument is out of range, or the checkpoint
                belongs to another fit.
            ModelNotFoundError: on first use, there is no such model.
            ModelError: on first use, the model is not a cross-encoder with one score.
            NotFiniteError: the loss became NaN; lower `learning_rate`.
        """
        options = FitOptions() if options is None else options
        check_is("options", options, FitOptions, "FitOptions")
        options = options.with_given(
            loss=loss, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size
        )
        texts = normalized(pairs)
        groups = [query for query, _ in texts] if groups is None else listed("groups", groups)
        try:
            return fit(
                self._model, self.model, texts, grades, groups, options, batch_tokens=self._batch_tokens
            )
        finally:
            self._scorer.forget()

    def save(self, folder: str | Path, /, *, card: str | ModelCard | None = None) -> None:
        """Write model, tokenizer, `max_length` and calibration to a folder that `load` reads: safetensors and JSON.

        With a back end of ONNX Runtime or OpenVINO its files are included, so that serving from the folder needs no
        torch. An earlier save of the same name is replaced. The folder appears under its name only when complete.

        Args:
            folder: a new name, or an earlier save.
            card: the content of its README.md, such as a `ModelCard`; None writes none.

        Raises:
            InputError: the folder exists and is something other than a saved cross-encoder.
            NotFittedError: the model's head is random; call `fit` first.
        """
        if card is not None:
            check_is("card", card, str | ModelCard, "text or a ModelCard")
        self._model.save(
            path_of("folder", folder), onnx=self.backend in FILES, card=None if card is None else str(card)
        )

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
        """Open the reranker that `save` wrote at once. Arguments and errors are those of the class and of `score`."""
        reranker = cls(
            path_of("folder", folder),
            device=device,
            max_length=max_length,
            batch_tokens=batch_tokens,
            backend=backend,
        )
        reranker._model.backend(reranker._scoring_backend())
        return reranker

    def _scoring_backend(self) -> BackendName:
        return "torch" if self._backend_name == AUTO else self._backend_name
