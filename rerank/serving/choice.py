"""Chooses the fastest back end on this machine among those that score like float32."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.tokens import Pair
from rerank.errors import ModelError
from rerank.serving.backend import Backend, BackendName

NDCG_CUTOFF = 10
REFERENCE: BackendName = "torch"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a back end may deviate from float32.

    Args:
        score_error: maximum mean difference of a score in [0, 1].
        ndcg_loss: how much lower nDCG@10 may be, if there are grades.
    """

    score_error: float
    ndcg_loss: float


@dataclass(frozen=True, slots=True)
class BackendMeasurement:
    """What was measured of one back end.

    Args:
        backend: which one.
        seconds: median time for all pairs; NaN if it cannot run.
        score_error: mean difference of a score from that of float32.
        ndcg_loss: how much lower nDCG@10 is than in float32; NaN without grades.
        refused: why it must not be chosen; "" if it may be.
    """

    backend: BackendName
    seconds: float = np.nan
    score_error: float = np.nan
    ndcg_loss: float = np.nan
    refused: str = ""


@dataclass(frozen=True, slots=True)
class BackendReport:
    """The result of `CrossEncoderReranker.choose_backend`.

    Args:
        chosen: the fastest of those within the tolerance.
        measured: every candidate.
    """

    chosen: BackendName
    measured: tuple[BackendMeasurement, ...]

    def lines(self) -> Iterator[str]:
        """The report in words."""
        reference = next(each.seconds for each in self.measured if each.backend == REFERENCE)
        for each in self.measured:
            found = f"{reference / each.seconds:.2f} times as fast, score error {each.score_error:.4f}"
            if not np.isnan(each.ndcg_loss):
                found += f", nDCG@{NDCG_CUTOFF} {-each.ndcg_loss:+.4f}"
            verdict = "chosen" if each.backend == self.chosen else each.refused or "slower"
            yield f"{each.backend}: {verdict if np.isnan(each.seconds) else f'{found} ({verdict})'}"


def choose(
    backends: Mapping[BackendName, Callable[[], Backend]],
    pairs: Sequence[Pair],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    tolerance: Tolerance,
    grades: Sequence[float] | NDArray[np.floating] | None = None,
    *,
    repetitions: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> BackendReport:
    """Let every back end score the same pairs, taking turns.

    Args:
        backends: by name, a function that opens each; `REFERENCE` must be among them.
        pairs: n pairs, like those that will be scored.
        score: maps logits to [0, 1].
        tolerance: how far a back end may deviate from float32.
        grades: how relevant each pair is, shape (n,); None compares scores only.
        repetitions: timed runs of each back end, after one that is not timed.
        clock: returns seconds; only differences matter.
    """
    opened: dict[BackendName, Backend] = {}
    failed: list[BackendMeasurement] = []
    for name, open_backend in backends.items():
        try:
            opened[name] = open_backend()
        except ModelError as error:
            failed.append(BackendMeasurement(name, refused=f"cannot run: {error}"))
    scores = {name: score(_logits(backend, pairs)) for name, backend in opened.items()}  # also warms up
    seconds: dict[BackendName, list[float]] = {name: [] for name in opened}
    for _ in range(repetitions):
        for name, backend in opened.items():
            start = clock()
            _logits(backend, pairs)
            seconds[name].append(clock() - start)

    def measurement(name: BackendName, found: NDArray[np.float32]) -> BackendMeasurement:
        exact = scores[REFERENCE]
        return BackendMeasurement(
            name,
            seconds=float(np.median(seconds[name])),
            score_error=float(np.abs(found - exact).mean()),
            ndcg_loss=np.nan if grades is None else _ndcg(pairs, grades, exact) - _ndcg(pairs, grades, found),
        )

    measured = [_judged(measurement(name, found), tolerance) for name, found in scores.items()]
    passed = [each for each in measured if not each.refused]
    chosen = min(passed, key=lambda each: each.seconds).backend
    return BackendReport(chosen, (*measured, *failed))


def _judged(measured: BackendMeasurement, tolerance: Tolerance) -> BackendMeasurement:
    if measured.score_error > tolerance.score_error:
        return replace(measured, refused=f"exceeds the allowed score error of {tolerance.score_error:g}")
    if measured.ndcg_loss > tolerance.ndcg_loss:
        return replace(measured, refused=f"exceeds the allowed nDCG loss of {tolerance.ndcg_loss:g}")
    return measured


def _logits(backend: Backend, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    return backend.logits(backend.tokenize(pairs))


def _ndcg(
    pairs: Sequence[Pair], grades: Sequence[float] | NDArray[np.floating], scores: NDArray[np.float32]
) -> float:
    """Mean nDCG@10 of the queries with more than one pair and something relevant."""
    from sklearn.metrics import ndcg_score

    rows: dict[str, list[int]] = {}
    for row, (query, _) in enumerate(pairs):
        rows.setdefault(query, []).append(row)
    relevance = np.asarray(grades, dtype=np.float64)
    values = [
        ndcg_score([relevance[own]], [scores[own]], k=NDCG_CUTOFF)
        for own in rows.values()
        if len(own) > 1 and relevance[own].any()
    ]
    return float(np.mean(values)) if values else np.nan
