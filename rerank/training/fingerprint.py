"""Whether two fits are the same one, so that the second may resume the first."""

from __future__ import annotations

import json
from dataclasses import fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from rerank.training.data import GradedPairs, Split
from rerank.training.options import FitOptions

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

IGNORED = ("checkpoint", "watch", "progress")  # options that do not change the weights


def fingerprint(
    name: str, network: CrossEncoder, data: GradedPairs, split: Split, options: FitOptions
) -> str:
    """A hash of everything that decides the result of a fit, except the values of the initial weights.

    These are left out because an interrupted fit has changed them; the model's name stands for them.
    """
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    for ignored in IGNORED:
        del values[ignored]
    values["loss"] = options.losses
    if options.adapters is not None:
        values["adapters"] = options.adapters.to_dict()
    shapes = {each: list(weights.shape) for each, weights in network.named_parameters()}
    digest = blake2b(digest_size=16)
    for part in (name, values, shapes, dict(data.encoded.columns)):
        digest.update(json.dumps(part, sort_keys=True, default=_plain).encode("utf-8", "surrogatepass"))
    for column in (data.targets, data.groups, split.train, split.held_out):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)  # the order of a set varies between runs
