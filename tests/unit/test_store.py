"""A store: what is written is there, whatever happens to the process, and one process writes."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import apsw
import numpy as np
import pytest
from fakes import HashEncoder

from rerank import Decay
from twotower import Event, IndexPolicy, Item, Retriever, UserTower
from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreDamagedError, StoreError, StoreVersionError
from twotower.store import files
from twotower.store.database import Database
from twotower.store.item_cache import ItemCache
from twotower.store.lock import FileLease

ZONE = timezone(timedelta(hours=8))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ITEMS = [
    Item("a/../b", "红色 ＡＢＣ 👟", "two\nlines", "/photos/1.jpg", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=ZONE),
         {"price": 0.1, "stock": 3, "new": True, "tags": ["x", "y"], "sizes": [36, 37.5],
          "since": datetime(2020, 1, 1, microsecond=7, tzinfo=UTC)}),
    Item("plain", image=Path("/photos/2.jpg"), title="x"),
]  # fmt: skip
EVENTS = [
    Event("用户", "plain", "wish", datetime(2026, 2, 2, microsecond=1, tzinfo=ZONE), 2.5),
    Event("用户", "a/../b", "view", datetime(2026, 2, 1, tzinfo=UTC)),
]


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(), **{"index": IndexPolicy(exact_up_to=20), **options})


def made(numbers, words="thing"):
    return [Item(f"i{number}", f"{words} {number}", attributes={"words": words}) for number in numbers]


def ids(retriever):
    """All ids, by what three ways of asking agree on."""
    found = {item.id for item in retriever.items()}
    assert found == {hit.id for hit in retriever.search("thing", k=1000, now=NOW)}
    assert len(retriever) == len(found)
    return found


def labels(retriever, *item_ids):
    return retriever._corpus.item_store.labels_of(item_ids).tolist()


def size(folder):
    return (folder / "items.sqlite").stat().st_size


def test_everything_comes_back(tmp_path):
    decay, user_tower = Decay.gaussian(scale=3, weight=0.5), UserTower(half_life=7, kinds={"wish": 2})
    with opened(
        tmp_path / "s", decay=decay, user_tower=user_tower, user_weight=0.4, rerank_depth=7
    ) as retriever:
        retriever.upsert(ITEMS)
        retriever.record(EVENTS)
        before = retriever.search("x", user="用户", now=NOW), retriever.recommend("用户", now=NOW)
    for read_only in (False, True, False):
        with Retriever.open(tmp_path / "s", encoder=HashEncoder(), read_only=read_only) as retriever:
            assert list(retriever.items()) == ITEMS
            assert next(retriever.items()).time.utcoffset() == timedelta(hours=8)
            assert isinstance(retriever.get("plain").image, Path)
            assert list(retriever._corpus.item_store.events()) == EVENTS
            assert [hit.id for hit in retriever.search("x", where={"tags": "y"}, now=NOW)] == ["a/../b"]
            assert (
                retriever.search("x", user="用户", now=NOW),
                retriever.recommend("用户", now=NOW),
            ) == before
            assert (retriever.decay, retriever._queries.user_tower) == (decay, user_tower)
            assert (retriever._queries.user_weight, retriever._ranking.rerank_depth) == (0.4, 7)
            assert retriever.maintenance.verify() == []


def test_a_write_is_there_without_close(tmp_path):
    """What a killed process leaves is a copy of the folder at that moment."""
    retriever = opened(tmp_path / "s")
    expected = set()
    for step in range(3):
        retriever.upsert(made(range(30 * step, 30 * step + 30)))
        retriever.delete([f"i{30 * step}"])
        retriever.maintenance.settle()  # a folder that is being written cannot be copied
        retriever.record([Event("u", f"i{30 * step + 1}", "view", NOW)])
        expected |= {f"i{number}" for number in range(30 * step + 1, 30 * step + 30)}
        shutil.copytree(tmp_path / "s", tmp_path / f"{step}")
        with opened(tmp_path / f"{step}") as copy:
            assert ids(copy) == expected
            assert len(list(copy._corpus.item_store.events())) == step + 1
            assert copy.maintenance.verify() == []
    retriever.close()


def test_dead_rows_of_a_graph_stay_dead_for_filters_too(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(60), "old"))
        retriever.maintenance.settle()
        retriever._corpus.checkpoint()
        retriever.delete([f"i{number}" for number in range(5)])
        retriever.upsert(made(range(5, 10), "new"))
        shutil.copytree(tmp_path / "s", tmp_path / "killed")
    for folder in (tmp_path / "s", tmp_path / "killed"):
        with opened(folder) as retriever:
            assert ids(retriever) == {f"i{number}" for number in range(5, 60)}
            for words, numbers in (("old", range(10, 60)), ("new", range(5, 10))):
                hits = retriever.search("thing", k=100, where={"words": words}, now=NOW)
                assert {hit.id for hit in hits} == {f"i{number}" for number in numbers}


def test_a_generation_of_long_ago_is_not_used(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(30)))
    with opened(
        tmp_path / "s"
    ) as retriever:  # too few are left for a graph, and nobody lists the dead any more
        retriever.delete([f"i{number}" for number in range(25)])
    with opened(tmp_path / "s") as retriever:
        assert ids(retriever) == {f"i{number}" for number in range(25, 30)}


def test_one_state_is_seen_from_beginning_to_end(tmp_path):
    with opened(tmp_path / "s") as writer, opened(tmp_path / "s", read_only=True) as reader:
        writer.upsert(made(range(30)))
        for retriever in (writer, reader):
            before = labels(writer, *(f"i{number}" for number in range(30)))
            with retriever._corpus.rows() as (snapshot, rows):
                writer.upsert(made(range(5)))
                assert [stored.label for stored in rows] == snapshot.labels().tolist() == sorted(before)


def test_labels_are_never_given_twice(tmp_path):
    given = []
    for _ in range(2):
        with opened(tmp_path / "s") as retriever:
            retriever.upsert(made(range(30)))
            given += labels(retriever, *(f"i{number}" for number in range(30)))
            retriever.delete([f"i{number}" for number in range(30)])
            retriever.maintenance.compact()
            retriever.upsert(made([99]))
            given += labels(retriever, "i99")
            retriever.delete(["i99"])
    other = Retriever(HashEncoder())
    other.upsert(made(range(3)))
    other.save(tmp_path / "s")
    with opened(tmp_path / "s") as retriever:
        given += labels(retriever, "i0", "i1", "i2")
        retriever.upsert(made([1]))
        given += labels(retriever, "i1")
    assert given == sorted(set(given))
    assert len(given) == 66


def test_one_process_writes(tmp_path):
    with opened(tmp_path / "s"):
        with pytest.raises(StoreError, match="read_only=True"):
            opened(tmp_path / "s")
        with pytest.raises(StoreError, match="read_only=True"):
            Retriever(HashEncoder()).save(tmp_path / "s")
        reader = opened(tmp_path / "s", read_only=True)
    opened(tmp_path / "s").close()
    for write in (lambda: reader.upsert(ITEMS), reader.maintenance.compact):
        with pytest.raises(StoreError, match="read-only"):
            write()
    reader.close()


def test_readers_follow_the_writer(tmp_path):
    with opened(tmp_path / "s") as writer, opened(tmp_path / "s", read_only=True) as reader:
        assert len(reader) == 0
        writer.upsert(made(range(50)))
        assert len(reader) == 0
        reader.maintenance.refresh()
        assert ids(reader) == ids(writer)
        writer.delete(["i3"])
        writer.upsert(made([4], "other"))
        reader.maintenance.refresh()
        assert ids(reader) == ids(writer)
        assert reader.get("i4").title == "other 4"
        writer.delete(["i5"])
        writer.maintenance.compact()  # and the catalog no longer says which rows died
        writer.upsert(made([60]))
        reader.maintenance.refresh()
        assert ids(reader) == ids(writer)
        assert reader.maintenance.verify() == []
    with opened(tmp_path / "s", read_only=True) as reader:
        other = Retriever(HashEncoder(), index=IndexPolicy(exact_up_to=20))
        other.upsert(made(range(100, 130)))
        other.save(tmp_path / "s")
        reader.maintenance.refresh()
        assert ids(reader) == {f"i{number}" for number in range(100, 130)}
        assert reader.maintenance.verify() == []


def test_a_search_meets_an_item_that_was_just_deleted(tmp_path):
    with opened(tmp_path / "s") as writer:
        writer.upsert(made(range(50)))
    with opened(tmp_path / "s") as writer, opened(tmp_path / "s", read_only=True) as reader:
        writer.delete(["i3"])
        assert "i3" not in {hit.id for hit in reader.search("thing 3", k=3, now=NOW)}


def test_refresh_of_the_writer_changes_nothing(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50)))
        retriever.delete(["i1"])
        retriever.maintenance.refresh()
        assert len(ids(retriever)) == 49


def test_save_replaces_a_store_and_touches_nothing_else(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50)))
        retriever.record([Event("u", "i1", "view", NOW)])
    other = Retriever(HashEncoder(), decay=Decay.half_life(30))
    other.upsert(made([7, 8]))
    other.save(tmp_path / "s")
    with Retriever.open(tmp_path / "s", encoder=HashEncoder()) as retriever:
        assert ids(retriever) == {"i7", "i8"}
        assert list(retriever._corpus.item_store.events()) == []
        assert retriever.decay == Decay.half_life(30)
        retriever.save(tmp_path / "copy")
    with opened(tmp_path / "copy") as copy:
        assert ids(copy) == {"i7", "i8"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for write in (other.save, opened):
        with pytest.raises(StoreError, match="other files"):
            write(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    with pytest.raises(StoreError, match="letter"):
        other.save(tmp_path / "mine" / "letter.txt")


def test_a_store_knows_its_encoder_and_asks_for_parts_of_your_own(tmp_path):
    class Never:
        def factor(self, ages):
            return np.ones(len(ages))

    opened(tmp_path / "s", decay=Never()).close()
    with pytest.raises(StoreError, match="encoder="):
        Retriever.open(tmp_path / "s", decay=Never())
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.open(tmp_path / "s", encoder=HashEncoder(31), decay=Never())
    with pytest.raises(StoreError, match="decay="):
        opened(tmp_path / "s")
    opened(tmp_path / "s", decay=Never()).close()  # and nobody kept the lock


def test_the_log_of_a_writer_that_never_closes_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr("twotower.store.database.MAX_WAL_BYTES", 100_000)
    log = tmp_path / "s" / "items.sqlite-wal"
    with opened(tmp_path / "s") as retriever:
        for attempt in range(100):
            retriever.upsert(made(range(10), f"attempt {attempt} {'long ' * 100}"))
            assert log.stat().st_size < 300_000


def test_the_log_stays_as_it_is_after_a_disk_error(tmp_path):
    log = tmp_path / "s" / "items.sqlite-wal"
    retriever = opened(tmp_path / "s")
    retriever.upsert(made(range(5)))
    retriever._corpus.store.database.fail("the disk failed")
    before = log.read_bytes()
    retriever.close(settle=False)
    assert log.read_bytes() == before
    with opened(tmp_path / "s") as again:
        assert ids(again) == {f"i{number}" for number in range(5)}


def test_a_forked_process_reads_through_a_connection_of_its_own(tmp_path, monkeypatch):
    """SQLite forbids the parent's, and closing it would drop the parent's locks."""
    with opened(tmp_path / "s") as retriever:
        database = retriever._corpus.store.database
        with database.reading() as first, database.reading() as again:
            assert again is first
        monkeypatch.setattr("twotower.store.database.os.getpid", lambda: -1)
        with database.reading() as of_the_child:
            assert of_the_child is not first
        monkeypatch.undo()


@pytest.mark.parametrize(("written", "advice"), [(99, "upgrade"), (4, "index it again")])
def test_another_format_is_refused(tmp_path, written, advice):
    opened(tmp_path / "s").close()
    folder = tmp_path / "s"
    database = Database(folder / "items.sqlite", FileLease(folder / "receipt"), writable=True)
    with database.transaction() as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'format'", (written,))
    database.close()
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match=rf"format {written}.*{advice}"):
            opened(tmp_path / "s", read_only=read_only)


def test_no_store(tmp_path):
    with pytest.raises(StoreError, match="holds no store"):
        opened(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(ITEMS)
    (tmp_path / "s" / "items.sqlite").unlink()
    with pytest.raises(StoreDamagedError, match="missing"):
        opened(tmp_path / "s")


def test_an_exception_on_the_way_leaves_no_lock(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="user_weight"):
        opened(tmp_path / "s", user_weight=7)
    assert not (tmp_path / "s").exists()
    with monkeypatch.context() as patch:
        patch.setattr(PersistentCorpus, "__init__", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened(tmp_path / "s")
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(ITEMS)
    with pytest.raises(ZeroDivisionError), opened(tmp_path / "s") as retriever:
        assert retriever.delete(["plain"]) == 1 / 0
    with opened(tmp_path / "s") as retriever:
        assert ids(retriever) == {"a/../b"}


def test_closing_twice_is_closing(tmp_path):
    retriever = opened(tmp_path / "s")
    retriever.upsert(ITEMS)
    retriever.close()
    retriever.close()
    with pytest.raises(StoreError, match="closed"):
        retriever.upsert(ITEMS)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"LOCK", "items.sqlite", "receipt"}


def test_compact_gives_space_back(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert([Item(f"i{number}", "thing", text=f"{number} " * 300) for number in range(400)])
        retriever._corpus.checkpoint()
        full = size(tmp_path / "s")
        retriever.delete([f"i{number}" for number in range(1, 400)])
        retriever._corpus.checkpoint()
        assert size(tmp_path / "s") == full
        retriever.maintenance.compact()
        assert size(tmp_path / "s") < full / 5
        assert ids(retriever) == {"i0"}
        assert [(part.rows, part.alive) for part in retriever.maintenance.stats().parts] == [(1, 1)]


def test_stats_are_what_was_written(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50)))
        retriever.maintenance.settle()
        retriever.upsert(made(range(50, 53)))
        retriever.delete(["i0", "i1"])
        retriever.maintenance.settle()
        stats = retriever.maintenance.stats()
        assert (stats.items, stats.dim) == (51, 32)
        assert [(part.index, part.rows, part.alive) for part in stats.parts] == [
            ("graph", 50, 48),
            ("exact", 3, 3),
        ]
        assert stats.parts[1].index_bytes == 3 * 32 * 4
        assert stats.parts[0].index_bytes > 50 * 32 * 2
        assert stats.store.folder == str(tmp_path / "s")
        assert stats.store.item_store_bytes >= size(tmp_path / "s") + 50 * 32 * 4
        assert stats.store.page_checksums
        assert stats.store.sqlite == apsw.sqlite_lib_version()
        assert stats.store.read_only is None
        assert len(list(stats.lines())) == 7
    with opened(tmp_path / "s", read_only=True) as reader:
        assert "read-only" in reader.maintenance.stats().store.read_only
    assert Retriever(HashEncoder()).maintenance.stats().store is None


def test_cached_items_are_those_read_last(tmp_path):
    cache = ItemCache(size=2)
    cache.add({1: Item("1", "a"), 2: Item("2", "b")})
    cache.find([1])
    cache.add({3: Item("3", "c")})
    assert {label: item.id for label, item in cache.find([1, 2, 3]).items()} == {1: "1", 3: "3"}


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 35])
def test_a_file_is_hashed_the_same_when_it_is_written_and_read(tmp_path, monkeypatch, size):
    """Block by block, however it comes; any other content has another digest."""
    monkeypatch.setattr(files, "BLOCK", 10)
    monkeypatch.setattr(files, "READ_SIZE", 3)
    data = bytes(range(size))

    def write(sink):
        for start in range(0, size, 4):
            sink.write(data[start : start + 4])

    digest = files.write_synced(tmp_path / "file", write)
    blocks = [sha256(data[start : start + 10]).digest() for start in range(0, size, 10)]
    assert digest == files.digest_of(tmp_path / "file") == sha256(b"".join(blocks)).hexdigest()
    for other in (data + b"x", data[:-1], data[1:]):
        if other != data:
            (tmp_path / "file").write_bytes(other)
            assert files.digest_of(tmp_path / "file") != digest
