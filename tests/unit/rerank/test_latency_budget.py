import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from rerank.latency_budget import SAFETY_PERCENTILE, _cost

portions = st.lists(st.tuples(st.integers(30, 50_000), st.floats(1e-4, 10)), min_size=2, max_size=32)


@given(portions.filter(lambda each: len({letters for letters, _ in each}) > 1))
def test_the_cost_is_that_of_scipys_solver(portions):
    letters, seconds = np.array(portions).T
    parts = np.stack([1 / seconds, letters / seconds], axis=1)
    expected, _ = nnls(parts, np.ones(len(portions)))
    expected *= np.percentile(1 / (parts @ expected), SAFETY_PERCENTILE)
    np.testing.assert_allclose(parts @ _cost(portions), parts @ expected, rtol=1e-4)


@pytest.mark.parametrize(("call", "letter"), [(0.008, 2e-5), (0.0, 3e-5), (0.02, 0.0)])
def test_what_was_measured_without_noise_is_found(call, letter):
    portions = [(letters, call + letters * letter) for letters in (60, 200, 1_000, 5_000)]
    assert _cost(portions) == pytest.approx((call, letter), abs=1e-9)


def test_portions_of_one_size_cost_what_they_took():
    call, letter = _cost([(500, 0.02), (500, 0.02)])
    assert call >= 0
    assert letter >= 0
    assert call + 500 * letter == pytest.approx(0.02)
