"""The retriever with the library's own parts, composed by default or from what a store describes."""

from __future__ import annotations

from twotower.presets.retriever import (
    IMAGE_WEIGHT,
    TEXT_WEIGHT,
    Retriever,
    Settings,
    default_decay,
    default_encoder,
)

__all__ = ["IMAGE_WEIGHT", "TEXT_WEIGHT", "Retriever", "Settings", "default_decay", "default_encoder"]
