"""Rebuild the library's own parts from the descriptions that a store keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from multimodal.clip.encoder import COMPACT, ClipEncoder
from multimodal.clip.encoder import files_of as image_files
from multimodal.errors import ModelNotFoundError
from multimodal.fusion import WeightedConcat, WeightedSum
from multimodal.hub import locate
from multimodal.model_files import ModelFiles
from multimodal.text.encoder import TextEncoder
from multimodal.text.encoder import files_of as text_files
from rerank.decay import Decay, DecayBy
from twotower.corpus.description import CONTENT, OWN, describe, identity, in_short
from twotower.corpus.reindexing import reindex_items
from twotower.errors import StoreError
from twotower.store.folder import StoreFolder
from twotower.towers.dual_encoder import DualEncoder
from twotower.towers.parts import TextTower
from twotower.types import Encoder


def encoder_of(
    store: StoreFolder, make_encoder: Callable[[], Encoder] | None, *, reindex: bool = False
) -> Encoder:
    """The encoder of an open store.

    A model that has moved is recognised by the content of its files, and a writable store keeps its new place.

    Args:
        store: open.
        make_encoder: makes the encoder; None rebuilds it from its description.
        reindex: encode all items again if the encoder is another one.

    Raises:
        StoreError: the encoder is another one, without `reindex`, or it cannot be rebuilt.
    """
    kept = store.item_store.settings
    known = kept["encoder"]
    encoder = _rebuilt(store) if make_encoder is None else make_encoder()
    if not hasattr(encoder, "dim"):
        raise ValueError(f"encoder must be an Encoder, got {shown(encoder)}")
    found = describe(encoder)
    settings = {**kept, "encoder": found, "dim": encoder.dim}
    same = encoder.dim == kept["dim"] and identity(found) == identity(known)
    if reindex and not (same and known != OWN):
        reindex_items(store, encoder, settings)
    elif not same:
        raise StoreError(_another_encoder(store, known, built=make_encoder is None))
    elif found != known and store.read_only is None:
        store.item_store.set_settings(settings)
    return encoder


def changed_models(store: StoreFolder) -> Iterator[str]:
    """The models whose content has changed where the store expects them; loads none of them."""
    described = store.item_store.settings["encoder"]
    if not isinstance(described, Mapping):
        return
    for name in ("text", "image"):
        part = described.get(name)
        model = part.get("clip", part) if isinstance(part, Mapping) else {}
        with suppress(ModelNotFoundError, KeyError):  # it is elsewhere, or the user's own
            files = _files_of(model)
            if CONTENT in model and files is not None and files.digest() != model[CONTENT]:
                yield (
                    f"the {name} model {in_short(model)} has changed since the store was created: restore it, or run "
                    "`twotower reindex`"
                )


def _files_of(model: Mapping[str, Any]) -> ModelFiles | None:
    if "model" in model:
        return text_files(locate(model["model"]))
    if model.get("compact"):
        return ModelFiles(COMPACT)
    return image_files(model["architecture"], model["pretrained"])


def _rebuilt(store: StoreFolder) -> Encoder:
    description = buildable(store.item_store.settings["encoder"], "encoder", store.folder)
    try:
        return encoder_from(description)
    except ModelNotFoundError as error:
        raise StoreError(
            f"store '{store.folder}' was created with a model that cannot be loaded ({error}): pass it from its "
            f"new place as encoder=, or run `twotower reindex --store {store.folder} --text-model FOLDER`"
        ) from error


def _another_encoder(store: StoreFolder, known: Any, *, built: bool) -> str:
    problem = (
        f"the models of store '{store.folder}' have changed since it was created ({in_short(known)}): restore them"
        if built
        else f"store '{store.folder}' was created with another encoder ({in_short(known)}): pass that one"
    )
    return (
        f"{problem}, or encode all items again with `twotower reindex --store {store.folder}` or "
        "Retriever.open(folder, reindex=True)"
    )


def buildable(description: Mapping[str, Any] | str, part: str, folder: Path) -> Mapping[str, Any]:
    """A description from which a part can be rebuilt.

    Raises:
        StoreError: it is that of a part of the user's own.
    """
    if isinstance(description, str):
        raise StoreError(f"store '{folder}' was created with a part of your own: pass it as {part}=")
    return description


def encoder_from(description: Mapping[str, Any]) -> DualEncoder:
    """Rebuild an encoder from the description of `DualEncoder.describe`.

    Raises:
        StoreError: the description names something unknown to this version.
    """
    try:
        text = _text_from(description["text"])
        if description["image"] is None:
            return DualEncoder(text)
        return DualEncoder(text, _image_from(description["image"]), _fusion_from(description["fusion"]))
    except KeyError as error:
        raise StoreError(
            f"the store's encoder {in_short(description)} is unknown ({error}): pass it as encoder="
        ) from error


def with_models(
    description: Mapping[str, Any], text: str | None, image: str | None, weights: str | None
) -> Mapping[str, Any]:
    """The description of an encoder with other models.

    Args:
        description: as for `encoder_from`.
        text: a hub name or a folder; None for the model as it is described.
        image: an open_clip architecture; None for the model as it is described.
        weights: its tag or weights file.

    Raises:
        StoreError: an image model for an encoder that reads no photos.
    """
    changed = dict(description)
    if image is not None:
        if description["image"] is None:
            raise StoreError("the store was created without an image model: index again to add one")
        changed["image"] = {"architecture": image, "pretrained": weights}
        if "clip" in description["text"]:
            changed["text"] = {"clip": changed["image"]}
    if text is not None:
        changed["text"] = {"model": text}
    return changed


def decay_from(description: Mapping[str, Any]) -> Decay | DecayBy:
    """Rebuild a decay from the description of `Decay.describe` or `DecayBy.describe`."""
    if "attribute" in description:
        return DecayBy.from_description(description)
    return Decay.from_description(description)


def _text_from(description: Mapping[str, Any]) -> TextTower:
    if "clip" in description:
        return _image_from(description["clip"]).words()
    return TextEncoder(description["model"])


def _image_from(description: Mapping[str, Any]) -> ClipEncoder:
    if description.get("compact"):
        return ClipEncoder.compact()
    return ClipEncoder(description["architecture"], description["pretrained"])


def _fusion_from(description: Mapping[str, Any]) -> WeightedConcat | WeightedSum:
    methods: dict[str, type[WeightedConcat | WeightedSum]] = {
        "WeightedConcat": WeightedConcat,
        "WeightedSum": WeightedSum,
    }
    return methods[description["method"]](text=description["text"], image=description["image"])
