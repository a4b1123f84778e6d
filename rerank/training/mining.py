"""Mine training pairs: every judged document with its grade, and unjudged ones from recall as hard negatives.

A model that has seen only judged documents does not know what all the others look like, and most of the candidates
that it will score are unjudged.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from reprlib import repr as shown
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from rerank.cascade import Scorer
from rerank.checks import check_is, check_number, check_text, check_whole, listed
from rerank.errors import InputError, require

TextOf: TypeAlias = "Callable[[Document], str]"
BLOCK_QUERIES = 64  # searched at a time, which bounds the hits held in memory
OVERDRAW = 3  # with a scorer, candidates drawn for each negative asked for, since some will be discarded


class HasText(Protocol):
    """A query that may carry more than words; `twotower.Query` is one."""

    @property
    def text(self) -> str:
        """Its words, possibly none."""


class Document(Protocol):
    """What is mined; `twotower.Item` is one."""

    @property
    def id(self) -> str:
        """Identifies it in the judgements."""

    @property
    def title(self) -> str:
        """Documents with the same title count as the same product; may be empty."""

    @property
    def words(self) -> str:
        """Title and description; stands in for a title that is empty."""


class Candidate(Protocol):
    """A search hit; `twotower.Hit` is one."""

    @property
    def item(self) -> Document:
        """The document found."""


class Recall(Protocol):
    """What negatives are mined from; `twotower.Retriever` is one."""

    def using(self, *, reranker: None, decay: None) -> Recall:
        """The same documents, ranked by recall alone."""

    def search_batch(self, queries: Sequence[Any], k: int, /) -> Sequence[Sequence[Candidate]]:
        """The k best documents of each query, best first."""

    def items(self) -> Iterable[Document]:
        """All documents."""

    def get(self, item_id: str, /) -> Document:
        """The document with this id."""

    def text_of(self, item: Any, /) -> str:
        """What the reranker reads of a document."""

    def __contains__(self, item_id: object, /) -> bool:
        """Whether there is a document with this id."""


@dataclass(frozen=True, slots=True)
class MinedPairs:
    """The result of `mine_pairs`, in the form that `CrossEncoderReranker.fit` takes.

    Args:
        pairs: n pairs of query text and document text.
        grades: in [0, 1], float32 of shape (n,).
        groups: for each pair the query text as `normalized` writes it, so that equal queries stay together.
        queries: number of queries with pairs.
        judged: number of judged pairs; the others are negatives.
        near: number of negatives from recall.
        far: number of negatives drawn at random from all documents.
        left_out: number of unjudged documents discarded because the scorer takes them for relevant.
        unindexed: number of judgements ignored because their document is not indexed.
    """

    pairs: list[tuple[str, str]]
    grades: NDArray[np.float32]
    groups: list[str]
    queries: int
    judged: int
    near: int
    far: int
    left_out: int
    unindexed: int

    def __str__(self) -> str:
        parts = [
            f"{len(self.pairs):,} pairs of {self.queries:,} queries: {self.judged:,} judged, "
            f"{self.near:,} unjudged from recall, {self.far:,} drawn from all items"
        ]
        if self.left_out:
            parts.append(f"{self.left_out:,} left out as likely relevant")
        if self.unindexed:
            parts.append(f"{self.unindexed:,} judgements of items that are not indexed")
        return "; ".join(parts)


def mine_pairs(
    recall: Recall,
    queries: Mapping[str, str | HasText],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    negatives: int = 4,
    ranks: tuple[int, int] = (10, 100),
    random: int = 1,
    scorer: Scorer | None = None,
    margin: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> MinedPairs:
    """Pair every query with its judged documents and with some unjudged ones, which get the grade 0.

    Unjudged documents are drawn from a range of recall's ranks: above it many are relevant, below it few are hard.
    A document is never a negative if it is known to be relevant, that is, if this query or another one with the same
    text has a positive grade for it or for a document of the same title. Where too few candidates remain, fewer
    negatives are returned.

    Queries without text are skipped.

    Args:
        recall: a retriever with the documents indexed; its reranker and decay are not used.
        queries: by id, text or a query with text, such as `twotower.ingest.read_queries` returns.
        qrels: grades by query id and document id; a negative grade counts as 0.
        negatives: unjudged documents from recall for each query, at least 0.
        ranks: how many of the first candidates to skip, and the last rank to draw from.
        random: unjudged documents from all documents for each query, at least 0.
        scorer: such as a reranker fitted earlier; unjudged documents that it takes for relevant are discarded.
        margin: with a scorer, an unjudged document is discarded if it scores above this share of the mean score of
            the query's relevant documents. Source: Moreira et al. 2024, "NV-Retriever: Improving text embedding
            models with effective hard-negative mining" (TopK-PercPos, there with one relevant document a query).
        seed: of the random draws.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        The pairs query by query, with grades divided by the highest one.

    Raises:
        InputError: an argument is out of range, a judged query is not among `queries`, or no judged document is
            both relevant and indexed.
    """
    check_whole("negatives", negatives, least=0)
    check_whole("random", random, least=0)
    check_number("margin", margin, above=0)
    check_whole("seed", seed, least=0)
    if progress is not None:
        check_is("progress", progress, bool, "True, False or None")
    _check_ranks(ranks)
    _check_judged(queries, qrels)
    if scorer is not None and not callable(getattr(scorer, "score", None)):
        raise InputError(f"scorer must have a method `score`, got {shown(scorer)}")
    if not callable(getattr(recall, "search_batch", None)):
        raise InputError(f"recall must be a Retriever, got {shown(recall)}")
    recall = recall.using(reranker=None, decay=None)
    texts = {query: text for query in qrels if (text := text_of(queries[query])).strip()}
    relevant = _relevant_by_text(texts, qrels)
    ids = [document.id for document in recall.items()] if random else []
    overdraw = 1 if scorer is None else OVERDRAW
    mined: list[_QueryPairs] = []
    left_out = 0
    hidden = None if progress is None else not progress  # tqdm: None hides the bar unless on a terminal
    with tqdm(total=len(texts), desc="mine", unit="query", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), BLOCK_QUERIES):
            block = list(texts)[start : start + BLOCK_QUERIES]
            found = recall.search_batch([queries[query] for query in block], ranks[1]) if negatives else []
            drawn = []
            for place, query in enumerate(block):
                each = _judged_pairs(recall, texts[query], qrels[query], relevant)
                rng = np.random.default_rng((seed, start + place))  # the same draws whatever the block size
                if negatives:
                    pool = [hit.item for hit in found[place][ranks[0] :]]
                    near = each.allowed([pool[row] for row in rng.permutation(len(pool))])
                    each = replace(each, near=near[: overdraw * negatives])
                if random:
                    count = overdraw * random
                    strangers = _sample(recall, ids, count + len(each.taken), rng)
                    each = replace(each, far=each.allowed(strangers)[:count])
                drawn.append(each)
            if scorer is not None:
                drawn, discarded = _without_likely_relevant(drawn, recall.text_of, scorer, margin)
                left_out += discarded
            mined += [replace(each, near=each.near[:negatives], far=each.far[:random]) for each in drawn]
            bar.update(len(block))
    unindexed = sum(document not in recall for query in texts for document in qrels[query])
    return _mined_pairs([each for each in mined if each.grades], recall.text_of, left_out, unindexed)


def _check_ranks(ranks: Any) -> None:
    """Check the two ends of a range of ranks.

    Raises:
        InputError: they are something else.
    """
    ends = listed("ranks", ranks)
    require(len(ends) == 2, f"ranks must be two numbers, such as (10, 100), got {shown(ranks)}")
    for place, end in enumerate(ends):
        check_whole(f"ranks[{place}]", end, least=0)
    require(ends[0] < ends[1], f"ranks must rise, got {shown(ranks)}")


def _check_judged(queries: Any, qrels: Any) -> None:
    """Check that queries have texts, and judgements are grades by query and document.

    Raises:
        InputError: they are something else, or a judged query is missing.
    """
    check_is("queries", queries, Mapping, "a mapping of ids to queries")
    check_is("qrels", qrels, Mapping, "a mapping of queries to the grades of documents")
    for query, grades in qrels.items():
        if query not in queries:
            raise InputError(f"query {shown(query)} is judged but not among the queries: pass its text too")
        text = queries[query]
        check_text(f"query {shown(query)}", text if isinstance(text, str) else getattr(text, "text", text))
        check_is(f"qrels of {shown(query)}", grades, Mapping, "a mapping of documents to grades")
        for document, grade in grades.items():
            check_number(f"the grade of {shown(document)} for {shown(query)}", grade)


def text_of(query: str | HasText) -> str:
    """The words of a query."""
    return query if isinstance(query, str) else query.text


def normalized(text: str) -> str:
    """A text without differences in Unicode form, case and spacing."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class _QueryPairs:
    """One query's documents.

    Args:
        text: of the query.
        grades: of the judged documents that are indexed.
        judged: these documents.
        masked: ids that must not be negatives.
        titles: normalized titles that a negative must not have.
        near: unjudged documents from recall.
        far: unjudged documents from anywhere.
    """

    text: str
    grades: Mapping[str, int]
    judged: Sequence[Document]
    masked: Collection[str]
    titles: Collection[str]
    near: Sequence[Document] = field(default=())
    far: Sequence[Document] = field(default=())

    @property
    def relevant(self) -> list[Document]:
        return [document for document in self.judged if self.grades[document.id] > 0]

    @property
    def taken(self) -> set[str]:
        """Ids that the next draw must not return."""
        return {*self.masked, *(document.id for document in self.near)}

    def allowed(self, documents: Iterable[Document]) -> list[Document]:
        """The documents that may become negatives."""
        taken = self.taken
        return [each for each in documents if each.id not in taken and _title(each) not in self.titles]


def _judged_pairs(
    recall: Recall, text: str, judged: Mapping[str, int], relevant: Mapping[str, Collection[str]]
) -> _QueryPairs:
    grades = {document: max(grade, 0) for document, grade in judged.items() if document in recall}
    known = relevant[normalized(text)]
    return _QueryPairs(
        text,
        grades,
        [recall.get(document) for document in grades],
        {*judged, *known},
        {_title(recall.get(document)) for document in known if document in recall},
    )


def _relevant_by_text(
    texts: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]
) -> dict[str, set[str]]:
    """Ids of relevant documents by normalized query text, so that queries with the same text share theirs."""
    relevant: dict[str, set[str]] = {}
    for query, text in texts.items():
        known = relevant.setdefault(normalized(text), set())
        known.update(document for document, grade in qrels[query].items() if grade > 0)
    return relevant


def _title(document: Document) -> str:
    return normalized(document.title if document.title.strip() else document.words)


def _sample(recall: Recall, ids: Sequence[str], count: int, rng: np.random.Generator) -> list[Document]:
    """`count` different documents, or all if there are fewer."""
    rows = rng.choice(len(ids), min(count, len(ids)), replace=False)
    return [recall.get(ids[row]) for row in rows]


def _without_likely_relevant(
    mined: Sequence[_QueryPairs], text_of: TextOf, scorer: Scorer, margin: float
) -> tuple[list[_QueryPairs], int]:
    """Discard unjudged documents that score about as high as relevant ones; also returns how many."""
    pairs = [
        (each.text, text_of(document))
        for each in mined
        for document in (*each.relevant, *each.near, *each.far)
    ]
    scores = iter(np.asarray(scorer.score(pairs), dtype=np.float64).tolist() if pairs else ())
    kept, discarded = [], 0
    for each in mined:
        of_relevant = [next(scores) for _ in each.relevant]
        limit = margin * float(np.mean(of_relevant)) if of_relevant else np.inf
        near = [document for document in each.near if next(scores) <= limit]
        far = [document for document in each.far if next(scores) <= limit]
        discarded += len(each.near) + len(each.far) - len(near) - len(far)
        kept.append(replace(each, near=near, far=far))
    return kept, discarded


def _mined_pairs(mined: Sequence[_QueryPairs], text_of: TextOf, left_out: int, unindexed: int) -> MinedPairs:
    top = max((grade for each in mined for grade in each.grades.values()), default=0)
    require(top > 0, "no judged item is both relevant and indexed: pass judgements of indexed items")
    pairs: list[tuple[str, str]] = []
    grades: list[float] = []
    groups: list[str] = []
    for each in mined:
        unjudged = [*each.near, *each.far]
        pairs += [(each.text, text_of(document)) for document in (*each.judged, *unjudged)]
        grades += [*(each.grades[document.id] / top for document in each.judged), *(0.0 for _ in unjudged)]
        groups += [normalized(each.text)] * (len(each.judged) + len(unjudged))
    return MinedPairs(
        pairs,
        np.array(grades, dtype=np.float32),
        groups,
        queries=len(mined),
        judged=sum(len(each.judged) for each in mined),
        near=sum(len(each.near) for each in mined),
        far=sum(len(each.far) for each in mined),
        left_out=left_out,
        unindexed=unindexed,
    )
