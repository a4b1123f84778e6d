from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal import WeightedConcat, WeightedSum

METHODS = [WeightedConcat, WeightedSum]
weights = st.floats(1e-3, 1e3)
seeds = st.integers(0, 2**32 - 1)


def unit(seed: int, count: int, dim: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def mask(*values: bool) -> np.ndarray:
    return np.array(values, dtype=np.bool_)


def some(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have text and which have an image; every row has one of them."""
    kinds = np.random.default_rng(seed).integers(1, 4, count)
    return kinds & 1 > 0, kinds & 2 > 0


@given(weights, weights, st.integers(1, 20), st.integers(1, 20), seeds)
def test_the_inner_product_of_complete_rows_is_the_weighted_sum_of_cosines(
    w_text, w_image, m, k, seed
) -> None:
    text, image = unit(seed, 5, m), unit(seed + 1, 5, k)
    fused = WeightedConcat(w_text, w_image).fuse(text, image, np.ones(5, bool), np.ones(5, bool))
    expected = (w_text * (text @ text.T) + w_image * (image @ image.T)) / (w_text + w_image)
    np.testing.assert_allclose(fused @ fused.T, expected, atol=1e-5)


@given(st.sampled_from(METHODS), weights, weights, seeds)
def test_rows_have_unit_length_whatever_is_missing(method, w_text, w_image, seed) -> None:
    text, image = unit(seed, 8, 6), unit(seed + 1, 8, 6)
    fused = method(w_text, w_image).fuse(text, image, *some(8, seed))
    assert fused.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, atol=1e-5)


@given(weights, weights, seeds)
def test_two_rows_share_the_root_of_their_weights(w_text, w_image, seed) -> None:
    """The policy of the module's docstring: each part counts sqrt(w * w'), renormalised on either side."""
    text, image = unit(seed, 6, 4), unit(seed + 1, 6, 7)
    has_text, has_image = some(6, seed)
    fused = WeightedConcat(w_text, w_image).fuse(text, image, has_text, has_image)
    shares = np.stack([w_text * has_text, w_image * has_image], axis=1)
    shares = np.sqrt(shares / shares.sum(axis=1, keepdims=True))
    expected = np.outer(shares[:, 0], shares[:, 0]) * (text @ text.T)
    expected += np.outer(shares[:, 1], shares[:, 1]) * (image @ image.T)
    np.testing.assert_allclose(fused @ fused.T, expected, atol=1e-5)


@pytest.mark.parametrize("has", [(True, False), (False, True)])
def test_a_row_with_one_modality_is_that_vector_alone(has) -> None:
    text, image = unit(1, 1, 3), unit(2, 1, 3)
    present = mask(has[0]), mask(has[1])
    alone = text if has[0] else image
    fused = WeightedConcat(0.2, 0.8).fuse(text, image, *present)
    expected = np.concatenate([text * has[0], image * has[1]], axis=1)
    np.testing.assert_allclose(fused, expected, atol=1e-6)
    np.testing.assert_allclose(WeightedSum(0.2, 0.8).fuse(text, image, *present), alone, atol=1e-6)


@given(seeds)
def test_weights_of_one_and_zero_are_the_single_modality(seed) -> None:
    text, image, both = unit(seed, 4, 5), unit(seed + 1, 4, 5), np.ones(4, bool)
    nothing = np.zeros_like(text)
    np.testing.assert_allclose(WeightedConcat(1, 0).fuse(text, image, both, both), np.hstack([text, nothing]))
    np.testing.assert_allclose(
        WeightedConcat(0, 1).fuse(text, image, both, both), np.hstack([nothing, image])
    )
    np.testing.assert_allclose(WeightedSum(1, 0).fuse(text, image, both, both), text, atol=1e-6)
    np.testing.assert_allclose(WeightedSum(0, 1).fuse(text, image, both, both), image, atol=1e-6)


def test_a_weighted_sum_adds_in_proportion() -> None:
    text = np.array([[1, 0]], np.float32)
    image = np.array([[0, 1]], np.float32)
    fused = WeightedSum(3, 4).fuse(text, image, mask(True), mask(True))
    np.testing.assert_allclose(fused, [[0.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_missing_modality_holds_does_not_matter(method) -> None:
    text, image = unit(1, 2, 3), unit(2, 2, 3)
    has_text, has_image = mask(True, False), mask(True, True)
    clean = method().fuse(text, image, has_text, has_image)
    text[1] = np.nan
    np.testing.assert_array_equal(method().fuse(text, image, has_text, has_image), clean)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_are_not_mutated(method) -> None:
    inputs = unit(1, 3, 4), unit(2, 3, 4), mask(True, False, True), mask(True, True, False)
    before = [array.copy() for array in inputs]
    method(0.3, 0.7).fuse(*inputs)
    for array, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("method", METHODS)
def test_a_row_with_neither_is_named(method) -> None:
    text = unit(1, 3, 4)
    with pytest.raises(ValueError, match="row 1 has neither"):
        method().fuse(text, text, mask(True, False, False), mask(True, False, True))
    # A modality of weight 0 is as good as absent.
    with pytest.raises(ValueError, match="row 2 has neither"):
        method(1, 0).fuse(text, text, mask(True, True, False), mask(True, True, True))


@pytest.mark.parametrize("method", METHODS)
def test_empty_in_gives_empty_out(method) -> None:
    none, nobody = np.zeros((0, 4), np.float32), np.zeros(0, np.bool_)
    fusion = method()
    fused = fusion.fuse(none, none, nobody, nobody)
    assert fused.shape == (0, fusion.dim(4, 4))
    assert fused.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_bad_weights_are_named(method, bad) -> None:
    with pytest.raises(ValueError, match=f"text must be (at least 0|a finite number), got {bad}"):
        method(text=bad)
    with pytest.raises(ValueError, match=f"image must be (at least 0|a finite number), got {bad}"):
        method(image=bad)
    with pytest.raises(ValueError, match="text and image must be above 0, got 0 for both"):
        method(0, 0)


def test_blocks_cover_the_vector_and_add_up() -> None:
    text, image, both = unit(1, 1, 3), unit(2, 1, 5), mask(True)
    fusion = WeightedConcat(0.3, 0.7)
    fused = fusion.fuse(text, image, both, both)
    blocks = fusion.blocks(3, 5)
    assert sorted(column for part in blocks.values() for column in range(8)[part]) == list(
        range(fusion.dim(3, 5))
    )
    parts = {name: float(np.sum(fused[0, part] ** 2)) for name, part in blocks.items()}
    assert parts == {"text": pytest.approx(0.3, abs=1e-6), "image": pytest.approx(0.7, abs=1e-6)}
    assert WeightedSum().blocks(4, 4) == {"similarity": slice(0, 4)}


def test_a_sum_needs_one_space() -> None:
    for attempt in (
        lambda: WeightedSum().dim(3, 5),
        lambda: WeightedSum().blocks(3, 5),
        lambda: WeightedSum().fuse(
            unit(1, 1, 1), unit(2, 1, 5), mask(True), mask(True)
        ),  # numpy would broadcast
    ):
        with pytest.raises(ValueError, match="needs vectors of one space, got"):
            attempt()


def test_a_sum_that_cancels_out_names_its_row() -> None:
    text = unit(1, 2, 4)
    image = np.stack([text[0], -text[1]])
    with pytest.raises(ValueError, match="row 1 has text and image vectors that cancel out"):
        WeightedSum().fuse(text, image, mask(True, True), mask(True, True))


@pytest.mark.parametrize("method", [WeightedConcat, WeightedSum])
def test_weights_are_renormalised_over_the_modalities_present(method):
    """Marqo: the mean of the parts that are there, weights not renormalised, a norm of 0 unguarded."""
    text, image = np.eye(2, 4, dtype=np.float32)
    both, neither = np.array([True, True, False]), np.array([True, False, True])
    fused = method(text=3, image=1).fuse(np.tile(text, (3, 1)), np.tile(image, (3, 1)), both, neither)
    share = 0.75 * text + 0.25 * image
    expected = [share / np.linalg.norm(share), text, image]
    if method is WeightedConcat:
        expected = [[*(np.sqrt(w) * text), *(np.sqrt(v) * image)] for w, v in ((0.75, 0.25), (1, 0), (0, 1))]
    np.testing.assert_allclose(fused, expected, atol=1e-6)
    one, no = np.array([True]), np.array([False])
    with pytest.raises(ValueError, match="row 0 has neither text nor image"):
        method().fuse(text[None], image[None], no, no)
    with pytest.raises(ValueError, match="row 0 has neither"):
        method(text=1, image=0).fuse(text[None], image[None], no, one)
    if method is WeightedSum:
        with pytest.raises(ValueError, match="cancel out"):
            method().fuse(text[None], -text[None], one, one)
