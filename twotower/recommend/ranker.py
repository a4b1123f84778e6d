"""The ranker: boosted trees over features of candidates, as calibrated log-odds that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.errors import needs_extra
from twotower.recommend.features import GROUPS, NAMES

ROUNDS, PATIENCE = 400, 120  # of boosting at most, and without a gain
SETTINGS: Mapping[str, Any] = {
    **{"objective": "lambdarank", "lambdarank_truncation_level": 30, "learning_rate": 0.05, "num_leaves": 31},
    **{"min_data_in_leaf": 100, "feature_fraction": 0.5, "bagging_fraction": 0.5, "bagging_freq": 1},
    **{"lambda_l2": 5.0, "verbosity": -1, "deterministic": True, "force_row_wise": True},
}


def check_installed() -> None:
    """Raise a MissingExtraError if LightGBM is not installed."""
    with needs_extra("recommend", "fitting a recommender"):
        import lightgbm  # noqa: F401  # only whether it can be


class Examples(NamedTuple):
    """Candidates of some shoppers at some moments.

    Args:
        features: shape (n, len(NAMES)).
        taken: whether the candidate was in the next basket, shape (n,).
        sizes: how many of the candidates, in turn, belong to each shopper.
    """

    features: NDArray[np.float64]
    taken: NDArray[np.bool_]
    sizes: Sequence[int]

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Several in one."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.taken for part in parts]),
            [size for part in parts for size in part.sizes],
        )


class Ranker:
    """Boosted trees, whose sum is turned into the log-odds that an item is in the next basket.

    Sources: Burges 2010, "From RankNet to LambdaRank to LambdaMART", for the trees; Platt 1999, "Probabilistic
    outputs for support vector machines", for the log-odds.

    Args:
        trees: a LightGBM model as text.
        slope: of the log-odds in the sum of the trees.
        intercept: of the log-odds.
    """

    def __init__(self, trees: str, slope: float, intercept: float) -> None:
        with needs_extra("recommend", "ranking recommendations"):
            import lightgbm
        self._booster = lightgbm.Booster(model_str=trees)
        self.trees, self.slope, self.intercept = trees, slope, intercept

    @classmethod
    def fit(cls, earlier: Examples, newest: Examples, seed: int = 0) -> Ranker:
        """Fit trees on earlier moments; stop and calibrate on the newest one.

        They are not fitted again on all moments: the level of LambdaMART's sums is arbitrary, so another fit's sums
        would need a calibration of their own, on moments that it has not seen.

        Args:
            earlier: of some moments.
            newest: of a later one.
            seed: of the trees.
        """
        with needs_extra("recommend", "ranking recommendations"):
            import lightgbm
        settings = {**SETTINGS, "seed": seed, "metric": "ndcg", "eval_at": [10]}

        def data(examples: Examples) -> Any:
            return lightgbm.Dataset(
                examples.features, examples.taken.astype(int), group=examples.sizes, feature_name=list(NAMES)
            )

        booster = lightgbm.train(
            settings,
            data(earlier),
            ROUNDS,
            valid_sets=[data(newest)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        slope, intercept = log_odds(np.asarray(booster.predict(newest.features)), newest.taken)
        return cls(booster.model_to_string(num_iteration=booster.best_iteration), slope, intercept)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds of n candidates, shape (n,)."""
        if not len(features):  # which LightGBM does not take
            return np.zeros(0)
        return self.intercept + self.slope * np.asarray(self._booster.predict(features), dtype=np.float64)

    def explained(self, features: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """What each group of features adds to the log-odds of n candidates, shape (n,) each; "base" is everyone's.

        Source: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees".
        """
        if not len(features):
            return {}
        parts = self.slope * np.asarray(self._booster.predict(features, pred_contrib=True), dtype=np.float64)
        ends = np.cumsum([len(names) for names in GROUPS.values()])
        groups = np.split(parts[:, :-1], ends[:-1], axis=1)
        added = {name: group.sum(axis=1) for name, group in zip(GROUPS, groups, strict=True)}
        return {"base": self.intercept + parts[:, -1], **added}


def log_odds(scores: NDArray[np.float64], taken: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the log-odds of what was taken, by logistic regression on scores, shape (n,) both."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(scores[:, None], taken)
    return max(float(model.coef_[0, 0]), 1e-6), float(model.intercept_[0])
