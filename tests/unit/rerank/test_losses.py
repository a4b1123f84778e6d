from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers.cross_encoder import losses as theirs
from sklearn.metrics import ndcg_score

from rerank.training.held_out import mean_loss, mean_ndcg
from rerank.training.losses import LOSSES, total


class KnownLogits(torch.nn.Module):
    """Stands where sentence-transformers expects a network: the "documents" are positions in known logits."""

    num_labels = 1
    device = torch.device("cpu")

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def preprocess(self, pairs, **_):
        return {"rows": torch.tensor([row for _, row in pairs])}

    def forward(self, features):
        return {"scores": self.logits[features["rows"]]}


def batch(seed, *, graded=True):
    """Logits, targets and groups of five groups of 1 to 7 rows in a random order, some targets equal."""
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.repeat(np.arange(5), [1, 2, 4, 7, 7]))
    targets = generator.integers(0, 4, len(groups)) / 3 if graded else generator.random(len(groups))
    logits = torch.tensor(generator.normal(0, 2, len(groups)), dtype=torch.float32, requires_grad=True)
    return logits, torch.tensor(targets, dtype=torch.float32), torch.tensor(groups)


def by_sentence_transformers(loss, logits, labels, groups, wanted=None):
    wanted = torch.unique(groups) if wanted is None else wanted
    rows = [torch.nonzero(groups == group).flatten() for group in wanted]
    inputs = [["q"] * len(rows), [each.tolist() for each in rows]]
    return loss(KnownLogits(logits))(inputs, [labels[each] for each in rows])


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits)[0].numpy()


def assert_equal(mine, other, logits):
    assert mine.item() == pytest.approx(other.item(), rel=1e-5)
    np.testing.assert_allclose(gradient(mine, logits), gradient(other, logits), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("graded", [True, False])
def test_ranknet_is_that_of_sentence_transformers(seed, graded):
    logits, targets, groups = batch(seed, graded=graded)

    def loss(model):
        return theirs.RankNetLoss(model, reduction_log="natural", mini_batch_size=-1)

    other = by_sentence_transformers(loss, logits, targets, groups)
    assert_equal(LOSSES["ranknet"](logits, targets, groups), other, logits)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("graded", [True, False])
def test_lambda_is_that_of_sentence_transformers(seed, graded):
    logits, targets, groups = batch(seed, graded=graded)

    def loss(model):
        return theirs.LambdaLoss(model, reduction_log="natural", mini_batch_size=-1)

    # Their gain is 2 ** label - 1, ours the target.
    other = by_sentence_transformers(loss, logits, torch.log2(1 + targets), groups)
    assert_equal(LOSSES["lambda"](logits, targets, groups), other, logits)


@pytest.mark.parametrize("seed", range(5))
def test_listwise_is_list_net(seed):
    logits, targets, groups = batch(seed)

    def loss(model):
        return theirs.ListNetLoss(model, mini_batch_size=-1)

    relevant = [group for group in range(5) if targets[groups == group].sum() > 0]
    # The softmax of the logarithms of the targets is the targets divided by their sum.
    other = by_sentence_transformers(loss, logits, targets.log(), groups, relevant)
    assert_equal(LOSSES["listwise"](logits, targets, groups), other, logits)


def test_pointwise_is_the_binary_cross_entropy():
    logits, targets, groups = batch(0)
    p, t = 1 / (1 + np.exp(-logits.detach().double().numpy())), targets.double().numpy()
    expected = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    assert LOSSES["pointwise"](logits, targets, groups).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["ranknet", "lambda", "listwise"])
def test_comparing_losses_ignore_what_does_not_change_the_order(name):
    logits, targets, groups = batch(1)
    shift = torch.tensor([3.0, -5.0, 0.5, 40.0, 1.0])[groups]
    shifted = LOSSES[name](logits + shift, targets / 2, groups)
    assert shifted.item() == pytest.approx(LOSSES[name](logits, targets, groups).item(), rel=1e-4)


@pytest.mark.parametrize("name", ["ranknet", "lambda", "listwise"])
def test_a_batch_with_nothing_to_order_gives_no_nan(name):
    logits, _, groups = batch(2)
    loss = LOSSES[name](logits, torch.zeros(len(logits)), groups)
    assert loss.item() == 0
    assert not gradient(loss, logits).any()


def test_extreme_logits_give_finite_losses_and_gradients():
    _, targets, groups = batch(3)
    logits = torch.linspace(-1e4, 1e4, len(targets), requires_grad=True)
    loss = total(list(LOSSES), logits, targets, groups)
    assert torch.isfinite(loss)
    assert np.isfinite(gradient(loss, logits)).all()
    parts = [LOSSES[name](logits, targets, groups).item() for name in LOSSES]
    assert loss.item() == pytest.approx(sum(parts), rel=1e-6)


def held_out(groups, targets):
    from rerank.cross_encoder.tokens import EncodedPairs
    from rerank.training.data import GradedPairs

    encoded = EncodedPairs(
        {"input_ids": [[1]] * len(groups)}, {"input_ids": 0}, np.zeros(len(groups), dtype=bool)
    )
    return GradedPairs(encoded, np.asarray(targets, np.float32), np.asarray(groups))


def test_held_out_ndcg_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 40, 400)
    targets = generator.integers(0, 4, 400) / 3
    targets[groups < 5] = 1  # nothing to order
    logits = generator.integers(-9, 9, 400).astype(np.float32)  # with ties
    expected = [
        ndcg_score([targets[groups == group]], [logits[groups == group]], k=10) for group in range(5, 40)
    ]
    assert mean_ndcg(logits, held_out(groups, targets)) == pytest.approx(np.mean(expected), rel=1e-6)
    assert np.isnan(mean_ndcg(logits, held_out(groups, np.ones(400))))
    assert np.isnan(mean_ndcg(np.full(400, np.nan, np.float32), held_out(groups, targets)))
    assert np.isnan(mean_ndcg(logits[:0], held_out(groups[:0], targets[:0])))


def test_held_out_loss_counts_every_row_once():
    generator = np.random.default_rng(1)
    groups, logits = generator.integers(0, 300, 2000), generator.normal(0, 2, 2000).astype(np.float32)
    targets = generator.random(2000)
    expected = np.mean(np.logaddexp(0, logits.astype(float)) - targets * logits)
    assert mean_loss(["pointwise"], logits, held_out(groups, targets)) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(mean_loss(["pointwise"], logits[:0], held_out(groups[:0], targets[:0])))
