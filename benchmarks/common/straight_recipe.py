"""The straight recipe of sentence-transformers' documentation: `semantic_search`, then `CrossEncoder.rank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer


class StraightRecipe:
    """Retrieve from texts by id, and rerank with another model, if any, as the documentation does."""

    def __init__(
        self,
        bi_encoder: SentenceTransformer,
        cross_encoder: CrossEncoder | None,
        documents: Mapping[str, str],
    ) -> None:
        self._bi_encoder = bi_encoder
        self._cross_encoder = cross_encoder
        self._ids = list(documents)
        self._texts = list(documents.values())
        self._embeddings = bi_encoder.encode_document(
            self._texts, convert_to_tensor=True, show_progress_bar=None
        )

    def search(self, query: str, depth: int = 100) -> dict[str, float]:
        """Scores by id of one query; the cross-encoder orders all `depth` candidates."""
        if self._cross_encoder is None:
            return self.search_all([query], depth)[0]
        (rows,) = map(list, self._retrieve([query], depth))
        ranked = self._cross_encoder.rank(query, [self._texts[row] for row in rows], show_progress_bar=False)
        return {self._ids[rows[entry["corpus_id"]]]: float(entry["score"]) for entry in ranked}

    def search_all(self, queries: Sequence[str], depth: int = 100) -> list[dict[str, float]]:
        """Scores by id of many queries, each step on all of them together, which is the fastest way it offers."""
        found = self._retrieve(queries, depth)
        if self._cross_encoder is None:
            return [{self._ids[row]: score for row, score in hits.items()} for hits in found]
        pairs = [
            (query, self._texts[row]) for query, hits in zip(queries, found, strict=True) for row in hits
        ]
        scores = iter(self._cross_encoder.predict(pairs, show_progress_bar=False).tolist())
        return [{self._ids[row]: next(scores) for row in hits} for hits in found]

    def run(self, queries: Mapping[str, str], depth: int = 100) -> dict[str, dict[str, float]]:
        """`search` for every query, by its id."""
        bar = tqdm(queries.items(), desc="sentence-transformers", unit="query", disable=None, leave=False)
        return {query: self.search(text, depth) for query, text in bar}

    def _retrieve(self, queries: Sequence[str], depth: int) -> list[dict[int, float]]:
        """Scores by document's row, best first, for each query."""
        from sentence_transformers import util

        embeddings = self._bi_encoder.encode_query(
            list(queries), convert_to_tensor=True, show_progress_bar=False
        )
        found = util.semantic_search(embeddings, self._embeddings, top_k=depth)
        return [{int(hit["corpus_id"]): float(hit["score"]) for hit in hits} for hits in found]
