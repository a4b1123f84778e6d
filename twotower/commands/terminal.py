"""How the command line prints: one line per warning, one sentence per error, and no progress bars in a pipe."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Show each of our own warnings on one line, hide those and the logs of other libraries, and bars in a pipe."""
    from multimodal.errors import UnknownTokensWarning
    from twotower.errors import QueryWarning

    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UnknownTokensWarning)
        warnings.simplefilter("always", QueryWarning)
        warnings.showwarning = _show
        try:
            logging.disable(logging.WARNING)
            if not sys.stderr.isatty():
                _hide_bars()
            yield
        finally:
            logging.disable(disabled)


def prints_unicode() -> bool:
    """Whether standard output takes every character, as UTF-8 does."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("_", "-").startswith("utf-")


def is_expected(error: Exception) -> bool:
    """Whether the message of an error is enough to understand it, so that no traceback is needed."""
    from multimodal.errors import MultimodalError
    from rerank.errors import RerankError
    from twotower.errors import TwoTowerError

    return isinstance(error, TwoTowerError | MultimodalError | RerankError | OSError)


def one_line(message: object) -> str:
    """A message on one line, whatever it quotes."""
    return " ".join(str(message).split())


def tell(remark: str) -> None:
    """Print a remark to standard error, where programs that read the output do not see it."""
    sys.stderr.write(f"twotower: {one_line(remark)}\n")


def _hide_bars() -> None:
    """Hide the hub's progress bars and, if it is imported, those of transformers, whose import is slow."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    if (imported := sys.modules.get("transformers")) is not None:
        imported.utils.logging.disable_progress_bar()


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(f"twotower: warning: {one_line(message)}\n")
