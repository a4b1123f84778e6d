from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from twotower.evaluation.metrics import evaluate_run
from twotower.evaluation.recommendation import (
    LeakError,
    Past,
    Task,
    check_blind,
    evaluate_recommender,
    last_baskets,
    next_baskets,
    time_split,
)
from twotower.types import Event

START = datetime(2024, 3, 1, tzinfo=UTC)
LOG3 = math.log2(3)


def bought(user: str, items: str, day: float) -> list[Event]:
    """One letter an item."""
    return [Event(user, item, "purchase", START + timedelta(days=day)) for item in items]


HISTORY = [
    *bought("u", "ab", -9),
    *bought("v", "a", -8),
    *bought("u", "c", -1),
    *bought("v", "ad", 0),
    *bought("u", "ae", 2),
    *bought("new", "b", 3),
    *bought("u", "f", 4),
]


def own(user: str, past: Past, k: int, exclude: frozenset[str]) -> list[str]:
    """The user's items, newest first."""
    items = dict.fromkeys(event.item for event in reversed(past.of(user)))
    return [item for item in items if item not in exclude][:k]


def always(items: str):
    return lambda user, past, k, exclude: [item for item in items if item not in exclude][:k]


def test_a_split_puts_the_moment_itself_after():
    before, after = time_split(reversed(HISTORY), START)
    assert [event.item for event in before] == ["b", "a", "a", "c"]  # of one moment, in the order given
    assert {event.time for event in before} < {event.time for event in HISTORY}
    assert [event.user for event in after] == ["v", "v", "u", "u", "new", "u"]
    assert after[0].time == START


def test_the_first_basket_in_the_window_is_all_lines_of_its_moment():
    assert next_baskets(reversed(HISTORY), START) == [
        Task("v", START, frozenset("ad")),
        Task("u", START + timedelta(days=2), frozenset("ae")),
        Task("new", START + timedelta(days=3), frozenset("b")),
    ]
    end = START + timedelta(days=2)  # the first moment that is no longer asked for
    assert [task.user for task in next_baskets(HISTORY, START, end)] == ["v"]


def test_the_last_basket_of_each_user():
    assert last_baskets(HISTORY) == [
        Task("v", START, frozenset("ad")),
        Task("new", START + timedelta(days=3), frozenset("b")),
        Task("u", START + timedelta(days=4), frozenset("f")),
    ]


def test_known_answers_with_repeats():
    found = evaluate_recommender(own, next_baskets(HISTORY, START), HISTORY)
    # v: a then nothing of a, d. u: c, b, a (newest first, lines of one moment reversed) of a, e. new: nothing.
    assert found.run["u"] == {"c": 0, "b": -1, "a": -2}
    ideal = 1 + 1 / LOG3
    expected = {"v": 1 / ideal, "u": (1 / 2) / ideal, "new": 0}
    assert found.users["ndcg@10"] == pytest.approx(expected)
    assert found.means["ndcg@10"] == pytest.approx(sum(expected.values()) / 3)
    assert found.means["recall@10"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert found.means["mrr@10"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found.left_out == ()
    assert found.means == pytest.approx(evaluate_run(found.run, found.qrels, list(found.means)))


def test_without_repeats_bought_items_leave_truth_and_ranking():
    tasks = [*next_baskets(HISTORY, START), Task("w", START + timedelta(days=5), frozenset("a"))]
    history = [*HISTORY, *bought("w", "a", 4)]
    found = evaluate_recommender(always("abcdef"), tasks, history, repeats=False)
    assert found.qrels == {"v": {"d": 1}, "u": {"e": 1}, "new": {"b": 1}}
    assert found.left_out == ("w",)  # all that w bought was bought before
    assert list(found.run["v"]) == list("bcdef")
    assert list(found.run["u"]) == list("def")
    assert found.users["mrr@10"] == pytest.approx({"v": 1 / 3, "u": 1 / 2, "new": 1 / 2})


def test_a_seen_item_is_refused_where_only_new_ones_count():
    with pytest.raises(ValueError, match="'v' was recommended item 'a', which they had before"):
        evaluate_recommender(lambda *asked: ["d", "a"], next_baskets(HISTORY, START), HISTORY, repeats=False)


def test_every_recommender_sees_exactly_what_was_before_each_moment():
    seen = {}

    def spy(user, past, k, exclude):
        seen[user] = [past.since(), list(past.of(user)), past.moment]
        return ["a"]

    tasks = next_baskets(HISTORY, START)
    evaluate_recommender(spy, list(reversed(tasks)), reversed(HISTORY))
    for task in tasks:
        everything, of_user, moment = seen[task.user]
        before = [event for event in HISTORY if event.time < task.moment]
        assert sorted(everything, key=repr) == sorted(before, key=repr)
        assert sorted(of_user, key=repr) == sorted((e for e in before if e.user == task.user), key=repr)
        assert moment == task.moment


def test_a_recommender_that_looks_for_the_truth_in_its_past_finds_nothing():
    """Given all of the history, truth included, one that takes the newest basket it can see gets the one before."""

    def greedy(user, past, k, exclude):
        newest = past.of(user)[-1:]
        return [event.item for event in past.of(user) if event.time == newest[0].time]

    found = evaluate_recommender(greedy, next_baskets(HISTORY, START), HISTORY)
    assert {user: set(items) for user, items in found.run.items()} == {"v": {"a"}, "u": {"c"}, "new": set()}


@pytest.mark.parametrize("day", [0, 2])
def test_a_past_that_was_not_cut_is_refused(day):
    with pytest.raises(LeakError, match=r"user 'v': the event on item 'z' at 2024-03-0\d.* is not before"):
        Past(START, [*bought("u", "a", -1), *bought("v", "z", day)])


def test_a_model_fitted_on_the_truth_is_refused():
    tasks = next_baskets(HISTORY, START)
    with pytest.raises(LeakError, match="user 'v': the event on item 'a' at 2024-03-01"):
        evaluate_recommender(own, tasks, HISTORY, fitted_on=HISTORY)
    evaluate_recommender(own, tasks, HISTORY, fitted_on=time_split(HISTORY, START)[0])


def test_a_recommender_made_from_a_history_that_was_not_cut_is_caught():
    """It ignores its honest past and answers from what it was made from: nothing but its answers shows that."""

    def peeking(events):
        truth = {task.user: sorted(task.truth) for task in next_baskets(events, START)}
        return lambda user, past, k, exclude: truth.get(user, ["b"])

    tasks = next_baskets(HISTORY, START)
    assert evaluate_recommender(peeking(HISTORY), tasks, HISTORY).means["ndcg@10"] == pytest.approx(1)
    with pytest.raises(LeakError, match=r"user 'u': .* user 'u' on item '[ae]' at 2024-03-03"):
        check_blind(peeking, tasks[1:2], HISTORY)


def test_an_honest_recommender_is_not_accused():
    def cuts_itself(events):
        counts = [event.item for event in events if event.time < START]
        order = sorted(set(counts), key=lambda item: (-counts.count(item), item))
        return lambda user, past, k, exclude: [item for item in order if item not in exclude][:k]

    for repeats in (True, False):
        check_blind(cuts_itself, next_baskets(HISTORY, START), HISTORY, repeats=repeats)
        check_blind(lambda events: own, last_baskets(HISTORY), HISTORY, repeats=repeats)


def test_a_user_with_two_tasks_and_an_item_recommended_twice_are_named():
    tasks = next_baskets(HISTORY, START)
    with pytest.raises(ValueError, match="user 'v' has two tasks"):
        evaluate_recommender(own, [tasks[0], *tasks], HISTORY)
    with pytest.raises(ValueError, match="'v' was recommended item 'a' twice"):
        evaluate_recommender(always("aba"), tasks, HISTORY)
    with pytest.raises(ValueError, match="nothing to average"):
        evaluate_recommender(own, [], HISTORY)
    with pytest.raises(ValueError, match="moment must be a datetime with a time zone"):
        next_baskets(HISTORY, datetime(2024, 3, 1))
