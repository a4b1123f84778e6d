"""The image tower: photos and words to vectors of one space with any open_clip model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_whole, listed, texts_of
from multimodal.clip.weights import LOCAL, find_weights, local_files
from multimodal.clip.words import ClipWords
from multimodal.errors import ImageError, ModelNotFoundError
from multimodal.hub import locate, one_line
from multimodal.images import ImageSource, load_image
from multimodal.model_files import ModelFiles
from multimodal.precision import check_device
from multimodal.text_normalization import normalize_text

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

COMPACT = Path(__file__).parent / "compact"
T = TypeVar("T")


class ClipEncoder:
    """Any open_clip model as an image tower, with its own text tower for words.

    Args:
        architecture: an open_clip architecture such as "ViT-B-32", or "hf-hub:organisation/name", or
            "local-dir:folder".
        pretrained: a tag such as "laion2b_s34b_b79k", or a weights file; unused with "hf-hub:" and "local-dir:".
        device: as torch names it; None chooses CUDA, then the CPU.
        batch_size: photos or texts per forward pass.

    Raises:
        ModelNotFoundError: the weights are neither on this machine nor on a reachable hub.
        ValueError: `batch_size` is below 1.
    """

    def __init__(
        self,
        architecture: str,
        pretrained: str | Path | None = None,
        *,
        device: str | None = None,
        batch_size: int = 64,
    ) -> None:
        import open_clip
        import torch

        self.batch_size = check_whole("batch_size", batch_size, least=1)
        check_device(device)
        self.architecture, self.pretrained = find_weights(architecture, pretrained)
        files = _files_of(self.architecture, self.pretrained)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._model, self._preprocess = open_clip.create_model_from_pretrained(
                self.architecture, self.pretrained, device=self._device
            )
            self._tokenizer = open_clip.get_tokenizer(self.architecture)
        except Exception as error:  # a damaged file can make a reader raise anything
            raise ModelNotFoundError(
                f"open_clip cannot load '{self.architecture}' with weights '{self.pretrained}' "
                f"({one_line(error)}): pass an architecture and tag of open_clip.list_pretrained(), a weights file, "
                "or ClipEncoder.compact()"
            ) from error
        self._files = files or _files_of(self.architecture, self.pretrained)  # downloaded just now
        self._model.eval()
        self._image_size = max(np.atleast_1d(self._model.visual.image_size).tolist())
        with torch.inference_mode():
            self._dim = int(self._model.encode_text(self._tokenizer(["a photo"]).to(self._device)).shape[1])

    @classmethod
    def compact(cls, *, device: str | None = None, batch_size: int = 64) -> ClipEncoder:
        """Load the small model that is shipped: it knows a sample shop's words in English and Chinese, and no others.

        Args:
            device: as torch names it; None chooses CUDA, then the CPU.
            batch_size: photos or texts per forward pass.
        """
        return cls(f"{LOCAL}{COMPACT}", device=device, batch_size=batch_size)

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._dim

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that say where the model is and, by a hash of its content, what it is.

        The shipped model is named without its folder.

        Raises:
            StaleModelError: the files were replaced after they were read.
        """
        return _description(self.architecture, self.pretrained, self._files)

    def load(self, source: ImageSource) -> Image:
        """Open a photo at about the model's resolution, which bounds memory.

        Args:
            source: see `load_image`.

        Returns:
            An RGB image of at most twice the model's input size on the longer side.

        Raises:
            ImageError: see `load_image`; or the photo is so narrow that nothing is left of it at that resolution.
        """
        side = 2 * self._image_size
        image = load_image(source, long_side=side)
        if min(image.size) * self._image_size < max(image.size):
            width, height = image.size
            raise ImageError(
                f"a photo of {width:,} x {height:,} pixels is too narrow for a model of {self._image_size} x "
                f"{self._image_size}: crop it"
            )
        image.thumbnail((side, side))
        return image

    def words(self) -> ClipWords:
        """This model's text tower as a text encoder, for a `WeightedSum` in the space that both towers share."""
        return ClipWords(self)

    def encode_images(self, images: Iterable[Image]) -> NDArray[np.float32]:
        """Encode photos.

        Args:
            images: n PIL images; an iterator is consumed one batch at a time.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        import torch

        if not isinstance(images, Iterator):
            images = listed("images", images)

        def tensors(batch: list[Image]) -> torch.Tensor:
            return torch.stack(
                [self._preprocess(load_image(image)) for image in batch]
            )  # (b, 3, height, width)

        return self._encode(images, tensors, self._model.encode_image)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode words into the space of the photos; texts longer than the model's context are truncated.

        Args:
            texts: n strings.

        Returns:
            float32 of shape (n, dim), rows of unit length.
        """
        return self._encode(
            map(normalize_text, texts_of("texts", texts)), self._tokenizer, self._model.encode_text
        )

    def _encode(
        self,
        inputs: Iterable[T],
        tensors: Callable[[list[T]], torch.Tensor],
        forward: Callable[[torch.Tensor], torch.Tensor],
    ) -> NDArray[np.float32]:
        import torch

        rows = [np.zeros((0, self._dim), dtype=np.float32)]
        with torch.inference_mode():
            for batch in _batches(inputs, self.batch_size):
                features = forward(tensors(batch).to(self._device)).float()  # (b, dim)
                rows.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
        return np.concatenate(rows)


def describe_image_model(architecture: str | None, pretrained: str | Path | None = None) -> dict[str, Any]:
    """What `ClipEncoder.describe` returns, without loading the model.

    Args:
        architecture: as for `ClipEncoder`; None for the compact model.
        pretrained: the same.

    Raises:
        ModelNotFoundError: a path at which there is nothing.
    """
    if architecture is None:
        architecture = f"{LOCAL}{COMPACT}"
    elif architecture.startswith(LOCAL):
        architecture = f"{LOCAL}{locate(Path(architecture.removeprefix(LOCAL)))}"
    weights = None if pretrained is None else str(pretrained)
    if weights is not None and (file := Path(weights).expanduser()).is_file():
        weights = str(file.absolute())
    location = local_files(architecture, weights)
    if location is not None and not location.exists():
        raise ModelNotFoundError(f"there is no weights file '{location}': pass an existing file or a tag")
    return _description(architecture, weights, _files_of(architecture, weights))


def _description(architecture: str, pretrained: str | None, files: ModelFiles | None) -> dict[str, Any]:
    content = {} if files is None else {"content": files.digest()}
    if architecture == f"{LOCAL}{COMPACT}":
        return {"compact": True, **content}
    return {"architecture": architecture, "pretrained": pretrained, **content}


def _files_of(architecture: str, pretrained: str | None) -> ModelFiles | None:
    """The files of an image model; None for weights that were not downloaded, or are not there.

    Args:
        architecture: as `find_weights` returns it.
        pretrained: the same.
    """
    location = local_files(architecture, pretrained)
    if location is None or not location.exists():
        return None
    return ModelFiles(location, "" if location.is_dir() else architecture)


def _batches(inputs: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(inputs)
    while batch := list(islice(iterator, size)):
        yield batch
