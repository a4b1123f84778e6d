from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.store.history import History
from twotower.towers.user import UserHistory, UserTower
from twotower.types import Event

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)
NOW_DAYS = NOW.timestamp() / 86_400
AXES = np.eye(3, dtype=np.float32)  # one item an axis: a mean's components are the weights


def event(
    age: float = 0.0, kind: str = "purchase", value: float = 1.0, item: str = "a", user: str = "u"
) -> Event:
    return Event(user, item, kind, NOW - timedelta(days=age), value)


def history_of(events, vectors) -> UserHistory:
    return UserHistory(events, vectors)


def direction(*weights: float) -> np.ndarray:
    return np.array(weights) / np.linalg.norm(weights)


@pytest.mark.parametrize("half_life", [0.5, 30.0, 365.0])
def test_an_event_one_half_life_old_weighs_half(half_life) -> None:
    tower = UserTower(half_life=half_life)
    vector = tower.encode(history_of([event(0), event(half_life), event(2 * half_life)], AXES), NOW_DAYS)
    np.testing.assert_allclose(vector, direction(1, 1 / 2, 1 / 4), atol=1e-6)
    assert vector.dtype == np.float32


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400), st.sampled_from(["purchase", "cart", "view", "gift"]), st.floats(0.01, 100)
        ),
        min_size=1,
        max_size=12,
    ),
    st.floats(1, 365),
    st.integers(0, 2**32 - 1),
)
def test_it_is_the_weighted_mean_at_unit_length(acts, half_life, seed) -> None:
    kinds = {"purchase": 1.0, "cart": 0.6, "view": 0.1}
    events = [event(*act) for act in acts]
    vectors = (
        np.random.default_rng(seed).random((len(acts), 5)).astype(np.float32)
    )  # positive: nothing cancels
    mean = sum(
        kinds.get(kind, 1.0) * value * 2.0 ** (-age / half_life) * vector.astype(float)
        for (age, kind, value), vector in zip(acts, vectors, strict=True)
    )
    vector = UserTower(half_life, kinds).encode(history_of(events, vectors), NOW_DAYS)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_kinds_and_values_multiply() -> None:
    tower = UserTower(kinds={"purchase": 2.0, "view": 0.5})
    events = [event(kind="purchase"), event(kind="view", value=3.0), event(kind="never heard of")]
    np.testing.assert_allclose(
        tower.encode(history_of(events, AXES), NOW_DAYS), direction(2, 1.5, 1), atol=1e-6
    )
    np.testing.assert_allclose(tower.weights(events, NOW_DAYS), [1, 0.75, 0.5], atol=1e-12)


def test_what_counts_nothing_gives_none() -> None:
    tower = UserTower(kinds={"view": 0.0})
    nothing = [event(kind="view"), event(value=0.0)]
    assert tower.encode(history_of([], AXES[:0]), NOW_DAYS) is None
    assert tower.encode(history_of(nothing, AXES[:2]), NOW_DAYS) is None
    assert tower.weights([], NOW_DAYS).shape == (0,)
    assert tower.encode(history_of([event(), event()], np.stack([AXES[0], -AXES[0]])), NOW_DAYS) is None
    # Beside something that counts, what counts nothing adds nothing, however much newer it is.
    vector = UserTower(0.01, {"view": 0.0}).encode(history_of([event(1000), *nothing], AXES), NOW_DAYS)
    np.testing.assert_array_equal(vector, AXES[0])


def test_a_very_old_history_keeps_its_direction() -> None:
    """5000 half-lives ago: 0.5 ** 5000 itself is 0 in every float."""
    tower = UserTower(half_life=1.0)
    vector = tower.encode(history_of([event(5000), event(5001), event(5002)], AXES), NOW_DAYS)
    np.testing.assert_allclose(vector, direction(1, 1 / 2, 1 / 4), atol=1e-6)


def test_inputs_are_not_mutated() -> None:
    vectors = AXES.copy()
    UserTower().encode(history_of([event(), event(5), event(9)], vectors), NOW_DAYS)
    np.testing.assert_array_equal(vectors, AXES)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"half_life": 0}, r"half_life .* got 0"),
        ({"half_life": -1.0}, r"half_life .* got -1"),
        ({"half_life": float("nan")}, r"half_life .* got nan"),
        ({"newest": 0}, r"newest .* got 0"),
        ({"kinds": {"view": 1.0, "cart": -0.1}}, "'cart'"),
        ({"kinds": {"cart": float("nan")}}, "'cart'"),
        ({"kinds": {"cart": float("inf")}}, "'cart'"),
    ],
)
def test_parameters_out_of_range_are_named(parameters, named) -> None:
    with pytest.raises(ValueError, match=named):
        UserTower(**parameters)


def test_describe_builds_the_same_tower_again() -> None:
    tower = UserTower(7.0, MappingProxyType({"view": 0.5}), 20)
    assert tower.describe() == {"half_life": 7.0, "kinds": {"view": 0.5}, "newest": 20}
    assert UserTower(**tower.describe()) == tower


def history(*events: Event) -> History:
    made = History()
    made.record(events)
    return made


def test_nothing_later_than_until_is_visible() -> None:
    moment = event(1, item="moment")
    later = [event(1 - 1e-9, item="a"), event(0, item="b"), event(0, user="other")]
    made = history(*later, moment, event(2, item="before"))
    assert [e.item for e in made.of("u", until=moment.time, newest=9)] == ["before", "moment"]
    assert [e.item for e in made.of_all(until=moment.time, newest=9)] == ["before", "moment"]
    assert list(made.of("u", until=NOW - timedelta(days=3), newest=9)) == []
    assert list(made.of("stranger", until=NOW, newest=9)) == []


def test_newest_limits_to_the_last_events_before_until() -> None:
    made = history(*(event(age, item=str(age)) for age in range(5)))
    until = NOW - timedelta(days=1)
    for read in (
        lambda newest: made.of("u", until=until, newest=newest),
        lambda newest: made.of_all(until=until, newest=newest),
    ):
        assert [e.item for e in read(2)] == ["2", "1"]
        assert [e.item for e in read(9)] == ["4", "3", "2", "1"]
        assert list(read(0)) == []


@given(st.data())
def test_the_order_of_recording_does_not_matter(data) -> None:
    ages = st.integers(0, 2)  # many acts of one moment
    acts = data.draw(
        st.lists(st.builds(event, ages, item=st.sampled_from("abc"), user=st.sampled_from("uvw")))
    )
    shuffled = data.draw(st.permutations(acts))
    cut = data.draw(st.integers(0, len(acts)))
    together, apart = history(*acts), history(*shuffled[:cut])
    apart.record(iter(shuffled[cut:]))
    assert len(together) == len(apart) == len(set(acts))
    assert sorted(map(str, together)) == sorted(map(str, set(acts)))
    for newest in (1, 3, 99):
        assert together.of_all(until=NOW, newest=newest) == apart.of_all(until=NOW, newest=newest)
        for user in "uvw":
            assert together.of(user, until=NOW, newest=newest) == apart.of(user, until=NOW, newest=newest)


def test_a_reader_holds_what_was_there_when_it_read() -> None:
    made = history(event(1))
    seen = made.of("u", until=NOW, newest=9)
    walk = iter(made)
    first = next(walk)
    made.record([event(0), event(0, user="other")])
    assert list(seen) == [first]
    assert list(walk) == []
    assert len(made) == 3
