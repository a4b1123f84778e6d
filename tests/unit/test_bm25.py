from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from twotower.evaluation.baselines import BM25
from twotower.recall.words.tokenizer import words_of

TEXTS = ["Red running shoes", "Blue shoe, shoe polish", "红色运动鞋 跑步", "Lamp", ""]


def test_scores_by_the_formula():
    """Robertson and Zaragoza 2009, with Lucene's inverse document frequency, summed by hand."""
    documents = [words_of(text) for text in TEXTS]
    mean_length = np.mean([len(words) for words in documents])

    def score(query: str, words: list[str], k1: float = 1.2, b: float = 0.75) -> float:
        total = 0.0
        for word in words_of(query):
            containing = sum(word in document for document in documents)
            frequency = words.count(word)
            rarity = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
            total += rarity * frequency / (frequency + k1 * (1 - b + b * len(words) / mean_length))
        return total

    for query in ("red shoes", "shoe", "运动鞋"):
        scores, rows = BM25(TEXTS).search(query, 10)
        expected = {row: score(query, words) for row, words in enumerate(documents)}
        assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == pytest.approx(
            {row: value for row, value in expected.items() if value > 0}, rel=1e-5
        )
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)


def test_only_texts_with_a_word_of_the_query_are_found():
    index = BM25(TEXTS)
    assert index.search("lamps", 10)[1].tolist() == [3]
    assert index.search("unheard of", 10)[1].tolist() == []
    assert index.search("", 10)[1].tolist() == []
    assert BM25([]).search("lamp", 3)[1].tolist() == []
    assert BM25(["", ""]).search("lamp", 3)[1].tolist() == []


def test_ties_come_in_the_order_of_the_texts_and_k_cuts_after_that():
    index = BM25(["lamp"] * 5 + ["lamp lamp"])
    assert index.search("lamp", 10)[1].tolist() == [5, 0, 1, 2, 3, 4]
    assert index.search("lamp", 3)[1].tolist() == [5, 0, 1]


def test_building_says_nothing():
    code = "import logging; logging.basicConfig(); import twotower.evaluation.baselines as b; b.BM25(['红色 lamp'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
