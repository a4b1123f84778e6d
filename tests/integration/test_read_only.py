"""`read_only=True` needs no permission to write and leaves no trace, whatever the writer does or did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import HashEncoder

from twotower import Event, IndexPolicy, Item, Retriever
from twotower.errors import StoreError
from twotower.store.connections import open_live
from twotower.store.traceless_reader import TracelessReader

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(), **{"index": IndexPolicy(exact_up_to=20), **options})


def made(numbers, words="thing"):
    return [Item(f"i{number}", f"{words} {number}") for number in numbers]


def trace(folder):
    """All that a reader could change: names, contents, and times of change of files and folders."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes() if path.is_file() else b"")
        for path in paths
    }


def everything(reader):
    """All ids, after every kind of reading."""
    found = {item.id for item in reader.items()}
    assert found == {hit.id for hit in reader.search("thing", k=500, now=NOW)}
    assert all(reader.get(item_id).id == item_id for item_id in sorted(found)[:3])
    reader.maintenance.refresh()
    reader.maintenance.stats()
    reader.recommend("u", now=NOW)
    assert reader.maintenance.verify() == []
    return found


@pytest.fixture
def closed(tmp_path):
    with opened(tmp_path / "s") as writer:
        writer.upsert(made(range(50)))
        writer.record([Event("u", "i1", "view", NOW)])
    return tmp_path / "s"


@pytest.fixture(params=["with its index", "without its index"])
def killed(tmp_path, request):
    """A copy of the folder while it is open for writing is what a killed writer leaves."""
    writer = opened(tmp_path / "live")
    writer.upsert(made(range(50)))
    writer.maintenance.settle()
    writer.upsert(made(range(50, 55)))
    shutil.copytree(tmp_path / "live", tmp_path / "s")
    writer.close()
    if request.param == "without its index":
        (tmp_path / "s" / "items.sqlite-shm").unlink()
    assert (tmp_path / "s" / "items.sqlite-wal").stat().st_size
    return tmp_path / "s"


def test_a_closed_store_is_left_as_it_was(closed):
    before = trace(closed)
    with opened(closed, read_only=True) as reader, opened(closed, read_only=True) as other:
        assert everything(reader) == everything(other) == {f"i{number}" for number in range(50)}
        assert trace(closed) == before
    assert trace(closed) == before


def test_a_store_whose_writer_was_killed_is_left_as_it_was(killed):
    before = trace(killed)
    with opened(killed, read_only=True) as reader:
        assert everything(reader) == {f"i{number}" for number in range(55)}
        assert trace(killed) == before
    assert trace(killed) == before
    with opened(killed) as writer:  # and nothing is lost
        assert everything(writer) == {f"i{number}" for number in range(55)}


def test_a_store_that_is_being_written_is_left_as_it_is(tmp_path):
    with opened(tmp_path / "s") as writer:
        for step in range(3):
            writer.upsert(made(range(30 * step, 30 * step + 30)))
            writer.maintenance.settle()
            before = trace(tmp_path / "s")
            with opened(tmp_path / "s", read_only=True) as reader:
                assert everything(reader) == {f"i{number}" for number in range(30 * step + 30)}
                assert trace(tmp_path / "s") == before
            assert trace(tmp_path / "s") == before


# Drops the rights of root once everything is imported: the interpreter's own files may be root's alone.
UNPRIVILEGED = """
import os, sys
sys.path[:0] = sys.argv[2:]
from test_read_only import everything, opened
import numpy, faiss, apsw, twotower.corpus.persistent
with opened(sys.argv[1] + "/warm", read_only=True) as reader:
    everything(reader)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    open(sys.argv[1] + "/s/new", "w")
except PermissionError:
    with opened(sys.argv[1] + "/s", read_only=True) as reader:
        print(len(everything(reader)))
"""


def without_permission(folder):
    """What a process reads that may not write there."""
    folder.parent.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    here = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(folder.parent), *here],
        capture_output=True,
        text=True,
        check=False,
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def public_folder(tmp_path_factory):
    """A folder that another user may enter: those of pytest are closed to all others."""
    folder = Path("/tmp") / f"twotower-test-{os.getpid()}-{threading.get_ident()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def test_reading_needs_no_permission_to_write(public_folder, closed):
    shutil.copytree(closed, public_folder / "warm")
    with opened(closed) as writer:
        writer.upsert(made(range(60)))
        writer.maintenance.settle()
        shutil.copytree(closed, public_folder / "s")
    assert without_permission(public_folder / "s") == "60"  # killed
    shutil.rmtree(public_folder / "s")
    shutil.copytree(closed, public_folder / "s")
    assert without_permission(public_folder / "s") == "60"  # closed
    shutil.rmtree(public_folder / "s")
    with opened(public_folder / "s") as writer:
        writer.upsert(made(range(70)))
        writer.maintenance.settle()
        assert without_permission(public_folder / "s") == "70"  # being written
        writer.upsert(made(range(80)))


def test_a_reader_follows_a_writer_that_comes_and_goes(closed):
    with opened(closed, read_only=True) as reader:
        expected = {f"i{number}" for number in range(50)}
        for step in range(3):
            with opened(closed) as writer:
                for number in range(3):
                    fresh = 100 + 10 * step + number
                    writer.upsert(made([fresh]))
                    expected.add(f"i{fresh}")
                    reader.maintenance.refresh()
                    assert everything(reader) == expected
                writer.maintenance.compact()
                assert everything(reader) == expected
            assert everything(reader) == expected
            assert {path.suffix for path in closed.iterdir()} <= {"", ".sqlite"}  # no -wal, no -shm


def test_a_long_reading_sees_one_state_while_a_writer_comes_and_goes(closed, monkeypatch):
    monkeypatch.setattr("twotower.store.database.LEASE_SECONDS", 0.01)
    with opened(closed, read_only=True) as reader:
        items = reader.items()
        first = next(items)
        with opened(closed) as writer:
            writer.delete([f"i{number}" for number in range(0, 50, 2)])
            writer.upsert(made(range(200, 230)))
            writer.maintenance.compact()
        assert [first.id, *(item.id for item in items)] == [f"i{number}" for number in range(50)]
        assert len(everything(reader)) == 55
    with opened(closed) as writer:
        assert len(everything(writer)) == 55


WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from test_read_only import IndexPolicy, made, opened
for life in range(3):
    with opened(sys.argv[1], index=IndexPolicy()) as writer:
        for number in range(4):
            writer.upsert(made(range(25 * (number % 4), 25 * (number % 4) + 25), f"life{life}"))
            writer.delete([f"i{number}"])
            writer.upsert(made([number]))
            if number == 2:
                writer.maintenance.compact()
"""


def test_readers_beside_a_busy_writer_never_see_anything_half_done(tmp_path):
    with opened(tmp_path / "s", index=IndexPolicy()) as writer:
        writer.upsert(made(range(100)))
    here = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    command = [sys.executable, "-c", WRITER, str(tmp_path / "s"), *here]
    readings = 0
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE) as process,
        opened(tmp_path / "s", read_only=True) as reader,
    ):
        while process.poll() is None:
            found = {item.id for item in reader.items()}
            assert len(found) >= 99
            assert found <= {f"i{number}" for number in range(100)}
            reader.maintenance.refresh()
            assert len(reader.search("thing", k=200, now=NOW)) >= 99
            readings += 1
        assert process.returncode == 0, process.stderr.read()
        reader.maintenance.refresh()
        assert everything(reader) == {f"i{number}" for number in range(100)}
    assert readings > 5


def test_a_writer_does_not_wait_for_ever_for_a_reader(closed, monkeypatch):
    monkeypatch.setattr("twotower.store.database.LEASE_SECONDS", 0.01)
    with opened(closed, read_only=True) as reader:
        items = reader.items()
        next(items)
        with opened(closed) as writer:
            writer.upsert(made([99]))
        assert (closed / "items.sqlite-wal").stat().st_size  # left for the next writer, and for readers
        assert len(list(items)) == 49
        assert len(everything(reader)) == 51
    with opened(closed) as writer:
        assert len(everything(writer)) == 51
    assert not (closed / "items.sqlite-wal").exists()


def test_a_log_that_goes_while_it_is_opened_is_looked_for_again(closed, monkeypatch):
    """The planted fault: the writer closes the store between the reader's look and its opening."""
    writer = opened(closed)
    writer.upsert(made([99]))

    def open_after_close(path):
        writer.close()
        return open_live(path)

    monkeypatch.setattr("twotower.store.traceless_reader.open_live", open_after_close)
    with opened(closed, read_only=True) as reader:
        assert len(everything(reader)) == 51


def test_a_database_that_cannot_be_read_says_so(closed, monkeypatch):
    monkeypatch.setattr(TracelessReader, "_still", lambda *_, **__: open_live(closed / "nothing"))
    with pytest.raises(StoreError, match=r"items\.sqlite' cannot be used"):
        opened(closed, read_only=True)
