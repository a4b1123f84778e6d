"""Every kind of damage to every file of a store is reported, or changes nothing that a caller can see."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from fakes import HashEncoder

from twotower import Event, IndexPolicy, Item, ReciprocalRank, Retriever
from twotower.errors import StoreDamagedError
from twotower.store.database import PAGE_SIZE
from twotower.store.generations import Generations

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red shoes", "blue lamp", "绿色 茶杯", "wool bag"]
FRAME = PAGE_SIZE + 24  # of a write-ahead log, after 32 bytes of its own
PACKED = [f"{name}.{end}" for name in ("rows", "columns", "lexical") for end in ("safetensors", "json")]
PARTS = [f"generation/0.{name}" for name in ("faiss", *PACKED)]
DERIVED = ["CURRENT", "generation/manifest.json", "generation/queries.safetensors", *PARTS]


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(16), index=IndexPolicy(exact_up_to=20), **options)


def made(numbers, words):
    return [
        Item(f"i{number}", f"{words} {number}", attributes={"colour": WORDS[number % 4]})
        for number in numbers
    ]


def filled(folder):
    """A graph, rows beside it, dead rows, columns, words, pages without rows, events."""
    retriever = opened(folder)
    made_of = retriever.using(hybrid=ReciprocalRank())
    retriever.upsert(made(range(100), "first"))
    retriever.upsert(made(range(100, 125), "second"))
    retriever.maintenance.settle()
    assert made_of.search("second", where={"colour": WORDS[1]})  # so that columns and words are kept, too
    retriever.upsert(made(range(200, 205), "third"))
    retriever.delete([f"i{number}" for number in range(0, 30, 2)])
    retriever.record([Event("u", "i1", "view", NOW - timedelta(hours=hour)) for hour in range(30)])
    retriever.upsert(made([1, 3], "fourth"))
    return retriever


def answers(retriever):
    """Everything that a caller can see; an index that is made again may have its vectors in another precision."""
    searches = [
        {
            hit.id: pytest.approx(hit.score, abs=3e-3)
            for hit in retriever.search(words, k=200, now=NOW, **options)
        }
        for words in ("first 7", "red lamp")
        for options in ({}, {"where": {"colour": WORDS[2]}}, {"user": "u"})
    ]
    return list(retriever.items()), list(retriever._corpus.item_store.events()), searches


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A store that was closed, and what it answers."""
    folder = tmp_path_factory.mktemp("closed")
    with filled(folder / "store") as retriever:
        expected = answers(retriever)
    assert sorted(path.name for path in (folder / "store").glob("items.sqlite*")) == ["items.sqlite"]
    return folder / "store", expected


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A store whose last writes are in the write-ahead log, and what it answers."""
    folder = tmp_path_factory.mktemp("killed")
    with filled(folder / "open") as retriever:
        retriever._corpus.checkpoint()
        retriever.upsert(made([5, 300, 301], "fifth"))
        retriever.maintenance.settle()
        retriever.delete(["i7"])  # from here on only in the write-ahead log
        retriever.record([Event("u", "i300", "view", NOW)])
        expected = answers(retriever)
        shutil.copytree(folder / "open", folder / "store")
    return folder / "store", expected


def flips(data, positions):
    for position in positions:
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        yield f"bit of byte {position}", bytes(flipped)


def cuts(data):
    for length in sorted({0, len(data) // 2, len(data) - 1}):
        yield f"cut to {length}", data[:length]


def spread(length, count):
    """About `count` places from the first to the last byte."""
    return sorted({*range(0, length, max(1, length // count)), length - 1})


def current(store, name):
    """The name of a file, in the current generation if it begins with that word."""
    return name.replace("generation", (store / "CURRENT").read_text().split()[0], 1)


def report(folder):
    """What opening or verifying a store says is wrong, in one text; and what it answers if it does."""
    try:
        with opened(folder, read_only=True) as retriever:
            return "\n".join(retriever.maintenance.verify()), answers(retriever)
    except StoreDamagedError as error:
        return str(error), None


def consequences(store, name, damages, scratch):
    """The report and the answers after each damage to one file."""
    for number, (what, data) in enumerate(damages):
        folder = scratch / f"{number}"
        shutil.copytree(store, folder)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        yield what, *report(folder)
        shutil.rmtree(folder)


def places(name, size):
    """Where to flip bits: everywhere in a header, and here and there behind it."""
    if name == "items.sqlite":
        pages = range(0, size, PAGE_SIZE)
        return [*range(100), *(page + place for page in pages for place in (0, 4000, PAGE_SIZE - 1))]
    if name == "items.sqlite-wal":
        frames = range(32, size, FRAME)
        return [
            *range(32),
            *(frame + place for frame in frames for place in (0, 5, 9, 17, 24, 5000, FRAME - 1)),
        ]
    return spread(size, 10)


def test_no_file_is_left_out(closed):
    store, _ = closed
    found = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
    assert found == {"LOCK", "items.sqlite", "receipt", *(current(store, name) for name in DERIVED)}


@pytest.mark.parametrize("name", ["items.sqlite", "receipt", *DERIVED])
def test_damage_to_a_closed_store_is_always_reported(closed, tmp_path, name):
    store, expected = closed
    name = current(store, name)
    data = (store / name).read_bytes()
    damages = [*flips(data, places(name, len(data))), *cuts(data), ("removed", None)]
    if name == "CURRENT":
        damages.pop()  # as after a creation that was interrupted: no damage, and no harm
    for what, said, found in consequences(store, name, damages, tmp_path):
        assert said, what
        assert name in said or name == "CURRENT", what  # which may well name another manifest
        assert found in (None, expected), what
        assert found is not None or name == "items.sqlite", what


@pytest.mark.parametrize("name", ["items.sqlite-wal", "items.sqlite", "items.sqlite-shm", "receipt"])
def test_damage_to_a_store_that_was_killed_is_reported_or_changes_nothing(killed, tmp_path, name):
    store, expected = killed
    data = (store / name).read_bytes()
    damages = [*flips(data, places(name, len(data))), *cuts(data), ("removed", None)]
    for what, said, found in consequences(store, name, damages, tmp_path):
        assert said or found == expected, what
        assert found in (None, expected), what
        assert found is not None or name in ("items.sqlite-wal", "items.sqlite"), what


@pytest.mark.parametrize("name", ["LOCK", "CURRENT", "generation", *DERIVED[1:]])
def test_what_is_derived_is_made_again(closed, tmp_path, name):
    store, expected = closed
    shutil.copytree(store, tmp_path / "store")
    path = tmp_path / "store" / current(store, name)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with opened(tmp_path / "store") as retriever:
        assert answers(retriever) == expected
    with opened(tmp_path / "store", read_only=True) as retriever:
        assert retriever.maintenance.verify() == []
        assert answers(retriever) == expected
    assert (tmp_path / "store" / "CURRENT").exists()


def test_verify_leaves_sqlite_its_locks(tmp_path):
    """Closing any descriptor of a file drops the process's locks on it; another program could then move the log."""
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50), "thing"))
        retriever.maintenance.compact()
        assert retriever.maintenance.verify() == []
        locked = "510, 0x40000002"  # the bytes that SQLite locks while a database is open
        code = f"import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB, {locked})"
        command = [sys.executable, "-c", code, str(tmp_path / "s" / "items.sqlite")]
        assert b"BlockingIOError" in subprocess.run(command, capture_output=True, check=False).stderr


def test_a_generation_that_goes_while_it_is_read_is_made_again(tmp_path, monkeypatch):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50), "thing"))
    read = Generations.read

    def read_and_lose(self):
        generation = read(self)
        shutil.rmtree(generation.folder)
        return generation

    monkeypatch.setattr(Generations, "read", read_and_lose)
    with opened(tmp_path / "s", read_only=True) as reader:
        assert len(list(reader.items())) == 50


def test_nothing_in_a_store_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "exploded").touch, ()

    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50), "thing"))
    generations = Generations(tmp_path / "s")
    generation = generations.read()
    files = {path.name: path.read_bytes() for path in generation.folder.glob("0.*")}
    bomb = pickle.dumps(Bomb())
    planted = {name: data if name.endswith(".faiss") else bomb for name, data in files.items()}
    contents = {name: lambda sink, data=data: sink.write(data) for name, data in planted.items()}
    generations.write(contents, generation.about)  # with checksums that are right
    with opened(tmp_path / "s") as retriever:
        assert len(list(retriever.items())) == 50
    assert not (tmp_path / "exploded").exists()


def test_a_name_of_the_current_generation_cannot_lead_outside(tmp_path):
    with opened(tmp_path / "s") as retriever:
        retriever.upsert(made(range(50), "thing"))
    name, digest = (tmp_path / "s" / "CURRENT").read_text().split()
    shutil.copytree(tmp_path / "s" / name, tmp_path / "generation-000002")
    (tmp_path / "s" / "CURRENT").write_text(f"../generation-000002 {digest}\n")
    with opened(tmp_path / "s", read_only=True) as reader:
        assert "CURRENT" in reader.maintenance.verify()[0]
        assert len(list(reader.items())) == 50


@pytest.mark.parametrize("bit", range(8))
def test_a_header_cannot_turn_the_checksums_off(closed, tmp_path, bit):
    store, _ = closed
    shutil.copytree(store, tmp_path / "store")
    content = bytearray((store / "items.sqlite").read_bytes())
    content[20] ^= 1 << bit  # the room for a checksum on each page
    (tmp_path / "store" / "items.sqlite").write_bytes(content)
    with pytest.raises(StoreDamagedError, match=r"items\.sqlite"):
        opened(tmp_path / "store")
