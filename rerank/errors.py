"""Every exception of the package. Each is also the built-in exception that a caller would expect.

RerankError
  +- InputError(ValueError)              an argument, pair, grade or age that cannot be used
  +- ModelError(ValueError)              a model that exists but cannot be used as a cross-encoder
  +- NotFittedError(RuntimeError)        the model's head still has random weights
  +- NotFiniteError(FloatingPointError)  the network computed NaN

A model that cannot be found is a `ModelNotFoundError`, the one that `multimodal` raises too.
"""

from __future__ import annotations

from multimodal.errors import BoundedError, ModelNotFoundError

__all__ = [
    "InputError",
    "ModelError",
    "ModelNotFoundError",
    "NotFiniteError",
    "NotFittedError",
    "RerankError",
    "require",
]


class RerankError(BoundedError):
    """Base of every exception that `rerank` raises on purpose."""


class InputError(RerankError, ValueError):
    """An argument, a pair, a grade or an age cannot be used; the message names it."""


class ModelError(RerankError, ValueError):
    """A model was found but cannot be used as a cross-encoder with one score."""


class NotFittedError(RerankError, RuntimeError):
    """A score was requested from a model whose head was newly added and never trained."""


class NotFiniteError(RerankError, FloatingPointError):
    """The network computed a score or a loss that is not a number."""


def require(condition: bool, message: str) -> None:
    """Reject what cannot be used.

    Raises:
        InputError: the condition does not hold.
    """
    if not condition:
        raise InputError(message)
