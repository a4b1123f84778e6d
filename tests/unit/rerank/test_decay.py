from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank import Decay, InputError, RerankError

DAYS = st.floats(0.01, 10_000)
SHARE = st.floats(0, 1)
AGES = st.lists(st.floats(-1e4, 1e6) | st.just(math.nan) | st.just(math.inf), min_size=1, max_size=20)
DECAYS = st.builds(
    Decay,
    scale=DAYS,
    decay=st.floats(0.01, 0.99),
    weight=SHARE,
    floor=SHARE,
    offset=st.floats(0, 1000),
    form=st.sampled_from(["exponential", "gaussian", "linear"]),
)


def d(decay: Decay, age: float) -> float:
    return float(decay.value(np.array([age]))[0])


def elasticsearch(form: str, age: float, scale: float, decay: float, offset: float) -> float:
    """As documented under "Supported decay functions" of the function score query, written out again."""
    away = max(0.0, abs(age) - offset)
    if form == "exponential":
        lam = math.log(decay) / scale
        return math.exp(lam * away)
    if form == "gaussian":
        sigma_squared = -(scale**2) / (2 * math.log(decay))
        return math.exp(-(away**2) / (2 * sigma_squared))
    s = scale / (1.0 - decay)
    return max((s - away) / s, 0.0)


@pytest.mark.parametrize("form", ["exponential", "gaussian", "linear"])
@given(
    age=st.floats(0, 2000),
    scale=st.floats(1, 500),
    decay=st.floats(0.05, 0.95),
    offset=st.floats(0, 50),
    floor=SHARE,
)
def test_equals_elasticsearch_blended_with_the_floor(form, age, scale, decay, offset, floor):
    ours = d(Decay(scale, decay, floor=floor, offset=offset, form=form), age)
    assert ours == pytest.approx(
        floor + (1 - floor) * elasticsearch(form, age, scale, decay, offset), abs=1e-12
    )


def test_known_values():
    half = Decay.half_life(days=30, offset=5)
    assert [d(half, age) for age in (-100, 0, 5, 35, 65)] == [1, 1, 1, 0.5, 0.25]
    assert d(Decay.exponential(10, decay=0.2, offset=3), 23) == pytest.approx(0.2**2)
    assert d(Decay.gaussian(10, decay=0.2, offset=3), 13) == pytest.approx(0.2)
    assert d(Decay.gaussian(10, decay=0.2, offset=3), 23) == pytest.approx(0.2**4)
    assert [d(Decay.linear(10, decay=0.6), age) for age in (10, 20, 25, 26)] == pytest.approx(
        [0.6, 0.2, 0, 0]
    )
    assert d(Decay.half_life(30, floor=0.2), 30) == pytest.approx(0.2 + 0.8 * 0.5)
    assert Decay.half_life(30, weight=0.4).factor(np.array([0.0, 30.0])) == pytest.approx(
        [1, 0.6 + 0.4 * 0.5]
    )


@given(decay=DECAYS, ages=AGES)
def test_bounded_monotone_and_one_when_new(decay, ages):
    assert d(decay, 0) == d(decay, decay.offset) == 1
    at_scale = decay.floor + (1 - decay.floor) * decay.decay
    assert d(decay, decay.offset + decay.scale) == pytest.approx(at_scale, abs=1e-6)
    values, factors = decay.value(np.array(ages)), decay.factor(np.array(ages))
    assert np.all((values >= decay.floor) & (values <= 1))
    assert np.all((factors >= 1 - decay.weight) & (factors <= 1))
    known = np.sort(np.array([age for age in ages if not math.isnan(age)]))
    assert np.all(np.diff(decay.value(known)) <= 0)


@given(decay=DECAYS, ages=st.lists(st.integers(0, 10_000), min_size=1), shift=st.integers(0, 1_000_000))
def test_moving_now_and_all_stamps_together_changes_nothing(decay, ages, shift):
    now, stamps = 20_000, 20_000 - np.array(ages)
    moved = (now + shift) - (stamps + shift)
    np.testing.assert_array_equal(decay.value(now - stamps), decay.value(moved))


@given(decay=DECAYS, ages=AGES)
def test_a_weight_of_zero_changes_no_score(decay, ages):
    off = Decay(decay.scale, weight=0, form=decay.form)
    assert off.factor(np.array(ages)).tolist() == [1.0] * len(ages)


def test_unknown_age_is_halfway_between_floor_and_one_unless_said():
    assert d(Decay.half_life(30), math.nan) == 0.5
    assert d(Decay.half_life(30, floor=0.2), math.nan) == pytest.approx(0.6)
    assert d(Decay.half_life(30, missing=0), math.nan) == 0
    assert d(Decay.half_life(30, missing=1), math.nan) == 1


def test_empty_gives_empty():
    assert Decay.half_life().factor(np.empty(0)).shape == (0,)


@given(decay=DECAYS)
def test_survives_json(decay):
    assert Decay.from_description(json.loads(json.dumps(decay.describe()))) == decay


def test_numpy_parameters_become_plain_json():
    decay = Decay(np.float32(30), weight=np.float64(0.5), missing=np.float32(0.25))
    assert json.loads(json.dumps(decay.describe()))["missing"] == 0.25


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("scale", {"scale": 0}),
        ("scale", {"scale": math.inf}),
        ("decay", {"decay": 0}),
        ("decay", {"decay": 1}),
        ("weight", {"weight": 1.01}),
        ("weight", {"weight": "much"}),
        ("floor", {"floor": -0.1}),
        ("offset", {"offset": -1}),
        ("offset", {"offset": math.nan}),
        ("missing", {"floor": 0.5, "missing": 0.4}),
        ("missing", {"missing": 1.1}),
        ("form", {"form": "step"}),
    ],
)
def test_a_bad_parameter_is_named_in_one_sentence(name, parameters):
    with pytest.raises(ValueError, match=rf"^{name} must be [^\n]*, got [^\n]*$") as caught:
        Decay(**({"scale": 30} | parameters))
    assert isinstance(caught.value, RerankError)


def test_other_bad_input():
    with pytest.raises(InputError, match=r"^days "):
        Decay.half_life(days=0)
    with pytest.raises(InputError, match=r"^days "):
        Decay.half_life(days="month")
    with pytest.raises(InputError, match="half_life"):
        Decay.from_description({"scale": 1, "half_life": 3})
    with pytest.raises(InputError, match="scale is missing"):
        Decay.from_description({"weight": 0.1})
