"""Where the weights of an open_clip model are, found before open_clip looks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multimodal.checks import check_text, path_of
from multimodal.errors import ModelNotFoundError
from multimodal.hub import locate, require_hub, was_downloaded

LOCAL = "local-dir:"
HUB = "hf-hub:"
# The files of a repository in the order in which open_clip looks for them.
SAFE_WEIGHTS, WEIGHTS = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"


def find_weights(architecture: str, pretrained: str | Path | None) -> tuple[str, str | None]:
    """Say at once what open_clip would say only after minutes of retries, or not at all.

    Without `pretrained` open_clip would create random weights.

    Args:
        architecture: as `ClipEncoder` takes it.
        pretrained: the same.

    Returns:
        Both as open_clip takes them, folders and files with absolute paths.

    Raises:
        ModelNotFoundError: the weights are neither on this machine nor on a reachable hub.
    """
    import open_clip

    check_text("architecture", architecture)
    weights = None if pretrained is None else str(pretrained)
    file = None if pretrained is None else path_of("pretrained", pretrained)
    if architecture.startswith(LOCAL):
        return f"{LOCAL}{locate(Path(architecture.removeprefix(LOCAL)))}", weights
    if architecture.startswith(HUB):
        _check_hub(architecture.removeprefix(HUB))
        return architecture, weights
    if architecture not in open_clip.list_models():
        raise ModelNotFoundError(
            f"open_clip has no architecture '{architecture}': pass one of open_clip.list_models(), "
            "'hf-hub:organisation/name' or 'local-dir:folder'"
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights in tags:
        _check_hub(open_clip.get_pretrained_cfg(architecture, weights)["hf_hub"].rpartition("/")[0])
        return architecture, weights
    if file is None or not file.is_file():
        raise ModelNotFoundError(
            f"'{pretrained}' is neither a weights file nor a tag of {architecture}: pass a file or one of {tags}"
        )
    return architecture, str(file)


def local_files(architecture: str, pretrained: str | None) -> Path | None:
    """The model's folder or its file of weights; None for those of a tag or hub name that were not downloaded.

    Args:
        architecture: as `find_weights` returns it.
        pretrained: the same.
    """
    if architecture.startswith(LOCAL):
        return Path(architecture.removeprefix(LOCAL))
    if architecture.startswith(HUB):
        return _downloaded(architecture.removeprefix(HUB), ("open_clip_config.json",), whole=True)
    if pretrained is None or Path(pretrained).is_absolute():
        return None if pretrained is None else Path(pretrained)
    import open_clip

    repository, _, name = (
        open_clip.get_pretrained_cfg(architecture, pretrained).get("hf_hub", "").rpartition("/")
    )
    names = (Path(name).with_suffix(".safetensors").name, name) if name else (SAFE_WEIGHTS, WEIGHTS)
    return _downloaded(repository, names) if repository else None


def _downloaded(repository: str, names: Sequence[str], *, whole: bool = False) -> Path | None:
    """The first of these files of a repository of the hub that is in the cache, or the folder that it lies in."""
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found).parent if whole else Path(found)
    return None


def _check_hub(repository: str) -> None:
    if not was_downloaded(repository):
        require_hub(repository, remedy="pass a weights file, 'local-dir:folder' or ClipEncoder.compact()")
