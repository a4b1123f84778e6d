"""Rebuild the library's own parts from the descriptions that a store keeps of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from multimodal.clip.encoder import ClipEncoder, describe_image_model
from multimodal.errors import ModelNotFoundError
from multimodal.fusion import WeightedConcat, WeightedSum
from multimodal.text.encoder import TextEncoder, describe_text_model
from rerank.decay import Decay, DecayBy
from twotower.corpus.description import CONTENT, OWN, describe, identity, in_short
from twotower.corpus.reindexing import reindex_items
from twotower.errors import StoreError
from twotower.store.folder import StoreFolder
from twotower.towers.deferred import DeferredEncoder
from twotower.towers.dual_encoder import DualEncoder
from twotower.towers.parts import TextTower
from twotower.types import Encoder


def encoder_of(store: StoreFolder, encoder: Encoder | None, *, reindex: bool = False) -> Encoder:
    """The encoder of an open store.

    A model that has moved is recognised by the content of its files, and a writable store keeps its new place.

    Args:
        store: open.
        encoder: that of the store; None rebuilds it from its description.
        reindex: encode all items again if the encoder is another one.

    Raises:
        StoreError: the encoder is another one, without `reindex`, or it cannot be rebuilt.
    """
    kept = store.item_store.settings
    known = kept["encoder"]
    if encoder is None:
        with _at_hand(store.folder):
            encoder = encoder_from(buildable(known, "encoder", store.folder))
    if not callable(getattr(encoder, "encode_items", None)):
        raise ValueError(f"encoder must be an Encoder, got {shown(encoder)}")
    found = describe(encoder)
    same = identity(found) == identity(known) and getattr(encoder, "dim", None) == kept["dim"]
    if reindex and not (same and known != OWN):
        reindex_items(store, encoder, {**kept, "encoder": found, "dim": encoder.dim})
    elif not same:
        raise StoreError(
            f"store '{store.folder}' was created with another encoder, {in_short(known)}, or its models have changed "
            "since: pass that one or restore them, or encode all items again with `twotower reindex` or "
            "Retriever.open(folder, reindex=True)"
        )
    elif found != known and store.read_only is None:
        store.item_store.set_settings({**kept, "encoder": found})
    return encoder


def deferred_encoder(store: StoreFolder, models: Mapping[str, Any] | None = None) -> DeferredEncoder:
    """The encoder of a store, which is not loaded until it has to encode; until then, its files identify it.

    Args:
        store: open.
        models: describes another encoder, as for `encoder_from`; None for that of the store.

    Raises:
        StoreError: the store's encoder cannot be rebuilt.
    """
    kept = store.item_store.settings
    wanted = buildable(kept["encoder"], "encoder", store.folder) if models is None else models
    with _at_hand(store.folder) if models is None else nullcontext():
        found = described_now(wanted)
    same = found is not None and identity(found) == identity(kept["encoder"])

    def load() -> DualEncoder:
        encoder = encoder_from(wanted)
        if found is not None and identity(describe(encoder)) != identity(found):
            raise StoreError(
                f"the models of store '{store.folder}' were replaced while they were in use: try again"
            )
        return encoder

    return DeferredEncoder(load, found, kept["dim"] if same else None)


def described_now(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The description of an encoder with the content that its models have now; loads none of them.

    Args:
        description: as for `encoder_from`.

    Returns:
        None if a model has to be downloaded first.

    Raises:
        ModelNotFoundError: a model is no longer where it was.
        StoreError: as for `encoder_from`.
    """
    with _known(description):
        models = {name: description[name] and _model_now(description[name]) for name in ("text", "image")}
    if models["text"] is None:
        return None
    return {**description, **models}


def changed_models(store: StoreFolder) -> Iterator[str]:
    """The models whose content has changed where the store expects them; loads none of them."""
    described = store.item_store.settings["encoder"]
    if not isinstance(described, Mapping):
        return
    for name in ("text", "image"):
        part = described.get(name)
        model = part.get("clip", part) if isinstance(part, Mapping) else {}
        with suppress(ModelNotFoundError, KeyError):  # it is elsewhere, or the user's own
            now = _model_now(model)
            if CONTENT in model and now is not None and now.get(CONTENT) != model[CONTENT]:
                yield (
                    f"the {name} model {in_short(model)} has changed since the store was created: restore it, or run "
                    "`twotower reindex`"
                )


def _model_now(model: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The description of a model with its content now; None if it has to be downloaded first."""
    if "clip" in model:
        return {"clip": _model_now(model["clip"])}
    if "model" in model:
        return describe_text_model(model["model"])
    if model.get("compact"):
        return describe_image_model(None)
    return describe_image_model(model["architecture"], model["pretrained"])


@contextmanager
def _at_hand(folder: Path) -> Iterator[None]:
    """Turn a missing model into an error that says what to do."""
    try:
        yield
    except ModelNotFoundError as error:
        raise StoreError(
            f"store '{folder}' was created with a model that cannot be loaded ({error}): pass it from its "
            f"new place as encoder=, or run `twotower reindex --store {folder} --text-model FOLDER`"
        ) from error


@contextmanager
def _known(description: Mapping[str, Any]) -> Iterator[None]:
    """Refuse a description that this version cannot read."""
    try:
        yield
    except KeyError as error:
        raise StoreError(
            f"the store's encoder {in_short(description)} is unknown ({error}): pass it as encoder="
        ) from error


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
    with _known(description):
        text = _text_from(description["text"])
        if description["image"] is None:
            return DualEncoder(text)
        return DualEncoder(text, _image_from(description["image"]), _fusion_from(description["fusion"]))


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
