"""The model behind a reranker: opened once, in whatever form a back end needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from threading import RLock
from typing import TYPE_CHECKING
from weakref import finalize

from rerank.calibration import Calibration, Platt, read_calibration, write_calibration
from rerank.cross_encoder.checkpoint import has_new_head, open_checkpoint, save_checkpoint
from rerank.cross_encoder.tokens import EncodedPairs, Pair, tokenize
from rerank.errors import InputError, NotFittedError
from rerank.model_card import FILE as CARD_FILE
from rerank.serving.backend import Backend, BackendName
from rerank.serving.export import FILES, FOLDER, copy_exported, export, exported
from rerank.serving.exported import ExportedBackend
from rerank.serving.onnx import open_onnx
from rerank.serving.openvino import open_openvino
from rerank.serving.torch import TorchBackend

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Model:
    """A cross-encoder in a folder or on the hub. Thread-safe.

    Args:
        location: a folder or a hub name, as `multimodal.hub.locate` returns it.
        device: None takes the best one available.
        max_length: maximum tokens of a pair; None takes the model's own limit.
        batch_tokens: maximum tokens of a padded batch; None takes what suits the device.
    """

    def __init__(
        self, location: str, device: str | None, max_length: int | None, batch_tokens: int | None
    ) -> None:
        self._location = location
        self._device = device
        self._max_length = max_length
        self._batch_tokens = batch_tokens
        self._network: CrossEncoder | None = None
        self._new_head = False
        self._backends: dict[BackendName, Backend] = {}
        self._exports: Path | None = (
            None  # a save of the present weights with ONNX files, if the source has none
        )
        self._calibration: Calibration | None = None  # None: not read yet
        self._is_source = True  # whether the present weights are those at `location`
        self._lock = RLock()

    def network(self) -> CrossEncoder:
        """The network in torch; its head may be random.

        Raises:
            InputError: `max_length` is above the model's limit.
            ModelNotFoundError: there is no such model.
            ModelError: it is not a cross-encoder with one score.
        """
        with self._lock:
            if self._network is None:
                network = open_checkpoint(self._location, self._device)
                if self._max_length is not None:
                    limit = network.tokenizer.model_max_length
                    if self._max_length > limit:
                        raise InputError(
                            f"max_length of {self._location} must be at most {limit}, got {self._max_length}"
                        )
                    network.tokenizer.model_max_length = self._max_length  # saved with the tokenizer
                self._new_head = has_new_head(network)
                self._network = network
            return self._network

    def has_new_head(self) -> bool:
        """Whether its head is random."""
        self.network()
        return self._new_head

    def backend(self, name: BackendName) -> Backend:
        """A back end with the present weights.

        Raises:
            NotFittedError: the head is random; and whatever `network` raises.
        """
        with self._lock:
            if name not in self._backends:
                self.calibration()  # read with its weights, before another save replaces both
                self._backends[name] = self._exported(name) if name in FILES else self._torch(name)
            return self._backends[name]

    def keep_only(self, name: BackendName) -> None:
        """Release the memory of all other back ends."""
        with self._lock:
            self._backends = {name: self.backend(name)}

    def tokenize(self, pairs: Sequence[Pair]) -> EncodedPairs:
        """Pairs as the network reads them."""
        tokenizer = self.network().tokenizer
        with self._lock:  # a tokenizer holds its truncation as state
            return tokenize(tokenizer, pairs, tokenizer.model_max_length)

    def weights_changed(self, *, improved: bool) -> None:
        """Drop whatever was derived from the former weights of `network`.

        Args:
            improved: whether the present weights are better; if not, a random head still counts as random.
        """
        with self._lock:
            self._new_head = self._new_head and not improved
            self._backends, self._exports, self._is_source = {}, None, False
            self._calibration = Platt()

    def calibration(self) -> Calibration:
        """The map from logit to score: that of `set_calibration`, or else the saved one, or else the plain sigmoid.

        Raises:
            ModelError: the saved one is damaged.
        """
        with self._lock:
            if self._calibration is None:
                self._calibration = read_calibration(Path(self._location)) or Platt()
            return self._calibration

    def set_calibration(self, calibration: Calibration) -> None:
        """Compute scores by this map from now on."""
        with self._lock:
            self._calibration = calibration

    def replace_network(self, network: CrossEncoder) -> None:
        """Continue with another network, whose head is trained."""
        with self._lock:
            self._network = network
            self._new_head = False
            self.weights_changed(improved=True)

    def save(self, folder: Path, *, onnx: bool, card: str | None = None) -> None:
        """Write the model to a folder.

        Args:
            folder: a new name, or an earlier save.
            onnx: whether to include the files that ONNX Runtime and OpenVINO read.
            card: the content of its README.md; None writes none.

        Raises:
            InputError: the folder holds something else.
            NotFittedError: the head is random; and whatever `network` raises.
        """
        network, calibration = self._trained_network(), self.calibration()
        earlier = self._exports
        if earlier is None and self._is_source:
            earlier = Path(self._location)

        def write_more(new: Path) -> None:
            if onnx and not (earlier and copy_exported(earlier, new)):
                export(network, new)
            if calibration != Platt():
                write_calibration(calibration, new)
            if card is not None:
                (new / CARD_FILE).write_text(card, encoding="utf-8", errors="replace")

        save_checkpoint(network, folder, write_more)

    def _trained_network(self) -> CrossEncoder:
        network = self.network()
        if self._new_head:  # its scores would mean nothing, and once saved it would pass for a trained one
            raise NotFittedError(f"{self._location} has no trained scoring head: call fit() first")
        return network

    def _torch(self, name: BackendName) -> Backend:
        return TorchBackend(self._trained_network(), self._batch_tokens, bf16=name == "torch-bf16")

    def _exported(self, name: BackendName) -> Backend:
        folder = Path(self._location)
        weights = exported(folder, name) if self._is_source and folder.is_dir() else None
        if weights is None:
            if self._exports is None:
                scratch = Path(mkdtemp(prefix="rerank-"))
                finalize(self, shutil.rmtree, scratch, ignore_errors=True)
                self.save(scratch / "model", onnx=True)
                self._exports = scratch / "model"
            folder = self._exports
            weights = folder / FOLDER / FILES[name]
        forward = open_openvino(weights) if name == "openvino" else open_onnx(weights)
        return ExportedBackend(forward, folder, self._batch_tokens, self._max_length)
