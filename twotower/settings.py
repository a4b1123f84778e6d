"""How a retriever was put together, as plain JSON values in its store, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from twotower import presets
from twotower.errors import StoreError
from twotower.recall.hybrid import Fusion, fusion_from
from twotower.recall.vectors.policy import IndexPolicy
from twotower.store.folder import Store
from twotower.towers.user import UserTower
from twotower.types import Decay, Describable, Encoder


class Settings(TypedDict, total=False):
    """The numbers and the user tower of a `Retriever`, as at its construction."""

    user_tower: UserTower | None
    user_weight: float
    relevance_weight: float
    rerank_depth: int | None
    hybrid: Fusion | None
    index: IndexPolicy


OWN = "own"  # in place of the description of a part that cannot describe itself


def describe(part: object) -> Mapping[str, Any] | str | None:
    """What a store says of a part: its description, "own" if it has none, None if there is no part."""
    if part is None:
        return None
    return part.describe() if isinstance(part, Describable) else OWN


def parts_of_new(encoder: Encoder | None, decay: Decay | None) -> tuple[Encoder, Decay | None]:
    """What a new store is made with: what was passed, or the usual encoder with the usual decay."""
    if encoder is not None:
        return encoder, decay
    return presets.default_encoder(), presets.default_decay() if decay is None else decay


def reopen(
    store: Store, encoder: Encoder | None, decay: Decay | None, given: Settings
) -> tuple[Encoder, Decay | None, Settings]:
    """What a store's retriever was put together from, with what the caller passed in its place.

    Args:
        store: open.
        encoder: what the caller passed, or None to build the store's.
        decay: what the caller passed, or None to build the store's.
        given: the caller's settings.

    Raises:
        StoreError: another encoder was given, or a part is missing that the library cannot build.
    """
    kept = dict(store.catalog.settings)
    encoder = reopen_encoder(kept.pop("encoder"), encoder, kept.pop("dim"), store.folder)
    decay = reopen_decay(kept.pop("decay"), decay, store.folder)
    user_tower, hybrid = UserTower(**kept.pop("user_tower")), kept.pop("hybrid")
    kept["index"] = IndexPolicy.from_description(kept["index"])
    if "hybrid" not in given and hybrid is not None:
        kept["hybrid"] = fusion_from(_required(hybrid, "hybrid", store.folder))
    settings: Settings = {**kept, "user_tower": user_tower, **given}  # type: ignore[typeddict-item]  # as `Retriever` wrote them
    return encoder, decay, settings


def reopen_encoder(
    described: Mapping[str, Any] | str, given: Encoder | None, dim: int, folder: Path
) -> Encoder:
    """The encoder that a store was made with.

    Args:
        described: what the store says of it.
        given: what the caller passed, or None to build it.
        dim: length of the store's vectors.
        folder: named in errors.

    Raises:
        StoreError: another encoder was given, or none and the library cannot build it.
    """
    if given is None:
        return presets.encoder_from(_required(described, "encoder", folder))
    if given.dim != dim or describe(given) != described:
        raise StoreError(
            f"store '{folder}' was made with another encoder ({described}, dim {dim}): pass that one, or index anew"
        )
    return given


def reopen_decay(
    described: Mapping[str, Any] | str | None, given: Decay | None, folder: Path
) -> Decay | None:
    """The decay of a store, or the given one.

    Raises:
        StoreError: none was given and the library cannot build the store's.
    """
    if given is not None or described is None:
        return given
    return presets.decay_from(_required(described, "decay", folder))


def _required(description: Mapping[str, Any] | str, part: str, folder: Path) -> Mapping[str, Any]:
    if isinstance(description, str):
        raise StoreError(f"store '{folder}' was made with a part of your own: pass it as {part}=")
    return description
