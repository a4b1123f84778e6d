from __future__ import annotations

import io
import os
import random
import struct
import warnings
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np
import PIL.Image
import pytest
from PIL import Image, ImageFile

from multimodal import ImageError, MultimodalError, images, load_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def noise(width: int = 40, height: int = 24) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    (image or noise()).save(path, **options)
    return path


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def png_header(width: int, height: int) -> bytes:
    """A valid PNG of any size in 100 bytes: only its pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ends = chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends


def refused(path: Path | str, match: str) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        load_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_error_is_a_value_error() -> None:
    assert issubclass(ImageError, ValueError)
    assert issubclass(ImageError, MultimodalError)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "no-ending"])
def test_lossless_files_give_their_pixels_by_str_and_by_path(tmp_path, name) -> None:
    format_ = "webp" if name.endswith("webp") else "png"
    path = saved(tmp_path / name, format=format_, lossless=True)
    for source in (path, str(path)):
        np.testing.assert_array_equal(pixels(load_image(source)), np.asarray(noise()))


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path) -> None:
    refused(tmp_path / "none.jpg", "does not exist")
    refused(str(tmp_path / "none.jpg"), "does not exist")
    refused(tmp_path, "does not exist")
    os.mkfifo(tmp_path / "pipe.jpg")  # would block for ever
    refused(tmp_path / "pipe.jpg", "does not exist")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_truncated_files_are_refused(tmp_path, ending) -> None:
    path = saved(tmp_path / f"a.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "damaged or unreadable")


def test_empty_files_are_refused(tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    refused(tmp_path / "a.jpg", "is not a JPEG, PNG, WEBP file")


def test_other_formats_are_refused_whatever_they_are_called(tmp_path) -> None:
    for format_ in ("GIF", "BMP", "TIFF", "PPM", "EPS"):
        path = saved(tmp_path / f"{format_}.jpg", format=format_)
        refused(path, "is not a JPEG, PNG, WEBP file")
    text = tmp_path / "text.jpg"
    text.write_text("a photo of a red mug")
    refused(text, "is not a JPEG, PNG, WEBP file")


@pytest.mark.parametrize("action", ["error", "default"])
@pytest.mark.parametrize(
    "side",
    [
        pytest.param(6_325, id="over our cap"),
        pytest.param(10_000, id="where Pillow warns"),
        pytest.param(20_000, id="where Pillow raises"),
    ],
)
def test_bombs_are_refused_by_their_header_without_a_warning(tmp_path, monkeypatch, side, action) -> None:
    def decode(*_: object) -> NoReturn:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_header(side, side))
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter(action)
        refused(bomb, "40,000,000")
    assert not leaked


def test_a_bomb_is_refused_where_a_smaller_scale_would_fit(tmp_path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (16, 16)))
    size = struct.pack(">BHH", 8, 16, 16)  # bits, height, width
    assert path.read_bytes().count(size) == 1
    path.write_bytes(path.read_bytes().replace(size, struct.pack(">BHH", 8, 8_000, 8_000)))
    with pytest.raises(ImageError, match="has 64,000,000 pixels"):
        load_image(path, long_side=64)


def test_exactly_forty_megapixels_pass_the_check(tmp_path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(8_000, 5_000))
    refused(path, "damaged")  # it was let through to the decoder


def test_an_open_image_over_the_cap_is_refused() -> None:
    with pytest.raises(ImageError, match="the given image has 40,000,001 pixels"):
        load_image(Image.new("1", (40_000_001, 1)))


def test_files_over_the_cap_are_refused_before_they_are_opened(tmp_path, monkeypatch) -> None:
    path = saved(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_BYTES", path.stat().st_size)
    load_image(path)
    monkeypatch.setattr(images, "MAX_BYTES", path.stat().st_size - 1)
    monkeypatch.setattr(PIL.Image, "open", None)
    refused(path, "is larger than")


def rgba() -> Image.Image:
    return Image.fromarray(np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 102]]], dtype=np.uint8))


def grey_and_alpha() -> Image.Image:
    return Image.merge("LA", [Image.frombytes("L", (3, 1), bytes(a)) for a in ([90, 90, 0], [255, 0, 102])])


def palette() -> Image.Image:
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([255, 0, 0, 255, 0, 0, 0, 0, 0])
    return image


@pytest.mark.parametrize(
    ("image", "options", "first"),
    [
        pytest.param(rgba(), {}, RED, id="RGBA"),
        pytest.param(grey_and_alpha(), {}, (90, 90, 90), id="LA"),
        pytest.param(palette(), {"transparency": bytes([255, 0, 102])}, RED, id="P"),
    ],
)
def test_transparent_areas_become_white(tmp_path, image, options, first) -> None:
    loaded = load_image(saved(tmp_path / "a.png", image, **options))
    # Opaque; wholly transparent; black at 40 %: 255 * 0.6 = 153.
    assert pixels(loaded).tolist() == [[list(first), list(WHITE), [153, 153, 153]]]


def test_one_transparent_colour_becomes_white(tmp_path) -> None:
    image = Image.fromarray(np.array([[RED, BLUE]], dtype=np.uint8))
    loaded = load_image(saved(tmp_path / "a.png", image, transparency=BLUE))
    assert pixels(loaded).tolist() == [[list(RED), list(WHITE)]]


TURNS = [  # what each EXIF orientation asks for, as numpy does it
    (1, lambda a: a),
    (2, lambda a: a[:, ::-1]),
    (3, lambda a: a[::-1, ::-1]),
    (4, lambda a: a[::-1]),
    (5, lambda a: a.transpose(1, 0, 2)),
    (6, lambda a: np.rot90(a, -1)),
    (7, lambda a: a.transpose(1, 0, 2)[::-1, ::-1]),
    (8, lambda a: np.rot90(a)),
]


@pytest.mark.parametrize(("orientation", "turn"), TURNS)
def test_photos_are_rotated_upright(tmp_path, orientation, turn) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(tmp_path / "a.png", exif=exif))
    np.testing.assert_array_equal(pixels(loaded), turn(np.asarray(noise())))


def test_phone_photos_are_rotated_upright_at_a_smaller_scale_too(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (1600, 800), BLUE), exif=exif)
    assert load_image(path).size == (800, 1600)
    assert load_image(path, long_side=200).size == (200, 400)


def test_long_side_never_gives_fewer_pixels_than_asked(tmp_path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (1000, 600)))
    for long_side in (1, 100, 299, 300, 301, 999, 1000, 5000):
        assert max(load_image(path, long_side=long_side).size) >= min(long_side, 1000)


@pytest.mark.parametrize("long_side", [None, 8])
def test_cmyk_becomes_rgb(tmp_path, long_side) -> None:
    # No ink but yellow and magenta: red.
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (64, 64), (0, 255, 255, 0)), quality=100)
    loaded = pixels(load_image(path, long_side=long_side))
    assert np.abs(loaded.astype(int) - RED).max() <= 3


def test_sixteen_bits_are_scaled_not_clipped(tmp_path) -> None:
    levels = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    for options in ({}, {"transparency": 32768}):
        loaded = pixels(load_image(saved(tmp_path / "a.png", Image.fromarray(levels), **options)))
        assert loaded[0, :, 0].tolist() == [0, 0, 1, 128, 255]
        assert (loaded == loaded[:, :, :1]).all()


def test_an_animation_gives_its_first_frame(tmp_path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    path = saved(tmp_path / "a.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(path) as written:
        assert written.n_frames == 2
    assert (pixels(load_image(path)) == RED).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_an_open_image_is_not_mutated(mode) -> None:
    image = Image.new(mode, (6, 4))
    image.getexif()[0x0112] = 6
    before = image.tobytes()
    loaded = load_image(image)
    assert loaded.size == (4, 6)
    loaded.paste(BLUE, (0, 0, 4, 6))
    assert (image.mode, image.size, image.tobytes()) == (mode, (6, 4), before)
    assert image.getexif()[0x0112] == 6


def test_an_open_image_of_a_damaged_file_is_refused(tmp_path) -> None:
    path = saved(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        Image.open(path) as image,
        pytest.raises(ImageError, match="the given image is damaged or unreadable"),
    ):
        load_image(image)


def test_exif_data_of_the_wrong_type_is_refused_without_a_warning(tmp_path) -> None:
    """Orientation 6, and a resolution that is text: Pillow fails where it writes the turned photo's EXIF data."""
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2)
    exif += struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    refused(saved(tmp_path / "a.jpg", exif=exif + bytes(4)), "damaged or unreadable")


def test_damaged_bytes_give_an_image_or_an_image_error_and_nothing_else(tmp_path) -> None:
    """Bytes of small photos with EXIF data, changed at random; warnings would be errors here."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    exif[0x011A] = 72.0
    originals = []
    for format_ in ("JPEG", "WEBP", "PNG"):
        noise(16, 12).save(buffer := io.BytesIO(), format_, exif=exif)
        originals.append(buffer.getvalue())
    rng = random.Random(0)
    path = tmp_path / "a"
    outcomes = set()
    for _ in range(500):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 6)):  # mostly in the headers, where the trouble is
            data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            outcomes.add(load_image(path).mode)
        except ImageError:
            outcomes.add("refused")
    assert outcomes == {"RGB", "refused"}
