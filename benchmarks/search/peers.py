"""The peers of search quality: the straight sentence-transformers recipe, and txtai."""

from __future__ import annotations

import argparse
import sys

from benchmarks.common import models
from benchmarks.common.data import Dataset
from benchmarks.common.straight_recipe import StraightRecipe
from twotower.evaluation.metrics import Run


def peer_runs(data: Dataset, options: argparse.Namespace, depth: int) -> dict[str, Run]:
    """Search with every installed peer; both read words only."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    documents = {item.id: item.words for item in data.items if item.words}
    queries = {name: query.text for name, query in data.worded.items()}
    if not queries:
        print("sentence-transformers and txtai are left out: no query has words", file=sys.stderr)
        return {}
    model = models.text_model(options)
    cross_encoder = None
    if options.reranker is not None:
        cross_encoder = CrossEncoder(models.cross_encoder_folder(options), device=options.device)
    recipe = StraightRecipe(SentenceTransformer(model, device=options.device), cross_encoder, documents)
    runs: dict[str, Run] = {"sentence-transformers": recipe.run(queries, depth)}
    try:
        from txtai import Embeddings
    except ImportError as error:
        print(f"txtai is left out: {error}", file=sys.stderr)
        return runs
    # Its own hybrid search: its BM25 and the same text model, with equal weights.
    embeddings = Embeddings(path=model, content=False, hybrid=True, gpu=options.device != "cpu")
    embeddings.index((item_id, text, None) for item_id, text in documents.items())
    found = embeddings.batchsearch(list(queries.values()), depth)
    runs["txtai"] = {query: dict(hits) for query, hits in zip(queries, found, strict=True)}
    return runs
