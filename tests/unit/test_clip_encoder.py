from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NoReturn

import huggingface_hub
import numpy as np
import pytest
from PIL import Image

from multimodal import ClipEncoder, ImageError, ModelNotFoundError
from multimodal.clip.weights import find_weights
from twotower import Item

SIZE = 32  # the tiny model's, see conftest
WORDS = ["a red mug", "blue lamp", "绿色 椅子", "a long text " * 40, ""]


def photo(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)


PHOTOS = [photo(0), photo(1, 90, 30), photo(2, 32, 32), photo(3, 7, 9), photo(4)]


@pytest.fixture(scope="module")
def reference(tiny_clip_folder):
    """The same folder through open_clip itself."""
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip_folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{tiny_clip_folder}")


def test_photos_are_what_open_clip_gives(clip_encoder, reference) -> None:
    import torch

    model, preprocess, _ = reference
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([preprocess(image) for image in PHOTOS]), normalize=True)
    vectors = clip_encoder.encode_images(PHOTOS)
    assert vectors.dtype == np.float32
    assert clip_encoder.dim == 24
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_words_are_what_open_clip_gives(clip_encoder, reference) -> None:
    import torch

    model, _, tokenizer = reference
    with torch.inference_mode():
        expected = model.encode_text(tokenizer(WORDS), normalize=True)
    vectors = clip_encoder.encode_texts(WORDS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_photos_may_come_from_a_generator_and_are_read_a_batch_at_a_time(clip_encoder, monkeypatch) -> None:
    read, ahead = 0, []
    encode_image = clip_encoder._model.encode_image

    def stream():
        nonlocal read
        for image in PHOTOS:
            read += 1
            yield image

    def forward(batch):
        ahead.append(read)
        return encode_image(batch)

    monkeypatch.setattr(clip_encoder._model, "encode_image", forward)
    np.testing.assert_array_equal(clip_encoder.encode_images(stream()), clip_encoder.encode_images(PHOTOS))
    assert ahead[:3] == [2, 4, 5]


def test_batch_equals_single(clip_encoder) -> None:
    single = np.concatenate([clip_encoder.encode_images([image]) for image in PHOTOS])
    np.testing.assert_allclose(clip_encoder.encode_images(PHOTOS), single, atol=1e-5)
    single = np.concatenate([clip_encoder.encode_texts([words]) for words in WORDS])
    np.testing.assert_allclose(clip_encoder.encode_texts(WORDS), single, atol=1e-5)


def test_forms_of_the_same_letter_are_the_same_letter(clip_encoder) -> None:
    # open_clip itself narrows full-width letters, but leaves the superscript alone.
    odd, plain = clip_encoder.encode_texts(["ＡＢＣ 40 m²", "ABC 40 m2"])
    np.testing.assert_allclose(odd, plain, atol=1e-6)


def test_empty_in_gives_empty_out(clip_encoder) -> None:
    for encode in (
        clip_encoder.encode_images,
        clip_encoder.encode_texts,
        clip_encoder.words().encode_queries,
    ):
        assert encode([]).shape == (0, 24)
        assert encode([]).dtype == np.float32
    assert clip_encoder.words().readable([]).shape == (0,)


def test_photos_of_any_mode_become_rgb_on_white(clip_encoder) -> None:
    image = photo(5)
    clear = Image.new("RGBA", image.size, (255, 0, 0, 0))
    clear.paste(image, (0, 0))
    middle = (10, 10, 30, 30)
    clear.paste((255, 0, 0, 0), middle)
    white = image.copy()
    white.paste((255, 255, 255), middle)
    np.testing.assert_allclose(
        clip_encoder.encode_images([clear]), clip_encoder.encode_images([white]), atol=1e-6
    )
    grey = image.convert("L")
    np.testing.assert_allclose(
        clip_encoder.encode_images([grey]), clip_encoder.encode_images([grey.convert("RGB")]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 800), (64, 32)), ((800, 1600), (32, 64)), ((64, 64), (64, 64)), ((10, 20), (10, 20))],
)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_load_bounds_the_size_and_never_enlarges(clip_encoder, tmp_path, size, expected, ending) -> None:
    image = Image.new("RGB", size, (200, 30, 30))
    image.save(tmp_path / f"a.{ending}")
    for source in (tmp_path / f"a.{ending}", str(tmp_path / f"a.{ending}"), image):
        loaded = clip_encoder.load(source)
        assert (loaded.mode, loaded.size) == ("RGB", expected)
    assert image.size == size  # the caller's own image keeps its size


def test_load_refuses_what_is_not_a_photo(clip_encoder, tmp_path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg' does not exist"):
        clip_encoder.load(tmp_path / "none.jpg")


def test_words_are_a_text_encoder_of_the_same_space(clip_encoder) -> None:
    words = clip_encoder.words()
    expected = clip_encoder.encode_texts(WORDS)
    assert words.dim == clip_encoder.dim
    np.testing.assert_array_equal(words.encode_queries(WORDS), expected)
    np.testing.assert_array_equal(words.encode_documents(WORDS), expected)
    assert words.readable(["mug", "绿色", " \n", ""]).tolist() == [True, True, False, False]
    assert words.describe() == {"clip": clip_encoder.describe()}


def test_describe_builds_the_same_encoder_again(clip_encoder) -> None:
    described = clip_encoder.describe()
    again = ClipEncoder(described["architecture"], described["pretrained"], device="cpu")
    assert again.describe() == described
    np.testing.assert_allclose(again.encode_images(PHOTOS), clip_encoder.encode_images(PHOTOS), atol=1e-6)
    assert ClipEncoder.compact(device="cpu").describe().keys() == {"compact", "content"}


def test_a_damaged_weights_file_of_a_known_architecture_is_refused(tmp_path) -> None:
    """It must not end in random weights."""
    (tmp_path / "weights.safetensors").write_bytes(b"not weights")
    assert "ViT-S-32-alt" in not_found("ViT-S-32-alt", tmp_path / "weights.safetensors")


def not_found(architecture: str, pretrained: str | Path | None = None) -> str:
    started = time.monotonic()
    with pytest.raises(ModelNotFoundError) as caught:
        ClipEncoder(architecture, pretrained, device="cpu")
    assert time.monotonic() - started < 5
    assert isinstance(caught.value, OSError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_names_say_what_to_pass(tmp_path) -> None:
    assert not_found("ViT-B-33") == (
        "open_clip has no architecture 'ViT-B-33': pass one of open_clip.list_models(), "
        "'hf-hub:organisation/name' or 'local-dir:folder'"
    )
    assert "'no-such-tag' is neither a weights file nor a tag of ViT-B-32" in not_found(
        "ViT-B-32", "no-such-tag"
    )
    assert "laion2b_s34b_b79k" in not_found("ViT-B-32")  # open_clip itself would give random weights
    assert f"there is no model folder '{tmp_path}/none'" in not_found(f"local-dir:{tmp_path}/none")


def test_a_relative_folder_and_weights_file_stay_the_same_after_chdir(tiny_clip_folder, monkeypatch) -> None:
    monkeypatch.chdir(tiny_clip_folder.parent)
    encoder = ClipEncoder(f"local-dir:{tiny_clip_folder.name}", device="cpu")
    assert encoder.describe()["architecture"] == f"local-dir:{tiny_clip_folder}"
    (tiny_clip_folder.parent / "weights.safetensors").touch()
    try:
        _, weights = find_weights("ViT-B-32", "weights.safetensors")
    finally:
        (tiny_clip_folder.parent / "weights.safetensors").unlink()
    assert weights == str(tiny_clip_folder.parent / "weights.safetensors")


def test_weights_of_another_architecture_are_refused(tiny_clip_folder, tmp_path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip_folder, folder)
    config = folder / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embed_dim": 24', '"embed_dim": 48'))
    assert "size mismatch for text_projection" in not_found(f"local-dir:{folder}")


@pytest.mark.parametrize("damage", ["no config", "no weights", "bad config", "bad weights"])
def test_a_damaged_folder_is_refused(tiny_clip_folder, tmp_path, damage) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip_folder, folder)
    what, part = damage.split()
    file = folder / ("open_clip_config.json" if part == "config" else "open_clip_model.safetensors")
    file.unlink() if what == "no" else file.write_bytes(file.read_bytes()[:100])
    assert f"open_clip cannot load 'local-dir:{folder}'" in not_found(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("architecture", "tag", "repository"),
    [
        ("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("ViTamin-S", "datacomp1b", "jienengchen/ViTamin-S"),
        ("hf-hub:nobody/nothing", None, "nobody/nothing"),
    ],
)
def test_an_unreachable_hub_is_asked_once(monkeypatch, tmp_path, architecture, tag, repository) -> None:
    asked = []

    def fail(model: str, **_: object) -> NoReturn:
        asked.append(model)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "model_info", fail)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert not_found(architecture, tag) == (
        f"model '{repository}' is not on this machine and the hub does not provide it (ConnectionError): "
        "pass a weights file, 'local-dir:folder' or ClipEncoder.compact()"
    )
    assert asked == [repository]


def test_the_beginning_of_a_long_text_is_read(clip_encoder):
    """open_clip#604: CLIP cuts at 77 tokens. So does `encode_texts`, as documented; titles come first."""
    item = Item("1", title="red steel mug", text="lamp " * 40)  # this CLIP reads 14 words
    read = f"red steel mug {'lamp ' * 11}"
    vectors = clip_encoder.encode_texts([item.words, read, f"{read} chair", "lamp " * 40])
    np.testing.assert_allclose(vectors[[0, 2]], vectors[[1, 1]], atol=1e-6)
    assert vectors[0] @ vectors[3] < 0.999
