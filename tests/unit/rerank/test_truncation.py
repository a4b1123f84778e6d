"""Text that a reranker cannot read is told of, once, and is never the title."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from rerank import CrossEncoderReranker, TruncationWarning
from twotower import Item

LONG, SHORT = "red door " * 10, "red door"


def test_cut_pairs_are_told_of_once_and_counted_always(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu", max_length=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reranker.score([("red", SHORT)])
    with pytest.warns(
        TruncationWarning, match=r"^2 of 3 pairs are longer than max_length, 12 tokens: the end of"
    ) as told:
        reranker.score([("red", LONG), ("lamp", LONG), ("lamp", SHORT)])
    assert len(told) == 1
    assert reranker.truncated == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reranker.logits([("blue", LONG)])
        assert reranker.truncated == 3
    with pytest.warns(TruncationWarning, match="1 of 1"):  # another reranker tells for itself
        CrossEncoderReranker(scorer, device="cpu", max_length=10).score([("red", LONG)])


def test_many_threads_tell_once(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu", max_length=12)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(reranker.score, [[("red", LONG)]] * 16))
    assert [each.category for each in told] == [TruncationWarning]
    assert reranker.truncated == 16


@pytest.mark.filterwarnings("ignore::rerank.TruncationWarning")
def test_titles_survive_and_descriptions_are_cut(scorer):
    """Of 8 tokens, 3 are special and 1 is the query's, which leaves 4 for the item."""
    reranker = CrossEncoderReranker(scorer, device="cpu", max_length=8)

    def score(title, text):
        return reranker.score([("red", Item("1", title=title, text=text).words)])[0]

    title, description = "steel pipe valve", "blue lamp saw glue " * 20
    whole = score(title, description)
    assert score(title, "blue wood " * 40) == pytest.approx(whole, abs=1e-6)  # only "blue" is read
    assert score("steel pipe tape", description) != pytest.approx(
        whole, abs=1e-3
    )  # the last word of the title is
    assert score("steel pipe valve tape", description) == pytest.approx(
        score("steel pipe valve tape", ""), abs=1e-6
    )
    assert reranker.truncated == 4
