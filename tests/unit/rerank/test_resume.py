from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rerank import FitOptions, InputError
from rerank.training.checkpoint import FILE

OPTIONS = FitOptions(
    loss=("pointwise", "ranknet"),
    epochs=4,
    learning_rate=3e-3,
    batch_size=8,
    held_out=0.2,
    patience=99,
    bf16=False,
)


@pytest.fixture(scope="module")
def data(pairs):
    """The pairs with grades at random, in twelve groups."""
    return pairs, np.random.default_rng(0).integers(0, 3, 60), np.arange(60) // 5


class Stop(Exception):
    pass


def interrupted(reranker, data, folder, at, **changes):
    """Evaluations of a fit that `watch` ends at one of them."""
    seen = []

    def watch(each):
        seen.append(each)
        if len(seen) == at:
            raise Stop

    pairs, grades, groups = data
    options = replace(OPTIONS, checkpoint=folder, watch=watch, **changes)
    with pytest.raises(Stop):
        reranker.fit(pairs, grades, groups=groups, options=options)
    return seen


def weights(reranker):
    return {name: value.clone() for name, value in reranker._model.network().state_dict().items()}


@pytest.fixture(scope="module")
def uninterrupted(opened, encoder, data):
    """The report and the weights of a fit that nothing interrupts."""
    pairs, grades, groups = data
    reranker = opened(encoder)
    report = reranker.fit(pairs, grades, groups=groups, options=OPTIONS)
    assert len(report.evaluations) > 9
    assert 0 < report.best_step < report.steps
    return report, weights(reranker)


@pytest.mark.parametrize("at", [1, 3, 9])
@pytest.mark.parametrize("same_object", [True, False])
def test_a_resumed_fit_gives_the_weights_of_an_uninterrupted_one(
    opened, encoder, data, uninterrupted, tmp_path, at, same_object
):
    pairs, grades, groups = data
    expected, expected_weights = uninterrupted
    folder = tmp_path / "a" / "state"
    reranker = opened(encoder)
    seen = interrupted(reranker, data, folder, at)
    assert [path.name for path in folder.iterdir()] == [FILE]
    if not same_object:
        reranker = opened(encoder)
    later = []
    report = reranker.fit(
        pairs, grades, groups=groups, options=replace(OPTIONS, checkpoint=folder, watch=later.append)
    )
    np.testing.assert_equal(seen + later, list(expected.evaluations))
    np.testing.assert_equal(list(report.evaluations), list(expected.evaluations))
    assert (report.best_step, report.steps) == (expected.best_step, expected.steps)
    resumed = weights(reranker)
    assert all(torch.equal(resumed[name], value) for name, value in expected_weights.items())
    assert not folder.exists()


def test_time_counts_on_after_an_interruption(opened, encoder, data, tmp_path):
    pairs, grades, groups = data
    limits = {"epochs": 1000, "patience": 10_000, "max_seconds": 0.5}
    assert len(interrupted(opened(encoder), data, tmp_path, 1, **limits)) == 1
    report = opened(encoder).fit(
        pairs, grades, groups=groups, options=replace(OPTIONS, checkpoint=tmp_path, **limits)
    )
    assert report.out_of_time
    assert report.seconds >= 0.5


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"epochs": 5}, {"loss": "pointwise"}, {"held_out": 0.3}, {"max_seconds": 9.0}],
)
def test_other_options_are_refused(opened, encoder, data, tmp_path, changed):
    pairs, grades, groups = data
    reranker = opened(encoder)
    interrupted(reranker, data, tmp_path, 2)
    state = (tmp_path / FILE).read_bytes()
    before = weights(reranker)
    with pytest.raises(InputError, match="another model or other options"):
        reranker.fit(pairs, grades, groups=groups, options=replace(OPTIONS, checkpoint=tmp_path, **changed))
    assert (tmp_path / FILE).read_bytes() == state
    assert all(torch.equal(before[name], value) for name, value in weights(reranker).items())


def test_other_data_or_another_model_is_refused(opened, encoder, scorer, data, tmp_path):
    pairs, grades, groups = data
    interrupted(opened(encoder), data, tmp_path, 2)
    others = [
        (encoder, [("red", "door"), *pairs[1:]], grades, groups),
        (encoder, pairs, [2 - grades[0], *grades[1:]] if grades[0] != 1 else [0, *grades[1:]], groups),
        (encoder, pairs, grades, [*groups[:-1], groups[0]]),
        (scorer, pairs, grades, groups),
    ]
    for model, other_pairs, other_grades, other_groups in others:
        with pytest.raises(InputError, match="belongs to a fit of other pairs"):
            opened(model).fit(
                other_pairs, other_grades, groups=other_groups, options=replace(OPTIONS, checkpoint=tmp_path)
            )


@pytest.mark.parametrize("damage", [lambda state: b"", lambda state: state[:-1], lambda state: b"x" * 99])
def test_a_damaged_state_is_refused(opened, encoder, data, tmp_path, damage):
    pairs, grades, groups = data
    interrupted(opened(encoder), data, tmp_path, 2)
    path = tmp_path / FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="delete it to start anew"):
        opened(encoder).fit(pairs, grades, groups=groups, options=replace(OPTIONS, checkpoint=tmp_path))


def test_only_its_own_file_is_removed(opened, encoder, data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    pairs, grades, groups = data
    opened(encoder).fit(pairs, grades, groups=groups, options=replace(OPTIONS, checkpoint=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("model", ["encoder", "scorer"])
def test_patience_counts_on_after_an_interruption(opened, data, tmp_path, request, model):
    """A model with a new head, whose first weights do not count, and one with a saved head, whose weights do."""
    pairs, grades, groups = data
    folder = request.getfixturevalue(model)
    changed = {"patience": 3, "epochs": 5, "learning_rate": 1e-2}
    options = replace(OPTIONS, **changed)
    uninterrupted = opened(folder)
    expected = uninterrupted.fit(pairs, grades, groups=groups, options=options)
    assert expected.stopped_early
    count = len(expected.evaluations)
    for at in (count - 2, count - 1):
        state = tmp_path / str(at)
        interrupted(opened(folder), data, state, at, **changed)
        resumed = opened(folder)
        report = resumed.fit(pairs, grades, groups=groups, options=replace(options, checkpoint=state))
        assert (report.steps, report.best_step, report.stopped_early) == (
            expected.steps,
            expected.best_step,
            True,
        )
        assert all(
            torch.equal(weights(resumed)[name], value) for name, value in weights(uninterrupted).items()
        )


def test_a_state_is_on_disk_before_it_takes_the_place_of_the_last(
    opened, encoder, data, tmp_path, monkeypatch
):
    done = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor):
        done.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        sync(descriptor)

    def renamed(path, target):
        if path.parent == tmp_path / "state":
            assert (path.stat().st_ino, path.stat().st_size) in done
            done.append(target.name)
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    interrupted(opened(encoder), data, tmp_path / "state", 3)
    assert done.count(FILE) == 3
