"""A calibrated score is a probability, the same with whatever company and after a save."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from rerank import CrossEncoderReranker, FitOptions, InputError, ModelError, expected_calibration_error
from rerank.calibration import TIE_BREAK, Isotonic, Platt, sigmoid

FLOATS = st.floats(-30, 30, width=32)


class KnownLogitsReranker(CrossEncoderReranker):
    """A reranker whose candidate texts are their logits."""

    def __init__(self):
        super().__init__("no/model")

    def logits(self, pairs, /):
        return np.array([float(document) for _, document in pairs], dtype=np.float32)


@pytest.fixture(scope="module")
def judged():
    """4,000 pairs of 50 queries, and labels whose probability is sigmoid(0.6 * logit - 1.2)."""
    generator = np.random.default_rng(5)
    logits = generator.normal(0, 3, 4000).astype(np.float32)
    labels = (generator.random(4000) < expit(0.6 * logits - 1.2)).astype(float)
    return [(f"query {n % 50}", repr(float(x))) for n, x in enumerate(logits)], logits, labels


@pytest.fixture
def graded(scorer, pairs):
    """Labels that mostly follow the logits of the tiny model."""
    logits = CrossEncoderReranker(scorer, device="cpu").logits(pairs)
    noisy = logits + np.random.default_rng(1).normal(0, logits.std(), len(logits))
    return (noisy > np.median(logits)).astype(float)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_known_probability_is_recovered(judged, method):
    pairs, logits, labels = judged
    reranker = KnownLogitsReranker()
    report = reranker.calibrate(pairs, labels, method=method)
    scores = reranker.score(pairs)
    assert scores.dtype == np.float32
    truth = expit(0.6 * logits - 1.2)
    assert np.abs(scores - truth).mean() < (0.015 if method == "platt" else 0.03)
    if method == "platt":
        assert report.calibration.slope == pytest.approx(0.6, abs=0.05)
        assert report.calibration.intercept == pytest.approx(-1.2, abs=0.1)
    assert report.ece_before == expected_calibration_error(sigmoid(logits), labels)
    assert report.ece_before > 0.15
    assert report.ece_after < 0.03
    assert report.brier_before == pytest.approx(np.mean((expit(logits) - labels) ** 2), rel=1e-5)
    # No forecast has a lower expected Brier score than the truth.
    assert report.brier_after == pytest.approx(np.mean((truth - labels) ** 2), abs=0.004)
    np.testing.assert_array_equal(reranker.logits(pairs), logits)  # stay raw
    assert [line for line in report.lines() if f"{report.ece_after:.4f} after" in line]
    assert np.all(np.diff(reranker.score(pairs)[np.argsort(logits)]) >= 0)


def test_graded_labels_are_shares_of_relevance(judged):
    pairs, logits, _ = judged
    report = KnownLogitsReranker().calibrate(pairs, expit(0.6 * logits.astype(float) - 1.2))
    assert report.calibration.slope == pytest.approx(0.6, abs=0.002)
    assert report.calibration.intercept == pytest.approx(-1.2, abs=0.002)
    assert report.brier_after < 1e-5


def test_platt_is_that_of_scikit_learn(judged):
    frozen = pytest.importorskip("sklearn.frozen")  # scikit-learn 1.6
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import LogisticRegression

    _, logits, labels = judged
    for count in (40, 4000):
        x, y = logits[:count, None].astype(float), labels[:count].astype(int)
        identity = LogisticRegression().fit(x, y)
        identity.coef_[:], identity.intercept_[:] = 1, 0
        expected = CalibratedClassifierCV(frozen.FrozenEstimator(identity), method="sigmoid").fit(x, y)
        pairs = [(f"query {n % 8}", repr(float(logit))) for n, logit in enumerate(logits[:count])]
        reranker = KnownLogitsReranker()
        reranker.calibrate(pairs, y)
        np.testing.assert_allclose(reranker.score(pairs), expected.predict_proba(x)[:, 1], atol=1e-4)


def test_isotonic_is_that_of_scikit_learn_and_ties_nothing(judged):
    from sklearn.isotonic import IsotonicRegression

    pairs, logits, labels = judged
    reranker = KnownLogitsReranker()
    reranker.calibrate(pairs, labels, method="isotonic")
    expected = IsotonicRegression(out_of_bounds="clip").fit(logits.astype(float), labels)
    wide = np.linspace(-15, 15, 301)  # beyond what was seen on either side
    scores = reranker.score([("q", str(x)) for x in wide])
    assert wide[0] < logits.min() < logits.max() < wide[-1]
    np.testing.assert_allclose(scores, expected.predict(wide), atol=TIE_BREAK)
    middle = np.abs(wide) < 6  # beyond, float32 itself ties
    assert np.all(np.diff(scores[middle]) > 0)
    assert np.any(np.diff(expected.predict(wide[middle])) == 0)  # without the tie-break there would be ties


def test_the_error_after_is_of_queries_that_were_not_fitted_on():
    generator = np.random.default_rng(2)
    logits, labels = np.sort(generator.normal(size=60)), generator.integers(0, 2, 60).astype(float)
    labels[:5], labels[-5:] = 0, 1  # noise, but for the ends
    pairs = [(f"query {n}", str(x)) for n, x in enumerate(logits)]
    reranker = KnownLogitsReranker()
    report = reranker.calibrate(pairs, labels, method="isotonic")
    flattered = reranker.score(pairs)
    assert report.brier_after > np.mean((flattered - labels) ** 2) + 0.02
    assert report.ece_after > expected_calibration_error(flattered, labels) + 0.02


def test_pairs_of_one_query_are_never_on_both_sides():
    """Who has not seen the best query takes its pairs for those of the next, whose label is 0.1, not 1."""
    queries = np.repeat(np.arange(5), 20)
    pairs = [(f"query {query}", str(query + n / 1000)) for n, query in enumerate(queries)]
    labels = np.array([0, 0, 0.1, 0.1, 1])[queries]
    reranker = KnownLogitsReranker()
    report = reranker.calibrate(pairs, labels, method="isotonic")
    assert np.mean((reranker.score(pairs) - labels) ** 2) < 1e-4
    assert report.brier_after > 0.9**2 / 5


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_expected_calibration_error_is_that_of_scikit_learn_s_curve(judged, bins):
    from sklearn.calibration import calibration_curve

    _, logits, labels = judged
    scores = sigmoid(logits).astype(float)
    happened, said = calibration_curve(labels, scores, n_bins=bins)
    counts = np.histogram(scores, bins, (0, 1))[0]
    expected = np.sum(counts[counts > 0] * np.abs(happened - said)) / len(scores)
    assert expected_calibration_error(scores, labels, bins=bins) == pytest.approx(expected)
    assert expected_calibration_error([1.0, 1.0, 0.0, 0.5], [1, 0, 0, 0.5], bins=bins) == pytest.approx(0.25)


MAPS = st.one_of(
    st.builds(Platt, st.floats(0.01, 20), st.floats(-10, 10)),
    st.lists(st.tuples(FLOATS, st.floats(0, 1)), min_size=1, max_size=6, unique_by=lambda at: at[0]).map(
        lambda at: Isotonic(*(tuple(sorted(part)) for part in zip(*at, strict=True)))
    ),
)


@given(MAPS, st.lists(FLOATS, min_size=1, max_size=40))
@settings(deadline=None)
def test_a_map_keeps_the_order_and_looks_at_one_logit_alone(calibration, logits):
    x = np.sort(np.array(logits, dtype=np.float32))
    scores = calibration(x)
    assert scores.dtype == np.float32
    assert np.all((scores >= 0) & (scores <= 1))
    assert np.all(np.diff(scores) >= -1e-7)
    alone = np.concatenate([calibration(x[n : n + 1]) for n in range(len(x))])
    np.testing.assert_allclose(scores, alone, rtol=1e-6)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_is_saved_with_the_model(scorer, pairs, graded, tmp_path, method):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    plain = reranker.score(pairs)
    reranker.calibrate(pairs, graded, method=method)
    scores = reranker.score(pairs)
    assert np.abs(scores - plain).max() > 0.05
    reranker.save(tmp_path / "first")
    loaded = CrossEncoderReranker.load(tmp_path / "first", device="cpu")
    np.testing.assert_array_equal(loaded.score(pairs), scores)
    loaded.save(tmp_path / "second")  # it comes along
    again = CrossEncoderReranker.load(tmp_path / "second", device="cpu")
    np.testing.assert_array_equal(again.score(pairs), scores)
    np.testing.assert_allclose([again.score([pair])[0] for pair in pairs], scores, atol=1e-4)
    np.testing.assert_array_equal(
        again.logits(pairs), CrossEncoderReranker(scorer, device="cpu").logits(pairs)
    )


def test_fit_forgets_a_calibration(scorer, pairs, graded, tmp_path):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    reranker.calibrate(pairs, graded)
    reranker.save(tmp_path / "model")
    reranker.fit(pairs, graded, options=FitOptions(held_out=0, progress=False))
    np.testing.assert_array_equal(reranker.score(pairs), sigmoid(reranker.logits(pairs)))
    reranker.save(tmp_path / "model")
    assert not (tmp_path / "model" / "calibration.json").exists()


@pytest.fixture(scope="module")
def calibrated(scorer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    reranker = CrossEncoderReranker(scorer, device="cpu")
    reranker._model.set_calibration(Isotonic((-1.0, 0.0, 2.0), (0.2, 0.2, 0.9)))
    reranker.save(folder)
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"logits": [-1.0, float("nan"), 2.0]},
        {"logits": [-1.0, 0.0]},
        {"logits": [-1.0, 3.0, 2.0]},
        {"logits": []},
        {"logits": 1.0},
        {"logits": [[-1.0], [0.0], [2.0]]},
        {"probabilities": [0.2, 0.1, 0.9]},
        {"probabilities": [0.2, 0.3, 1.1]},
        {"probabilities": ["a", "b", "c"]},
        {"method": "platt"},
        {"method": "platt", "slope": -1.0, "intercept": 0.0},
        {"method": "platt", "slope": 1.0, "intercept": float("inf")},
        {"method": "platt", "slope": 10**400, "intercept": 0.0},
        {"method": "splines"},
    ],
)
def test_a_damaged_calibration_is_refused(calibrated, tmp_path, change):
    folder = shutil.copytree(calibrated, tmp_path / "model")
    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"calibration\.json is not a calibration"):
        CrossEncoderReranker.load(folder, device="cpu")


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"method": "isotonic"', "\udcff"])
def test_what_is_not_a_calibration_is_refused(calibrated, tmp_path, content):
    folder = shutil.copytree(calibrated, tmp_path / "model")
    (folder / "calibration.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="delete it"):
        CrossEncoderReranker(folder, device="cpu").score([("red", "door")])


def test_a_calibration_of_other_weights_is_not_used(calibrated, tmp_path):
    folder = shutil.copytree(calibrated, tmp_path / "model")
    pair = [("red", "red door")]
    reranker = CrossEncoderReranker(folder, device="cpu")
    assert reranker.score(pair) != sigmoid(reranker.logits(pair))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    reranker = CrossEncoderReranker(folder, device="cpu")
    assert reranker.score(pair) == sigmoid(reranker.logits(pair))


PAIRS = [(f"query {n % 4}", str(n)) for n in range(8)]


@pytest.mark.parametrize(
    ("pairs", "labels", "method", "message"),
    [
        (PAIRS, [1, 1, 1, 1, 0, 0, 0, 0], "platt", "do not rise"),
        (PAIRS, [1, 1, 1, 1, 0, 0, 0, 0], "isotonic", "do not rise"),
        (PAIRS, [1] * 8, "platt", "all labels are 1"),
        ([(query, "0") for query, _ in PAIRS], [0, 1] * 4, "platt", "all logits are 0"),
        ([("one", document) for _, document in PAIRS], [0, 1] * 4, "platt", "of a single query"),
        (PAIRS, [0, 1], "platt", "each of 8 pairs"),
        (PAIRS, [0, 1, 2, 3] * 2, "platt", "labels.2. must be .* got 2"),
        (PAIRS, [0, float("nan"), 1, 1] * 2, "platt", "labels.1. must be .* got nan"),
        ([], [], "platt", "0 pairs"),
        (PAIRS, [0, 1] * 4, "splines", "'splines'"),
    ],
)
def test_what_cannot_be_calibrated_on_is_refused_and_changes_nothing(pairs, labels, method, message):
    reranker = KnownLogitsReranker()
    reranker.calibrate(PAIRS, [0, 0, 0, 1, 0, 1, 1, 1])
    before = reranker.score(PAIRS)
    with pytest.raises(InputError, match=message):
        reranker.calibrate(pairs, labels, method=method)
    np.testing.assert_array_equal(reranker.score(PAIRS), before)


@pytest.mark.parametrize(
    ("scores", "labels", "bins"),
    [([0.1, 1.1], [0, 1], 15), ([np.nan], [0], 15), ([0.1], [2], 15), ([0.1], [0, 1], 15), ([0.1], [0], 0)],
)
def test_bad_input_of_the_calibration_error_is_refused(scores, labels, bins):
    with pytest.raises(InputError):
        expected_calibration_error(scores, labels, bins=bins)
