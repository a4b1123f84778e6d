"""A fitted recommender through `Retriever.recommend`, in a shop with a rule: after a device comes its refill."""

from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fakes import HashEncoder

from twotower import Event, Item, Retriever
from twotower.errors import MissingExtraError, QueryError, StoreError
from twotower.recommend import Recommender
from twotower.recommend.recommender import Ranked

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KINDS = 12  # of devices, each with a refill of its own
DAYS = 160
NOW = START + dt.timedelta(days=DAYS)
ITEMS = [
    Item(f"{what}-{kind}", f"{what} model {kind}", attributes={"price": float(10 + kind), "what": what})
    for kind in range(KINDS)
    for what in ("device", "refill")
]


def purchases() -> Iterator[Event]:
    """Every user buys a device and, twenty days later, its refill, again and again."""
    rng = np.random.default_rng(0)
    for user in range(150):
        day = float(rng.uniform(0, 20))
        while day < DAYS:
            kind = int(rng.integers(KINDS))
            for item, later in ((f"device-{kind}", 0.0), (f"refill-{kind}", 20.0)):
                if day + later < DAYS:
                    when = START + dt.timedelta(days=day + later)
                    yield Event(f"u{user}", item, "purchase", when)
            day += 40


@pytest.fixture(scope="module")
def fitted() -> Retriever:
    retriever = Retriever(HashEncoder())
    retriever.upsert(ITEMS, progress=False)
    retriever.record(purchases())
    return retriever.using(recommender=Recommender.fit(retriever, progress=False))


@pytest.fixture
def shop(fitted: Retriever) -> Retriever:
    """Everything in it may be changed."""
    retriever = Retriever(HashEncoder())
    retriever.upsert(ITEMS, progress=False)
    retriever.record(purchases())
    return retriever.using(recommender=Recommender.fit(retriever, progress=False))


def just_bought(retriever: Retriever, user: str, item: str) -> None:
    retriever.record([Event(user, item, "purchase", NOW - dt.timedelta(days=20))])


def test_what_follows_in_the_behaviour_comes_first(fitted):
    first = 0
    for kind in range(KINDS):
        just_bought(fitted, f"new-{kind}", f"device-{kind}")  # recorded after the fit
        first += fitted.recommend(f"new-{kind}", now=NOW)[0].id == f"refill-{kind}"
    assert first >= 9  # of twelve; by popularity it would be one


def test_the_terms_of_a_score_add_up_and_scores_are_log_odds(fitted):
    just_bought(fitted, "adds-up", "device-3")
    hits = fitted.recommend("adds-up", 24, now=NOW, exclude_seen=False)
    for hit in hits:
        assert sum(hit.explain.values()) == pytest.approx(hit.score)
    chances = 1 / (1 + np.exp(-hits.scores))
    assert chances[0] > 0.5 > chances[5]
    assert (np.diff(hits.scores) <= 0).all()


def test_filters_baskets_and_pages_are_exact(fitted):
    just_bought(fitted, "pages", "device-4")
    everything = [hit.id for hit in fitted.recommend("pages", 50, now=NOW)]
    pages = [fitted.recommend("pages", 5, offset=start, now=NOW) for start in range(0, 25, 5)]
    assert [hit.id for page in pages for hit in page] == everything
    assert "device-4" not in everything  # seen
    devices = fitted.recommend("pages", 50, now=NOW, where={"what": "device"})
    assert [hit.id for hit in devices] == [each for each in everything if each.startswith("device")]
    basket = fitted.recommend("pages", 50, now=NOW, context={"basket": ["refill-4", "device-9"]})
    assert {hit.id for hit in basket} == {*everything} - {"refill-4", "device-9"}
    assert fitted.recommend("pages", 5, now=NOW, where={"what": "sofa"}) == []


def test_an_unknown_user_gets_what_is_popular(shop):
    assert "device-7" not in {hit.id for hit in shop.recommend("never-seen", 3, now=NOW)}
    days = np.linspace(1, 120, 400)
    shop.record(
        Event(f"fan-{n}", "device-7", "purchase", NOW - dt.timedelta(days=day)) for n, day in enumerate(days)
    )
    shop = shop.using(recommender=Recommender.fit(shop, progress=False))
    hits = shop.recommend("never-seen", 3, now=NOW)
    assert hits[0].id == "device-7"
    assert hits == shop.recommend("never-seen-either", 3, now=NOW)


def test_the_last_page_holds_what_nobody_would_recommend(shop):
    others = [Item(f"dust-{n}", f"q{n}z") for n in range(300)]
    shop.upsert(others, progress=False)
    hits = shop.recommend("stranger", 400, now=NOW)
    assert {hit.id for hit in hits} == {item.id for item in [*ITEMS, *others]}
    assert (np.diff(hits.scores) <= 0).all()
    assert all(sum(hit.explain.values()) == pytest.approx(hit.score) for hit in hits)
    page = shop.recommend("stranger", 7, offset=150, now=NOW)
    assert [hit.id for hit in page] == [hit.id for hit in hits[150:157]]


def test_a_later_batch_never_overtakes_an_earlier_one():
    def ranked(rows: list[int], scores: list[float]) -> Ranked:
        return Ranked(np.array(rows), np.array(scores), {"trees": np.array(scores)})

    joined = Ranked.joined([ranked([4, 2], [3.0, 1.0]), ranked([7, 9, 1], [5.0, 0.5, 0.25])], 4)
    assert joined.rows.tolist() == [4, 2, 7, 9]
    assert joined.scores.tolist() == [3.0, 1.0, 1.0, 0.5]
    assert joined.explanation["recall"].tolist() == [0.0, 0.0, -4.0, 0.0]


def test_deleted_and_new_items_are_seen_at_once(shop):
    just_bought(shop, "new", "device-5")
    shop.delete(["refill-5"])
    assert "refill-5" not in {hit.id for hit in shop.recommend("new", 50, now=NOW)}
    shop.upsert([Item("device-5-pro", "device model 5 pro", attributes={"what": "new"})], progress=False)
    assert [hit.id for hit in shop.recommend("new", 5, now=NOW, where={"what": "new"})] == ["device-5-pro"]


def test_nothing_after_the_end_of_the_fit_counts(tmp_path):
    until = NOW - dt.timedelta(days=30)
    trees = []
    for events in (list(purchases()), [event for event in purchases() if event.time < until]):
        retriever = Retriever(HashEncoder())
        retriever.upsert(ITEMS, progress=False)
        retriever.record(events)
        recommender = Recommender.fit(retriever, until=until, progress=False)
        assert recommender._ranker is not None
        trees.append((recommender._ranker.trees, recommender._ranker.slope))
        if len(trees) == 1:  # what was not fitted on is history all the same
            recommender.save(tmp_path / "shop.npz")
            seen = {event.item for event in events if event.user == "u7"}
            loaded = retriever.using(recommender=Recommender.load(tmp_path / "shop.npz"))
            hits = retriever.using(recommender=recommender).recommend("u7", 24, now=NOW)
            assert not seen & {hit.id for hit in hits}
            assert loaded.recommend("u7", 24, now=NOW) == hits
    assert trees[0] == trees[1]


def test_a_shop_with_few_events_is_told_and_counts(caplog):
    retriever = Retriever(HashEncoder())
    retriever.upsert(ITEMS, progress=False)
    with caplog.at_level(logging.WARNING):
        empty = retriever.using(recommender=Recommender.fit(retriever, progress=False))
    assert "recommending by counts" in caplog.text
    assert len(empty.recommend("anyone", 3, now=NOW)) == 3
    retriever.record([Event("u", "device-1", "purchase", NOW - dt.timedelta(days=n)) for n in (3, 9)])
    retriever.record([Event(f"v{n}", "refill-2", "purchase", NOW - dt.timedelta(days=1)) for n in range(5)])
    counting = retriever.using(recommender=Recommender.fit(retriever, progress=False))
    assert [hit.id for hit in counting.recommend("u", 2, now=NOW, exclude_seen=False)] == [
        "device-1",
        "refill-2",
    ]
    assert [hit.id for hit in counting.recommend("stranger", 1, now=NOW)] == ["refill-2"]


@pytest.mark.parametrize("context", ["basket", {"cart": []}, {"basket": "sku-1"}, {"basket": [1]}])
def test_a_wrong_context_is_refused(fitted, context):
    with pytest.raises(QueryError, match="basket"):
        fitted.recommend("u1", context=context)


def test_something_else_is_no_recommender(fitted):
    with pytest.raises(ValueError, match="recommender must be a fitted Recommender"):
        fitted.using(recommender="popular")


def test_a_recommender_is_the_same_after_saving_in_another_folder(fitted, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    fitted._recommendation.recommender.save("shop.npz")
    monkeypatch.chdir("elsewhere")
    loaded = fitted.using(recommender=Recommender.load("../shop.npz"))
    just_bought(fitted, "saved", "device-7")
    assert loaded.recommend("saved", 9, now=NOW) == fitted.recommend("saved", 9, now=NOW)
    assert loaded.recommend("u3", 9, now=NOW)[0].explain == fitted.recommend("u3", 9, now=NOW)[0].explain


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"{}"])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "shop.npz").write_bytes(content)
    with pytest.raises(StoreError, match="fit it again"):
        Recommender.load(tmp_path / "shop.npz")
    with pytest.raises(StoreError, match="cannot be read"):
        Recommender.load(tmp_path / "none.npz")


def test_a_save_that_fails_leaves_the_earlier_file(fitted, tmp_path, monkeypatch):
    recommender = fitted._recommendation.recommender
    recommender.save(tmp_path / "shop.npz")
    before = (tmp_path / "shop.npz").read_bytes()
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(StoreError, match="No space left"):
        recommender.save(tmp_path / "shop.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["shop.npz"]
    assert (tmp_path / "shop.npz").read_bytes() == before


def _no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_saved_recommender_reads_the_events_of_a_reopened_store(tmp_path):
    with Retriever(HashEncoder(), decay=None) as made:
        made.upsert(ITEMS, progress=False)
        made.record(purchases())
        made.save(tmp_path / "store")
        Recommender.fit(made, progress=False).save(tmp_path / "shop.npz")
        in_memory = made.using(recommender=Recommender.load(tmp_path / "shop.npz"))
        just_bought(in_memory, "later", "device-2")
        expected = in_memory.recommend("later", 5, now=NOW)
    with Retriever.open(
        tmp_path / "store", encoder=HashEncoder(), recommender=Recommender.load(tmp_path / "shop.npz")
    ) as opened:
        just_bought(opened, "later", "device-2")
        assert opened.recommend("later", 5, now=NOW) == expected


def test_another_process_counts_the_events_of_the_writer(tmp_path):
    shop = Retriever(HashEncoder(), decay=None)
    shop.upsert(ITEMS, progress=False)
    shop.record(purchases())
    shop.save(tmp_path / "store")
    Recommender.fit(shop, progress=False).save(tmp_path / "shop.npz")
    with Retriever.open(tmp_path / "store", encoder=HashEncoder()) as writer:
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, tmp_path / "store", tmp_path / "shop.npz", NOW.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stdout.readline().strip() == "refill-2 unseen"
            just_bought(writer, "later", "device-2")
            print("go on", file=reader.stdin, flush=True)
            assert reader.stdout.readline().strip() == "refill-2 first"


READER = """
import sys
from datetime import datetime
from fakes import HashEncoder
from twotower import Retriever
from twotower.recommend import Recommender
from twotower.recommend.recommender import Ranked

store, file, now = sys.argv[1:]
recommender = Recommender.load(file)
reader = Retriever.open(store, encoder=HashEncoder(), recommender=recommender, read_only=True)


def answer():
    return [hit.id for hit in reader.recommend("later", 1, now=datetime.fromisoformat(now))]


print("refill-2", "first" if answer() == ["refill-2"] else "unseen", flush=True)
input()
reader.maintenance.refresh()
print("refill-2", "first" if answer() == ["refill-2"] else "unseen", flush=True)
"""


def test_no_request_makes_the_recommender_grow(fitted):
    recommender = fitted._recommendation.recommender
    size = len(recommender.item_ids)
    hits = fitted.recommend("u1", 3, now=NOW, context={"basket": ["gone-1", "gone-2"]})
    assert hits == fitted.recommend("u1", 3, now=NOW)
    fitted.recommend("nobody", where={"what": "refill"})
    assert len(recommender.item_ids) == size


@pytest.mark.parametrize(
    "wrong",
    [{"moments": 1}, {"channels": ["popular"]}, {"channels": {"popular": "month"}}, {"kinds": {"view": "much"}},
     {"kinds": {"view": -1}}, {"until": "2026-01-01"}, {"until": dt.datetime(2026, 1, 1)}, {"seed": "x"}],
)  # fmt: skip
def test_a_wrong_argument_of_the_fit_is_named(fitted, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recommender.fit(fitted, **wrong)
    with pytest.raises(ValueError, match="retriever"):
        Recommender.fit("store/")  # type: ignore[arg-type]


def test_without_lightgbm_the_extra_is_named_before_anything_is_read(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.setattr(type(fitted), "events", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(MissingExtraError, match=r"twotower\[recommend\]"):
        Recommender.fit(fitted)


def test_scores_are_the_chances_that_come_true(fitted):
    """Among all candidates of the last month, the chances add up to about what was bought."""
    shop = Retriever(HashEncoder())
    shop.upsert(ITEMS, progress=False)
    events = list(purchases())
    until = NOW - dt.timedelta(days=30)
    shop.record(event for event in events if event.time < until)
    shop = shop.using(recommender=Recommender.fit(shop, progress=False))
    expected = bought = 0.0
    for user in range(150):
        later = [event for event in events if event.user == f"u{user}" and event.time >= until]
        if later:
            shop.record(event for event in events if event.user == f"u{user}" and event.time < later[0].time)
            hits = shop.recommend(f"u{user}", 99, now=later[0].time, exclude_seen=False)
            expected += float((1 / (1 + np.exp(-hits.scores))).sum())
            bought += len({event.item for event in later if event.time == later[0].time})
    assert expected == pytest.approx(bought, rel=0.25)


def test_threads_recommend_while_others_write(shop):
    problems: list[BaseException] = []

    def watched(work: Callable[[int], object]) -> None:
        try:
            for number in range(40):
                work(number)
        except BaseException as problem:
            problems.append(problem)

    def write(number: int) -> None:
        shop.upsert([Item(f"late-{number}", "device of late")], progress=False)
        shop.record([Event(f"u{number}", f"late-{number}", "purchase", NOW - dt.timedelta(days=1))])
        shop.delete([f"late-{number - 3}"])

    works: list[Callable[[int], object]] = [write, *[lambda n: shop.recommend(f"u{n}", 5, now=NOW)] * 3]
    threads = [threading.Thread(target=watched, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert {hit.id for hit in shop.recommend("u1", 99, now=NOW)}.isdisjoint({"late-0", "late-36"})


def test_similar_items_are_those_of_the_same_baskets(shop):
    when = NOW - dt.timedelta(days=2)
    pairs = [("device-1", "refill-8"), ("device-1", "refill-8"), ("device-1", "device-2")]
    shop.record(Event(f"pair-{n}", item, "purchase", when) for n, pair in enumerate(pairs) for item in pair)
    shop = shop.using(recommender=Recommender.fit(shop, progress=False))
    hits = shop.similar("device-1", kind="bought-together")
    assert [hit.id for hit in hits] == ["refill-8", "device-2"]
    assert hits[0].explain == {"bought_together": hits[0].score}
    assert [hit.id for hit in shop.similar("device-1", where={"what": "device"}, kind="bought-together")] == [
        "device-2"
    ]
    assert "device-1" not in {hit.id for hit in shop.similar("device-1", 50)}


def test_what_was_bought_together_needs_a_recommender():
    retriever = Retriever(HashEncoder())
    retriever.upsert(ITEMS, progress=False)
    with pytest.raises(QueryError, match="recommender="):
        retriever.similar("device-1", kind="bought-together")
    with pytest.raises(QueryError, match="bought-together"):
        retriever.similar("device-1", kind="together")
