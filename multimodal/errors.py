"""Every exception of the package, each also the built-in that a caller would expect.

MultimodalError
  +- ImageError(ValueError)          a photo that cannot or must not be decoded
  +- ModelNotFoundError(OSError)     a model that is neither on disk nor on a reachable hub
"""

from __future__ import annotations


class MultimodalError(Exception):
    """Base of every exception that `multimodal` raises on purpose."""


class ImageError(MultimodalError, ValueError):
    """A photo is missing, damaged, too large or of another format; the message names the file."""


class ModelNotFoundError(MultimodalError, OSError):
    """A model is neither on disk nor on a reachable hub; the message says what to install or to pass."""
