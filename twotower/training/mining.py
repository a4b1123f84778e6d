"""Pairs to fit a reranker on: what was judged, and unjudged items of the retriever's own recall beside it.

Judged items alone never teach a model what everything else looks like, and most of the candidates that it will
read are unjudged.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twotower.errors import JudgementError
from twotower.retriever import BaseRetriever
from twotower.types import Item, Reranker

AT_ONCE = 64  # queries searched at a time: memory is that of their hits
SPARE = 3  # times as many candidates are drawn where a scorer will leave some out


@dataclass(frozen=True, slots=True)
class Mined:
    """What `mine_pairs` gathered, in the form that `CrossEncoderReranker.fit` takes.

    Args:
        pairs: n pairs of query text and item text.
        grades: in [0, 1], float32 of shape (n,).
        groups: the query's words of each pair, as `same_words` writes them: equal queries stay together.
        queries: how many queries have pairs.
        judged: how many pairs were judged; the others are negatives.
        near: how many negatives are from the retriever's candidates.
        far: how many negatives were drawn from all items.
        left_out: unjudged items that the scorer took for relevant.
        unindexed: judgements that were passed over, because their item is not indexed.
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
        told = [
            f"{len(self.pairs):,} pairs of {self.queries:,} queries: {self.judged:,} judged, "
            f"{self.near:,} unjudged from recall, {self.far:,} drawn from all items"
        ]
        if self.left_out:
            told.append(f"{self.left_out:,} left out as likely relevant")
        if self.unindexed:
            told.append(f"{self.unindexed:,} judgements of items that are not indexed")
        return "; ".join(told)


def mine_pairs(
    retriever: BaseRetriever,
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    negatives: int = 4,
    ranks: tuple[int, int] = (10, 100),
    random: int = 1,
    scorer: Reranker | None = None,
    margin: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> Mined:
    """Give every judged item its grade, and some unjudged items of every query the grade 0.

    Unjudged items are drawn from the candidates that recall finds between two ranks: above them many are relevant,
    below them few are hard. An item is never a negative where it is known to be relevant: where this query or another
    of the same words has a positive grade for it, or for an item of the same title. Where fewer candidates are
    left than were asked for, fewer come.

    The retriever's reranker and decay take no part. Queries without words are passed over.

    Args:
        retriever: with the items indexed; of its hits only those of a block of queries are held in memory.
        queries: by id, such as `read_queries` gives them.
        qrels: grades by query and item, such as `read_qrels` gives them; below 0 counts as 0.
        negatives: unjudged items a query from recall, at least 0.
        ranks: how many of the first candidates are passed over, and up to which rank they are looked at.
        random: unjudged items a query from all items, at least 0.
        scorer: such as a reranker that was fitted before; it leaves out unjudged items that are likely relevant.
        margin: with a scorer, the share of the mean score of a query's relevant items above which an unjudged one is
            left out. Source: Moreira et al. 2024, "NV-BaseRetriever: Improving text embedding models with effective
            hard-negative mining" (TopK-PercPos, for one relevant item a query).
        seed: of the draws; a query's draws do not depend on how many queries come before it in a block.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        The pairs query by query, and the grades as shares of the highest.

    Raises:
        ValueError: an argument is out of its range.
        JudgementError: a judged query is not among `queries`, or no judged item is both relevant and indexed.
    """
    if negatives < 0 or random < 0 or not 0 <= ranks[0] < ranks[1] or not margin > 0:
        raise ValueError(
            f"negatives={negatives} and random={random} must be at least 0, ranks={ranks} rise from at least 0, and "
            f"margin={margin} be above 0"
        )
    if missing := [query for query in qrels if query not in queries]:
        raise JudgementError(f"query {missing[0]!r} is judged but not among the queries: pass it too")
    recall = retriever.using(reranker=None, decay=None)
    asked = [query for query in qrels if str(queries[query]).strip()]
    relevant = _relevant_by_words(queries, qrels)
    ids = [item.id for item in recall.items()] if random else []
    spare = 1 if scorer is None else SPARE
    drafts: list[_Draft] = []
    left_out = 0
    hidden = None if progress is None else not progress
    with tqdm(total=len(asked), desc="mine", unit="query", disable=hidden, leave=False) as bar:
        for start in range(0, len(asked), AT_ONCE):
            block = asked[start : start + AT_ONCE]
            found = recall.search_batch([queries[query] for query in block], ranks[1]) if negatives else []
            drawn = []
            for place, query in enumerate(block):
                draft = _draft(recall, str(queries[query]), qrels[query], relevant)
                rng = np.random.default_rng((seed, start + place))
                if negatives:
                    pool = [hit.item for hit in found[place][ranks[0] :]]
                    draft = replace(draft, near=draft.fresh(_shuffled(pool, rng))[: spare * negatives])
                if random:
                    count = spare * random
                    strangers = _strangers(recall, ids, count + len(draft.taken), rng)
                    draft = replace(draft, far=draft.fresh(strangers)[:count])
                drawn.append(draft)
            if scorer is not None:
                drawn, dropped = _filtered(drawn, scorer, margin)
                left_out += dropped
            drafts += [replace(each, near=each.near[:negatives], far=each.far[:random]) for each in drawn]
            bar.update(len(block))
    return _mined([draft for draft in drafts if draft.grades], left_out, _unindexed(recall, asked, qrels))


def same_words(text: str) -> str:
    """A text without what does not tell texts apart: Unicode forms, case and spacing."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class _Draft:
    """One query on its way.

    Args:
        words: the query's text.
        grades: of its judged items, which are indexed.
        judged: these items.
        masked: ids that must not be negatives.
        titles: what must not be a negative's title, as `_title` writes it.
        near: unjudged items from recall.
        far: unjudged items from anywhere.
    """

    words: str
    grades: Mapping[str, int]
    judged: Sequence[Item]
    masked: Collection[str]
    titles: Collection[str]
    near: Sequence[Item] = field(default=())
    far: Sequence[Item] = field(default=())

    @property
    def taken(self) -> set[str]:
        """Ids that another draw must not take."""
        return {*self.masked, *(item.id for item in self.near)}

    def fresh(self, items: Iterable[Item]) -> list[Item]:
        """Those of some items that may be negatives, each once."""
        taken = self.taken
        return [item for item in items if item.id not in taken and _title(item) not in self.titles]


def _draft(
    recall: BaseRetriever, words: str, judged: Mapping[str, int], relevant: Mapping[str, Collection[str]]
) -> _Draft:
    grades = {item: max(grade, 0) for item, grade in judged.items() if item in recall}
    known = relevant[same_words(words)]
    return _Draft(
        words,
        grades,
        [recall.get(item) for item in grades],
        {*judged, *known},
        {_title(recall.get(item)) for item in known if item in recall},
    )


def _relevant_by_words(
    queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]
) -> dict[str, set[str]]:
    """Ids of relevant items by the words of queries, so that two queries of the same words know of each other."""
    relevant: dict[str, set[str]] = {}
    for query, grades in qrels.items():
        known = relevant.setdefault(same_words(str(queries[query])), set())
        known.update(item for item, grade in grades.items() if grade > 0)
    return relevant


def _title(item: Item) -> str:
    return same_words(item.title if item.title.strip() else item.text)


def _shuffled(items: Sequence[Item], rng: np.random.Generator) -> list[Item]:
    return [items[place] for place in rng.permutation(len(items))]


def _strangers(recall: BaseRetriever, ids: Sequence[str], count: int, rng: np.random.Generator) -> list[Item]:
    """So many different items from anywhere, or all if there are fewer."""
    rows = rng.choice(len(ids), min(count, len(ids)), replace=False)
    return [recall.get(ids[row]) for row in rows]


def _filtered(drafts: Sequence[_Draft], scorer: Reranker, margin: float) -> tuple[list[_Draft], int]:
    """Leave out unjudged items that score about as high as relevant ones; returns how many, too."""
    relevant = [[item for item in draft.judged if draft.grades[item.id] > 0] for draft in drafts]
    read = [
        (draft.words, item.words)
        for draft, known in zip(drafts, relevant, strict=True)
        for item in (*known, *draft.near, *draft.far)
    ]
    scores = iter(np.asarray(scorer.score(read), dtype=np.float64).tolist() if read else ())
    kept, dropped = [], 0
    for draft, known in zip(drafts, relevant, strict=True):
        wanted = [next(scores) for _ in known]
        most = margin * float(np.mean(wanted)) if wanted else np.inf
        near = [item for item in draft.near if next(scores) <= most]
        far = [item for item in draft.far if next(scores) <= most]
        dropped += len(draft.near) + len(draft.far) - len(near) - len(far)
        kept.append(replace(draft, near=near, far=far))
    return kept, dropped


def _unindexed(recall: BaseRetriever, asked: Sequence[str], qrels: Mapping[str, Mapping[str, int]]) -> int:
    return sum(item not in recall for query in asked for item in qrels[query])


def _mined(drafts: Sequence[_Draft], left_out: int, unindexed: int) -> Mined:
    top = max((grade for draft in drafts for grade in draft.grades.values()), default=0)
    if top <= 0:
        raise JudgementError(
            "no judged item is both relevant and indexed: pass judgements of the items that are"
        )
    pairs: list[tuple[str, str]] = []
    grades: list[float] = []
    groups: list[str] = []
    for draft in drafts:
        unjudged = [*draft.near, *draft.far]
        pairs += [(draft.words, item.words) for item in (*draft.judged, *unjudged)]
        grades += [*(draft.grades[item.id] / top for item in draft.judged), *(0.0 for _ in unjudged)]
        groups += [same_words(draft.words)] * (len(draft.judged) + len(unjudged))
    return Mined(
        pairs,
        np.array(grades, dtype=np.float32),
        groups,
        queries=len(drafts),
        judged=sum(len(draft.judged) for draft in drafts),
        near=sum(len(draft.near) for draft in drafts),
        far=sum(len(draft.far) for draft in drafts),
        left_out=left_out,
        unindexed=unindexed,
    )
