"""`pairs`: a made-up language is learned, and every number is scikit-learn's on the scores that were written."""

from __future__ import annotations

import argparse
import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmarks import pairs
from benchmarks.__main__ import main
from benchmarks.classification import data, decisions, lexical
from benchmarks.classification.small_bert import small_bert
from rerank import InputError


def write(path, labelled, scale=1):
    """JSON lines of the pairs, the labels times `scale`."""
    lines = [
        {"query": query, "title": title, "label": label * scale}
        for (query, title), label in zip(labelled.pairs, labelled.labels.tolist(), strict=True)
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The result file and the predictions of a run on the made-up language, graded 0 and 2."""
    folder = tmp_path_factory.mktemp("pairs")
    out, predictions = folder / "out.json", folder / "predictions.jsonl"
    train = write(folder / "train.jsonl", data.made_up(2500, 5), 2)
    dev = write(folder / "dev.jsonl", data.made_up(200, 6), 2)
    options = [
        "--train",
        train,
        "--dev",
        dev,
        "--out",
        str(out),
        "--predictions",
        str(predictions),
        "--quick",
    ]
    options += [
        "--layers",
        "1",
        "--hidden",
        "64",
        "--learning-rate",
        "2e-3",
        "--threads",
        "1",
        "--epochs",
        "6",
    ]
    assert main(["pairs", *options]) == 0
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    return json.loads(out.read_text()), lines


def test_the_numbers_are_those_of_scikit_learn_on_the_written_predictions(ran):
    result, lines = ran
    truth = np.array([line["boolean"] for line in lines])
    assert truth.tolist() == (data.made_up(200, 6).labels == 1).tolist()
    right = {}
    for row in result["rows"]:
        scores, yes, best = (
            np.array([line[row["system"]][key] for line in lines]) for key in ("score", "accuracy", "f1")
        )
        expected = {
            "accuracy": sk.accuracy_score(truth, yes),
            "f1": sk.f1_score(truth, best, zero_division=0),
            "average_precision": sk.average_precision_score(truth, scores),
            "roc_auc": sk.roc_auc_score(truth, scores),
        }
        for name, value in expected.items():
            assert row["metrics"][name] == pytest.approx(value, abs=1e-9), (row["system"], name)
            assert row["metrics"][f"{name}_low"] <= value <= row["metrics"][f"{name}_high"]
        right[row["system"]] = expected["accuracy"]
    for name, ratio in result["ratios"].items():
        peer = name.removeprefix("twotower / ").removesuffix(" : accuracy")
        assert ratio["median"] == pytest.approx(right["twotower"] / right[peer])
    assert set(right) == {"constant", "jaccard", "tf-idf", "twotower"}


def test_thresholds_are_chosen_on_pairs_neither_fitted_nor_measured_on(ran):
    result, lines = ran
    _, part = data.split(data.made_up(2500, 5), 0.1, 0)
    chosen = decisions.thresholds(lexical.jaccard(part.pairs), part.labels == 1)
    for line in lines:
        found = line["jaccard"]
        assert found["accuracy"] == (found["score"] >= chosen.accuracy)
        assert found["f1"] == (found["score"] >= chosen.f1)
    (ours,) = (row["params"] for row in result["rows"] if row["system"] == "twotower")
    assert ours["calibration_pairs"] == len(part.pairs) == 250
    assert ours["train_pairs"] + ours["held_out_pairs"] == 2250


def test_the_made_up_language_is_learned_and_words_alone_do_not_tell_it(ran):
    result, lines = ran
    found = {row["system"]: row["metrics"] for row in result["rows"]}
    share = np.mean([line["boolean"] for line in lines])
    assert found["twotower"]["accuracy"] > 0.97
    assert found["twotower"]["f1"] > 0.95
    assert found["twotower"]["ece_after"] < 0.05
    assert found["constant"]["accuracy"] == pytest.approx(1 - share)  # no to all
    assert found["constant"]["f1"] == pytest.approx(2 * share / (1 + share))  # yes to all
    assert found["constant"]["roc_auc"] == 0.5
    for name in ("jaccard", "tf-idf"):
        assert found[name]["roc_auc"] < 0.75
        assert found[name]["accuracy"] < 0.8


def test_the_headline_names_every_system():
    made = {
        "accuracy": 0.7,
        "accuracy_low": 0.6,
        "accuracy_high": 0.8,
        "f1": 0.5,
        "f1_low": 0.4,
        "f1_high": 0.6,
    }
    found = {"constant": made | {"f1": 0.47}, "tf-idf": made | {"accuracy": 0.69}, "twotower": made}
    assert pairs.headline(found, 1234) == (
        "accuracy 0.700 (0.600 to 0.800) and f1 0.500 (0.400 to 0.600) on 1,234 pairs, with 95 % intervals; "
        "the same answer for all 0.700 and 0.470, tf-idf 0.690 and 0.500."
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_no_threshold_is_better_than_the_chosen_ones(rows):
    scores, truth = np.array([score for score, _ in rows], dtype=float), np.array([yes for _, yes in rows])
    if truth.all() or not truth.any():
        return
    chosen = decisions.thresholds(scores, truth)
    tried = [*np.unique(scores), np.inf]
    accuracy = [((scores >= least) == truth).mean() for least in tried]
    f1 = [sk.f1_score(truth, scores >= least, zero_division=0) for least in tried]
    assert ((scores >= chosen.accuracy) == truth).mean() == pytest.approx(max(accuracy))
    assert sk.f1_score(truth, scores >= chosen.f1) == pytest.approx(max(f1))


def test_intervals_are_as_wide_as_the_theory_says():
    rng = np.random.default_rng(0)
    truth = rng.random(1000) < 0.3
    scores = truth + rng.normal(size=1000)
    found = decisions.metrics(scores, truth, decisions.Thresholds(0.5, 0.5), resamples=150)
    error = np.sqrt(found["accuracy"] * (1 - found["accuracy"]) / 1000)
    assert found["accuracy_high"] - found["accuracy_low"] == pytest.approx(2 * 1.96 * error, rel=0.1)
    auc, yes, no = found["roc_auc"], truth.sum(), (~truth).sum()
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)  # Hanley and McNeil 1982
    variance = auc * (1 - auc) + (yes - 1) * (one - auc**2) + (no - 1) * (two - auc**2)
    width = 2 * 1.96 * np.sqrt(variance / (yes * no))
    assert found["roc_auc_high"] - found["roc_auc_low"] == pytest.approx(width, rel=0.2)


def test_lexical_scores_known_by_hand():
    same, none = ("ＡＢ cd", "ab CD"), ("abc", "xyz")
    assert lexical.jaccard([("abcd", "bcde"), same, none, ("a", "a")]).tolist() == [0.5, 1, 0, 1]
    tf_idf = lexical.TfIdf(["abcd", "bcde", "xyz", "ab cd"])
    assert tf_idf([same, none]) == pytest.approx([1, 0])
    assert tf_idf([("xy", "xq")]) > tf_idf([("bx", "bq")])  # x is rarer than b


def test_no_tested_pair_is_trained_on_and_no_query_is_on_both_sides_of_a_split():
    dev = data.Labelled([("Red mug", "cup")], np.ones(1))
    train = data.Labelled([("cup", "ｒｅｄ mug"), ("red mug", "red cup"), ("red", "mug")], np.arange(3.0))
    assert data.unseen(train, dev).labels.tolist() == [1, 2]
    many = data.Labelled([(f"q{n % 40}", f"t{n}") for n in range(120)], np.arange(120.0))
    rest, part = data.split(many, 0.1, 0)
    assert {query for query, _ in rest.pairs}.isdisjoint(query for query, _ in part.pairs)
    assert len({query for query, _ in part.pairs}) == 4
    assert sorted([*rest.labels, *part.labels]) == list(range(120))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "line 2 is no object"),
        ('{"query": "a", "title": "b"}', "line 2 is no object"),
        ('{"query": "a", "title": null, "label": 1}', "line 2: .* are strings"),
        ('{"query": "a", "title": "b", "label": -1}', "line 2: the label is -1"),
        ('{"query": "a", "title": "b", "label": NaN}', "line 2: the label is nan"),
        ('{"query": "a", "title": "b", "label": 0}', "at least two labels; it has 1"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "train.jsonl"
    path.write_text('{"query": "a", "title": "c", "label": 0}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"train\.jsonl.*{message}"):
        data.read_pairs(path)


def test_the_small_bert_knows_every_character_and_is_the_same_for_one_seed():
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    texts = [f"{one}{other} pay 2" for one, other in product("花呗借还款额度怎么", repeat=2)]
    one, same, other = (small_bert(texts, layers=1, hidden=32, seed=seed) for seed in (0, 0, 1))
    tokenizer = AutoTokenizer.from_pretrained(one)
    assert tokenizer.tokenize("借呗额度 PAY") == ["借", "呗", "额", "度", "pay"]
    assert tokenizer.model_max_length == 128
    weights = [load_file(folder / "model.safetensors") for folder in (one, same, other)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(np.array_equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_a_model_that_learned_nothing_stays_uncalibrated_with_a_line(capsys):
    class Nothing:
        def calibrate(self, pairs, truth):
            raise InputError("The labels do not rise with the logits")

    assert not pairs._calibrated(Nothing(), [], np.array([True]))
    assert capsys.readouterr().err.startswith("The scores stay uncalibrated. The labels do not rise")


def test_train_without_dev_is_refused():
    options = argparse.Namespace(train="train.jsonl", dev=None, quick=False)
    with pytest.raises(SystemExit, match="go together"):
        pairs.run(options)
