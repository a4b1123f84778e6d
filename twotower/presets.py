"""`Retriever`: the retriever with the library's own parts, composed by default or from a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

from multimodal.clip.encoder import ClipEncoder
from multimodal.fusion import WeightedConcat, WeightedSum
from multimodal.text.encoder import TextEncoder
from rerank.cascade import Cascade, Stage
from rerank.decay import Decay, DecayBy
from twotower import types
from twotower.corpus.item_text import ItemText
from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreError
from twotower.recall.fusion import HybridFusion, hybrid_fusion_from
from twotower.recall.vectors.policy import IndexPolicy
from twotower.retriever import BaseRetriever, describe
from twotower.store.folder import StoreFolder, is_store
from twotower.towers.dual_encoder import DualEncoder
from twotower.towers.parts import TextTower
from twotower.towers.user import UserTower

# On real photos the compact model sees little more than colour, so a larger weight costs more than it gains.
TEXT_WEIGHT, IMAGE_WEIGHT = 0.9, 0.1


class Settings(TypedDict, total=False):
    """The settings of a `Retriever`, as for its constructor."""

    user_tower: UserTower | None
    user_weight: float
    relevance_weight: float
    rerank_depth: int | None
    hybrid: HybridFusion | None
    index: IndexPolicy | None
    searchable: Sequence[str] | None


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
        **settings: Unpack[Settings],
    ) -> Self:
        """Open a store, or create one: every write is on disk when its call returns.

        One process at a time may write to a store, any number may read it. Close it, or use it in a `with`.

        Args:
            folder: a store, or a new or empty folder.
            encoder: the encoder that the store was made with; None rebuilds it from its description, which
                works for the library's own parts. For a new store, None is `default_encoder`.
            reranker: not part of a store: keep it with its own `save` and pass it here.
            decay: None takes the store's own. For a new store with the default encoder, None is `default_decay`.
            read_only: do not modify the folder; `maintenance.refresh` follows the process that writes.
            settings: as for the constructor; they override those of the store while it is open. Which attributes are
                `searchable` is decided when a store is created.

        Raises:
            StoreError: there is no store to read, another process writes to it, or its encoder or searchable
                attributes differ.
            StoreVersionError: another version wrote it, in a format that this one does not read.
            StoreDamagedError: its item store is damaged; whatever can be rebuilt from that is rebuilt.
        """
        folder = Path(folder).absolute()
        with ExitStack() as on_error:
            if read_only or is_store(folder):
                store = StoreFolder.open(folder, read_only=read_only)
                on_error.callback(store.close)
                encoder, decay, settings = _reopened(store, encoder, decay, settings)
            else:
                if encoder is None:
                    encoder, decay = default_encoder(), decay or default_decay()
                description = cls(encoder, None, decay, **settings)._settings()
                store = StoreFolder.create(folder, description)
                on_error.callback(store.close)
            text_of = ItemText.of(settings.pop("searchable", None))
            corpus = PersistentCorpus(store, encoder.dim, settings.pop("index", None), text_of)
            retriever = cls(encoder, reranker, decay, corpus=corpus, **settings)
            on_error.pop_all()
        return retriever

    def _listwise(
        self, reranker: types.Reranker | types.ListwiseReranker | None
    ) -> types.ListwiseReranker | None:
        if reranker is None or isinstance(reranker, types.ListwiseReranker):
            return reranker
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
    store: StoreFolder, encoder: types.Encoder | None, decay: types.TimeDecay | None, given: Settings
) -> tuple[types.Encoder, types.TimeDecay | None, Settings]:
    """The parts and settings that a store describes, overridden by those of the caller.

    Raises:
        StoreError: the encoder or the searchable attributes differ, or a part is missing that the library cannot
            build.
    """
    kept = dict(store.item_store.settings)
    folder, dim = store.folder, kept.pop("dim")
    described = kept.pop("encoder")
    if encoder is None:
        encoder = encoder_from(_buildable(described, "encoder", folder))
    elif encoder.dim != dim or describe(encoder) != described:
        raise StoreError(
            f"store '{folder}' was made with another encoder ({described}, dim {dim}): pass that one, or index again"
        )
    described_decay = kept.pop("decay")
    if decay is None and described_decay is not None:
        decay = decay_from(_buildable(described_decay, "decay", folder))
    searchable = given.get("searchable")
    if searchable is not None and list(ItemText.of(searchable).attributes) != kept["searchable"]:
        raise StoreError(
            f"store '{folder}' was made with searchable={kept['searchable']}: omit the argument, or index again"
        )
    kept["user_tower"] = UserTower(**kept["user_tower"])
    kept["index"] = IndexPolicy.from_description(kept["index"])
    if "hybrid" not in given and kept["hybrid"] is not None:
        kept["hybrid"] = hybrid_fusion_from(_buildable(kept["hybrid"], "hybrid", folder))
    settings: Settings = {**kept, **given, "searchable": kept["searchable"]}  # type: ignore[typeddict-item]  # as described by `BaseRetriever`
    return encoder, decay, settings


def _buildable(description: Mapping[str, Any] | str, part: str, folder: Path) -> Mapping[str, Any]:
    if isinstance(description, str):
        raise StoreError(f"store '{folder}' was made with a part of your own: pass it as {part}=")
    return description


def encoder_from(description: Mapping[str, Any]) -> DualEncoder:
    """Rebuild an encoder from the description of `DualEncoder.describe`.

    Raises:
        StoreError: the description names something unknown to this version.
    """
    try:
        text = _text_from(description["text"])
        if description["image"] is None:
            return DualEncoder(text)
        return DualEncoder(text, _image_from(description["image"]), _fusion_from(description["fusion"]))
    except KeyError as error:
        raise StoreError(
            f"the store's encoder {description} is unknown ({error}): pass it as encoder="
        ) from error


def decay_from(description: Mapping[str, Any]) -> Decay | DecayBy:
    """Rebuild a decay from the description of `Decay.describe` or `DecayBy.describe`."""
    if "attribute" in description:
        return DecayBy.from_description(description)
    return Decay.from_description(description)


def _text_from(description: Mapping[str, Any]) -> TextTower:
    if "clip" in description:
        return _image_from(description["clip"]).words()
    return TextEncoder(description["model"])


def _image_from(description: Mapping[str, Any]) -> ClipEncoder:
    if description.get("compact"):
        return ClipEncoder.compact()
    return ClipEncoder(description["architecture"], description["pretrained"])


def _fusion_from(description: Mapping[str, Any]) -> WeightedConcat | WeightedSum:
    methods: dict[str, type[WeightedConcat | WeightedSum]] = {
        "WeightedConcat": WeightedConcat,
        "WeightedSum": WeightedSum,
    }
    return methods[description["method"]](text=description["text"], image=description["image"])
