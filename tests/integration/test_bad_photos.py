"""Whatever one photo does is the fault of that photo alone, in indexing and as a query."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from fakes import HashEncoder
from PIL import Image

from multimodal import WeightedConcat
from twotower import DualEncoder, Item, Query, Retriever
from twotower.errors import ItemError, QueryError
from twotower.types import BadItem

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MESSAGE = 500  # characters


def noise(width=40, height=24, mode="RGB", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mutated(content, seed):
    """Some bytes after the marker of the format changed, and sometimes the end cut off."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    for place in rng.integers(2, len(data), rng.integers(1, 12)):
        data[place] = rng.integers(256)
    return bytes(data[: rng.integers(len(data) // 2, len(data))] if seed % 5 == 0 else data)


GOOD = {
    "grey": encoded(noise(mode="L")),
    "cmyk": encoded(noise(mode="CMYK")),
    "palette": encoded(noise(mode="P"), "PNG"),
    "alpha": encoded(noise(mode="RGBA"), "PNG"),
    "16 bits": encoded(noise(mode="L").convert("I;16"), "PNG"),
    "animated": encoded(noise(), "WEBP", save_all=True, append_images=[noise(seed=1)]),
    "animated png": encoded(noise(), "PNG", save_all=True, append_images=[noise(seed=1)]),
    "of a phone": encoded(noise(), "MPO", save_all=True, append_images=[noise(seed=1)]),
    "turned": encoded(
        noise(), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ),
    "broken exif": encoded(noise(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "one pixel": encoded(noise(1, 1)),
}
BAD = {
    "200 x 1": encoded(noise(200, 1)),
    "1 x 200": encoded(noise(1, 200), "PNG"),
    "truncated": encoded(noise())[:-300],
    "huge": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0\x1b\xbb\x94\x35",
    "empty": b"",
    "gif": encoded(noise(), "GIF"),
    "text": b"<svg/>",
}


@pytest.fixture
def encoder(text_encoder, clip_encoder):
    return DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.5, 0.5))


def items_with(photos, folder, title="mug"):
    items = []
    for name, content in photos.items():
        path = folder / f"{name}.jpg"
        path.write_bytes(content)
        items.append(Item(name, title, image=path))
    return items


def test_photos_of_every_kind_are_encoded_or_are_the_error_of_their_item(encoder, tmp_path):
    retriever = Retriever(encoder)
    items = items_with(GOOD | BAD, tmp_path)
    report = retriever.upsert(items, on_error="skip")
    assert [bad.id for bad in report.skipped] == list(BAD)
    assert {item.id for item in retriever.items()} == set(GOOD)
    assert all(len(bad.reason) < MESSAGE and "\n" not in bad.reason for bad in report.skipped)
    for item in items:
        if item.id in GOOD:
            found = retriever.search(image=item.image, k=99, now=NOW)
            assert item.id in [hit.id for hit in found if hit.score == pytest.approx(found[0].score)]
        else:
            with pytest.raises(QueryError, match="photo cannot be used"):
                retriever.search(image=item.image, now=NOW)
            with pytest.raises(ItemError, match=item.id):
                retriever.upsert([item])


def test_a_thousand_mutated_photos_stop_nothing(encoder, tmp_path):
    originals = [
        encoded(noise(seed=1)),
        encoded(noise(mode="L")),
        encoded(noise(), "PNG"),
        encoded(noise(), "WEBP"),
    ]
    photos = {f"{seed}": mutated(originals[seed % len(originals)], seed) for seed in range(1_000)}
    retriever = Retriever(encoder)
    report = retriever.upsert([*items_with(photos, tmp_path), Item("good", "lamp")], on_error="skip")
    skipped = {bad.id for bad in report.skipped}
    assert "good" in retriever
    assert {item.id for item in retriever.items()} | skipped == {*photos, "good"}
    assert 100 < len(skipped) < 1_000
    assert all(len(bad.reason) < MESSAGE for bad in report.skipped)
    for name in sorted(skipped)[:20]:
        with pytest.raises(QueryError):
            retriever.search(image=photos[name], now=NOW)
    for name in sorted(photos.keys() - skipped)[:20]:
        assert retriever.search(image=photos[name], now=NOW)


@pytest.mark.parametrize("fault", [ValueError("height and width must be > 0"), RuntimeError("out of range")])
def test_a_photo_that_breaks_the_model_is_found_among_the_others(text_encoder, clip_encoder, tmp_path, fault):
    class Fragile:
        """An image model that fails on whole batches with a photo of one pixel."""

        dim = clip_encoder.dim
        load, describe = clip_encoder.load, clip_encoder.describe
        encode_texts = clip_encoder.encode_texts

        def encode_images(self, images):
            if any(image.size == (1, 1) for image in images):
                raise fault
            return clip_encoder.encode_images(images)

    retriever = Retriever(DualEncoder(text_encoder, Fragile(), WeightedConcat(0.5, 0.5)))
    items = items_with({"tiny": GOOD["one pixel"], "a": GOOD["grey"], "b": GOOD["cmyk"]}, tmp_path)
    report = retriever.upsert(items, on_error="skip")
    assert [bad.id for bad in report.skipped] == ["tiny"]
    assert str(fault) in report.skipped[0].reason
    assert len(retriever) == 2
    with pytest.raises(QueryError, match=str(fault)):
        retriever.search(image=items[0].image, now=NOW)


def test_an_item_with_words_survives_its_photo_on_request(encoder, tmp_path):
    *_, wordless = items_with(BAD, tmp_path, title="")
    items = [*items_with({name: BAD[name] for name in ("200 x 1", "truncated")} | GOOD, tmp_path), wordless]
    retriever = Retriever(encoder)
    with pytest.raises(ItemError, match="text"):
        retriever.upsert(items, on_bad_photo="words")  # nothing is left of it
    report = retriever.upsert(items, on_error="skip", on_bad_photo="words")
    assert [bad.id for bad in report.without_photo] == ["200 x 1", "truncated"]
    assert [bad.id for bad in report.skipped] == ["text"]
    assert all(isinstance(bad, BadItem) and bad.reason for bad in report.without_photo)
    assert report.upserted == len(items) - 1
    hit = next(hit for hit in retriever.search("mug", k=99, now=NOW) if hit.id == "truncated")
    assert hit.item.image is None
    assert [item.id for item in retriever.changed(items[:3])] == ["200 x 1", "truncated"]
    (tmp_path / "truncated.jpg").write_bytes(GOOD["grey"])  # repaired
    assert retriever.upsert(items[:2], on_bad_photo="words").without_photo[0].id == "200 x 1"
    assert retriever.get("truncated").image == tmp_path / "truncated.jpg"
    with pytest.raises(ValueError, match="on_bad_photo must be 'error' or 'words', got 'skip'"):
        retriever.upsert(items, on_bad_photo="skip")


def test_a_photo_may_be_given_by_its_content(encoder, tmp_path):
    retriever = Retriever(encoder)
    retriever.upsert(items_with({"red": encoded(Image.new("RGB", (40, 40), "red")), **GOOD}, tmp_path))
    path = tmp_path / "red.jpg"
    content = path.read_bytes()
    expected = retriever.search(image=path, now=NOW)
    file = io.BytesIO(b"before" + content)
    file.seek(6)
    with path.open("rb") as opened:
        for source in (content, bytearray(content), memoryview(content), io.BytesIO(content), file, opened):
            for _ in range(2):  # a file is left where it stood
                assert retriever.search(image=source, now=NOW) == expected
    assert retriever.search_batch([Query("", content)], now=NOW) == [expected]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("data:image/jpeg;base64," + "/9j/" * 200_000, "is a data URL: pass the bytes"),
        (b"\xff" * 700_000, "is not a JPEG, PNG, WEBP file"),
        ("x" * 700_000, "photo"),
        ("https://shop.example/mug.jpg", "is a URL, which is not fetched"),
        (np.zeros((9, 9, 3), dtype=np.uint8), "a ndarray is not a photo: .*fromarray"),
        (io.StringIO("text"), "open for reading text"),
        (5, "a int is not a photo"),
    ],
)
def test_the_error_about_a_photo_is_short(encoder, image, message):
    retriever = Retriever(encoder)
    retriever.upsert([Item("a", "mug")])
    with pytest.raises(QueryError, match=message) as caught:
        retriever.search(image=image, now=NOW)
    assert len(str(caught.value)) < MESSAGE
    with pytest.raises(ItemError) as caught:
        retriever.upsert([Item("b", "mug", image=image)])
    assert len(str(caught.value)) < MESSAGE


class BlindEncoder(HashEncoder):
    """Of a user: refuses every photo, and would encode an item of nothing at all."""

    def encode_items(self, items):
        if reasons := {item.id: "its photo is damaged" for item in items if item.image is not None}:
            raise ItemError("a photo is damaged", reasons)
        return super().encode_items(items)


def test_an_item_without_words_is_not_indexed_by_them():
    retriever = Retriever(BlindEncoder())
    items = [Item("worded", "mug", image="a.jpg"), Item("wordless", image="b.jpg")]
    report = retriever.upsert(items, on_error="skip", on_bad_photo="words")
    assert [bad.id for bad in report.without_photo] == ["worded"]
    assert report.skipped == (BadItem("wordless", "its photo is damaged"),)
    assert [item.id for item in retriever.items()] == ["worded"]
