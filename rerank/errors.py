"""Every exception of the package, each also the built-in that a caller would expect.

RerankError
  +- InputError(ValueError)              an argument, pair, grade or age that cannot be used
  +- ModelError(ValueError)              a model that is there but cannot be used as a cross-encoder
  +- ModelNotFoundError(OSError)         neither a folder nor a model of the hub
  +- NotFittedError(RuntimeError)        the model's head is still random
  +- NotFiniteError(FloatingPointError)  the network computed NaN
"""

from __future__ import annotations


class RerankError(Exception):
    """Base of every exception that `rerank` raises on purpose."""


class InputError(RerankError, ValueError):
    """An argument, a pair, a grade or an age cannot be used; the message names it."""


class ModelError(RerankError, ValueError):
    """A model was found but cannot be used as a cross-encoder with one score."""


class ModelNotFoundError(RerankError, OSError):
    """A model is neither a folder here nor a name that the model hub can give."""


class NotFittedError(RerankError, RuntimeError):
    """A score was asked of a model whose head was freshly added and never trained."""


class NotFiniteError(RerankError, FloatingPointError):
    """The network computed a score or a loss that is not a number."""


def require(holds: bool, message: str) -> None:
    """Refuse what cannot be used.

    Raises:
        InputError: it does not hold.
    """
    if not holds:
        raise InputError(message)
