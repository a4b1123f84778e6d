from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from shops import random_texts

from rerank import CrossEncoderReranker
from rerank.cross_encoder.batching import token_batches
from rerank.groups import split_groups
from rerank.training.batching import group_batches, shuffled_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=60).map(lambda lengths: np.array(lengths, dtype=np.intp))


@given(lengths=LENGTHS, budget=st.integers(1, 1000))
def test_no_batch_exceeds_the_budget_unless_one_row_does(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_batches_are_as_full_as_the_budget_allows():
    batches = token_batches(np.array([9, 1, 2, 2, 8, 3]), 9)
    assert [batch.tolist() for batch in batches] == [[1, 2, 3], [5], [4], [0]]


@given(lengths=LENGTHS, size=st.integers(1, 7), seed=st.integers(0, 9))
def test_an_epoch_sees_each_row_once(lengths, size, seed):
    rows = np.flatnonzero(lengths % 2 == 0)
    batches = shuffled_batches(rows, lengths, size, np.random.default_rng(seed))
    assert sorted(row for batch in batches for row in batch) == rows.tolist()
    assert all(len(batch) <= size for batch in batches)
    again = shuffled_batches(rows, lengths, size, np.random.default_rng(seed))
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]


def test_batches_are_of_similar_length_and_in_random_order():
    lengths = np.random.default_rng(0).permutation(np.arange(1, 161))
    batches = shuffled_batches(np.arange(160), lengths, 10, np.random.default_rng(1))
    assert all(np.ptp(lengths[batch]) == 9 for batch in batches)
    shortest = [lengths[batch].min() for batch in batches]
    assert shortest != sorted(shortest)


@given(
    groups=st.lists(st.integers(0, 9), min_size=1),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 9),
)
def test_no_group_is_on_both_sides(groups, share, seed):
    train, held_out = split_groups(groups, share, np.random.default_rng(seed))
    assert sorted([*train, *held_out]) == list(range(len(groups)))
    held_groups = {groups[row] for row in held_out}
    assert not held_groups & {groups[row] for row in train}
    assert len(held_groups) == int(np.ceil(share * len(set(groups))))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_group_batches_hold_whole_groups(sizes, most, seed):
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    batches = group_batches(groups, generator.integers(1, 50, len(groups)), most, generator)
    assert sorted(np.concatenate(batches)) == list(range(len(groups)))
    assert max(map(len, batches)) <= most
    for group, size in enumerate(sizes):
        holding = [batch for batch in batches if (groups[batch] == group).any()]
        assert len(holding) <= -(-size // most)  # one, unless it fits in none


def test_group_batches_are_random_yet_of_similar_length():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(2000), 4)
    lengths = np.repeat(generator.integers(10, 200, 2000), 4)
    batches = group_batches(groups, lengths, 32, generator)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()
    assert all(len(batch) == 32 for batch in batches)
    again = group_batches(groups, lengths, 32, generator)
    assert {tuple(sorted(batch)) for batch in again}.isdisjoint(tuple(sorted(batch)) for batch in batches)


def test_rows_of_a_batch_are_of_similar_length_in_tokens_not_characters(scorer, batches):
    """sentence-transformers#2570, rocketride-server#2197: sorted by characters, batches are mostly padding."""
    chinese = "红色运动鞋跑步机电灯泡门窗管锯木"
    texts = []
    for n in range(16):  # twelve characters each: one token, or twelve
        texts += [f"unknown{n:05d}", (chinese[n:] + chinese[:n])[:12]]
    reranker = CrossEncoderReranker(scorer, device="cpu", batch_tokens=16 * 5)
    reranker.score([("red", text) for text in texts])
    assert [mask.shape for mask in batches] == [(16, 5), *[(5, 16)] * 3, (1, 16)]
    assert all(mask.all() for mask in batches)  # no padding at all


def test_the_largest_batch_does_not_grow_with_the_number_of_candidates(scorer, batches):
    """FlashRank: all candidates form one padded batch."""
    texts = random_texts(400)
    for number in (10, 100, 400):
        batches.clear()
        CrossEncoderReranker(scorer, device="cpu", batch_tokens=500).rank("red", texts[:number])
        assert sum(len(mask) for mask in batches) == number
        assert max(mask.size for mask in batches) <= 500
    assert sum(mask.sum() for mask in batches) > 0.9 * sum(mask.size for mask in batches)
