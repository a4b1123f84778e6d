"""The one object that a shop's code talks to; it composes the stages and delegates everything."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, Unpack

import numpy as np

from twotower import presets
from twotower.asking import Asking
from twotower.corpus import Corpus
from twotower.errors import QueryError
from twotower.intake import check_events, check_items, encode_items
from twotower.ranking import QUERY, Asked, Ranking
from twotower.recall.hybrid import Fusion
from twotower.recall.item_index import ItemIndex
from twotower.recall.plan import Plan
from twotower.recall.vectors.policy import IndexPolicy
from twotower.settings import Settings, describe, parts_of_new, reopen
from twotower.stats import Stats
from twotower.store.folder import Store, is_store
from twotower.store.memory import MemoryCatalog
from twotower.stored_corpus import StoredCorpus, save_corpus
from twotower.terms import Terms, deadline, moment
from twotower.towers.user import UserTower
from twotower.types import (
    BadItem,
    Blocked,
    Decay,
    Encoder,
    Event,
    Hit,
    ImageSource,
    Item,
    Query,
    Reranker,
    Staged,
    UpsertReport,
    Vectors,
    Where,
)


class RankingParts(TypedDict, total=False):
    """What `Retriever.using` and one search may exchange."""

    reranker: Reranker | Staged | None
    decay: Decay | None
    relevance_weight: float
    rerank_depth: int | None
    modality: str | None
    hybrid: Fusion | None


class Retriever:
    """Search, similar items and recommendations over a catalogue that changes.

    Every part is an argument and may be an object of your own with the same methods.

    Searches may run in several threads beside each other and beside one write; writes wait for each other.

    Args:
        encoder: item tower and query tower in one.
        reranker: reads the query beside each of the best candidates; None leaves the order of recall. Several, from
            cheap to dear, are a `rerank.Cascade`.
        decay: what an item's age does to its score; None ignores time.
        user_tower: turns a behaviour history into a vector.
        user_weight: share of the user's history beside a query, in [0, 1].
        relevance_weight: share of the reranker's relevance beside recall's similarity, in [0, 1].
        rerank_depth: how many candidates are recalled for the reranker (k where that is more), at least 1; None is
            what a cascade reads at most, 100 for any other.
        hybrid: how a query's words find items beside its vector, such as `ReciprocalRank()` or `Convex(0.5)`; None
            recalls by vectors alone.
        index: what the index of vectors shall achieve, in recall and in memory; it chooses itself accordingly.
            None is `IndexPolicy()`.

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        reranker: Reranker | Staged | None = None,
        decay: Decay | None = None,
        *,
        user_tower: UserTower | None = None,
        user_weight: float = 0.3,
        relevance_weight: float = 0.7,
        rerank_depth: int | None = None,
        hybrid: Fusion | None = None,
        index: IndexPolicy | None = None,
    ) -> None:
        self._asking = Asking(encoder, UserTower() if user_tower is None else user_tower, user_weight)
        blocks = encoder.blocks if isinstance(encoder, Blocked) else {}
        self._reranker = reranker
        staged = presets.staged(reranker)
        self._ranking = Ranking(staged, decay, rerank_depth, relevance_weight, blocks, hybrid=hybrid)
        self._corpus = Corpus(
            MemoryCatalog(), ItemIndex(encoder.dim, IndexPolicy() if index is None else index)
        )
        self._writing = threading.Lock()

    @classmethod
    def default(cls, *, reranker: Reranker | Staged | None = None) -> Retriever:
        """Put together the usual parts, the same with and without a network.

        Text: sentence-transformers/all-MiniLM-L6-v2. Photos: the compact CLIP model that the library ships.
        Time decay: `presets.default_decay`.

        Args:
            reranker: such as `CrossEncoderReranker("cross-encoder/ms-marco-MiniLM-L6-v2")`; none unless passed.

        Raises:
            OSError: the text model is neither installed nor on a reachable hub.
        """
        return cls(presets.default_encoder(), reranker, presets.default_decay())

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        encoder: Encoder | None = None,
        reranker: Reranker | Staged | None = None,
        decay: Decay | None = None,
        read_only: bool = False,
        **settings: Unpack[Settings],
    ) -> Retriever:
        """Open a store, or make one: every write is on the disk when its call returns.

        One process at a time may write to a store, any number may read it. Close it, or use it in a `with`.

        Args:
            folder: a store, or a new or empty folder.
            encoder: the encoder that the store was made with; None builds it from its description, which works
                for the library's own parts. For a new store, None is `presets.default_encoder`.
            reranker: not part of a store: keep it with its own `save` and pass it here.
            decay: None takes the store's own. For a new store with the default encoder, None is the default one.
            read_only: leave the folder as it is; `refresh` follows the process that writes.
            settings: as at construction; in place of the store's own while it is open.

        Raises:
            StoreError: there is no store to read, another process writes to it, or the encoder is another one.
            StoreVersionError: a newer version wrote it.
            StoreDamagedError: its catalog is damaged; whatever can be made again from that is made again.
        """
        folder = Path(folder)
        with ExitStack() as on_error:
            if read_only or is_store(folder):
                store = Store.open(folder, read_only=read_only)
                on_error.callback(store.close)
                encoder, decay, settings = reopen(store, encoder, decay, settings)
                retriever = cls(encoder, reranker, decay, **settings)
            else:
                encoder, decay = parts_of_new(encoder, decay)
                retriever = cls(encoder, reranker, decay, **settings)
                store = Store.create(folder, retriever._settings())
                on_error.callback(store.close)
            retriever._corpus = StoredCorpus(store, retriever.encoder.dim, retriever._corpus.index.policy)
            on_error.pop_all()
        return retriever

    def using(self, **parts: Unpack[RankingParts]) -> Retriever:
        """The same index and histories ranked by other parts: a write through either is seen by both.

        Args:
            parts: any of `reranker`, `decay`, `relevance_weight`, `rerank_depth` and `hybrid`, as at construction,
                and `modality`, one of `modalities`, to recall by that part of the vectors alone (None: by all).
        """
        twin = copy(self)
        exchanged: dict[str, Any] = dict(parts)
        if "reranker" in parts:
            twin._reranker = parts["reranker"]
            exchanged["reranker"] = presets.staged(parts["reranker"])
        twin._ranking = replace(self._ranking, **exchanged)
        return twin

    def __len__(self) -> int:
        return len(self._corpus)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._corpus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(settle=kind is None)

    @property
    def encoder(self) -> Encoder:
        """The item tower and query tower that everything is encoded with."""
        return self._asking.encoder

    @property
    def reranker(self) -> Reranker | Staged | None:
        """What reads the query beside each of the best candidates, if anything does."""
        return self._reranker

    @property
    def decay(self) -> Decay | None:
        """What an item's age does to its score, if anything."""
        return self._ranking.decay

    @property
    def modalities(self) -> tuple[str, ...]:
        """The parts that a similarity adds up from, such as "text" and "image"; none if the encoder tells none."""
        return tuple(self._ranking.blocks)

    def items(self, where: Where | None = None) -> Iterator[Item]:
        """The items that are indexed now, in the order of their last writes.

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

    def upsert(
        self,
        items: Iterable[Item],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        progress: bool | None = None,
    ) -> UpsertReport:
        """Index items, replacing those with the same ids; all of them appear to searches at once.

        Args:
            items: with distinct ids.
            on_error: "raise" stops at the first bad item before anything is written; "skip" leaves bad items
                out and reports each with its reason.
            progress: show a progress bar; None shows one on a terminal.

        Returns:
            How many items were indexed, and what was left out.

        Raises:
            ItemError: an item cannot be indexed, or an id comes twice (with "raise").
            EncoderError: the encoder gave something else than finite vectors.
        """
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error='{on_error}' must be 'raise' or 'skip'")
        skipped: list[BadItem] = []
        bad = skipped if on_error == "skip" else None
        checked = check_items(self._corpus.giving_way(items), bad)
        with self._writing:
            encoded, vectors = encode_items(self.encoder, checked, bad, progress=progress)
            self._corpus.upsert(encoded, vectors)
        return UpsertReport(len(encoded), tuple(skipped))

    def delete(self, item_ids: Iterable[str]) -> list[str]:
        """Remove items from every later search; what users did with them stays in their histories.

        An id that is not indexed is no error, so that a feed may be replayed.

        Args:
            item_ids: ids, not one string.

        Returns:
            The ids that were indexed and are gone now.
        """
        if isinstance(item_ids, str):
            raise ValueError(f"delete takes a list of ids: pass ['{item_ids}']")
        with self._writing:
            return self._corpus.delete(item_ids)

    def record(self, events: Iterable[Event]) -> None:
        """Record behaviour; it is the user tower's input from now on.

        Args:
            events: in any order.

        Raises:
            EventError: one of them cannot be recorded; none was.
        """
        with self._writing:
            self._corpus.record(check_events(events, self._corpus))

    def search(
        self,
        query: str | Query = "",
        k: int = 10,
        *,
        image: ImageSource | None = None,
        user: str | None = None,
        where: Where | None = None,
        now: datetime | None = None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        **parts: Unpack[RankingParts],
    ) -> list[Hit]:
        """Find items by words, by a photo, or by both, for anyone or for one user.

        Args:
            query: words, possibly "".
            k: how many hits, at least 1; fewer come back only where fewer items match `where`.
            image: a photo: path or open image.
            user: whose history to take into account; someone without one is no error.
            where: only items with these attributes, such as `{"price": {"$lt": 100}}`.
            now: the moment to search at, aware; None is the present. Events after it are not seen.
            budget_ms: milliseconds to be done in: the reranker reads as many of the best candidates as fit. Which
                they were is in `Hit.ranks`. None reads all.
            min_score: hits that score lower are left out, so that the answer may be "nothing".
            parts: as in `using`, for this search alone, such as `decay=None` or `rerank_depth=50`.

        Returns:
            Hits, best first.

        Raises:
            QueryError: nothing to search by, k < 1, a naive `now`, an unusable photo, or a budget that is none.
            ValueError: a part is out of its range.
            FilterError: `where` cannot be understood, or names an attribute that no item has.
        """
        if image is not None or not isinstance(query, Query):
            query = Query(query, image)
        return self.search_batch(
            [query], k, users=[user], where=where, now=now, budget_ms=budget_ms, min_score=min_score, **parts
        )[0]

    def search_batch(
        self,
        queries: Sequence[str | Query],
        k: int = 10,
        *,
        users: Sequence[str | None] | None = None,
        where: Where | None = None,
        now: datetime | None = None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        **parts: Unpack[RankingParts],
    ) -> list[list[Hit]]:
        """Answer many queries from one state of the index, encoded and reranked together.

        Args:
            queries: n queries: words, or `Query` for words with a photo.
            k: hits a query, at least 1.
            users: n users or None; None for no users.
            where: as in `search`, for all of them.
            now: as in `search`, for all of them.
            budget_ms: for all of them together; the best candidates of each come first.
            min_score: as in `search`.
            parts: as in `search`.

        Returns:
            n lists of hits, what `search` gives for each.

        Raises:
            QueryError: as in `search`, or `users` of another length.
        """
        terms = Terms(k, moment(now), where, deadline=deadline(budget_ms), min_score=min_score)
        asked = [query if isinstance(query, Query) else Query(query) for query in queries]
        users = [None] * len(asked) if users is None else users
        if len(users) != len(asked):
            raise QueryError(
                f"search_batch got {len(asked)} queries and {len(users)} users: pass one user a query"
            )
        retriever = self.using(**parts) if parts else self
        return retriever._rank(self._asking.queries(self._corpus, asked, users, terms.now), terms)

    def similar(
        self, item_id: str, k: int = 10, *, where: Where | None = None, now: datetime | None = None
    ) -> list[Hit]:
        """Find items like one that is indexed; it is not among them.

        Args:
            item_id: an indexed item.
            k: how many, at least 1.
            where: as in `search`.
            now: as in `search`.

        Raises:
            UnknownItemError: the item is not indexed.
        """
        vector, itself = self._corpus.vector(item_id), self._corpus.labels_of([item_id])
        return self._rank([Asked("", {QUERY: vector})], Terms(k, moment(now), where, itself))[0]

    def recommend(
        self,
        user: str,
        k: int = 10,
        *,
        where: Where | None = None,
        now: datetime | None = None,
        exclude_seen: bool = True,
    ) -> list[Hit]:
        """Find items for a user by what they did before.

        A user without history gets what the average shopper would: everybody's recent behaviour as one history.

        Args:
            user: whom for.
            k: how many, at least 1.
            where: as in `search`.
            now: as in `search`.
            exclude_seen: leave out items of the user's own history.

        Returns:
            Hits, best first; none where nobody has done anything yet.
        """
        now = moment(now)
        own = self._corpus.catalog.events_of(user, until=now, newest=self._asking.user_tower.newest)
        seen = self._corpus.labels_of({event.item for event in own} if exclude_seen else ())
        return self._rank([self._asking.shopper(self._corpus, own, now)], Terms(k, now, where, seen))[0]

    def compact(self) -> None:
        """Drop what was deleted and replaced from the index and, of a store, from the disk.

        Raises:
            StoreError: the files could not be written; nothing is lost.
        """
        with self._writing:
            self._corpus.compact()

    def settle(self) -> None:
        """Wait until segments that merge in the background have; searches find everything before that, too."""
        self._corpus.index.settle()

    def explain(self, k: int = 10, *, where: Where | None = None, words: bool = True) -> list[Plan]:
        """How recall would go about a search: one plan for each segment of the index.

        Args:
            k: as in `search`.
            where: as in `search`.
            words: whether the query has words, beside which a reranker reads more candidates than k.

        Raises:
            FilterError: as in `search`.
        """
        return self._ranking.plans(self._corpus.snapshot, k, where=where, words=words)

    def calibrate(self, queries: Sequence[str | Query] = ()) -> Stats:
        """Find out how hard the index must try to reach the recall that was asked for, on real queries.

        An index that was just built was measured on made-up queries in the neighbourhood of items; what people type
        may lie elsewhere, and words that shall find photos do. Queries of each kind (words, photo, both) are measured
        by themselves, against exhaustive search. They are kept, in a store too, for the indexes that come after.

        Args:
            queries: what shoppers asked, some 250 of each kind; none makes some up again.

        Returns:
            With the recall that was achieved for each kind of query.

        Raises:
            QueryError: a query is empty.
            StoreError: a store could not be written; the index is calibrated all the same.
        """
        asked = [query if isinstance(query, Query) else Query(query) for query in queries]
        kinds: dict[str, list[Vectors]] = {}
        for query, vector in zip(asked, self._asking.vectors(asked), strict=True):
            if vector is None:
                raise QueryError("a query to calibrate with is empty: pass words or an image")
            kinds.setdefault(query.kind, []).append(vector)
        with self._writing:
            self._corpus.calibrate({kind: np.stack(vectors) for kind, vectors in kinds.items()})
        return self.stats()

    def refresh(self) -> None:
        """Catch up with the process that writes to a store; where this one does, there is nothing to catch up with.

        Raises:
            StoreDamagedError: the catalog is damaged.
        """
        self._corpus.refresh()

    def verify(self) -> list[str]:
        """Check every byte of a store, and that its index holds what its catalog holds.

        Returns:
            What is wrong, one sentence each; empty where nothing is, and without a store.
        """
        return list(self._corpus.problems())

    def stats(self) -> Stats:
        """How large the corpus is, and what it is kept in."""
        return self._corpus.stats()

    def close(self, *, settle: bool = True) -> None:
        """Let go of a store, or of memory; nothing can be asked afterwards.

        Args:
            settle: finish what merges in the background and write what makes opening quick; False, as after an
                error in a `with`, leaves that to the next opening. Nothing is lost either way.
        """
        with self._writing:
            self._corpus.close(settle=settle)

    def save(self, folder: str | Path) -> None:
        """Write a copy of everything to a folder; a store that was there stays whole until it is replaced.

        The reranker is not part of it: keep it with its own `save` and pass it to `open`.

        Args:
            folder: a new or empty folder, or a store that nobody writes to.

        Raises:
            StoreError: it cannot be written, or holds something else.
        """
        with self._writing:
            save_corpus(self._corpus, Path(folder), self._settings())

    def _settings(self) -> Mapping[str, Any]:
        return {
            "encoder": describe(self.encoder),
            "decay": describe(self._ranking.decay),
            "user_tower": self._asking.user_tower.describe(),
            "user_weight": self._asking.user_weight,
            "relevance_weight": self._ranking.relevance_weight,
            "rerank_depth": self._ranking.rerank_depth,
            "hybrid": describe(self._ranking.hybrid),
            "index": self._corpus.index.policy.describe(),
            "dim": self.encoder.dim,
        }

    def _rank(self, asked: Sequence[Asked], terms: Terms) -> list[list[Hit]]:
        return self._corpus.answer(lambda snapshot: self._ranking.rank(snapshot, asked, terms))
