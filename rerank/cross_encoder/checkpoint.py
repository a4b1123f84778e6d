"""A cross-encoder's files: opened from a folder or the model hub, checked, and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal.hub import is_replaceable, load_from_hub, one_line, replacing
from multimodal.precision import check_device
from rerank.errors import InputError, ModelError, require

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

MODEL_TYPE = "CrossEncoder"  # what sentence-transformers calls this kind of model in its files


def open_checkpoint(location: str, device: str | None) -> CrossEncoder:
    """Open the network, and check that it gives one score per pair.

    Args:
        location: a folder or a hub name, as `multimodal.hub.locate` returns it. A hub model in the local cache is
            used as it is there, without asking the hub.
        device: a torch device; None takes the best one available.

    Raises:
        ModelNotFoundError: the hub does not have the model, or does not answer.
        ModelError: the model exists but is not a cross-encoder with one score, or has no safetensors weights.
    """
    check_device(device, error=InputError)
    if Path(location).is_dir():
        network = _load_folder(Path(location), device)
    else:
        network = load_from_hub(location, lambda source, local: _load(source, device, local_files_only=local))
    _check(network, location)
    return network


def has_new_head(network: CrossEncoder) -> bool:
    """Whether the scoring head was added on loading, with random weights, because the files have none."""
    body = network[0]
    if getattr(body, "transformer_task", None) != "sequence-classification":
        return False  # the score comes from a module of its own, which has its own files
    architectures = getattr(network.config, "architectures", None) or ()
    return not any(name.endswith("ForSequenceClassification") for name in architectures)


def save_checkpoint(
    network: CrossEncoder, folder: Path, write_more: Callable[[Path], None] | None = None
) -> None:
    """Save the model; the folder appears under its name only when complete.

    Args:
        network: the model.
        folder: a new name, or an earlier save, which is replaced.
        write_more: adds further files to the folder before it gets its name.

    Raises:
        InputError: `folder` exists and holds something other than a saved cross-encoder.
    """
    folder = folder.expanduser().absolute()
    check_replaceable(folder)
    with replacing(folder) as new:
        network.save_pretrained(str(new), create_model_card=False)
        if write_more is not None:
            write_more(new)


def check_replaceable(folder: Path) -> None:
    """Check that a model may be saved there, which is better known before it is trained than after.

    Raises:
        InputError: the folder exists and holds something other than a saved cross-encoder.
    """
    require(
        is_replaceable(folder, MODEL_TYPE),
        f"{folder} exists and is not a saved cross-encoder: choose another folder",
    )


def _load_folder(folder: Path, device: str | None) -> CrossEncoder:
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        raise ModelError(f"{folder} has no config.json, so it is not a model: pass the folder that has it")
    try:
        return _load(str(folder), device, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be loaded as a cross-encoder with safetensors weights: {one_line(error)}"
        ) from error


def _load(name: str, device: str | None, *, local_files_only: bool) -> CrossEncoder:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder
    from sentence_transformers.util import get_device_name

    device = get_device_name() if device is None else device
    # Half precision is slow and inaccurate on most CPUs; accelerators keep the precision the weights were saved in.
    dtype = "auto" if device.startswith("cuda") else torch.float32
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # a head that is added here is always the same
            network: CrossEncoder = CrossEncoder(
                name,
                device=device,
                trust_remote_code=False,
                local_files_only=local_files_only,
                model_kwargs={"use_safetensors": True, "dtype": dtype},
            )
    except SafetensorError as error:
        raise OSError(f"its weights are damaged: {error}") from error
    return network


def _check(network: CrossEncoder, name: str) -> None:
    if network.num_labels != 1:
        raise ModelError(f"{name} must give one score per pair (num_labels=1), got {network.num_labels}")
    tokenizer = network.tokenizer
    if tokenizer is None or tokenizer.pad_token_id is None:
        raise ModelError(f"{name} has no tokenizer with a padding token: pass a text cross-encoder")
    prompted = network.default_prompt_name is not None
    if prompted or network[0].transformer_task not in ("sequence-classification", "feature-extraction"):
        raise ModelError(f"{name} wraps its pairs in a prompt: pass a cross-encoder that reads plain pairs")
