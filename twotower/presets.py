"""The usual parts put together; the only file that knows all three packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal.clip.encoder import ClipEncoder
from multimodal.fusion import WeightedConcat, WeightedSum
from multimodal.text.encoder import TextEncoder
from rerank.cascade import Cascade, Stage
from rerank.decay import Decay, DecayBy
from twotower.errors import StoreError
from twotower.towers.dual_encoder import DualEncoder
from twotower.towers.parts import TextTower
from twotower.types import Reranker, Staged

# On real photos the compact model sees little more than colour: a larger share of it costs more than it brings.
TEXT_WEIGHT, IMAGE_WEIGHT = 0.9, 0.1


def default_encoder() -> DualEncoder:
    """MiniLM for text, the shipped compact CLIP model for photos, weighted concatenation.

    Raises:
        ModelNotFoundError: the text model is neither installed nor on a reachable hub.
    """
    fusion = WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)
    return DualEncoder(TextEncoder(), ClipEncoder.compact(), fusion)


def default_decay() -> Decay:
    """A score loses at most a fifth, half of that within 90 days."""
    return Decay.half_life(days=90, weight=0.2)


def staged(reranker: Reranker | Staged | None) -> Staged | None:
    """A reranker that can be given a time to be done by; a plain one becomes the one stage of a cascade."""
    if reranker is None or isinstance(reranker, Staged):
        return reranker
    return Cascade(Stage(reranker, None, "rerank"))


def encoder_from(description: Mapping[str, Any]) -> DualEncoder:
    """Build the encoder that `DualEncoder.describe` described.

    Raises:
        StoreError: the description names something that this version does not have.
    """
    try:
        text = _text_from(description["text"])
        if description["image"] is None:
            return DualEncoder(text)
        return DualEncoder(text, _image_from(description["image"]), _fusion_from(description["fusion"]))
    except KeyError as error:
        raise StoreError(
            f"the store's encoder {description} is unknown ({error}): pass it as encoder="
        ) from error


def decay_from(description: Mapping[str, Any]) -> Decay | DecayBy:
    """Build the decay that `Decay.describe` or `DecayBy.describe` described."""
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
