"""Where a cross-encoder's files are: found, checked, loaded and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rerank.errors import InputError, ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_HUB_SECONDS = 5.0


def open_checkpoint(model: str | Path, device: str | None) -> CrossEncoder:
    """The network of a folder or of a hub name, checked to give one score per pair.

    Args:
        model: a `Path` is a folder; a `str` is a folder where one of that name exists, else a hub name. A
            model of the hub that is in the local cache is used as it is there, without asking the hub.
        device: as torch names it; None is the best there is.

    Raises:
        ModelNotFoundError: there is no such folder, or the hub does not have the model or does not answer.
        ModelError: the model is there but is no cross-encoder with one score, or has no safetensors weights.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        network = _read_folder(folder, device)
    elif isinstance(model, Path) or _is_path(model):
        raise ModelNotFoundError(f"There is no model folder {model}: pass an existing folder or a hub name.")
    else:
        network = _read_hub(model, device)
    _check(network, str(model))
    return network


def has_new_head(network: CrossEncoder) -> bool:
    """Whether the scoring head was added on loading, with random weights, because the files have none."""
    body = network[0]
    if getattr(body, "transformer_task", None) != "sequence-classification":
        return False  # the score comes from a module of its own, which has files of its own
    architectures = getattr(network.config, "architectures", None) or ()
    return not any(name.endswith("ForSequenceClassification") for name in architectures)


def save_checkpoint(network: CrossEncoder, folder: Path, also: Callable[[Path], None] | None = None) -> None:
    """Write the whole model beside `folder`, then rename it, so that the name never holds half a model.

    Args:
        network: the model.
        folder: a new name, or an earlier save.
        also: writes more into the folder of the model.

    Raises:
        InputError: `folder` exists and holds something else than a saved cross-encoder.
    """
    folder = folder.expanduser().absolute()
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        network.save_pretrained(str(new), create_model_card=False)
        if also is not None:
            also(new)
        try:
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise


def check_replaceable(folder: Path) -> None:
    """Check that a model may be saved there, which is worth knowing before it is trained.

    Raises:
        InputError: the folder exists and holds something else than a saved cross-encoder.
    """
    if folder.exists() and not _may_replace(folder):
        raise InputError(f"{folder} exists and is not a saved cross-encoder: choose another folder.")


def _is_path(name: str) -> bool:
    """Whether a string can only be meant as a path: a hub name is "name" or "owner/name"."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1


def _read_folder(folder: Path, device: str | None) -> CrossEncoder:
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        raise ModelError(f"{folder} holds no config.json, so it is not a model: pass the folder that has it.")
    try:
        return _load(str(folder), device, local=True)
    except (OSError, ValueError, KeyError) as error:
        reason = _first_line(error)
        raise ModelError(
            f"{folder} cannot be loaded as a cross-encoder with safetensors weights: {reason}"
        ) from error


def _read_hub(name: str, device: str | None) -> CrossEncoder:
    with suppress(OSError, ValueError):  # not in the cache, or not all of it
        return _load(name, device, local=True)
    _ask_hub(name)
    try:
        return _load(name, device, local=False)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"The model hub gave no cross-encoder {name!r} with safetensors weights ({_first_line(error)}): "
            "pass a hub name or an existing folder."
        ) from error


def _ask_hub(name: str) -> None:
    """One short request: the hub's own client would retry for most of a minute where there is no network."""
    from huggingface_hub import HfApi, get_session

    try:
        get_session().head(HfApi().endpoint, timeout=_HUB_SECONDS)
    except Exception as error:  # the client's errors have no common base but this
        raise ModelNotFoundError(
            f"{name!r} is neither a folder here nor in the local cache, and the model hub cannot be reached: "
            "pass the folder of a downloaded model."
        ) from error


def _load(name: str, device: str | None, *, local: bool) -> CrossEncoder:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder
    from sentence_transformers.util import get_device_name

    device = get_device_name() if device is None else device
    # Half precision is slow and coarse on most CPUs; accelerators keep what the weights were saved in.
    dtype = "auto" if device.startswith("cuda") else torch.float32
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # a head added here is the same one every time
            network: CrossEncoder = CrossEncoder(
                name,
                device=device,
                trust_remote_code=False,
                local_files_only=local,
                model_kwargs={"use_safetensors": True, "dtype": dtype},
            )
    except SafetensorError as error:
        raise OSError(f"its weights are damaged: {error}") from error
    return network


def _check(network: CrossEncoder, name: str) -> None:
    if network.num_labels != 1:
        raise ModelError(
            f"{name} gives {network.num_labels} scores per pair: pass a model with num_labels=1."
        )
    tokenizer = network.tokenizer
    if tokenizer is None or tokenizer.pad_token_id is None:
        raise ModelError(f"{name} has no tokenizer with a padding token: pass a text cross-encoder.")
    prompted = network.default_prompt_name is not None
    if prompted or network[0].transformer_task not in ("sequence-classification", "feature-extraction"):
        raise ModelError(f"{name} wraps its pairs in a prompt: pass a cross-encoder that reads plain pairs.")


def _may_replace(folder: Path) -> bool:
    """Whether nothing but an earlier save would be lost."""
    if not folder.is_dir():
        return False
    try:
        config = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return not any(folder.iterdir())
    except ValueError:
        return False
    return isinstance(config, dict) and config.get("model_type") == "CrossEncoder"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
