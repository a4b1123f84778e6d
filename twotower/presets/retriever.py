"""`Retriever`: the retriever with the library's own parts, composed by default or from a store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from multimodal.checks import check_has
from multimodal.clip.encoder import ClipEncoder
from multimodal.fusion import WeightedConcat
from multimodal.text.encoder import TextEncoder
from rerank.cascade import Cascade, Stage
from rerank.decay import Decay
from twotower import types
from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreError
from twotower.presets.rebuilding import buildable, decay_from, encoder_of
from twotower.recall.fusion import HybridFusion, hybrid_fusion_from
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.words.item_text import ItemText
from twotower.retriever import BaseRetriever
from twotower.store.folder import StoreFolder, is_store, lock_folder
from twotower.towers.dual_encoder import DualEncoder
from twotower.towers.user import UserTower

if TYPE_CHECKING:  # it loads scipy, which a search does without
    from twotower.recommend.recommender import Recommender

# On real photos the compact model sees little more than colour, so a larger weight costs more than it gains.
TEXT_WEIGHT, IMAGE_WEIGHT = 0.9, 0.1


class Settings(TypedDict, total=False):
    """The settings of a `Retriever`, as for its constructor."""

    user_tower: UserTower | None
    user_weight: float
    recommender: Recommender | None
    relevance_weight: float
    rerank_depth: int | None
    hybrid: HybridFusion | None
    index: IndexPolicy | None
    searchable: Sequence[str] | None
    fold_diacritics: bool | None


class Retriever(BaseRetriever):
    """The retriever that `twotower` exports; it also builds the library's own parts, by default and for a store."""

    __doc__ = f"{__doc__}\n\n{BaseRetriever.__doc__}"

    @classmethod
    def default(
        cls,
        *,
        reranker: types.Reranker | types.ListwiseReranker | None = None,
        searchable: Sequence[str] | None = None,
    ) -> Self:
        """Compose the default parts, the same with and without network access.

        Text: sentence-transformers/all-MiniLM-L6-v2. Photos: the compact CLIP model that the library ships.
        Words: BM25 fused with the vectors. Time decay: `default_decay`.

        Args:
            reranker: such as `CrossEncoderReranker("cross-encoder/ms-marco-MiniLM-L6-v2")`; none unless passed.
            searchable: as for the constructor.

        Raises:
            OSError: the text model is neither installed nor on a reachable hub.
        """
        return cls(default_encoder(), reranker, default_decay(), searchable=searchable)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        encoder: types.Encoder | None = None,
        reranker: types.Reranker | types.ListwiseReranker | None = None,
        decay: types.TimeDecay | None = None,
        read_only: bool = False,
        reindex: bool = False,
        wait: float = 0.0,
        **settings: Unpack[Settings],
    ) -> Self:
        """Open a store, or create one: every write is on disk when its call returns.

        One process at a time may write to a store; any number may read it. Close it, or use it in a `with`.

        Args:
            folder: a store, or a new or empty folder.
            encoder: the encoder that the store was created with. Its models may have moved: they are recognised by
                the content of their files. None rebuilds it from its description, which works for the library's own
                parts. For a new store, None is `default_encoder`.
            reranker: not part of a store: keep it with its own `save` and pass it here.
            decay: None takes the store's own. For a new store with the default encoder, None is `default_decay`.
            read_only: write nothing, not even beside the store; `maintenance.refresh` follows the writer.
            reindex: if the encoder is another one, such as a retrained model, encode all items with it. Readers use
                the old vectors until all of them are replaced at once at the end; an interrupted attempt resumes
                where it stopped.
            wait: how many seconds to wait for another process that is writing to the store.
            settings: as for the constructor; they override those of the store while it is open. `searchable` and
                `fold_diacritics` are decided when a store is created.

        Raises:
            StoreError: there is no store to read, another process is writing to it, or its encoder, searchable
                attributes or folding differ.
            StoreVersionError: another version wrote it, in a format that this one does not read.
            StoreDamagedError: its item store is damaged; whatever can be rebuilt from that is rebuilt.
            ItemError: an item cannot be encoded again; the store is as it was.
        """
        if reindex and read_only:
            raise ValueError("reindex writes to the store: leave out read_only")
        if encoder is not None:
            check_has("encoder", encoder, ("encode_items", "encode_queries"), "an Encoder")
        with ExitStack() as on_error:
            lock = None if read_only else lock_folder(folder, wait=wait)
            if lock is not None:
                on_error.callback(lock.release)
            if lock is None or is_store(folder):
                store = StoreFolder.open(folder, read_only=True) if lock is None else StoreFolder.locked(lock)
                on_error.callback(store.close)
                decay, settings = _reopened(store, decay, settings)
                encoder = encoder_of(store, encoder, reindex=reindex)
            else:
                if encoder is None:
                    encoder, decay = default_encoder(), decay or default_decay()
                store = StoreFolder.create(lock, cls(encoder, None, decay, **settings)._settings())
                on_error.callback(store.close)
            text_of = ItemText.of(settings.pop("searchable", None), settings.pop("fold_diacritics", None))
            corpus = PersistentCorpus(store, encoder.dim, settings.pop("index", None), text_of)
            retriever = cls(encoder, reranker, decay, corpus=corpus, **settings)
            on_error.pop_all()
        return retriever

    def _listwise(
        self, reranker: types.Reranker | types.ListwiseReranker | None
    ) -> types.ListwiseReranker | None:
        if reranker is None or isinstance(reranker, types.ListwiseReranker):
            return reranker
        if not callable(getattr(reranker, "score", None)):
            raise ValueError(f"reranker must have a method `score`, got {shown(reranker)}")
        return Cascade(Stage(reranker, None, "rerank"))


def default_encoder() -> DualEncoder:
    """MiniLM for text, the shipped compact CLIP model for photos, weighted concatenation.

    Raises:
        ModelNotFoundError: the text model is neither installed nor on a reachable hub.
    """
    fusion = WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)
    return DualEncoder(TextEncoder(), ClipEncoder.compact(), fusion)


def default_decay() -> Decay:
    """A score loses at most 5 %, half of that within 90 days: it decides between items of similar scores."""
    return Decay.half_life(days=90, weight=0.05)


def _reopened(
    store: StoreFolder, decay: types.TimeDecay | None, given: Settings
) -> tuple[types.TimeDecay | None, Settings]:
    """The decay and settings that a store describes, overridden by those of the caller.

    Raises:
        StoreError: the searchable attributes or the folding differ, or a part is missing that the library cannot
            build.
    """
    kept, folder = dict(store.item_store.settings), store.folder
    del kept["dim"], kept["encoder"]
    described_decay = kept.pop("decay")
    if decay is None and described_decay is not None:
        decay = decay_from(buildable(described_decay, "decay", folder))
    text_of = ItemText.of(given.get("searchable"), given.get("fold_diacritics"))
    wanted = {"searchable": list(text_of.attributes), "fold_diacritics": text_of.fold_diacritics}
    for name, value in wanted.items():
        if given.get(name) is not None and value != kept[name]:
            raise StoreError(
                f"store '{folder}' was created with {name}={kept[name]}: leave out the argument, or index again"
            )
    kept["user_tower"] = UserTower(**kept["user_tower"])
    kept["index"] = IndexPolicy.from_description(kept["index"])
    if "hybrid" not in given and kept["hybrid"] is not None:
        kept["hybrid"] = hybrid_fusion_from(buildable(kept["hybrid"], "hybrid", folder))
    settings: Settings = {**kept, **given, **{name: kept[name] for name in wanted}}  # type: ignore[typeddict-item]  # as described by `BaseRetriever`
    return decay, settings
