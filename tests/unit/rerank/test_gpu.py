"""A GPU computes what the CPU computes; skipped if torch finds none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from rerank import CrossEncoderReranker, FitOptions, distil

if not torch.cuda.is_available():
    pytest.skip("torch finds no CUDA device", allow_module_level=True)

DEVICE = "cuda"


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 64}])
def test_scores_are_those_of_the_cpu(scorer, pairs, options):
    expected = CrossEncoderReranker(scorer, device="cpu").score(pairs)
    assert np.ptp(expected) > 0.1
    found = CrossEncoderReranker(scorer, device=DEVICE, **options).score(pairs)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # torch may multiply in TF32


def test_a_gpu_gets_large_batches(scorer, pairs, batches):
    CrossEncoderReranker(scorer, device=DEVICE).score(pairs)
    assert [len(mask) for mask in batches] == [len(set(pairs))]


def test_bfloat16_is_within_the_gate(scorer, pairs):
    expected = CrossEncoderReranker(scorer, device="cpu").score(pairs)
    found = CrossEncoderReranker(scorer, device=DEVICE, backend="torch-bf16").score(pairs)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).mean() < 0.03


def test_a_back_end_is_chosen(scorer, pairs):
    reranker = CrossEncoderReranker(scorer, device=DEVICE)
    report = reranker.choose_backend(pairs)
    assert {"torch", "torch-bf16"} <= {each.backend for each in report.measured if each.seconds > 0}
    assert reranker.backend == report.chosen


def test_an_interrupted_fit_goes_on_to_the_same_weights(opened, encoder, pairs, tmp_path):
    grades = np.random.default_rng(0).integers(0, 3, len(pairs))
    options = FitOptions(epochs=4, learning_rate=3e-3, batch_size=8, patience=99, held_out=0, bf16=False)

    def stop(evaluation):
        if evaluation.step > 5:
            raise KeyboardInterrupt

    straight = opened(encoder, DEVICE)
    straight.fit(pairs, grades, options=options)
    stopping = replace(options, checkpoint=tmp_path, watch=stop)
    with pytest.raises(KeyboardInterrupt):
        opened(encoder, DEVICE).fit(pairs, grades, options=stopping)
    resumed = opened(encoder, DEVICE)
    resumed.fit(pairs, grades, options=replace(options, checkpoint=tmp_path))

    assert np.ptp(straight.score(pairs)) > 0.1
    np.testing.assert_allclose(resumed.score(pairs), straight.score(pairs), atol=1e-2)


def test_a_student_learns_in_bfloat16_and_scores_alike_on_the_cpu(texts, scorer, tmp_path):
    teacher = CrossEncoderReranker(scorer, device=DEVICE)
    student = distil(
        teacher, texts(1000, seed=0), layers=1, epochs=5, learning_rate=2e-3, options=FitOptions(patience=9)
    )
    unseen = texts(200, seed=1)
    assert spearmanr(student.logits(unseen), teacher.logits(unseen)).statistic > 0.85

    student.save(tmp_path / "student")
    on_cpu = CrossEncoderReranker(tmp_path / "student", device="cpu")
    np.testing.assert_allclose(on_cpu.score(unseen), student.score(unseen), atol=1e-3)
