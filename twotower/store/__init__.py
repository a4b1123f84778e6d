"""The store folder: what `Retriever.save` writes and `Retriever.open` reads."""
