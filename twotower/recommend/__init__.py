"""Recommendation from behaviour: channels that recall, a ranker over them, and the recommender that composes them."""

from __future__ import annotations

from twotower.recommend.channels import BoughtTogether, Ease, OwnHistory, Popular, SimilarShoppers
from twotower.recommend.recommender import CHANNELS, Recommender

__all__ = ["CHANNELS", "BoughtTogether", "Ease", "OwnHistory", "Popular", "Recommender", "SimilarShoppers"]
