from __future__ import annotations

import socket
from itertools import product
from typing import Any, NoReturn

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from multimodal.clip.encoder import COMPACT
from twotower.demo.photos import draw_photo
from twotower.demo.vocabulary import CATEGORIES, COLOURS, NAMES, PATTERNS


class Compact:
    """The shipped folder as open_clip loads it."""

    def __init__(self) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{COMPACT}")
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{COMPACT}")
        self.model.eval()

    def photos(self, photos: list[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            inputs = torch.stack([self.preprocess(photo) for photo in photos])
            return np.asarray(self.model.encode_image(inputs, normalize=True))

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self.model.encode_text(self.tokenizer(texts), normalize=True))


@pytest.fixture(scope="module")
def compact() -> Compact:
    return Compact()


def test_the_folder_is_small_and_open_to_read() -> None:
    files = list(COMPACT.iterdir())
    assert {"open_clip_config.json", "open_clip_model.safetensors"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) <= 8e6


def test_it_loads_without_network_and_gives_the_same_vectors_each_time(
    compact: Compact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("loading reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    again = Compact()
    photo = draw_photo("mug", "blue", "striped", np.random.default_rng(5))
    assert np.array_equal(again.photos([photo]), compact.photos([photo]))
    assert np.array_equal(again.texts(["blue mug", "蓝色马克杯"]), compact.texts(["blue mug", "蓝色马克杯"]))
    assert compact.photos([photo]).dtype == np.float32


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("red t-shirt", "blue t-shirt"),
        ("红色T恤", "蓝色T恤"),
        ("scarlet tee", "red handbag"),
        ("大红 短袖", "红色 手提包"),
        ("plain red t-shirt", "striped red t-shirt"),
        ("纯色T恤", "波点T恤"),
    ],
)
def test_a_red_t_shirt_is_nearer_to_its_own_words(compact: Compact, right: str, wrong: str) -> None:
    shirts = [draw_photo("t-shirt", "red", "plain", np.random.default_rng(n)) for n in range(5)]
    cosines = compact.photos(shirts) @ compact.texts([right, wrong]).T
    assert (cosines[:, 0] > cosines[:, 1]).all()


@pytest.fixture(scope="module")
def looks() -> list[tuple[str, ...]]:
    """Category, colour and pattern of 128 products."""
    every = list(product(CATEGORIES, COLOURS, PATTERNS))
    return [tuple(map(str, look)) for look in np.random.default_rng(11).permutation(every)[:128]]


@pytest.fixture(scope="module")
def photos(compact: Compact, looks: list[tuple[str, ...]]) -> NDArray[np.float32]:
    """Vectors of their photos, shape (128, dim)."""
    rng = np.random.default_rng(12)
    return compact.photos([draw_photo(*look, rng) for look in looks])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_both_languages_find_photos_far_above_chance(
    compact: Compact, looks: list[tuple[str, ...]], photos: NDArray[np.float32], language: str
) -> None:
    gap = " " if language == "en" else ""
    texts = [
        gap.join(NAMES[name][value][language][-1] for name, value in
                 (("colour", look[1]), ("pattern", look[2]), ("category", look[0])))
        for look in looks
    ]  # fmt: skip
    nearest = (compact.texts(texts) @ photos.T).argmax(axis=1)
    # Chance is 1 of 128.
    assert np.mean(nearest == np.arange(len(looks))) >= 0.75
