"""Text and image encoders and their fusion: strings and photos in, float32 vectors of unit length out.

This package stands alone: it knows str, PIL images and numpy arrays, and nothing of items, indexes or queries.
Importing it loads no model library; constructing an encoder does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal.clip.encoder import ClipEncoder
    from multimodal.errors import ImageError, ModelNotFoundError, MultimodalError, UnknownTokensWarning
    from multimodal.fusion import WeightedConcat, WeightedSum
    from multimodal.images import load_image
    from multimodal.text.encoder import TextEncoder
    from multimodal.text.options import TextFitOptions
    from multimodal.text.training import TextFitReport

__all__ = [
    "ClipEncoder",
    "ImageError",
    "ModelNotFoundError",
    "MultimodalError",
    "TextEncoder",
    "TextFitOptions",
    "TextFitReport",
    "UnknownTokensWarning",
    "WeightedConcat",
    "WeightedSum",
    "load_image",
]

_HOMES = {
    "ClipEncoder": "multimodal.clip.encoder",
    "ImageError": "multimodal.errors",
    "ModelNotFoundError": "multimodal.errors",
    "MultimodalError": "multimodal.errors",
    "TextEncoder": "multimodal.text.encoder",
    "TextFitOptions": "multimodal.text.options",
    "TextFitReport": "multimodal.text.training",
    "UnknownTokensWarning": "multimodal.errors",
    "WeightedConcat": "multimodal.fusion",
    "WeightedSum": "multimodal.fusion",
    "load_image": "multimodal.images",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'multimodal' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
