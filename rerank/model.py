"""The model of a reranker: opened once, in the form that a back end needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from threading import RLock
from typing import TYPE_CHECKING
from weakref import finalize

from rerank.backends.backend import Backend, BackendName
from rerank.backends.export import FILES, FOLDER, copy_exported, export, exported
from rerank.backends.network import TorchBackend
from rerank.backends.session import FileBackend, onnx_runtime, openvino
from rerank.calibration import Calibration, Platt, read_calibration, write_calibration
from rerank.card import FILE as CARD
from rerank.checkpoints import has_new_head, open_checkpoint, save_checkpoint
from rerank.errors import InputError, NotFittedError
from rerank.tokens import Pair, Tokens, tokenize

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Model:
    """A cross-encoder in a folder or on the hub; threads may share it.

    Args:
        source: see `CrossEncoderReranker`; so are the others.
        device: None is the best there is.
        max_length: None is the most the model takes.
        batch_tokens: most tokens of a padded batch; None is what suits the device.
    """

    def __init__(
        self, source: str | Path, device: str | None, max_length: int | None, batch_tokens: int | None
    ) -> None:
        self._source = source
        self._device = device
        self._max_length = max_length
        self._batch_tokens = batch_tokens
        self._network: CrossEncoder | None = None
        self._new_head = False
        self._backends: dict[BackendName, Backend] = {}
        self._exports: Path | None = (
            None  # the present weights with their ONNX files, where the source has none
        )
        self._calibration: Calibration | None = None  # None: not read yet
        self._is_source = True  # whether the present weights are those of the source
        self._lock = RLock()

    def network(self) -> CrossEncoder:
        """The network in torch; its head may be random.

        Raises:
            InputError: `max_length` is more than it takes.
            ModelNotFoundError: there is no such model.
            ModelError: it is no cross-encoder with one score.
        """
        with self._lock:
            if self._network is None:
                network = open_checkpoint(self._source, self._device)
                if self._max_length is not None:
                    limit = network.tokenizer.model_max_length
                    if self._max_length > limit:
                        raise InputError(f"max_length of {self._source} is at most {limit}.")
                    network.tokenizer.model_max_length = self._max_length  # saved with the tokenizer
                self._new_head = has_new_head(network)
                self._network = network
            return self._network

    def has_new_head(self) -> bool:
        """Whether its head is random."""
        self.network()
        return self._new_head

    def backend(self, name: BackendName) -> Backend:
        """A back end over the present weights.

        Raises:
            NotFittedError: the head is random; and as `network`.
        """
        with self._lock:
            if name not in self._backends:
                self.calibration()  # read with its weights: a later save under the same name may have another
                self._backends[name] = self._exported(name) if name in FILES else self._torch(name)
            return self._backends[name]

    def keep_only(self, name: BackendName) -> None:
        """Let go of the memory of all other back ends."""
        with self._lock:
            self._backends = {name: self.backend(name)}

    def tokenize(self, pairs: Sequence[Pair]) -> Tokens:
        """Pairs as the network reads them."""
        tokenizer = self.network().tokenizer
        with self._lock:  # a tokenizer holds its truncation as state
            return tokenize(tokenizer, pairs, tokenizer.model_max_length)

    def trained(self, *, improved: bool) -> None:
        """The weights of `network` may have changed.

        Args:
            improved: whether they are better than before; a head that is not stays random.
        """
        with self._lock:
            self._new_head = self._new_head and not improved
            self._backends, self._exports, self._is_source = {}, None, False
            self._calibration = Platt()

    def calibration(self) -> Calibration:
        """The map from logit to score: what `calibrated` was told, else the source's, else the plain sigmoid.

        Raises:
            ModelError: the source's is damaged.
        """
        with self._lock:
            if self._calibration is None:
                self._calibration = read_calibration(Path(self._source).expanduser()) or Platt()
            return self._calibration

    def calibrated(self, calibration: Calibration) -> None:
        """Scores come from this map from now on."""
        with self._lock:
            self._calibration = calibration

    def replace(self, network: CrossEncoder) -> None:
        """Go on with another network, whose head is trained."""
        with self._lock:
            self._network = network
            self._new_head = False
            self.trained(improved=True)

    def save(self, folder: Path, *, onnx: bool, card: str | None = None) -> None:
        """Write it to a folder.

        Args:
            folder: a new name, or an earlier save.
            onnx: with the files that ONNX Runtime and OpenVINO read.
            card: what its README.md says; None writes none.

        Raises:
            InputError: the folder holds something else.
            NotFittedError: the head is random; and as `network`.
        """
        network, calibration = self._trained_network(), self.calibration()
        earlier = self._exports
        if earlier is None and self._is_source:
            earlier = Path(self._source).expanduser()

        def also(new: Path) -> None:
            if onnx and not (earlier and copy_exported(earlier, new)):
                export(network, new)
            if calibration != Platt():
                write_calibration(calibration, new)
            if card is not None:
                (new / CARD).write_text(card, encoding="utf-8")

        save_checkpoint(network, folder, also)

    def _trained_network(self) -> CrossEncoder:
        network = self.network()
        if self._new_head:  # its scores mean nothing, and saved it would come back as a trained one
            raise NotFittedError(f"{self._source} has no trained scoring head: call fit() first.")
        return network

    def _torch(self, name: BackendName) -> Backend:
        return TorchBackend(self._trained_network(), self._batch_tokens, bf16=name == "torch-bf16")

    def _exported(self, name: BackendName) -> Backend:
        folder = Path(self._source).expanduser()
        weights = exported(folder, name) if self._is_source and folder.is_dir() else None
        if weights is None:
            if self._exports is None:
                scratch = Path(mkdtemp(prefix="rerank-"))
                finalize(self, shutil.rmtree, scratch, ignore_errors=True)
                self.save(scratch / "model", onnx=True)
                self._exports = scratch / "model"
            folder = self._exports
            weights = folder / FOLDER / FILES[name]
        network = openvino(weights) if name == "openvino" else onnx_runtime(weights)
        return FileBackend(network, folder, self._batch_tokens, self._max_length)
