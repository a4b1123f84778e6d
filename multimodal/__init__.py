"""Text and image encoders and their fusion: strings and photos in, float32 vectors of unit length out.

This package stands alone: it knows str, PIL images and numpy arrays, and nothing of items, indexes or queries.
Importing it loads no model library; constructing an encoder does.
"""

from __future__ import annotations

from multimodal.clip import ClipEncoder
from multimodal.errors import ImageError, ModelNotFoundError, MultimodalError
from multimodal.fusion import WeightedConcat, WeightedSum
from multimodal.images import load_image
from multimodal.text import TextEncoder, UnknownTokensWarning

__all__ = [
    "ClipEncoder",
    "ImageError",
    "ModelNotFoundError",
    "MultimodalError",
    "TextEncoder",
    "UnknownTokensWarning",
    "WeightedConcat",
    "WeightedSum",
    "load_image",
]
