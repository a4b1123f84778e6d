"""The options that choose a store's models, and the encoder built from them, which is loaded when first needed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from multimodal.fusion import WeightedConcat
from multimodal.hub import DEFAULT_TEXT_MODEL
from twotower import presets
from twotower.commands import arguments
from twotower.presets.rebuilding import deferred_encoder, encoder_from
from twotower.store.folder import StoreFolder, is_store
from twotower.towers.deferred import DeferredEncoder


def add_model_options(parser: ArgumentParser, *, text: str, image: str) -> None:
    """Add the options that name models.

    Args:
        parser: to add them to.
        text: the default of the text model, for the help.
        image: the default of the image model, for the help.
    """
    parser.add_argument("--text-model", metavar="MODEL", help=f"hub name or folder (default: {text})")
    parser.add_argument(
        "--image-model",
        metavar="ARCH",
        help=f"open_clip architecture or local-dir:FOLDER (default: {image})",
    )
    parser.add_argument("--image-weights", metavar="TAG_OR_FILE", help="weights of the image model")


def add_weight_options(parser: ArgumentParser) -> None:
    """Add the options for the weights of words and photos."""
    for name, what, example in (("text", "words", 0.9), ("image", "photos", 0.1)):
        parser.add_argument(
            f"--{name}-weight",
            type=arguments.weight,
            metavar="W",
            help=f"weight of the {what}, such as {example}",
        )


def check_model_options(given: Namespace) -> None:
    """Refuse image weights without an image model as wrong usage."""
    if given.image_weights is not None and given.image_model is None:
        given.parser.error("--image-weights needs --image-model: pass both")


def chosen_models(given: Namespace) -> Mapping[str, Any] | None:
    """The description of the encoder that the options choose; None if none was given."""
    check_model_options(given)
    if given.text_weight == given.image_weight == 0:
        given.parser.error("--text-weight and --image-weight must not both be 0")
    names = ("text_model", "image_model", "image_weights", "text_weight", "image_weight")
    if all(getattr(given, name) is None for name in names):
        return None
    text, image = given.text_weight, given.image_weight
    fusion = WeightedConcat(
        text=presets.TEXT_WEIGHT if text is None else text,
        image=presets.IMAGE_WEIGHT if image is None else image,
    )
    return {
        "text": {"model": given.text_model or DEFAULT_TEXT_MODEL},
        "image": {"architecture": given.image_model, "pretrained": given.image_weights}
        if given.image_model
        else {"compact": True},
        "fusion": fusion.describe(),
    }


def encoder_for(store: Path, models: Mapping[str, Any] | None) -> DeferredEncoder | None:
    """The encoder to index a store with.

    Args:
        store: a store, or a new or empty folder.
        models: describes it; None for that of the store.

    Returns:
        None for the default encoder of a new store.
    """
    if not is_store(store):
        return None if models is None else DeferredEncoder(partial(encoder_from, models))
    with closing(StoreFolder.open(store, read_only=True)) as folder:
        return deferred_encoder(folder, models)
