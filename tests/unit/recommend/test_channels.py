"""Channels of recommendation against answers known by construction."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower import Event
from twotower.recommend import CHANNELS, BoughtTogether, Ease, OwnHistory, Popular, SimilarShoppers
from twotower.recommend.channels import newest_matrix
from twotower.recommend.event_log import EventLog, Shopper
from twotower.recommend.training import WholeShelf, fit_finder

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FIRST = START.timestamp() / 86_400


def bought(user: str, day: float, *items: str) -> list[Event]:
    return [Event(user, item, "purchase", START + dt.timedelta(days=day)) for item in items]


def log_of(*baskets: list[Event]) -> EventLog:
    return EventLog().extended([event for basket in baskets for event in basket], {})


def shopper(log: EventLog, user: str, day: float, *basket: str) -> Shopper:
    return log.shopper(user, FIRST + day, basket)


def scored(log: EventLog, scores: np.ndarray) -> dict[str, float]:
    return {item: float(score) for item, score in zip(log.items.ids, scores, strict=True) if score}


def test_own_history_halves_with_age():
    log = log_of(bought("u", 0, "tea"), bought("u", 10, "tea", "mug"), bought("v", 5, "lamp"))
    found = OwnHistory(10).fit(log).scores(shopper(log, "u", 20))
    assert scored(log, found) == pytest.approx({"tea": 0.25 + 0.5, "mug": 0.5})


def test_weights_of_ease_solve_their_regression():
    rng = np.random.default_rng(0)
    chosen = rng.random((40, 6)) < 0.4
    log = log_of(
        *(
            bought(f"u{user}", 0, *(f"i{item}" for item in np.flatnonzero(row)))
            for user, row in enumerate(chosen)
        )
    )
    fitted = Ease(float("inf"), 3.0).fit(log)
    matrix = chosen[:, [int(log.items.ids[row][1:]) for row in fitted.kept]].astype(float)
    for target in range(matrix.shape[1]):
        others = np.delete(np.arange(matrix.shape[1]), target)
        ridge = matrix[:, others].T @ matrix[:, others] + 3.0 * np.eye(len(others))
        expected = np.linalg.solve(ridge, matrix[:, others].T @ matrix[:, target])
        np.testing.assert_allclose(fitted.weights[others, target], expected, atol=1e-5)
        assert fitted.weights[target, target] == 0


def test_items_of_the_same_baskets_have_a_cosine_of_one():
    log = log_of(bought("u", 0, "tea", "mug"), bought("v", 0, "tea", "mug"), bought("w", 0, "lamp", "bulb"))
    fitted = BoughtTogether().fit(log)
    assert scored(log, fitted.scores(shopper(log, "new", 1, "tea"))) == pytest.approx({"mug": 1.0})
    assert scored(log, fitted.scores(shopper(log, "w", 1))) == pytest.approx({"lamp": 0.5, "bulb": 0.5})


def test_old_and_large_baskets_count_less():
    log = log_of(
        bought("u", 10, "tea", "mug"), bought("v", 0, "tea", "lamp"), bought("w", 10, "tea", *"abcdefg")
    )
    found = scored(log, BoughtTogether(10).fit(log).scores(shopper(log, "new", 11, "tea")))
    new, old, large = 1 / 2**0.5, 0.5 / 2**0.5, 1 / 8**0.5  # weights of the baskets
    assert found["mug"] == pytest.approx((new / (new + old + large)) ** 0.5)
    assert found["lamp"] == pytest.approx((old / (new + old + large)) ** 0.5)
    assert found["a"] == pytest.approx((large / (new + old + large)) ** 0.5)


def test_the_newest_of_repeated_events_counts_by_its_age():
    log = log_of(bought("u", 0, "tea", "mug"), bought("v", 5, "mug"), bought("u", 10, "tea"))
    matrix = newest_matrix(log, 10.0).toarray()
    rows = {item: row for row, item in enumerate(log.items.ids)}
    assert matrix[log.users.row_of("u"), [rows["tea"], rows["mug"]]] == pytest.approx([1.0, 0.5])
    assert matrix[log.users.row_of("v"), [rows["tea"], rows["mug"]]] == pytest.approx([0.0, 0.5**0.5])


def test_the_nearest_by_content_and_own_items_are_candidates_without_any_channel():
    log = log_of(bought("u", 0, "tea"))
    log.items.add(["pot", "lamp", "gone"])
    content = np.eye(4, dtype=np.float32)
    content[1] = [0.8, 0.6, 0, 0]  # the pot is near the tea
    finder = fit_finder(log, {}, np.full(4, np.nan))
    recall = finder.recall(shopper(log, "u", 1), WholeShelf(content))
    assert [log.items.ids[row] for row in recall.candidates(2)] == ["tea", "pot"]
    assert [len(batch) for batch in recall.batches()] == [4, 0]


def test_the_nearest_shopper_is_somebody_else():
    log = log_of(
        bought("u", 0, "tea", "mug"), bought("twin", 0, "tea", "mug", "spoon"), bought("w", 0, "lamp")
    )
    found = scored(log, SimilarShoppers(neighbours=1).fit(log).scores(shopper(log, "u", 0.5)))
    assert found.keys() == {"tea", "mug", "spoon"}


@given(st.lists(st.integers(0, 60).map(lambda day: day + 0.5), min_size=1, max_size=12))
def test_popularity_is_the_same_whatever_was_asked_before(days):
    log = log_of(*(bought(f"u{n}", n * 3, "tea", f"i{n % 4}") for n in range(20)))
    asked_in_turn = Popular(7).fit(log)
    for day in days:
        expected = Popular(7).fit(log).scores(shopper(log, "u", day))
        np.testing.assert_allclose(asked_in_turn.scores(shopper(log, "u", day)), expected, rtol=1e-9)
        tea = sum(0.5 ** ((day - n * 3) / 7) for n in range(20) if n * 3 < day)
        assert expected[log.items.row_of("tea")] == pytest.approx(tea)


@pytest.mark.parametrize("name", CHANNELS)
def test_no_channel_sees_what_comes_later(name):
    early = [bought(f"u{n % 5}", n, f"i{n % 7}", f"i{(n + 3) % 7}") for n in range(20)]
    late = [bought("u0", 20 + n, "i1", "i5") for n in range(9)]
    answers = []
    for log in (log_of(*early), log_of(*early, *late)):
        fitted = CHANNELS[name].fit(log.before(FIRST + 20))
        answers.append(scored(log, fitted.scores(shopper(log, "u0", 20))))
    assert answers[0]
    assert answers[0] == pytest.approx(answers[1])
