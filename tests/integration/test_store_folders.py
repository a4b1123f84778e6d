"""Where a store may lie, and who waits for whom."""

from __future__ import annotations

import os
import threading
import time

import pytest
from fakes import HashEncoder

from twotower import Item, Retriever
from twotower.__main__ import main
from twotower.errors import ItemError, StoreError
from twotower.store.folder import is_store
from twotower.towers.deferred import DeferredEncoder

ITEMS = [Item("a", "lamp")]


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(), **options)


@pytest.mark.parametrize(
    "name", [".DS_Store", "lost+found/", "Thumbs.db", "desktop.ini", "._x", ".git/", "@eaDir/"]
)
def test_files_that_operating_systems_leave_everywhere_are_ignored(tmp_path, name):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"x")
    assert not is_store(folder)
    for options in ({}, {}, {"read_only": True}):
        with opened(folder, **options) as retriever:
            if not options:
                retriever.upsert(ITEMS)
            assert [item.id for item in retriever.items()] == ["a"]
            assert retriever.maintenance.verify() == []
    other = Retriever(HashEncoder())
    other.upsert([Item("b", "mug")])
    other.save(folder)
    assert (folder / name).exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [(os.fsdecode(b"caf\xe9"), "must be UTF-8"), ("a\0b", "must be a path, got .* null character")],
)
@pytest.mark.parametrize(
    "open_it", [opened, lambda path: opened(path, read_only=True), Retriever(HashEncoder()).save]
)
def test_a_path_that_no_file_can_have_gets_one_clear_error(tmp_path, path, words, open_it):
    with pytest.raises((StoreError, ValueError), match=words):
        open_it(str(tmp_path / path))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_so_too(tmp_path, capsys):
    for command in (["stats"], ["compact"], ["verify"], ["reindex"]):
        assert main([*command, "--store", str(tmp_path / os.fsdecode(b"caf\xe9"))]) == 1
        assert "must be UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("stored", [False, True])
def test_a_photo_whose_path_is_not_utf_8_is_named(tmp_path, stored):
    retriever = opened(tmp_path / "s") if stored else Retriever(HashEncoder())
    item = Item("a", "lamp", image=tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    with pytest.raises(ItemError, match="item 'a', field 'image': the photo's path must be UTF-8"):
        retriever.upsert([item])
    assert retriever.upsert([item, Item("b", "mug")], on_error="skip").upserted == 1
    retriever.close()


def later(seconds, act):
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_waiting_for_another_writer(tmp_path):
    first = opened(tmp_path / "s")
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"open for writing elsewhere after 0.1 seconds of waiting"):
        opened(tmp_path / "s", wait=0.1)
    assert time.monotonic() - started >= 0.1
    timer = later(0.2, first.close)
    with opened(tmp_path / "s", wait=60) as second:
        second.upsert(ITEMS)
    timer.join()
    with pytest.raises(ValueError, match="wait must be at least 0 seconds, got -1"):
        opened(tmp_path / "s", wait=-1)


def test_a_command_waits_too(tmp_path, capsys):
    first = opened(tmp_path / "s")
    first.upsert(ITEMS)
    assert main(["compact", "--store", str(tmp_path / "s")]) == 1
    assert "--wait" in capsys.readouterr().err
    timer = later(0.2, first.close)
    assert main(["compact", "--store", str(tmp_path / "s"), "--wait", "60"]) == 0
    timer.join()


def never():
    pytest.fail("a model was loaded")


def test_the_lock_and_the_folder_come_before_the_models(tmp_path):
    with opened(tmp_path / "s"), pytest.raises(StoreError, match="open for writing elsewhere"):
        Retriever.open(tmp_path / "s", encoder=DeferredEncoder(never))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="other files"):
        Retriever.open(tmp_path / "mine", encoder=DeferredEncoder(never))
    with pytest.raises(StoreError, match="holds no store"):
        Retriever.open(tmp_path / "none", encoder=DeferredEncoder(never), read_only=True)


def test_a_model_that_cannot_be_made_leaves_no_folder_and_no_lock(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Retriever.open(tmp_path / "s", encoder=DeferredEncoder(lambda: 1 / 0))
    assert list(tmp_path.iterdir()) == []
    opened(tmp_path / "s").close()
