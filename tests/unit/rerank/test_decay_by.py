from __future__ import annotations

import json

import numpy as np
import pytest

from rerank import Decay, DecayBy, InputError

SLOW, FAST, OTHER = (
    Decay.half_life(365),
    Decay.gaussian(14, weight=0.5, missing=0.1),
    Decay.linear(60, floor=0.2),
)
BY = DecayBy("category", {"tools": SLOW, 7: FAST, True: SLOW}, default=OTHER)


def test_each_place_has_its_own_curve():
    ages = np.array([0.0, 14.0, np.nan, 400.0, 14.0, np.nan])
    places = np.array([0, 1, 1, 0, 3, 3])
    expected = [
        curve.factor(ages[[row]])[0] for row, curve in enumerate([SLOW, FAST, FAST, SLOW, OTHER, OTHER])
    ]
    assert BY.factor_of(ages, places).tolist() == expected
    assert expected[1:3] == pytest.approx([0.75, 0.55])
    assert BY.factor(ages).tolist() == OTHER.factor(ages).tolist()
    assert BY.factor_of(np.empty(0), np.empty(0, dtype=np.int64)).shape == (0,)


def test_survives_json():
    again = DecayBy.from_description(json.loads(json.dumps(BY.describe())))
    assert again == BY
    assert list(map(type, again.values)) == [str, int, bool]


def test_later_changes_of_what_was_passed_do_not_matter():
    decays = {"tools": SLOW}
    by = DecayBy("category", decays, OTHER)
    decays["tools"] = FAST
    assert by.decays["tools"] == SLOW


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"attribute": ""}, "attribute must be a non-empty name"),
        ({"attribute": 3}, "attribute must be a non-empty name"),
        ({"decays": [SLOW]}, "decays must be a mapping of values to Decays"),
        ({"decays": {None: SLOW}}, "got None"),
        ({"decays": {float("nan"): SLOW}}, "got nan"),
        ({"decays": {"tools": 30}}, r"decays\['tools'\] must be a Decay"),
        ({"default": None}, "default must be a Decay"),
    ],
)
def test_a_bad_parameter_is_named(parameters, named):
    with pytest.raises(InputError, match=named):
        DecayBy(**{"attribute": "category", "decays": {"tools": SLOW}, "default": OTHER} | parameters)


def test_a_bad_description_is_refused():
    with pytest.raises(InputError, match="a DecayBy must have attribute, decays, default"):
        DecayBy.from_description({"attribute": "category", "default": OTHER.describe()})
    with pytest.raises(InputError, match="scale is missing"):
        DecayBy.from_description(BY.describe() | {"default": {}})
