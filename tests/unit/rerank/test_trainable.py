from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rerank import CrossEncoderReranker, FitOptions, InputError

OPTIONS = FitOptions(epochs=2, learning_rate=3e-3, batch_size=8, held_out=0, bf16=False)


@pytest.fixture
def grades():
    return np.random.default_rng(0).random(60)


def weights(reranker):
    return {name: value.clone() for name, value in reranker._model.network().state_dict().items()}


def changed(reranker, before):
    """The names, below the backbone, of the weights that have changed."""
    after = weights(reranker)
    assert before.keys() == after.keys()
    return {
        name.removeprefix("0.model.") for name, value in after.items() if not torch.equal(value, before[name])
    }


@pytest.fixture
def lora():
    peft = pytest.importorskip("peft")
    return peft.LoraConfig(r=2, lora_alpha=4, target_modules=["query", "value"])


def test_adapters_change_only_what_they_are_for(scorer, pairs, grades, lora, tmp_path):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    before, scores = weights(reranker), reranker.score(pairs)
    report = reranker.fit(pairs, grades, options=replace(OPTIONS, adapters=lora))
    attention = {
        f"bert.encoder.layer.{n}.attention.self.{part}.weight" for n in (0, 1) for part in ("query", "value")
    }
    after = {f"{part}.{kind}" for part in ("bert.pooler.dense", "classifier") for kind in ("weight", "bias")}
    assert changed(reranker, before) == attention | after
    # Two matrices of 2 by 32 for each of 4 products, a pooler of 32 by 32 and a head of 32, both with biases.
    assert report.trained_parameters == 4 * 2 * 2 * 32 + 33 * 32 + 33
    assert not np.allclose(reranker.score(pairs), scores, atol=1e-3)
    reranker.save(tmp_path / "model")
    loaded = CrossEncoderReranker.load(tmp_path / "model", device="cpu")
    np.testing.assert_allclose(loaded.score(pairs), reranker.score(pairs), atol=1e-6)
    assert all(part.requires_grad for part in reranker._model.network().parameters())


def test_adapters_are_merged_after_an_interruption_and_a_resumed_fit_is_the_same(
    scorer, pairs, grades, lora, tmp_path
):
    options = replace(OPTIONS, held_out=0.2, adapters=lora, patience=99)
    groups = np.arange(60) // 5
    whole = CrossEncoderReranker(scorer, device="cpu")
    whole.fit(pairs, grades, groups=groups, options=options)
    reranker = CrossEncoderReranker(scorer, device="cpu")
    names = weights(reranker).keys()

    def stop(evaluation):
        if evaluation.step > 3:
            raise KeyboardInterrupt

    stopping = replace(options, checkpoint=tmp_path, watch=stop)
    with pytest.raises(KeyboardInterrupt):
        reranker.fit(pairs, grades, groups=groups, options=stopping)
    assert weights(reranker).keys() == names
    assert reranker.score(pairs).shape == (60,)
    reranker.fit(pairs, grades, groups=groups, options=replace(options, checkpoint=tmp_path))
    assert changed(reranker, weights(whole)) == set()


@pytest.mark.parametrize("frozen", [1, 2])
def test_frozen_layers_stay_as_they_are(scorer, pairs, grades, frozen):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    before = weights(reranker)
    report = reranker.fit(pairs, grades, options=replace(OPTIONS, frozen_layers=frozen))
    names = changed(reranker, before)
    assert not any("embeddings" in name or "layer.0." in name for name in names)
    assert any("layer.1." in name for name in names) == (frozen == 1)
    assert {"bert.pooler.dense.weight", "classifier.weight"} <= names
    assert report.trained_parameters < sum(value.numel() for value in before.values())
    assert all(part.requires_grad for part in reranker._model.network().parameters())


def test_what_cannot_be_trained_is_named(scorer, pairs, grades, lora):
    reranker = CrossEncoderReranker(scorer, device="cpu")
    before = weights(reranker)
    with pytest.raises(InputError, match="at most 2"):
        reranker.fit(pairs, grades, options=replace(OPTIONS, frozen_layers=3))
    with pytest.raises(InputError, match="without frozen_layers"):
        reranker.fit(pairs, grades, options=replace(OPTIONS, frozen_layers=1, adapters=lora))
    lora.target_modules = {"nowhere"}
    with pytest.raises(InputError, match="do not fit this model"):
        reranker.fit(pairs, grades, options=replace(OPTIONS, adapters=lora))
    assert changed(reranker, before) == set()
    assert all(part.requires_grad for part in reranker._model.network().parameters())
