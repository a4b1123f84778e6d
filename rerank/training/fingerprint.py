"""Whether two fits are the same one."""

from __future__ import annotations

import json
from dataclasses import fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from rerank.training.data import Graded, Split
from rerank.training.options import FitOptions

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

WITHOUT = ("checkpoint", "watch", "progress")  # what does not change the weights


def fingerprint(source: str, network: CrossEncoder, data: Graded, split: Split, options: FitOptions) -> str:
    """A hash of everything that decides what a fit gives, but for the values of the first weights.

    They are left out because an interrupted fit has changed them; the model's name stands for them.
    """
    arguments = {each.name: getattr(options, each.name) for each in fields(options)}
    for name in WITHOUT:
        del arguments[name]
    shapes = {name: list(weights.shape) for name, weights in network.named_parameters()}
    digest = blake2b(digest_size=16)
    for part in (source, arguments, shapes, dict(data.tokens.columns)):
        digest.update(json.dumps(part, sort_keys=True, default=_plain).encode("utf-8", "surrogatepass"))
    for column in (data.targets, data.groups, split.train, split.held_out):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)  # the order of a set changes
