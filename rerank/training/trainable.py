"""Selects which part of a network is trained."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rerank.cross_encoder.layers import embeddings, encoder_layers, head
from rerank.errors import InputError
from rerank.training.options import FitOptions

if TYPE_CHECKING:
    from peft import PeftConfig
    from sentence_transformers import CrossEncoder


@contextmanager
def trainable(network: CrossEncoder, options: FitOptions) -> Iterator[None]:
    """Inside the block, only the part selected by the options requires gradients; adapters are merged at its end.

    Raises:
        InputError: the network has fewer layers than are to be frozen, or the adapters do not fit it.
        ModelError: layers are to be frozen but cannot be found.
    """
    if options.adapters is not None:
        with _adapted(network, options.adapters, options.seed):
            yield
        return
    if options.frozen_layers:
        _, layers = encoder_layers(network)
        if options.frozen_layers > len(layers):
            raise InputError(
                f"frozen_layers must be at most {len(layers)} for this model, got {options.frozen_layers}"
            )
        for part in (embeddings(network), *layers[: options.frozen_layers]):
            part.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@contextmanager
def _adapted(network: CrossEncoder, config: PeftConfig, seed: int) -> Iterator[None]:
    import torch
    from peft import get_peft_model

    model: Any = network[0].model
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft uses a deprecated name of transformers
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        torch.default_generator.manual_seed(seed)  # for the adapters' initial weights
        try:
            adapted = get_peft_model(model, copy.deepcopy(config))  # in place; it also changes the config
        except ValueError as error:
            network.requires_grad_(True)
            raise InputError(f"the adapters do not fit this model: {error}") from error
    try:
        for part in head(network):
            part.requires_grad_(True)
        yield
    finally:
        network[0].model = adapted.merge_and_unload()
        network.requires_grad_(True)
