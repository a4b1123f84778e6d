"""Which back end is the fastest on this machine among those that score as float32 does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rerank.backends.backend import Backend, BackendName
from rerank.errors import ModelError
from rerank.tokens import Pair

K = 10
REFERENCE: BackendName = "torch"


@dataclass(frozen=True, slots=True)
class Gate:
    """How far a back end may be from float32.

    Args:
        score_error: largest mean difference of a score in [0, 1].
        ndcg_loss: most that nDCG@10 may be lower, where there are grades.
    """

    score_error: float
    ndcg_loss: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One back end.

    Args:
        backend: which one.
        seconds: median time for all pairs; NaN where it cannot run.
        score_error: mean difference of a score from that of float32.
        ndcg_loss: by how much nDCG@10 is lower than in float32; NaN without grades.
        refused: why it was not chosen; "" where it may be.
    """

    backend: BackendName
    seconds: float = np.nan
    score_error: float = np.nan
    ndcg_loss: float = np.nan
    refused: str = ""


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What `choose` found.

    Args:
        chosen: the fastest that passed.
        measured: every candidate.
    """

    chosen: BackendName
    measured: tuple[Measured, ...]

    def lines(self) -> Iterator[str]:
        """The report in words."""
        reference = next(each.seconds for each in self.measured if each.backend == REFERENCE)
        for each in self.measured:
            found = f"{reference / each.seconds:.2f} times as fast, score error {each.score_error:.4f}"
            if not np.isnan(each.ndcg_loss):
                found += f", nDCG@{K} {-each.ndcg_loss:+.4f}"
            verdict = "chosen" if each.backend == self.chosen else each.refused or "slower"
            yield f"{each.backend}: {verdict if np.isnan(each.seconds) else f'{found} ({verdict})'}"


def choose(
    backends: Mapping[BackendName, Callable[[], Backend]],
    pairs: Sequence[Pair],
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    gate: Gate,
    grades: Sequence[float] | NDArray[np.floating] | None = None,
    *,
    repetitions: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> BackendReport:
    """Let every back end score the same pairs, in turns.

    Args:
        backends: by name, what opens each; `REFERENCE` is among them.
        pairs: n pairs, of the kind that will be scored.
        score: logits to [0, 1].
        gate: how far a back end may be from float32.
        grades: how relevant each pair is, shape (n,); None looks at scores alone.
        repetitions: how often each is timed, after one time for nothing.
        clock: seconds since any moment.
    """
    opened: dict[BackendName, Backend] = {}
    refused: dict[BackendName, str] = {}
    for name, opening in backends.items():
        try:
            opened[name] = opening()
        except ModelError as error:
            refused[name] = f"cannot run: {error}"
    scores = {name: score(_logits(backend, pairs)) for name, backend in opened.items()}
    seconds: dict[BackendName, list[float]] = {name: [] for name in opened}
    for _ in range(repetitions):
        for name, backend in opened.items():
            start = clock()
            _logits(backend, pairs)
            seconds[name].append(clock() - start)
    measured = [
        _judged(
            Measured(
                name,
                float(np.median(seconds[name])),
                float(np.abs(scores[name] - scores[REFERENCE]).mean()),
                np.nan
                if grades is None
                else _ndcg(pairs, grades, scores[REFERENCE]) - _ndcg(pairs, grades, found),
            ),
            gate,
        )
        for name, found in scores.items()
    ]
    passed = [each for each in measured if not each.refused]
    chosen = min(passed, key=lambda each: each.seconds).backend
    return BackendReport(chosen, (*measured, *(Measured(name, refused=why) for name, why in refused.items())))


def _judged(measured: Measured, gate: Gate) -> Measured:
    if measured.score_error > gate.score_error:
        return replace(measured, refused=f"more than the score error of {gate.score_error:g} that is allowed")
    if measured.ndcg_loss > gate.ndcg_loss:
        return replace(measured, refused=f"more than the nDCG loss of {gate.ndcg_loss:g} that is allowed")
    return measured


def _logits(backend: Backend, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    return backend.logits(backend.tokenize(pairs))


def _ndcg(
    pairs: Sequence[Pair], grades: Sequence[float] | NDArray[np.floating], scores: NDArray[np.float32]
) -> float:
    """Mean nDCG@10 of the queries that have more than one pair and something relevant."""
    from sklearn.metrics import ndcg_score

    rows: dict[str, list[int]] = {}
    for row, (query, _) in enumerate(pairs):
        rows.setdefault(query, []).append(row)
    wanted = np.asarray(grades, dtype=np.float64)
    found = [
        ndcg_score([wanted[own]], [scores[own]], k=K)
        for own in rows.values()
        if len(own) > 1 and wanted[own].any()
    ]
    return float(np.mean(found)) if found else np.nan
