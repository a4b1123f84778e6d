"""The models that a benchmark's options name, for us and for the peers alike."""

from __future__ import annotations

from argparse import Namespace

from benchmarks.common.contract import Parameter
from benchmarks.common.data import Dataset
from benchmarks.common.machine import scratch_folder
from multimodal import ClipEncoder, TextEncoder
from multimodal.hub import locate
from rerank import Cascade, CrossEncoderReranker
from twotower import Convex, DualEncoder, Retriever


def text_encoder(options: Namespace) -> TextEncoder:
    """Our encoder over `--text-model`."""
    return TextEncoder(options.text_model, device=options.device)


def image_encoder(options: Namespace) -> ClipEncoder:
    """Our encoder over `--image-model`: ARCHITECTURE/PRETRAINED, or an open_clip name with its own scheme."""
    name = options.image_model
    if name == "compact":
        return ClipEncoder.compact(device=options.device)
    if ":" in name:  # local-dir: and hf-hub: name a whole model
        return ClipEncoder(name, device=options.device)
    architecture, _, pretrained = name.partition("/")
    return ClipEncoder(architecture, pretrained or None, device=options.device)


def reranker(options: Namespace) -> CrossEncoderReranker | None:
    """Our reranker over `--reranker` by `--backend`; None without one."""
    if options.reranker is None:
        return None
    return CrossEncoderReranker(options.reranker, device=options.device, backend=options.backend or "torch")


def cascade(options: Namespace) -> Cascade | None:
    """The student reads many candidates and `--reranker` the best of them; None without a student."""
    large = reranker(options)
    if options.student is None or large is None:
        return None
    student = CrossEncoderReranker(options.student, device=options.device, backend=options.backend or "torch")
    many, few = options.student_depth
    return Cascade((student, many), (large, few))


def cascade_params(options: Namespace) -> dict[str, Parameter]:
    """The parameters of `cascade`."""
    many, few = options.student_depth
    return {"student": options.student, "student_depth": many, "reranker_depth": few}


def lexical_fusion(options: Namespace) -> Convex | None:
    """The fusion of `--lexical-weight`; None without one."""
    return Convex(options.lexical_weight) if options.lexical_weight else None


def cross_encoder_folder(options: Namespace) -> str:
    """A cross-encoder whose speed can be measured: `--reranker`, or `--text-model` with an untrained head."""
    if options.reranker is not None:
        return locate(options.reranker)
    import torch
    from sentence_transformers import CrossEncoder

    folder = scratch_folder("cross-encoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CrossEncoder(locate(options.text_model), num_labels=1, device="cpu")
    network.save_pretrained(str(folder), create_model_card=False)
    return str(folder)


def dense_retriever(data: Dataset, options: Namespace) -> Retriever:
    """The items recalled by `--text-model` alone, encoded now or read from the store of `--store`.

    Raises:
        ValueError: the store holds another number of items.
    """
    encoder = DualEncoder(text_encoder(options))
    if options.store is None:
        return indexed(data, encoder)
    retriever = Retriever.open(options.store, encoder=encoder, read_only=True)
    if len(retriever) != len(data.items):
        raise ValueError(
            f"store '{options.store}' holds {len(retriever)} items, but the data {len(data.items)}"
        )
    return retriever.using(hybrid=None, decay=None)


def indexed(data: Dataset, encoder: DualEncoder) -> Retriever:
    """The items recalled by an encoder alone; those that it cannot encode are left out."""
    retriever = Retriever(encoder, hybrid=None)
    retriever.upsert(data.items, on_error="skip")
    return retriever
