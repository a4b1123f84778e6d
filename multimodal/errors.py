"""Every exception and warning of the package, each exception also the built-in that a caller would expect.

MultimodalError
  +- ImageError(ValueError)          a photo that cannot or must not be decoded
  +- ModelNotFoundError(OSError)     a model that is neither on disk nor on a reachable hub
  +- StaleModelError(RuntimeError)   a model whose weights on disk are not those in memory
UnknownTokensWarning(UserWarning)    texts that the text model cannot read
"""

from __future__ import annotations

from typing import Any

MAX_MESSAGE = 450  # characters


class BoundedError(Exception):
    """An exception whose message is cut in the middle if it is long."""

    def __init__(self, *args: object, **options: Any) -> None:
        super().__init__(*(cut(arg) if isinstance(arg, str) else arg for arg in args), **options)


class MultimodalError(BoundedError):
    """Base of every exception that `multimodal` raises on purpose."""


def cut(message: str) -> str:
    """A message of bounded length: the beginning says what it is about, the end what to do."""
    if len(message) <= MAX_MESSAGE:
        return message
    return f"{message[: MAX_MESSAGE // 2]} ... {message[-MAX_MESSAGE // 3 :]}"


class ImageError(MultimodalError, ValueError):
    """A photo is missing, damaged, too large or of another format; the message names the file."""


class ModelNotFoundError(MultimodalError, OSError):
    """A model is neither on disk nor on a reachable hub; the message says what to install or to pass."""


class StaleModelError(MultimodalError, RuntimeError):
    """A model's weights in memory are not those on disk, so its files do not identify its vectors."""


class UnknownTokensWarning(UserWarning):
    """A text model met texts that it cannot read; the message suggests models that can."""
