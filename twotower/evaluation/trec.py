"""Runs as files that trec_eval and its relatives read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twotower.evaluation.metrics import Run, ranking


def write_run(path: str | Path, run: Run, name: str = "twotower") -> None:
    """Write a run in TREC's format: query, "Q0", document, rank, score and name, parted by spaces.

    trec_eval ranks by score in single precision and reads no rank. Scores that single precision cannot tell apart
    are lowered by its smallest step, so that its order is the order that `evaluate_run` uses.

    Args:
        path: of the file; its folder exists.
        run: scores by query and document.
        name: of the system, without spaces.

    Raises:
        ValueError: an id or the name has white space in it, which the format cannot hold, or a score is NaN.
    """
    lines = []
    for query, scores in run.items():
        below = np.float32(np.inf)
        for rank, document in enumerate(ranking(query, scores), start=1):
            for word in (query, document, name):
                if word.split() != [word]:
                    raise ValueError(
                        f"{word!r} is empty or has white space in it; TREC's format cannot hold it."
                    )
            below = min(np.float32(scores[document]), np.nextafter(below, np.float32(-np.inf)))
            lines.append(f"{query} Q0 {document} {rank} {below!s} {name}\n")
    Path(path).write_text("".join(lines), encoding="utf-8")
