"""Which index is built, what it costs, what it was found to achieve, and that nothing else changes with it."""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pytest

from benchmarks.common.vectors import LookupEncoder, clustered, exact, recall_at_k
from twotower import IndexPolicy, Item, Query, Retriever
from twotower.errors import QueryError, StoreError
from twotower.recall.vectors.builder import build_index, can_extend
from twotower.recall.vectors.policy import estimate_bytes
from twotower.recall.vectors.table import GrowingTable
from twotower.recall.vectors.tuning import _synthetic_queries, tune

SIZE, DIM = 12_000, 64
TIGHT = 900_000  # bytes: of the kinds, "ivf-pq" and "ivf-rabitq" need less
KINDS = ["graph", "graph-8bit", "ivf-pq", "ivf-rabitq"]


@pytest.fixture(scope="module")
def points():
    return clustered(SIZE, 400, seed=1, dim=DIM)


@pytest.fixture(scope="module")
def indexes(points):
    return {kind: build_index(kind, [points.items]) for kind in ["exact", *KINDS]}


@pytest.mark.parametrize(
    ("rows", "settings", "kind", "fits"),
    [
        (20_000, {}, "exact", True),
        (20_001, {}, "graph", True),
        (2_000_000, {}, "graph", True),
        (2_000_001, {}, "ivf-pq", True),
        (10_000_000, {"recall": 1.0}, "exact", True),
        (5_000, {"exact_up_to": 0, "memory_bytes": 1}, "graph", False),  # too few rows for codes
        (1_000_000, {"memory_bytes": 1_092_000_000}, "graph", True),
        (1_000_000, {"memory_bytes": 1_091_999_999}, "graph-8bit", True),
        (1_000_000, {"memory_bytes": 700_000_000}, "ivf-pq", True),
        (1_000_000, {"memory_bytes": 150_000_000}, "ivf-rabitq", True),
        (1_000_000, {"memory_bytes": 50_000_000}, "ivf-rabitq", False),
    ],
)
def test_the_index_is_the_first_that_fits(rows, settings, kind, fits):
    choice = IndexPolicy(**settings).choose(rows, 384)
    assert (choice.kind, choice.fits) == (kind, fits)
    beside = 0 if kind == "exact" else estimate_bytes("graph", rows // 20, 384)
    assert choice.memory_bytes == estimate_bytes(kind, rows, 384) + beside
    assert choice.disk_bytes == (0 if kind in ("exact", "graph") else rows * 384 * 2)


@pytest.mark.parametrize("kind", ["exact", *KINDS])
def test_the_estimate_is_what_is_built(indexes, kind):
    import faiss

    estimated = estimate_bytes(kind, SIZE, DIM)
    native = {"exact": "_index", "graph": "graph"}.get(kind, "codes")
    held = getattr(indexes[kind], native)
    written = len(faiss.serialize_index(held if kind == "exact" else held.native))
    assert indexes[kind].size_bytes == pytest.approx(written, rel=0.03)
    assert estimated == pytest.approx(written, rel=0.03)


@pytest.fixture(scope="module")
def far(points):
    """Queries far from all items, as words are from photos."""
    far = points.queries + 3 * np.random.default_rng(5).normal(size=points.queries.shape) / np.sqrt(DIM)
    return (far / np.linalg.norm(far, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.98])
@pytest.mark.parametrize("kind", KINDS)
def test_no_less_effort_reaches_the_target(points, indexes, far, kind, target):
    """What the calibration says is what numpy finds; one step less would not do."""
    index, queries = indexes[kind], far[:250]
    tuned = tune(index, target, {"words": queries})
    truth = exact(points.items, queries, 10)

    def recall(at):
        return recall_at_k(at.search(queries, 10)[1].tolist(), truth)

    told = tuned.calibration
    assert recall(tuned) == pytest.approx(told.recall["words"], abs=0.005)  # half precision swaps near ties
    assert told.recall["words"] >= target
    assert (told.target, told.queries, told.rows) == (target, {"words": 250}, SIZE)
    less = [effort for effort in index.efforts_to_try() if effort < told.effort]
    assert all(recall(index.with_effort(effort, None)) < target + 0.005 for effort in less)


def test_made_up_queries_are_as_far_from_items_as_other_products_are():
    """Although each product is there in forty sizes, whose vectors are equal."""
    rng = np.random.default_rng(0)
    products = rng.normal(size=(200, DIM)).astype(np.float32)
    products /= np.linalg.norm(products, axis=1, keepdims=True)
    queries = _synthetic_queries(build_index("graph", [np.tile(products, (40, 1))]), rng)
    between = products @ products.T - 2 * np.eye(len(products))
    assert np.median((queries @ products.T).max(axis=1)) == pytest.approx(
        np.median(between.max(axis=1)), abs=0.05
    )


def test_an_index_grows_as_long_as_it_has_enough_lists():
    """Lists for 1,000 rows are too few for 2,000: each of them would grow, and a search with it."""
    lists = build_index("ivf-pq", [clustered(1_000, 1, seed=1, dim=16).items])
    assert [can_extend(lists, "ivf-pq", rows) for rows in (1_000, 1_400, 2_000)] == [True, True, False]
    graph = build_index("graph", [clustered(1_000, 1, seed=1, dim=16).items])
    assert can_extend(graph, "graph", 100_000)
    assert not can_extend(graph, "ivf-pq", 1_000)


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_queries_never_lower_the_effort_as_real_ones_may(points, indexes, kind):
    index = indexes[kind]
    assert tune(index, 0.01, {}).calibration.effort == index.default_effort
    assert tune(index, 0.01, {"words": points.queries}).calibration.effort < index.default_effort


def test_queries_far_from_all_items_take_more_effort(points, indexes, far):
    """Each kind of query is measured, and the hardest decides."""
    near = tune(indexes["graph"], 0.98, {"words": points.queries})
    both = tune(indexes["graph"], 0.98, {"words": points.queries, "photo": far})
    assert both.calibration.effort > near.calibration.effort
    assert both.calibration.recall["words"] >= both.calibration.recall["photo"] >= 0.98


def test_a_target_out_of_reach_is_reported(indexes):
    """Half precision knows no nearest rows beyond it: no graph finds these at this effort."""
    rng = np.random.default_rng(5)
    anywhere = rng.normal(size=(64, DIM)).astype(np.float32)
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    tuned = tune(indexes["ivf-rabitq"], 1.0, {"words": anywhere})
    assert tuned.calibration.recall["words"] < 1
    assert "less than the 1 asked for" in next(tuned.calibration.lines())


def items_of(rows):
    return [Item(str(row), "item", attributes={"third": row % 3}) for row in rows]


@pytest.fixture(scope="module")
def tight(points, tmp_path_factory):
    """A store whose index must be small: written in pieces, with rows replaced and deleted, closed."""
    folder = tmp_path_factory.mktemp("tight") / "store"
    policy = IndexPolicy(recall=0.97, memory_bytes=TIGHT, exact_up_to=1_000)
    with Retriever.open(folder, encoder=LookupEncoder(points.table), hybrid=None, index=policy) as retriever:
        for start in range(0, SIZE, 4_000):
            retriever.upsert(items_of(range(start, start + 4_000)), progress=False)
        retriever.maintenance.settle()
        retriever.maintenance.compact()
        retriever.maintenance.calibrate([Query(name) for name in points.names[:100]])
        retriever.delete([str(row) for row in range(0, 300)])
        retriever.upsert(items_of(range(300, 600)), progress=False)
    return folder


def opened(folder, points, **options):
    return Retriever.open(folder, encoder=LookupEncoder(points.table), hybrid=None, **options)


def check_answers(retriever, points):
    """Nothing that is deleted, nothing outside a filter, never too few, and the recall that was asked for."""
    alive = np.arange(SIZE) >= 300
    for where, allowed in (
        (None, alive),
        ({"third": 1}, alive & (np.arange(SIZE) % 3 == 1)),
        ({"id": {"$in": [str(row) for row in range(200, 305)]}}, alive & (np.arange(SIZE) < 305)),
    ):
        truth = exact(points.items, points.queries[100:200], 10, allowed)
        hits = retriever.search_batch(points.names[100:200], k=10, where=where)
        found = [[int(hit.id) for hit in row] for row in hits]
        assert [len(row) for row in found] == (truth >= 0).sum(axis=1).tolist()
        assert allowed[np.concatenate(found)].all()
        wanted = np.where(truth >= 0, truth, -1)
        if (truth >= 0).all():
            assert recall_at_k(found, wanted) >= 0.95
    best = retriever.search(points.names[0], k=1)[0]
    assert best.score == pytest.approx(float(points.queries[0] @ points.items[int(best.id)]), abs=1e-3)


def test_a_small_index_answers_like_a_large_one(points, tight):
    with opened(tight, points, read_only=True) as reader:
        large, *beside = reader.maintenance.stats().parts
        assert large.index == "ivf-pq"
        assert large.index_bytes <= TIGHT
        assert [part.index for part in beside] == ["exact"] * len(beside)
        assert large.calibration.queries == {"words": 100}
        assert large.calibration.recall["words"] >= 0.97
        assert (
            f"    recall@10 {large.calibration.recall['words']:.3f} for 100 words"
            in reader.maintenance.stats().lines()
        )
        assert reader.maintenance.plan(k=10)[0].method == "lists"
        check_answers(reader, points)
        assert reader.maintenance.verify() == []


def test_queries_are_kept_for_indexes_to_come(points, tight, tmp_path):
    shutil.copytree(tight, tmp_path / "copy")
    with opened(tmp_path / "copy", points) as retriever:
        retriever.maintenance.compact()
        (part,) = retriever.maintenance.stats().parts
        assert (part.rows, part.calibration.queries) == (SIZE - 300, {"words": 100})
        check_answers(retriever, points)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_table_of_vectors_is_made_again(points, tight, tmp_path, damage, caplog):
    shutil.copytree(tight, tmp_path / "copy")
    (table,) = (tmp_path / "copy").glob("generation-*/0.vectors")
    data = bytearray(table.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        table.write_bytes(data)
    elif damage == "cut":
        table.write_bytes(data[:-2])
    else:
        table.unlink()
    with opened(tmp_path / "copy", points) as retriever:
        assert "are damaged and will be rebuilt" in caplog.text
        retriever.maintenance.settle()
        check_answers(retriever, points)


def test_a_full_disk_loses_nothing(points, tight, tmp_path, monkeypatch):
    """The vectors that codes are ranked by cannot be written: the index stays what it was."""
    shutil.copytree(tight, tmp_path / "copy")
    with opened(tmp_path / "copy", points) as retriever:
        before = retriever.maintenance.stats()

        def full(self, vectors):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(GrowingTable, "add", full)
        with pytest.raises(StoreError, match=r"could not write its index .*No space left"):
            retriever.maintenance.compact()
        assert retriever.maintenance.stats().parts == before.parts
        check_answers(retriever, points)
        monkeypatch.undo()
        retriever.maintenance.compact()
        assert [part.rows for part in retriever.maintenance.stats().parts] == [SIZE - 300]


def test_another_policy_makes_another_index(points, tight, tmp_path):
    """A store is opened with more memory, and told to use it; a vector table is not kept then."""
    shutil.copytree(tight, tmp_path / "copy")
    roomy = IndexPolicy(recall=0.97, exact_up_to=1_000)
    with opened(tmp_path / "copy", points, index=roomy) as retriever:
        retriever.maintenance.compact()
        assert [part.index for part in retriever.maintenance.stats().parts] == ["graph"]
        check_answers(retriever, points)
    assert not list((tmp_path / "copy").glob("generation-*/0.vectors"))


def test_an_empty_query_cannot_calibrate():
    retriever = Retriever(LookupEncoder(np.eye(3, dtype=np.float32)), hybrid=None)
    with pytest.raises(QueryError, match="to calibrate with is empty"):
        retriever.maintenance.calibrate(["0", " "])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recall": 0}, "recall must be .* got 0"),
        ({"recall": 1.01}, "recall must be .* got 1.01"),
        ({"memory_bytes": 0}, "memory_bytes must be at least 1.* got 0"),
        ({"exact_up_to": -1}, "exact_up_to must be at least 0, got -1"),
    ],
)
def test_a_policy_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        IndexPolicy(**settings)
