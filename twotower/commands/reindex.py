"""`twotower reindex`: encode a store's items again after its models changed, or record where its models are now."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.models import add_model_options, check_model_options
from twotower.corpus.description import describe, identity
from twotower.corpus.persistent import PersistentCorpus
from twotower.presets.rebuilding import buildable, deferred_encoder, encoder_of, with_models
from twotower.store.folder import StoreFolder


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    reindex = add_command(
        commands,
        "reindex",
        "encode a store's items again after its models changed, or record where they are now",
        "twotower reindex --store store/",
        run,
    )
    add_store(reindex, written=True)
    add_model_options(reindex, text="unchanged", image="unchanged")


def run(given: Namespace) -> None:
    """Run the command."""
    check_model_options(given)
    with ExitStack() as closing:
        store = StoreFolder.open(given.store, wait=given.wait)
        closing.callback(store.close)
        before = store.item_store.settings["encoder"]
        models = with_models(
            buildable(before, "encoder", store.folder),
            given.text_model,
            given.image_model,
            given.image_weights,
        )
        encoder = encoder_of(store, deferred_encoder(store, models), reindex=True)
        corpus = PersistentCorpus.of(store)
        count = len(corpus)
        closing.callback(corpus.close)  # and write the files that make opening quick
    if identity(describe(encoder)) == identity(before):
        print("the models have not changed since the store was created: nothing to encode")
    else:
        print(f"{count:,} items encoded again")
