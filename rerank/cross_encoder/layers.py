"""The layers of a BERT-like network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rerank.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch.nn import Module, ModuleList


def encoder_layers(network: CrossEncoder) -> tuple[str, ModuleList]:
    """The list of encoder layers in the transformers model, and its name there.

    Raises:
        ModelError: there is no such list, or more than one.
    """
    from torch.nn import ModuleList

    model: Any = network[0].model
    count = getattr(model.config, "num_hidden_layers", None)
    found = [
        (name, each)
        for name, each in model.named_modules()
        if isinstance(each, ModuleList) and len(each) == count
    ]
    if len(found) != 1:
        raise ModelError(
            f"{type(model).__name__} has no single list of its {count} layers: use a BERT-like model"
        )
    return found[0]


def embeddings(network: CrossEncoder) -> Module:
    """What comes before the first layer, if the model keeps it in one module, or else the word embeddings."""
    model: Any = network[0].model
    backbone = model.base_model
    module: Module = getattr(backbone, "embeddings", None) or backbone.get_input_embeddings()
    return module


def head(network: CrossEncoder) -> list[Module]:
    """What follows the last layer: the pooler and everything outside the backbone."""
    model: Any = network[0].model
    backbone = model.base_model
    parts = [part for part in model.children() if part is not backbone] if backbone is not model else []
    pooler = getattr(backbone, "pooler", None)
    return [*parts, *list(network)[1:], *([pooler] if pooler is not None else [])]
