from __future__ import annotations

import sys
from argparse import Namespace

import numpy as np
import pytest

from benchmarks.__main__ import read_options
from benchmarks.common.contract import Result
from benchmarks.common.data import Dataset
from benchmarks.common.machine import installed
from benchmarks.common.speed import System, UnequalWorkError
from benchmarks.common.texts import count_tokens, draw_lengths, draw_texts, words_of
from benchmarks.rerank import benchmark as rerank
from benchmarks.rerank import flashrank as flashrank_peer
from benchmarks.rerank.pairs import Work, make_works
from benchmarks.rerank.systems import sentence_transformers
from multimodal.precision import native_bf16
from twotower.types import Item, Query

PAIRS = [("red mug", "a mug"), ("red mug", "a lamp"), ("wood", "a chair"), ("wood", "steel")]


@pytest.fixture(scope="module")
def network(one_thread, tiny_cross_encoder):
    """Folder of a tiny cross-encoder with an untrained head, and the peer that opened it."""
    return tiny_cross_encoder, sentence_transformers(tiny_cross_encoder, "cpu")


@pytest.fixture(scope="module")
def big_tokenizer():
    """A WordPiece tokenizer of 26 x 26 words of three letters, which splits any longer word."""
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]
    words = [*special, *(f"{first}{second}x" for first in letters for second in letters), "##abc"]
    return BertTokenizer({word: n for n, word in enumerate(words)}, model_max_length=512)


@pytest.mark.parametrize(("mix", "least", "most"), [("short", 3, 12), ("long", 100, 300), ("mixed", 3, 400)])
def test_texts_have_the_promised_tokens(big_tokenizer, mix, least, most):
    rng = np.random.default_rng(5)
    words = words_of(big_tokenizer)
    lengths = draw_lengths(mix, 2_000 if mix == "mixed" else 200, 400, rng)
    texts = draw_texts(words, lengths, rng)
    tokens = count_tokens(big_tokenizer, texts, None, 512) - 2  # [CLS] and [SEP]
    assert np.array_equal(tokens, lengths)
    assert len(set(texts)) == len(texts)
    assert least <= tokens.min()
    assert tokens.max() <= most
    if mix == "mixed":  # quantiles of the log-normal that was promised
        assert np.median(tokens) == pytest.approx(40, rel=0.1)
        assert np.std(np.log(tokens)) == pytest.approx(0.8, rel=0.1)
        return
    assert tokens.min() < least + 5
    assert tokens.max() > most - 10


def test_no_call_has_a_pair_twice_and_each_way_has_the_tokens_asked_for(big_tokenizer):
    options = read_options("rerank", ["--tokens", "30000"])
    for work in make_works(big_tokenizer, 512, None, options):
        assert len(set(work.batch)) == len(work.batch)
        assert all(len(own) == len(set(own)) == 100 for own in work.queries)
        assert all(len({query for query, _ in own}) == 1 for own in work.queries)
        assert len({query for query, _ in work.batch}) > 1
        read = [len(f"{query} {text}".split()) + 3 for query, text in work.batch]
        assert work.batch_lengths.tolist() == read
        assert sum(read) == pytest.approx(30_000, rel=0.15)
        assert work.query_lengths.sum() == pytest.approx(30_000, rel=0.5)  # whole queries only


class RecordingShop:
    """Systems that move a clock by a known time for each pair, and write down who was called."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def system(self, name, seconds_a_pair, *, shift=0.0, many=True):
        def score(pairs):
            self.calls.append(name)
            self.now += seconds_a_pair * len(pairs)
            return np.linspace(0.1, 0.9, len(pairs), dtype=np.float32) + np.float32(shift)

        return System(score, many=many)

    def measure(self, systems):
        work = Work("mixed", PAIRS, np.full(4, 10), [PAIRS[:2], PAIRS[2:]], np.full(4, 10))
        result = Result("rerank", 0)
        rerank.measure(result, systems, work, {}, clock=lambda: self.now)
        return result.rows, result.ratios


def test_known_times_give_known_rates_and_ratios():
    shop = RecordingShop()
    rows, ratios = shop.measure(
        {
            "twotower": shop.system("twotower", 0.25),
            "sentence-transformers": shop.system("sentence-transformers", 0.5),
            "flashrank": shop.system("flashrank", 0.125, many=False),
        }
    )
    found = {(row.system, row.params["way"]): row.metrics for row in rows}
    assert found["twotower", "batch"]["pairs_per_s"].median == 4
    assert found["sentence-transformers", "batch"]["pairs_per_s"].median == 2
    assert found["sentence-transformers", "per-query"]["p99_ms"].max == 1000
    assert found["flashrank", "per-query"]["pairs_per_s"].n == 5
    assert ("flashrank", "batch") not in found  # it has no such call
    assert {name: ratio.median for name, ratio in ratios.items()} == {
        "twotower / sentence-transformers : pairs_per_s mixed": 2.0,
        "twotower / sentence-transformers : p50_ms mixed per-query": 0.5,
        "twotower / flashrank : p50_ms mixed per-query": 2.0,
    }


def test_systems_take_turns():
    shop = RecordingShop()
    shop.measure({name: shop.system(name, 1) for name in ("twotower", "peer")})
    timed = shop.calls[2:]  # the first two are the check
    batch, single = timed[:10], timed[10:]
    turns = [batch[place : place + 2] for place in range(0, 10, 2)]
    assert all(sorted(turn) == ["peer", "twotower"] for turn in turns)
    assert {turn[0] for turn in turns} == {"peer", "twotower"}
    assert all({*single[place : place + 2]} == {"peer", "twotower"} for place in range(0, 20, 2))


@pytest.mark.parametrize("shift", [2e-4, float("nan")])
def test_a_peer_that_scores_otherwise_is_refused(shift):
    shop = RecordingShop()
    systems = {"twotower": shop.system("twotower", 1), "peer": shop.system("peer", 1, shift=shift)}
    with pytest.raises(UnequalWorkError, match="peer"):
        shop.measure(systems)


def test_a_peer_that_mixes_up_near_equal_scores_is_refused():
    """An untrained head's scores are so close that an absolute tolerance would let anything pass."""
    shop = RecordingShop()
    near = np.float32(0.5) + np.arange(4, dtype=np.float32) * np.float32(2e-5)
    systems = {
        "twotower": System(lambda pairs: near),
        "peer": System(lambda pairs: near[::-1]),
    }
    with pytest.raises(UnequalWorkError):
        shop.measure(systems)


def test_the_real_systems_agree_and_are_all_compared(network, monkeypatch, capsys):
    folder, _ = network
    monkeypatch.setattr(rerank, "cross_encoder_folder", lambda options: folder)
    result = rerank.run(read_options("rerank", ["--quick", "--threads", "1"]))
    assert len(result.ratios) == 6 * (1 + native_bf16("cpu"))
    assert result.headline.count("twotower") == 1
    assert "flashrank is left out" in capsys.readouterr().err


def test_flashrank_without_its_exporter_is_left_out_with_a_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert not installed("flashrank", *flashrank_peer.NEEDS)
    assert capsys.readouterr().err == "flashrank is left out: pip install onnx\n"


@pytest.mark.slow  # exporting takes most of it
@pytest.mark.filterwarnings("default")  # the exporter's own
def test_flashrank_over_the_exported_model_scores_as_ours(network):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    folder, peer = network
    score = flashrank_peer.flashrank(folder, max_length=64, threads=1)
    pairs = [("red mug", "blue lamp"), ("red mug", "wood"), ("paper", "steel chair table " * 9)]
    assert np.allclose(score(pairs), peer.predict(pairs, show_progress_bar=False), atol=1e-6)


def test_quality_is_that_of_the_judged_items_alone():
    """A system that turns every order around is seen to be as bad as that is; unjudged items do not count."""
    items = tuple(Item(name, f"thing {name}") for name in "abcx")
    queries = {name: Query(f"query {name}") for name in ("one", "two", "few")}
    grades = {"a": 2, "b": 1, "c": 0}
    data = Dataset("data", items, queries, {"one": grades, "two": grades, "few": {"a": 1, "x": 0}})
    options = Namespace(relevant=1, gain="linear", seed=0)

    def right(pairs):
        assert {query for query, _ in pairs} == {"query one", "query two"}  # the third has too few judgements
        return np.array(["cba".index(text[-1]) for _, text in pairs], dtype=np.float32)

    result = Result("rerank", 0)
    systems = {"twotower": System(right), "twotower other": System(lambda pairs: -right(pairs))}
    rerank.add_judged_quality(result, systems, data, options, {})
    rows, ratios = result.rows, result.ratios
    assert [row.metrics["ndcg@10"] for row in rows] == pytest.approx(
        [1, (1 / np.log2(3) + 2 / np.log2(4)) / (2 + 1 / np.log2(3))]
    )
    assert rows[0].params["pairs"] == 6
    (ratio,) = ratios.values()
    assert ratio.median == pytest.approx(rows[1].metrics["ndcg@10"])


def test_a_mix_that_the_data_has_no_texts_for_is_left_out(big_tokenizer, capsys):
    items = tuple(Item(str(n), f"aax bbx {n}") for n in range(300))
    data = Dataset("data", items, {str(n): Query(f"abx {n}") for n in range(300)}, {})
    works = make_works(big_tokenizer, 64, data, read_options("rerank", ["--quick"]))
    assert [work.mix for work in works] == ["short", "mixed"]
    assert capsys.readouterr().err == "the mix of long texts is left out: the data has none\n"
