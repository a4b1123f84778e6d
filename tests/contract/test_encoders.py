"""Every encoder behind the one interface: text alone, fused in two ways, and a user's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder
from PIL import Image

from multimodal import ClipEncoder, TextEncoder, UnknownTokensWarning, WeightedConcat, WeightedSum
from twotower.errors import ItemError, QueryError
from twotower.towers.dual_encoder import DualEncoder
from twotower.types import Blocked, Describable, Encoder, ImageQueryEncoder, Item, Query

W_TEXT, W_IMAGE = 0.3, 0.7
TITLES = ["red mug", "blue lamp", "green chair of wood", "steel table", "paper"]
OURS = ["text", "concat", "sum"]
FUSED = ["concat", "sum"]


@pytest.fixture
def encoders(text_encoder: TextEncoder, clip_encoder: ClipEncoder) -> dict[str, Encoder]:
    return {
        "text": DualEncoder(text_encoder),
        "concat": DualEncoder(text_encoder, clip_encoder, WeightedConcat(W_TEXT, W_IMAGE)),
        "sum": DualEncoder(clip_encoder.words(), clip_encoder, WeightedSum(W_TEXT, W_IMAGE)),
        "own": HashEncoder(),
    }


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


every_encoder = each(*OURS, "own")


def photo(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((40, 40), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{n}.png" for n in range(len(TITLES))]
    for n, path in enumerate(paths):
        photo(n).save(path)
    return paths


@pytest.fixture
def items(photos: list[Path]) -> list[Item]:
    """The first three have photos."""
    return [Item(str(n), title, image=photos[n] if n < 3 else None) for n, title in enumerate(TITLES)]


def queries() -> list[Query]:
    return [Query(title, photo(n) if n < 2 else None) for n, title in enumerate(TITLES)]


def both_towers(encoder: Encoder, items: list[Item]):
    asked = queries() if isinstance(encoder, ImageQueryEncoder) else TITLES
    return ((encoder.encode_items, items), (encoder.encode_queries, asked))


@every_encoder
def test_vectors_are_finite_float32_of_shape_n_dim(encoders, items, name) -> None:
    for encode, inputs in both_towers(encoders[name], items):
        vectors = encode(inputs)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TITLES), encoders[name].dim)
        assert np.isfinite(vectors).all()
        assert (np.linalg.norm(vectors, axis=1) > 0).all()
        if name in OURS:
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@every_encoder
def test_empty_in_gives_empty_out(encoders, name) -> None:
    for encode in (encoders[name].encode_items, encoders[name].encode_queries):
        assert encode([]).shape == (0, encoders[name].dim)
        assert encode([]).dtype == np.float32


@every_encoder
def test_a_row_does_not_depend_on_its_neighbours_nor_on_the_order(encoders, items, name) -> None:
    for encode, inputs in both_towers(encoders[name], items):
        vectors = encode(inputs)
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
        single = np.concatenate([encode([one]) for one in inputs])
        np.testing.assert_allclose(vectors, single, atol=1e-5)
        np.testing.assert_allclose(encode(inputs[::-1])[::-1], vectors, atol=1e-5)


@every_encoder
def test_inputs_are_not_mutated(encoders, items, name) -> None:
    before = list(items)
    encoders[name].encode_items(items)
    assert items == before
    image = photo(0)
    if isinstance(encoders[name], ImageQueryEncoder):
        asked = [Query("mug", image)]
        encoders[name].encode_image_queries(asked)
        assert asked == [Query("mug", image)]
    assert image.tobytes() == photo(0).tobytes()


@every_encoder
def test_words_find_the_item_of_the_same_words(encoders, name) -> None:
    encoder = encoders[name]
    vectors = encoder.encode_items([Item(title, title) for title in TITLES])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = encoder.encode_queries(TITLES) @ vectors.T
    assert scores.argmax(axis=1).tolist() == list(range(len(TITLES)))


# In a sum the words of an item pull on its photo, and a random model's words pull anywhere: photos alone.
@pytest.mark.parametrize(("name", "words"), [("concat", ""), ("concat", "red mug"), ("sum", "")])
def test_a_photo_finds_its_own_item(encoders, photos, name, words) -> None:
    vectors = encoders[name].encode_items([Item(path.name, words, image=path) for path in photos])
    for source in (lambda n: photos[n], lambda n: str(photos[n]), photo):
        asked = [Query("", source(n)) for n in range(len(photos))]
        scores = encoders[name].encode_queries(asked) @ vectors.T
        assert scores.argmax(axis=1).tolist() == list(range(len(photos)))


@each(*OURS)
def test_blocks_cover_the_vector_without_overlap(encoders, name) -> None:
    encoder = encoders[name]
    assert isinstance(encoder, Blocked)
    columns = [column for part in encoder.blocks.values() for column in range(encoder.dim)[part]]
    assert sorted(columns) == list(range(encoder.dim))


def test_the_blocks_of_a_concatenation_are_the_weighted_cosines_of_each_model(
    encoders, text_encoder, clip_encoder, photos
) -> None:
    encoder = encoders["concat"]
    item = encoder.encode_items([Item("0", "red mug", "of steel", image=photos[0])])[0]
    words, caption = text_encoder.encode_documents(["red mug\nof steel"])[0], "blue lamp"
    image = clip_encoder.encode_images([photo(0)])[0]
    looks = {  # a query without a photo looks for photos by its words
        Query(f" {caption} "): clip_encoder.encode_texts([caption])[0],
        Query(caption, photo(1)): clip_encoder.encode_images([photo(1)])[0],
    }
    for query, look in looks.items():
        vector = encoder.encode_queries([query])[0]
        parts = {part: float(vector[columns] @ item[columns]) for part, columns in encoder.blocks.items()}
        cosine = float(text_encoder.encode_queries([caption])[0] @ words)
        assert parts == {
            "text": pytest.approx(W_TEXT * cosine, abs=1e-5),
            "image": pytest.approx(W_IMAGE * float(look @ image), abs=1e-5),
        }


@each(*OURS)
def test_describe_is_plain_json(encoders, name) -> None:
    encoder = encoders[name]
    assert isinstance(encoder, Describable)
    assert json.loads(json.dumps(encoder.describe())) == encoder.describe()


def test_unreadable_words_are_missing_in_a_query_and_count_in_an_item(
    tiny_text_folder, clip_encoder, photos
) -> None:
    text = TextEncoder(tiny_text_folder, device="cpu")
    encoder = DualEncoder(text, clip_encoder, WeightedConcat())
    items = [Item("0", "马克杯", image=photos[0]), Item("1", "mug", image=photos[0]), Item("2", "马克杯")]
    with pytest.warns(UnknownTokensWarning):
        vectors = encoder.encode_items(items)
    np.testing.assert_allclose(vectors[2, : text.dim], text.encode_documents(["马克杯"])[0], atol=1e-5)
    query = encoder.encode_queries([Query("马克杯")])[0]  # the image model's own text tower goes by it
    assert not query[: text.dim].any()
    np.testing.assert_allclose(query[text.dim :], clip_encoder.encode_texts(["马克杯"])[0], atol=1e-5)
    # By a photo, a product is as near whatever the language of its title.
    by_photo = vectors @ encoder.encode_queries([Query(image=photos[0])])[0]
    assert by_photo[0] == pytest.approx(by_photo[1], abs=1e-6)


def test_a_query_is_readable_where_at_least_half_of_its_vector_comes_from_a_model_that_reads_it(
    tiny_text_folder, clip_encoder
) -> None:
    text = TextEncoder(tiny_text_folder, device="cpu")
    for weight, readable in ((0.4, True), (0.5, True), (0.6, False)):
        encoder = DualEncoder(text, clip_encoder, WeightedConcat(text=weight, image=1 - weight))
        assert encoder.readable(["mug", "马克杯"]).tolist() == [True, readable]
    assert DualEncoder(text).readable(["mug", "马克杯"]).tolist() == [True, False]


def test_unreadable_text_is_encoded_where_there_is_nothing_else(tiny_text_folder) -> None:
    text = TextEncoder(tiny_text_folder, device="cpu")
    with pytest.warns(UnknownTokensWarning):
        vectors = DualEncoder(text).encode_queries([Query("马克杯")])
    np.testing.assert_allclose(vectors, text.encode_queries(["马克杯"]), atol=1e-6)


@each(*FUSED)
def test_every_bad_item_is_reported_at_once(encoders, photos, tmp_path, name) -> None:
    damaged, other = tmp_path / "damaged.png", tmp_path / "other.jpg"
    damaged.write_bytes(photos[0].read_bytes()[:60])
    photo(0).save(other, format="GIF")
    items = [
        Item("good", "red mug", image=photos[0]),
        Item("missing", "red mug", image=tmp_path / "none.png"),
        Item("empty"),
        Item("damaged", "red mug", image=damaged),
        Item("other", "", image=str(other)),
    ]
    with pytest.raises(
        ItemError, match=r"^item 'missing' cannot be indexed: photo '.*none\.png' does not"
    ) as caught:
        encoders[name].encode_items(items)
    reasons = caught.value.reasons
    assert list(reasons) == ["missing", "empty", "damaged", "other"]
    assert "neither words nor a photo" in reasons["empty"]
    assert f"'{damaged}' is damaged" in reasons["damaged"]
    assert f"'{other}' is not a JPEG" in reasons["other"]


@each(*OURS)
@pytest.mark.parametrize("words", ["", " \n\t"])
def test_an_empty_query_is_refused(encoders, name, words) -> None:
    with pytest.raises(QueryError, match="neither words nor a photo"):
        encoders[name].encode_queries([Query("mug"), Query(words)])


@each(*FUSED)
def test_a_query_with_a_bad_photo_is_refused(encoders, tmp_path, name) -> None:
    with pytest.raises(QueryError, match=r"photo cannot be used: photo '.*none\.jpg' does not exist"):
        encoders[name].encode_queries([Query("mug"), Query("mug", tmp_path / "none.jpg")])


def test_text_alone_never_opens_photos(encoders, tmp_path) -> None:
    encoder, none = encoders["text"], tmp_path / "none.jpg"
    expected = encoder.encode_items([Item("0", "mug")])
    np.testing.assert_allclose(encoder.encode_items([Item("0", "mug", image=none)]), expected, atol=1e-6)
    with pytest.raises(ItemError, match="neither words nor a photo that this encoder reads"):
        encoder.encode_items([Item("0", image=none)])
    with pytest.raises(QueryError, match="neither words nor a photo that this encoder reads"):
        encoder.encode_queries([Query("", none)])


def test_a_weight_of_zero_is_zero(text_encoder, clip_encoder, photos, tmp_path) -> None:
    """What has no weight is neither opened nor encoded, and does not count as being there."""
    words_only = DualEncoder(text_encoder, clip_encoder, WeightedConcat(1, 0))
    vector = words_only.encode_items([Item("0", "mug", image=tmp_path / "none.png")])[0]
    np.testing.assert_allclose(
        vector[: text_encoder.dim], text_encoder.encode_documents(["mug"])[0], atol=1e-5
    )
    photos_only = DualEncoder(text_encoder, clip_encoder, WeightedConcat(0, 1))
    vector = photos_only.encode_queries([Query("mug")])[0]
    np.testing.assert_allclose(vector[text_encoder.dim :], clip_encoder.encode_texts(["mug"])[0], atol=1e-5)
    for encoder, item in ((words_only, Item("0", image=photos[0])), (photos_only, Item("0", "mug"))):
        with pytest.raises(ItemError, match="neither words nor a photo that this encoder reads"):
            encoder.encode_items([item])


def test_a_batch_of_nothing_is_refused(tiny_text_folder, tiny_clip_folder) -> None:
    for make in (TextEncoder, lambda folder, **options: ClipEncoder(f"local-dir:{folder}", **options)):
        with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0$"):
            make(tiny_text_folder if make is TextEncoder else tiny_clip_folder, batch_size=0)


def test_image_and_fusion_belong_together(text_encoder, clip_encoder) -> None:
    for parts in ({"image": clip_encoder}, {"fusion": WeightedConcat()}):
        with pytest.raises(ValueError, match="pass both or neither"):
            DualEncoder(text_encoder, **parts)
