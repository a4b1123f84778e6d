"""After `close` every call gives the same clear error, whatever was read, cached or derived before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fakes import HashEncoder, OverlapReranker

from twotower import Event, IndexPolicy, Item, Retriever
from twotower.errors import ClosedError, StoreError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ITEMS = [Item(f"i{number}", f"lamp {number}", attributes={"price": number}) for number in range(40)]
CALLS = {
    "search": lambda r: r.search("lamp", now=NOW),
    "search by user": lambda r: r.search("lamp", user="u", now=NOW),
    "search_batch": lambda r: r.search_batch(["lamp"], now=NOW),
    "filter": lambda r: r.search("lamp", where={"price": 3}, now=NOW),
    "similar": lambda r: r.similar("i1", now=NOW),
    "recommend": lambda r: r.recommend("u", now=NOW),
    "get": lambda r: r.get("i1"),
    "in": lambda r: "i1" in r,
    "len": len,
    "items": lambda r: list(r.items()),
    "changed": lambda r: r.changed(ITEMS),
    "upsert": lambda r: r.upsert(ITEMS[:1]),
    "upsert nothing": lambda r: r.upsert([]),
    "delete": lambda r: r.delete(["i1"]),
    "delete nothing": lambda r: r.delete([]),
    "record": lambda r: r.record([Event("u", "i1", "view", NOW)]),
    "compact": lambda r: r.maintenance.compact(),
    "settle": lambda r: r.maintenance.settle(),
    "calibrate": lambda r: r.maintenance.calibrate(),
    "refresh": lambda r: r.maintenance.refresh(),
    "verify": lambda r: r.maintenance.verify(),
    "stats": lambda r: r.maintenance.stats(),
    "plan": lambda r: r.maintenance.plan(),
}


@pytest.fixture(params=["in memory", "written", "read"])
def retriever(request, tmp_path):
    options = {"encoder": HashEncoder(), "index": IndexPolicy(exact_up_to=20)}
    if request.param == "in memory":
        found = Retriever(options["encoder"], index=options["index"])
    else:
        found = Retriever.open(tmp_path / "s", **options)
    found.upsert(ITEMS)
    found.record([Event("u", "i1", "view", NOW)])
    if request.param == "read":
        found.close()
        found = Retriever.open(tmp_path / "s", read_only=True, **options)
    for name in ("search", "similar", "get", "items", "stats"):
        CALLS[name](found)  # and now it is cached
    return found


def test_every_call_gives_the_same_error(retriever, tmp_path):
    twin, maintenance, hits = (
        retriever.using(reranker=OverlapReranker()),
        retriever.maintenance,
        retriever.search("lamp", now=NOW),
    )
    retriever.close()
    said = set()
    for each in (retriever, twin):
        for name, call in CALLS.items():
            with pytest.raises(StoreError) as caught:
                call(each)
            said.add((type(caught.value), str(caught.value)))
            assert len(said) == 1, name
        with pytest.raises(ClosedError):
            each.save(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(ClosedError, match="closed: open the store again"):
        maintenance.verify()
    twin.close()  # does nothing
    assert len(hits) == len(list(hits)) == 10  # what was found before stays
