"""The one place where vectors are normalised to unit length."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twotower.errors import EncoderError
from twotower.types import Vectors


def unit_rows(vectors: NDArray[np.float32], *, rows: int, dim: int, source: str) -> Vectors:
    """Check the output of an encoder and scale every row to length 1.

    Args:
        vectors: numbers of shape (rows, dim).
        rows: how many inputs were encoded.
        dim: the encoder's `dim`.
        source: of the vectors, named in errors, such as "encode_items".

    Returns:
        A new float32 array of shape (rows, dim), C-contiguous.

    Raises:
        EncoderError: the shape is wrong, or a row is zero or contains NaN or infinity.
    """
    array = np.asarray(vectors)
    if array.shape != (rows, dim):
        raise EncoderError(
            f"{source} must return one row per input, an array of shape ({rows}, {dim}), got {array.shape}"
        )
    array = array.astype(np.float64)
    lengths = [math.sqrt(square) for square in np.vecdot(array, array).tolist()]
    for row, length in enumerate(lengths):
        if length == 0:
            raise EncoderError(f"{source} returned a zero vector in row {row}: it has no direction")
        if not length < math.inf:  # NaN, too
            raise EncoderError(f"{source} returned NaN or infinity in row {row}: check that input")
    array /= np.array(lengths).reshape(-1, 1)
    unit: Vectors = array.astype(np.float32)
    return unit
