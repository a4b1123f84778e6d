from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from benchmarks.recommend import baselines, systems
from benchmarks.recommend.folder import read_shop
from benchmarks.recommend.made_up_shop import made_up_shop
from benchmarks.recommend.memory import Memory, RankedItems
from twotower.errors import CatalogueError, LeakError
from twotower.evaluation.recommendation import Past, check_blind, evaluate_recommender, time_split
from twotower.types import Event, Item

HEADER = "user_id\titem_id\ttimestamp\tevent\tquantity\tprice\tinvoice"
NOW = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = {item: row for row, item in enumerate("abcd")}
OPTIONS = Namespace(half_life=90.0, seed=0, threads=1)


def bought(user: str, items: str, age: float) -> list[Event]:
    return [Event(user, item, "purchase", NOW - timedelta(days=age)) for item in items]


PAST = Past(
    NOW, [*bought("u", "ab", 60), *bought("u", "aac", 30), *bought("v", "d", 10), *bought("w", "d", 40)]
)


def sold() -> np.ndarray:
    """Popularity: baskets with each item in all of the past."""
    return Memory(ROWS).counts(PAST.since(), NOW)


class Known:
    """An encoder that has a vector for each item's id."""

    def __init__(self, vectors):
        self.vectors, self.dim = vectors, len(next(iter(vectors.values())))

    def encode_items(self, items):
        return np.stack([self.vectors[item.id] for item in items])

    def encode_queries(self, queries):
        raise NotImplementedError


def random_matrix(seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix((rng.random((30, 9)) < 0.3) * rng.random((30, 9)))


def test_baskets_are_counted_by_hand_and_lines_of_one_basket_are_one():
    whole, decayed = Memory(ROWS), Memory(ROWS, half_life=30.0)
    u = PAST.of("u")
    np.testing.assert_allclose(whole.counts(u, NOW), [2, 1, 1, 0])
    np.testing.assert_allclose(whole.newest(u, NOW), [1, 1, 1, 0])
    np.testing.assert_allclose(decayed.counts(u, NOW), [1 / 4 + 1 / 2, 1 / 4, 1 / 2, 0])
    np.testing.assert_allclose(decayed.newest(u, NOW), [1 / 2, 1 / 4, 1 / 2, 0])
    np.testing.assert_allclose(sold(), [2, 1, 1, 2])
    users, matrix = decayed.matrix(PAST)
    assert users == ["u", "w", "v"]
    np.testing.assert_allclose(matrix.toarray()[2], [0, 0, 0, 0.5 ** (10 / 30)])


def test_repeat_and_popularity_by_hand():
    repeat = RankedItems("abcd", sold(), baselines.repeat(Memory(ROWS)))
    popular = RankedItems("abcd", sold(), baselines.popular(sold()))
    assert repeat("u", PAST, 4, frozenset()) == ["a", "b", "c", "d"]
    assert repeat("v", PAST, 3, frozenset()) == [
        "d",
        "a",
        "b",
    ]  # the rest by popularity, then the catalogue's order
    assert (
        repeat("nobody", PAST, 4, frozenset()) == popular("u", PAST, 4, frozenset()) == ["a", "d", "b", "c"]
    )
    assert repeat("u", PAST, 2, frozenset("abc")) == ["d"]


def test_recent_popularity_forgets_and_does_not_look_ahead_when_asked_again():
    recent = baselines.RecentlyPopular(Memory(ROWS), days=35)
    moment = NOW - timedelta(days=35)
    earlier = Past(moment, time_split(PAST.since(), moment)[0])
    for _ in range(2):
        np.testing.assert_allclose(recent("x", PAST), [2, 0, 1, 1])
        np.testing.assert_allclose(recent("x", earlier), [1, 1, 0, 1])


@pytest.mark.parametrize("regularization", [0.1, 10.0])
def test_ease_equals_ridge_regression_of_each_item_on_the_others(regularization):
    matrix = random_matrix()
    dense = matrix.toarray()
    expected = np.zeros((9, 9))
    for item in range(9):
        others = [other for other in range(9) if other != item]
        x = dense[:, others]
        expected[others, item] = np.linalg.solve(x.T @ x + regularization * np.eye(8), x.T @ dense[:, item])
    np.testing.assert_allclose(baselines.ease(matrix, regularization), expected, atol=1e-10)


def test_item_knn_equals_scikit_learn_and_keeps_the_nearest():
    matrix = random_matrix()
    cosine = cosine_similarity(matrix.T.toarray())
    np.testing.assert_allclose(baselines.item_knn(matrix, 100), cosine, atol=1e-12)
    kept = baselines.item_knn(matrix, 3)
    for item in range(9):
        nearest = np.argsort(-cosine[:, item])[:4]  # itself first
        np.testing.assert_allclose(kept[nearest, item], cosine[nearest, item])
        assert np.count_nonzero(kept[:, item]) <= 4


def test_an_item_that_nobody_bought_has_no_neighbours():
    matrix = random_matrix().toarray()
    matrix[:, 4] = 0
    weights = baselines.item_knn(sparse.csr_matrix(matrix), 3)
    assert not weights[4].any()
    assert not weights[:, 4].any()


def test_scores_are_the_past_times_the_weights():
    weights = np.arange(16.0).reshape(4, 4)
    scores = baselines.from_weights(Memory(ROWS, 30.0), weights)
    np.testing.assert_allclose(scores("u", PAST), np.array([1 / 2, 1 / 4, 1 / 2, 0]) @ weights)
    assert not scores("nobody", PAST).any()


@pytest.fixture(scope="module")
def shop():
    return made_up_shop(seed=1, users=150, per_kind=15)


@pytest.fixture(scope="module")
def encoder(shop):
    """A vector for each kind of goods with a little of its own."""
    rng = np.random.default_rng(0)
    kinds = sorted({item.id.partition("-")[0] for item in shop.items})
    vectors = {}
    for item in shop.items:
        vector = 0.3 * rng.standard_normal(24).astype(np.float32)
        vector[kinds.index(item.id.partition("-")[0])] += 2
        vectors[item.id] = vector / np.linalg.norm(vector)
    return Known(vectors)


def ndcg(shop, system, *, repeats):
    before = time_split(shop.events, shop.start)[0]
    found = evaluate_recommender(system, shop.tasks, shop.events, repeats=repeats, fitted_on=before)
    return found.means["ndcg@10"]


def test_the_planted_structure_is_found(shop):
    past = Past(shop.start, time_split(shop.events, shop.start)[0])
    fitted = {system.label: system.recommend for system in systems.fit_baselines(shop, past, OPTIONS)}
    assert {label.split()[0] for label in fitted} == {
        "random", "popularity", "recent-popularity", "repeat", "item-knn", "ease", "als", "bpr",
    }  # fmt: skip
    new = {
        label: ndcg(shop, fitted[label], repeats=False)
        for label in ("random", "popularity", "repeat all", "item-knn all")
    }
    assert new["item-knn all"] > 2 * new["popularity"] > 2 * new["random"]
    assert new["repeat all"] == new["popularity"]
    again = {label: ndcg(shop, fitted[label], repeats=True) for label in ("popularity", "repeat all")}
    assert again["repeat all"] > 2 * again["popularity"]


def test_no_baseline_uses_the_future_and_one_that_does_is_caught(shop):
    tasks = shop.tasks[5:60:27]

    def make(name, start):
        def fit(events):
            past = Past(max(start, shop.start), time_split(events, start)[0])
            return next(s.recommend for s in systems.fit_baselines(shop, past, OPTIONS) if s.label == name)

        return fit

    for name in (
        "popularity",
        "recent-popularity",
        "repeat all",
        "item-knn all",
        "ease all",
        "als all",
        "bpr",
    ):
        check_blind(make(name, shop.start), tasks[:1], shop.events)
    with pytest.raises(LeakError, match=f"user '{tasks[0].user}'"):
        check_blind(make("ease all", datetime(2100, 1, 1, tzinfo=UTC)), tasks, shop.events)


def test_the_retriever_does_not_see_the_moment_itself():
    encoder = Known({item: np.eye(4, dtype=np.float32)[row] for item, row in ROWS.items()})
    system = systems.TwoTower.over([Item(item, item) for item in ROWS], encoder, None, newest=500)
    later = Past(NOW + timedelta(days=1), [*PAST.since(), *bought("v", "c", 0)])
    assert set(system("v", later, 2, frozenset())) == {"d", "c"}
    asked_again = system("v", PAST, 4, frozenset())  # the basket of NOW is recorded by now
    assert asked_again[0] == "d"
    assert asked_again == systems.TwoTower.over(
        [Item(item, item) for item in ROWS], encoder, None, newest=500
    )("v", PAST, 4, frozenset())


def write_folder(folder, items, **splits):
    (folder / "interactions").mkdir()
    rows = [
        json.dumps({"_id": item, "title": title, "text": "", "metadata": {}}) for item, title in items.items()
    ]
    (folder / "corpus.jsonl").write_text("".join(f"{row}\n" for row in rows))
    for split, lines in splits.items():
        text = "".join(f"{user}\t{item}\t{time}\tpurchase\t3\t1.5\t9\n" for user, item, time in lines)
        (folder / "interactions" / f"{split}.tsv").write_text(f"{HEADER}\n{text}")


def test_any_split_is_predicted_from_all_that_was_before(tmp_path):
    write_folder(
        tmp_path,
        {"a": "Mug", "b": "", "late": "New lamp"},
        early=[("u", "a", 100), ("v", "b", 200)],
        sealed=[("u", "late", 300), ("u", "unlisted", 300), ("x", "a", 350), ("u", "a", 400)],
        after=[("v", "a", 500)],
    )
    shop = read_shop(tmp_path, "sealed")
    assert shop.start == datetime.fromtimestamp(300, UTC)
    assert [(task.user, task.truth) for task in shop.tasks] == [("u", {"late", "unlisted"}), ("x", {"a"})]
    assert [event.item for event in time_split(shop.events, shop.start)[0]] == ["a", "b"]
    assert {item.id: item.title for item in shop.items} == {
        "a": "Mug", "b": "b", "late": "New lamp", "unlisted": "unlisted",
    }  # fmt: skip
    past = Past(shop.start, time_split(shop.events, shop.start)[0])
    for system in systems.fit_baselines(shop, past, OPTIONS):
        found = evaluate_recommender(system.recommend, shop.tasks, shop.events)
        assert len(found.run["u"]) == 4


def test_a_folder_with_nothing_before_the_split_is_cut_at_80_percent(tmp_path):
    write_folder(tmp_path, {"a": "Mug"}, only=[("u", "a", time) for time in (0, 700, 800, 1000)])
    shop = read_shop(tmp_path, "only")
    assert shop.start == datetime.fromtimestamp(800, UTC)
    assert [task.moment.timestamp() for task in shop.tasks] == [800]


def test_bad_folders_are_named(tmp_path):
    write_folder(tmp_path, {"a": "Mug"}, dev=[("u", "a", "soon")])
    with pytest.raises(CatalogueError, match=r"test\.tsv' does not exist: the splits are dev"):
        read_shop(tmp_path, "test")
    with pytest.raises(
        CatalogueError, match=r"dev\.tsv', line 2: timestamp must be in unix seconds, got 'soon'"
    ):
        read_shop(tmp_path, "dev")
