from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from rerank import CrossEncoderReranker, FitOptions, InputError, ModelError, NotFittedError, distil
from rerank.training.distillation import _with_layers


def test_a_student_scores_as_its_teacher(texts, scorer, tmp_path):
    teacher = CrossEncoderReranker(scorer, device="cpu")
    unseen = texts(200, seed=1)
    wanted = teacher.logits(unseen)
    before = {name: value.clone() for name, value in teacher._model.network().state_dict().items()}
    cut = CrossEncoderReranker(scorer, device="cpu")
    cut._model.replace_network(_with_layers(teacher._model.network(), 1))
    untrained = spearmanr(cut.logits(unseen), wanted).statistic

    student = distil(
        teacher,
        texts(1000, seed=0),
        layers=1,
        epochs=5,
        learning_rate=2e-3,
        options=FitOptions(patience=9, bf16=False),
    )
    learnt = spearmanr(student.logits(unseen), wanted).statistic
    assert learnt > 0.85
    assert learnt > untrained + 0.2
    after = teacher._model.network().state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())

    student.save(tmp_path / "student")
    loaded = CrossEncoderReranker.load(tmp_path / "student", device="cpu")
    assert loaded._model.network()[0].model.config.num_hidden_layers == 1
    np.testing.assert_allclose(loaded.score(unseen), student.score(unseen), atol=1e-6)


@pytest.fixture
def tall(tmp_path):
    """Folder of a cross-encoder of seven layers."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    sizes = {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "max_position_embeddings": 32,
    }
    config = BertConfig(vocab_size=len(vocabulary), num_hidden_layers=7, num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    BertTokenizer({word: n for n, word in enumerate(vocabulary)}, model_max_length=32).save_pretrained(
        tmp_path
    )
    return tmp_path


@pytest.mark.parametrize(("count", "kept"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (7, list(range(7)))])
def test_the_layers_are_evenly_spaced(tall, count, kept):
    network = CrossEncoderReranker(tall, device="cpu")._model.network()
    cut = _with_layers(network, count)
    layers, chosen = network[0].model.bert.encoder.layer, cut[0].model.bert.encoder.layer
    assert len(chosen) == cut[0].model.config.num_hidden_layers == count
    for mine, number in zip(chosen, kept, strict=True):
        assert torch.equal(mine.output.dense.weight, layers[number].output.dense.weight)
    assert network[0].model.config.num_hidden_layers == len(layers) == 7


def test_what_cannot_be_distilled_is_named(texts, scorer, encoder):
    pairs = texts(4, seed=0)
    with pytest.raises(NotFittedError):
        distil(CrossEncoderReranker(encoder, device="cpu"), pairs)
    teacher = CrossEncoderReranker(scorer, device="cpu")
    for layers in (0, 3):
        with pytest.raises(InputError, match="between 1 and the teacher's 2"):
            distil(teacher, pairs, layers=layers)
    with pytest.raises(InputError, match="no pairs"):
        distil(teacher, [])
    config = teacher._model.network()[0].model.config
    config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(ModelError, match="several kinds"):
        distil(teacher, pairs)
    config.num_hidden_layers = 5
    with pytest.raises(ModelError, match="list of its 5 layers"):
        distil(teacher, pairs)


def test_a_student_learns_calibrated_scores(texts, scorer):
    """The teacher calls one pair in twenty relevant, whatever its raw scores; a student of those would say a half."""
    teacher = CrossEncoderReranker(scorer, device="cpu")
    pairs, unseen = texts(600, seed=0), texts(200, seed=1)
    rank = np.argsort(np.argsort(teacher.logits(pairs)))
    teacher.calibrate(pairs, np.where(rank >= 0.9 * len(pairs), 0.5, 0.0))
    raw, calibrated = 1 / (1 + np.exp(-teacher.logits(unseen))), teacher.score(unseen)
    assert abs(raw.mean() - calibrated.mean()) > 0.2
    student = distil(
        teacher, pairs, layers=2, epochs=4, learning_rate=2e-3, options=FitOptions(patience=9, bf16=False)
    )
    learnt = student.score(unseen)
    assert abs(learnt.mean() - calibrated.mean()) < 0.05
    assert np.abs(learnt - calibrated).mean() < 0.5 * np.abs(learnt - raw).mean()
