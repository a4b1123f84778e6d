"""The retriever, the entry point of the library: composes the stages and delegates to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypedDict, Unpack

import numpy as np

from multimodal.checks import check_choice, check_has, check_is, texts_of
from twotower.corpus.base import Corpus
from twotower.corpus.description import describe
from twotower.corpus.maintenance import Maintenance
from twotower.corpus.persistent import save_corpus
from twotower.corpus.training_guard import TrainingGuard
from twotower.corpus.writes import OnBadPhoto, OnError, Writes
from twotower.errors import QueryError
from twotower.recall.fusion import DEFAULT_FUSION, HybridFusion
from twotower.recall.queries import EncodedQueries
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.words.item_text import ItemText
from twotower.search.arguments import basket_of, item_id_of, now_of, query_of, user_of, whole_of
from twotower.search.hits import Hits
from twotower.search.newest import newest_items
from twotower.search.query_encoding import QueryEncoder
from twotower.search.ranking import NO_HITS, Ranking
from twotower.search.recommendation import Recommendation
from twotower.search.request import SearchRequest
from twotower.towers.user import UserTower
from twotower.types import (
    AttributeValue,
    Blocked,
    Encoder,
    Event,
    ImageSource,
    Item,
    ListwiseReranker,
    Query,
    RecordReport,
    Reranker,
    TimeDecay,
    UpsertReport,
    Vectors,
    Where,
)

if TYPE_CHECKING:  # it loads scipy, which a search does without
    from twotower.recommend.recommender import Recommender


class RankingParts(TypedDict, total=False):
    """The parts that `Retriever.using` or a single search can replace."""

    reranker: Reranker | ListwiseReranker | None
    decay: TimeDecay | None
    relevance_weight: float
    rerank_depth: int | None
    modality: str | None
    hybrid: HybridFusion | None


class BaseRetriever:
    """Search, similar items and recommendations over a corpus that changes; it depends on protocols, not on models.

    Users construct `twotower.Retriever`, which adds the library's own parts: see `presets`.

    Every part is an argument and may be an object of your own with the same methods. Searches may run in several
    threads, alongside each other and alongside a write; writes are serialised.

    Args:
        encoder: item tower and query tower in one.
        reranker: reads the query together with each of the best candidates; None keeps the order of recall. To use
            several, from the fastest to the most accurate, pass a `rerank.Cascade`.
        decay: lowers the scores of older items; None ignores time.
        corpus: the items to search; None is an empty corpus in memory. `Retriever.open` passes that of a store.
        user_tower: encodes a behaviour history as a vector.
        user_weight: weight of the user's history relative to the query, in [0, 1].
        recommender: a fitted one, which `recommend` uses; None recommends by the content of a user's items.
        relevance_weight: weight of the reranker's relevance relative to the score of recall, in [0, 1].
        rerank_depth: how many of the best candidates of recall the reranker may read, at least 1; those behind them
            follow in the order of recall. None is the most that a cascade reads, or 100 for any other reranker.
        hybrid: how lexical recall is fused with dense recall, such as `Convex(0.6)`, the default, or
            `ReciprocalRank()`; None recalls by vectors alone.
        index: the recall and memory that the vector index of a new corpus must keep to; None is `IndexPolicy()`.
        searchable: names of the searchable attributes of a new corpus: the lexical channel, the encoder and the
            reranker read their values together with title and description. None is `DEFAULT_SEARCHABLE`: brand,
            category and colour, named in English or Chinese; () is none.
        fold_diacritics: whether the word "cafe" finds "café" in a new corpus, in Latin, Greek, Cyrillic, Arabic and
            Hebrew script; None is True.

    Raises:
        ValueError: a parameter is out of its range, `index`, `searchable` or `fold_diacritics` is passed with a
            corpus, or the vectors of the corpus differ in length from the encoder's.
    """

    def __init__(
        self,
        encoder: Encoder,
        reranker: Reranker | ListwiseReranker | None = None,
        decay: TimeDecay | None = None,
        *,
        corpus: Corpus | None = None,
        user_tower: UserTower | None = None,
        user_weight: float = 0.3,
        recommender: Recommender | None = None,
        relevance_weight: float = 0.7,
        rerank_depth: int | None = None,
        hybrid: HybridFusion | None = DEFAULT_FUSION,
        index: IndexPolicy | None = None,
        searchable: Sequence[str] | None = None,
        fold_diacritics: bool | None = None,
    ) -> None:
        check_has("encoder", encoder, ("encode_items", "encode_queries"), "an Encoder")
        if index is not None:
            check_is("index", index, IndexPolicy, "an IndexPolicy")
        if user_tower is not None:
            check_is("user_tower", user_tower, UserTower, "a UserTower")
        if corpus is None:
            corpus = Corpus.in_memory(encoder.dim, index, ItemText.of(searchable, fold_diacritics))
        elif any(part is not None for part in (index, searchable, fold_diacritics)):
            raise ValueError(
                "index, searchable and fold_diacritics are for a new corpus: pass either them or a corpus"
            )
        elif not isinstance(corpus, Corpus):
            raise ValueError(f"corpus must be a Corpus, got {shown(corpus)}")
        elif corpus.snapshot.dim != encoder.dim:
            raise ValueError(
                f"the corpus has vectors of {corpus.snapshot.dim} dimensions, the encoder {encoder.dim}"
            )
        self._corpus = corpus
        self._queries = QueryEncoder(encoder, user_tower or UserTower(), user_weight, corpus.history)
        self._reranker = reranker
        self._recommendation = self._recommending(recommender)
        self._ranking = Ranking(
            self._listwise(reranker),
            decay,
            rerank_depth,
            relevance_weight,
            texts_of=corpus.text_of.texts,
            blocks=encoder.blocks if isinstance(encoder, Blocked) else {},
            hybrid=hybrid,
        )
        self._writes = Writes(corpus, encoder)
        self._training = TrainingGuard(encoder, corpus)

    def using(self, *, recommender: Recommender | None = None, **parts: Unpack[RankingParts]) -> Self:
        """A retriever with other parts over the same corpus: a write through either is visible to both.

        Args:
            recommender: a fitted one, which `recommend` uses; None keeps that of this retriever.
            parts: any of `reranker`, `decay`, `relevance_weight`, `rerank_depth` and `hybrid`, as at construction,
                and `modality`, one of `modalities`, to recall by that part of the vectors alone (None: by all).
        """
        if unknown := parts.keys() - RankingParts.__annotations__.keys():
            known = ", ".join(RankingParts.__annotations__)
            raise QueryError(
                f"{shown(min(unknown))} is neither an argument of a search nor a part it can replace: "
                f"pass one of {known}"
            )
        twin = copy(self)
        if recommender is not None:
            twin._recommendation = self._recommending(recommender)
        replaced: dict[str, Any] = dict(parts)
        if "reranker" in parts:
            twin._reranker = parts["reranker"]
            replaced["reranker"] = self._listwise(twin._reranker)
        twin._ranking = replace(self._ranking, **replaced)
        return twin

    def __len__(self) -> int:
        return len(self._corpus)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._corpus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(settle=kind is None)

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Retriever holds an index, locks and threads, so it is neither pickled nor deep-copied: "
            "send hits, or open its store in every process"
        )

    @property
    def encoder(self) -> Encoder:
        """The item tower and query tower in one."""
        return self._queries.encoder

    @property
    def reranker(self) -> Reranker | ListwiseReranker | None:
        """The reranker, if there is one."""
        return self._reranker

    @property
    def decay(self) -> TimeDecay | None:
        """The time decay, if there is one."""
        return self._ranking.decay

    @property
    def hybrid(self) -> HybridFusion | None:
        """How lexical and dense recall are fused; None for dense recall alone."""
        return self._ranking.hybrid

    @property
    def modalities(self) -> tuple[str, ...]:
        """The blocks of a vector, such as "text" and "image"; empty if the encoder names none."""
        return tuple(self._ranking.blocks)

    @property
    def maintenance(self) -> Maintenance:
        """Maintenance: compact, settle, calibrate, refresh, verify, stats and the plan of a search."""
        return Maintenance(
            self._corpus,
            self._writes.lock,
            self._queries.vectors_by_kind,
            lambda k, where, words: self._ranking.plans(self._corpus.snapshot, k, where=where, words=words),
        )

    def items(self, where: Where | None = None) -> Iterator[Item]:
        """The items that are indexed now, ordered by their last writes.

        Args:
            where: only items with these attributes, as in `search`.

        Raises:
            FilterError: as in `search`.
        """
        return self._corpus.items(where)

    def get(self, item_id: str) -> Item:
        """The item with this id as it was indexed.

        Raises:
            UnknownItemError: it is not indexed.
        """
        return self._corpus.get(item_id)

    def text_of(self, item: Item) -> str:
        """The text of an item that BM25, the encoder and the reranker read, with its `searchable` attributes."""
        return self._corpus.text_of(item)

    def changed(self, items: Iterable[Item]) -> list[Item]:
        """Those of these items that are not indexed as they are: a field or the content of the photo differs.

        Args:
            items: valid items, such as a new delivery of the catalogue.
        """
        return self._writes.changed(items)

    def upsert(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        *,
        on_error: OnError = "raise",
        on_bad_photo: OnBadPhoto = "error",
        progress: bool | None = None,
    ) -> UpsertReport:
        """Index items, replacing those with the same ids; atomically for searches.

        An item keeps its vector, and is written much faster, if title, text, searchable attributes and the content of
        the photo are as they were. So an encoder of your own must read nothing else of an item.

        Args:
            items: with distinct ids; also mappings, or a DataFrame of pandas or polars, by the rules of
                `twotower.ingest.items_from`.
            on_error: "raise" stops at the first bad item before anything is written; "skip" leaves bad items
                out and reports each with its reason.
            on_bad_photo: "error" treats an item with an unusable photo as a bad item; "words" indexes it by its words
                alone and reports it.
            progress: show a progress bar; None shows one on a terminal.

        Returns:
            How many items were indexed, and what was left out.

        Raises:
            ItemError: an item cannot be indexed, or an id is repeated (with "raise").
            EncoderError: the encoder returned something other than finite vectors, or was trained since it encoded
                items.
        """
        self._training.check()
        return self._writes.upsert(items, on_error, on_bad_photo, progress)

    def update(
        self,
        attributes: Mapping[str, Mapping[str, AttributeValue]],
        *,
        on_error: OnError = "raise",
        progress: bool | None = None,
    ) -> UpsertReport:
        """Change attributes of indexed items, such as prices; atomically for searches.

        An item is encoded again only if a searchable attribute changes; its photo counts as unchanged.

        Args:
            attributes: by item id, the attributes to set; None removes one, others stay as they are.
            on_error: as for `upsert`.
            progress: as for `upsert`.

        Returns:
            How many items were changed, and what was left out.

        Raises:
            UnknownItemError: an item is not indexed (with "raise").
            ItemError: an attribute cannot be used (with "raise").
            EncoderError: as for `upsert`.
        """
        self._training.check()
        return self._writes.update(attributes, on_error, progress)

    def delete(self, item_ids: Iterable[str] | None = None, *, where: Where | None = None) -> list[str]:
        """Remove items from all later searches; events on them stay in the histories of users.

        An id that is not indexed is not an error, so that a feed can be replayed.

        Args:
            item_ids: ids, not a single string.
            where: in place of ids: every item with these attributes, as in `search`; a filter without a condition,
                which would remove every item, is refused.

        Returns:
            The ids that were indexed and no longer are.

        Raises:
            ItemError: not exactly one of `item_ids` and `where` is passed, or the ids are not text.
            FilterError: as in `search`, or the filter has no condition.
        """
        return self._writes.delete(item_ids, where)

    def record(
        self, events: Iterable[Event | Mapping[str, Any]], *, on_error: OnError = "raise"
    ) -> RecordReport:
        """Record behaviour events, the input of the user tower.

        An event that is recorded again counts once; see `Event.id`.

        Args:
            events: in any order; also mappings or a DataFrame, by the rules of `twotower.ingest.events_from`.
            on_error: "raise" stops at the first bad event before anything is recorded; "skip" leaves bad events out
                and reports each with its reason.

        Returns:
            How many events were new, and what was left out.

        Raises:
            EventError: an event cannot be recorded (with "raise").
        """
        return self._writes.record(events, on_error)

    def search(
        self,
        query: str | Query = "",
        k: int = 10,
        *,
        offset: int = 0,
        image: ImageSource | None = None,
        user: str | None = None,
        where: Where | None = None,
        now: datetime | None = None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        **parts: Unpack[RankingParts],
    ) -> Hits:
        """Find items by words, by a photo, or by both, for anyone or for one user.

        Args:
            query: words, possibly "".
            k: how many hits, at least 1; fewer come back only where fewer items match `where`.
            offset: how many of the best hits to leave out, for the pages after the first: page p of ten is k=10,
                offset=10 * p. Pages do not overlap, and a hit keeps its place whatever `k` and `offset` are.
            image: a photo: path or open image.
            user: whose history to take into account; a user without one is not an error.
            where: only items with these attributes, such as `{"price": {"$lt": 100}}`.
            now: the moment to search at, aware; None is the present. Later events are not seen.
            budget_ms: the time allowed, in milliseconds: the reranker reads as many of the best candidates as it can
                in that time; `Hit.ranks` tells which. None reads all.
            min_score: hits with a lower score are left out, so there may be none. Do not use it with
                `ReciprocalRank`, whose scores reflect rank, not quality.
            parts: as in `using`, for this search alone, such as `decay=None` or `rerank_depth=50`.

        Returns:
            Hits, best first: a read-only list.

        Raises:
            QueryError: nothing to search by, an unusable photo, or an argument or a part of the wrong type or out of
                its range.
            FilterError: `where` is invalid, or compares an attribute with a value of another type.
        """
        return self.search_batch(
            [query if image is None else query_of(query, image)],
            k,
            offset=offset,
            users=None if user is None else [user],
            where=where,
            now=now,
            budget_ms=budget_ms,
            min_score=min_score,
            **parts,
        )[0]

    def search_batch(
        self,
        queries: Iterable[str | Query],
        k: int = 10,
        *,
        offset: int = 0,
        users: Iterable[str | None] | None = None,
        where: Where | None = None,
        now: datetime | None = None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        **parts: Unpack[RankingParts],
    ) -> list[Hits]:
        """Answer many queries from one state of the index, encoded and reranked together.

        Args:
            queries: n queries: words, or `Query` for words with a photo.
            k: hits per query, at least 1.
            offset: as in `search`.
            users: n users or None; None for no users.
            where: as in `search`, for all of them.
            now: as in `search`, for all of them.
            budget_ms: for all of them together; the best candidates of each come first.
            min_score: as in `search`.
            parts: as in `search`.

        Returns:
            n lists of hits, each what `search` returns for that query.

        Raises:
            QueryError: as in `search`, or `queries` or `users` is a single string, or `users` is of another length.
        """
        request = SearchRequest.of(
            k, offset=offset, where=where, now=now, budget_ms=budget_ms, min_score=min_score
        )
        self._training.check()
        ranking = self.using(**parts)._ranking if parts else self._ranking
        return self._answer(ranking, self._queries.encode(queries, users, request.now), request)

    def knows(self, user: str, *, now: datetime | None = None) -> bool:
        """Whether any event of a user on an indexed item is recorded.

        Args:
            user: any id.
            now: as in `search`; later events do not count.

        Raises:
            QueryError: `user` is not text, or `now` is naive.
        """
        return bool(self._queries.history_of(user_of(user), now_of(now)).events)

    def similar(
        self,
        item_id: str,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where | None = None,
        now: datetime | None = None,
        kind: Literal["content", "bought-together"] = "content",
    ) -> Hits:
        """Find items similar to an indexed one, which is not among the hits.

        Args:
            item_id: an indexed item.
            k: how many, at least 1.
            offset: as in `search`.
            where: as in `search`.
            now: as in `search`.
            kind: "content" compares words and photos; "bought-together" finds what was in the same baskets, by a
                fitted `recommender`.

        Raises:
            UnknownItemError: the item is not indexed.
            QueryError: as in `search`, or there is no recommender to tell what was bought together.
        """
        check_choice("kind", kind, ("content", "bought-together"), error=QueryError)
        request = SearchRequest.of(k, offset=offset, where=where, now=now)
        vector, itself = self._corpus.vector(item_id_of(item_id)), self._corpus.labels_of([item_id])
        request = replace(request, exclude=itself)
        if kind == "bought-together":
            if self._recommendation is None:
                raise QueryError(
                    "what was bought together is told by a recommender: fit one and pass it as recommender="
                )
            return self._corpus.answer(
                partial(self._recommendation.similar, item_id=item_id, request=request)
            )
        return self._answer(self._ranking, EncodedQueries([""], vector[None]), request)[0]

    def recommend(
        self,
        user: str,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where | None = None,
        now: datetime | None = None,
        exclude_seen: bool = True,
        context: Mapping[str, Sequence[str]] | None = None,
    ) -> Hits:
        """Find items for a user by what they did before.

        With a fitted `recommender`, its channels and its ranker decide, and a score is the log-odds that the item is
        in the user's next basket. Without one, the content of the user's items decides: a user without a history, or
        whose items are all gone, gets recommendations from the recent behaviour of all users; where those items are
        gone too, the newest items.

        Args:
            user: to recommend for.
            k: how many, at least 1.
            offset: as in `search`.
            where: as in `search`.
            now: as in `search`.
            exclude_seen: leave out every item of the user's own history, however long ago; False also recommends
                what they may buy again.
            context: what the user is doing now: under "basket", the ids of the items in the basket, which are not
                recommended. Only a recommender reads it.

        Returns:
            Hits, best first; none if no event has been recorded yet.

        Raises:
            QueryError: as in `search`, or `context` is something else.
        """
        basket = basket_of(context)
        check_is("exclude_seen", exclude_seen, bool, "True or False", error=QueryError)
        request = SearchRequest.of(k, offset=offset, where=where, now=now)
        user = user_of(user)
        if exclude_seen:
            request = replace(request, exclude=self._corpus.labels_seen(user, until=request.now))
        if self._recommendation is not None:
            return self._recommended(self._recommendation, user, basket, request)
        shopper = self._queries.encode_user(user, request.now)
        if shopper is None:
            shopper = self._queries.encode_user(None, request.now)
        if shopper is not None:
            return self._answer(self._ranking, shopper, request)[0]
        if not self._corpus.item_store.count_events():
            return NO_HITS
        return self._corpus.answer(partial(newest_items, request=request))

    def events(self, *, since: int = 0) -> tuple[int, list[Event]]:
        """The recorded events in the order of recording, and the number of the last one.

        Args:
            since: the number that an earlier call returned, to get only later ones; 0 for all.

        Raises:
            QueryError: `since` is not a whole number of at least 0.
        """
        return self._corpus.item_store.events_since(whole_of("since", since, at_least=0))

    def vectors_of(self, item_ids: Sequence[str]) -> Vectors:
        """The vectors of m items, float32 of shape (m, dim), zeros for those that are not indexed.

        Raises:
            QueryError: `item_ids` is not a list of text.
        """
        return self._corpus.vectors_of(texts_of("item_ids", item_ids, error=QueryError))

    def close(self, *, settle: bool = True) -> None:
        """Close the store, or free the memory; the retriever cannot be used afterwards.

        Args:
            settle: finish background merges and write the index files that make opening quick; False, as after an
                error in a `with`, leaves that to the next opening. No data is lost either way.
        """
        with self._writes.lock:
            self._corpus.close(settle=settle)

    def save(self, folder: str | Path) -> None:
        """Write a copy of everything to a folder; an existing store stays intact until it is replaced.

        The reranker is not part of it: keep it with its own `save` and pass it to `open`.

        Args:
            folder: a new or empty folder, or a store that no process is writing to.

        Raises:
            StoreError: the folder cannot be written, or holds other files.
        """
        self._training.check()
        with self._writes.lock:
            save_corpus(self._corpus, Path(folder).absolute(), self._settings())

    def _settings(self) -> Mapping[str, Any]:
        """How this retriever is composed, as plain JSON values."""
        return {
            "encoder": describe(self.encoder),
            "decay": describe(self._ranking.decay),
            "user_tower": self._queries.user_tower.describe(),
            "user_weight": self._queries.user_weight,
            "relevance_weight": self._ranking.relevance_weight,
            "rerank_depth": self._ranking.rerank_depth,
            "hybrid": describe(self._ranking.hybrid),
            "index": self._corpus.index.policy.describe(),
            "searchable": list(self._corpus.text_of.attributes),
            "fold_diacritics": self._corpus.text_of.fold_diacritics,
            "dim": self.encoder.dim,
        }

    def _listwise(self, reranker: Reranker | ListwiseReranker | None) -> ListwiseReranker | None:
        """The reranker for whole lists of candidates under a deadline."""
        if reranker is None or isinstance(reranker, ListwiseReranker):
            return reranker
        raise QueryError(f"reranker must be a ListwiseReranker, got {type(reranker).__name__}")

    def _recommending(self, recommender: Recommender | None) -> Recommendation | None:
        if recommender is None:
            return None
        check_has("recommender", recommender, ("rank", "refresh", "rows_of"), "a fitted Recommender")
        return Recommendation(recommender, lambda ids: self._corpus.item_store.labels_of(ids))

    def _recommended(
        self, recommendation: Recommendation, user: str, basket: Sequence[str], request: SearchRequest
    ) -> Hits:
        recommendation.recommender.refresh(self)
        if basket:
            taken = self._corpus.labels_of(basket)
            exclude = taken if request.exclude is None else np.union1d(request.exclude, taken)
            request = replace(request, exclude=exclude)
        return self._corpus.answer(partial(recommendation.answer, user=user, basket=basket, request=request))

    def _answer(self, ranking: Ranking, queries: EncodedQueries, request: SearchRequest) -> list[Hits]:
        return self._corpus.answer(partial(ranking.rank, queries=queries, request=request))
