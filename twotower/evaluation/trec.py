"""Write runs as files that trec_eval and similar tools read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multimodal.checks import check_path, check_text
from twotower.evaluation.checks import check_run
from twotower.evaluation.metrics import Run, ranking


def write_run(path: str | Path, run: Run, name: str = "twotower") -> None:
    """Write a run in TREC's format: query, "Q0", document, rank, score and name, separated by spaces.

    trec_eval ranks by score in single precision and ignores the rank column. Scores that single precision cannot
    tell apart are therefore lowered by its smallest step, so that trec_eval's order is that of `evaluate_run`.

    Args:
        path: of the file, in an existing folder.
        run: scores by query and document.
        name: of the system, without spaces.

    Raises:
        ValueError: an id or the name is empty or has white space in it, or a score is NaN.
    """
    check_path("path", path)
    check_run(run)
    check_text("name", name)
    lines = []
    for query, scores in run.items():
        below = np.float32(np.inf)
        for rank, document in enumerate(ranking(scores), start=1):
            for word in (query, document, name):
                if word.split() != [word]:
                    raise ValueError(
                        f"{word!r} is empty or has white space in it, which TREC's format cannot hold: rename it"
                    )
            below = min(np.float32(scores[document]), np.nextafter(below, np.float32(-np.inf)))
            lines.append(f"{query} Q0 {document} {rank} {below!s} {name}\n")
    Path(path).write_text("".join(lines), encoding="utf-8")
