"""Where the weights of an open_clip model are, found before open_clip looks for them."""

from __future__ import annotations

from pathlib import Path

from multimodal.checks import check_text, path_of
from multimodal.errors import ModelNotFoundError
from multimodal.hub import locate, require_hub, was_downloaded

LOCAL = "local-dir:"
HUB = "hf-hub:"


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
    """The model's folder or its file of weights; None for weights that are known by their tag or hub name.

    Args:
        architecture: as `find_weights` returns it.
        pretrained: the same.
    """
    if architecture.startswith(LOCAL):
        return Path(architecture.removeprefix(LOCAL))
    file = None if pretrained is None or architecture.startswith(HUB) else Path(pretrained)
    return file if file is not None and file.is_absolute() else None


def _check_hub(repository: str) -> None:
    if not was_downloaded(repository):
        require_hub(repository, remedy="pass a weights file, 'local-dir:folder' or ClipEncoder.compact()")
