"""A word's weight is what the logit loses without it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank import CrossEncoderReranker, InputError
from rerank.word_weights import _spans

WEIGHTS = {"red": 2.0, "door": 1.5, "茶": 1.0, "lamp": -0.5, "don't": 0.25, "cafe\u0301": 0.125}


class Sum(CrossEncoderReranker):
    """A logit is the sum of the weights of the document's words; a word of the query counts 1/128."""

    def __init__(self):
        super().__init__("no/model")
        self.calls = 0

    def logits(self, pairs, /):
        self.calls += 1
        return np.array(
            [self._sum(document) + self._sum(query) / 128 for query, document in pairs], np.float32
        )

    def _sum(self, text):
        return sum(weight * text.count(word) for word, weight in WEIGHTS.items())


def test_known_weights_are_found_exactly():
    reranker = Sum()
    query, document = "Red? red!", "(red) lamp, 红茶 don't: door glue, red cafe\u0301"
    found = reranker.word_weights(query, document)
    assert reranker.calls == 1
    assert [(each.word, each.weight) for each in found if not each.in_query] == [
        ("red", 2.0),
        ("red", 2.0),
        ("door", 1.5),
        ("茶", 1.0),
        ("don't", 0.25),
        ("cafe\u0301", 0.125),
        ("红", 0.0),
        ("glue", 0.0),
        ("lamp", -0.5),
    ]
    assert {(each.word, each.start, each.weight) for each in found if each.in_query} == {
        ("Red", 0, 0.0),
        ("red", 5, 2 / 128),
    }
    # The two copies are at places of their own, in the order of the text.
    assert [each.start for each in found if each.word == "red" and not each.in_query] == [1, 33]
    for each in found:
        assert (query if each.in_query else document)[each.start : each.end] == each.word


def test_only_the_first_words_of_each_text_are_examined():
    found = Sum().word_weights("door lamp glue", "red " * 500, max_words=2)
    assert [(each.word, each.in_query, each.start) for each in found] == [
        ("red", False, 0),
        ("red", False, 4),
        ("door", True, 0),
        ("lamp", True, 5),
    ]
    assert Sum().word_weights("", "... !") == []


def test_leaving_out_the_top_word_costs_more_than_leaving_out_any(scorer, pairs):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    generator = np.random.default_rng(0)
    falls_of_top, falls_of_any = [], []
    for query, document in pairs[:25]:
        words = [each for each in reranker.word_weights(query, document) if not each.in_query]
        if len(words) < 2:
            continue
        any_word = words[generator.integers(len(words))]
        texts = [document[: each.start] + document[each.end :] for each in (words[0], any_word)]
        whole, without_top, without_any = reranker.score([(query, text) for text in (document, *texts)])
        falls_of_top.append(whole - without_top)
        falls_of_any.append(whole - without_any)
    assert len(falls_of_top) > 15
    assert np.mean(falls_of_top) > np.mean(falls_of_any) + 0.01


@given(st.text())
@settings(deadline=None)
def test_every_letter_is_in_one_word(text):
    spans = list(_spans(text, len(text)))
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    inside = {place for start, end in spans for place in range(start, end)}
    assert inside >= {place for place, sign in enumerate(text) if sign.isalnum()}
    assert not any(sign.isspace() for place, sign in enumerate(text) if place in inside)


@pytest.mark.parametrize(
    ("query", "document", "most", "message"),
    [("a", None, 5, "document must be text"), (3, "a", 5, "query must be text"), ("a", "b", 0, "max_words")],
)
def test_bad_input_is_named(query, document, most, message):
    with pytest.raises(InputError, match=message):
        CrossEncoderReranker("no/model").word_weights(query, document, max_words=most)
