"""Text that a reranker cannot read is reported once, and is never the title."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rerank import CrossEncoderReranker, TruncationWarning
from twotower import Item

LONG, SHORT = "red door " * 10, "red door"


def test_truncated_pairs_are_reported_once_and_always_counted(scorer):
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
    with pytest.warns(TruncationWarning, match="1 of 1"):  # every reranker warns once
        CrossEncoderReranker(scorer, device="cpu", max_length=10).score([("red", LONG)])


def test_many_threads_report_truncation_once(scorer):
    reranker = CrossEncoderReranker(scorer, device="cpu", max_length=12)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(reranker.score, [[("red", LONG)]] * 16))
    assert [each.category for each in told] == [TruncationWarning]
    assert reranker.truncated == 16


@pytest.mark.filterwarnings("ignore::rerank.TruncationWarning")
def test_titles_are_read_and_descriptions_truncated(scorer):
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


def test_truncation_is_reported_once_and_loses_only_the_end(scorer):
    """FlashRank#34, langchain#21812: pairs are cut silently, and the ranking is nonsense."""
    reranker = CrossEncoderReranker(scorer, device="cpu", max_length=12)
    title = "steel pipe door lamp glue saw tape wood"  # twelve tokens with the query and three special ones
    long = [f"{title} {'red ' * extra}" for extra in (1, 20, 200)]
    with pytest.warns(TruncationWarning, match="3 of 4 pairs are longer than max_length, 12 tokens") as told:
        found = reranker.score([("red", text) for text in [title, *long]])
    assert len(told) == 1
    assert found == pytest.approx(np.full(4, found[0]), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reranker.rank("blue", long)
    assert reranker.truncated == 6
