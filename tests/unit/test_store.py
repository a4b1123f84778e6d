"""A store folder: whole or refused, and what it held before survives a failed write."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder

from rerank import Decay
from twotower import Event, Item, Retriever, UserTower
from twotower.errors import StoreDamagedError, StoreError, StoreVersionError
from twotower.store import folder as store_folder

ZONE = timezone(timedelta(hours=8))
ITEMS = [
    Item("a/../b", "红色 ＡＢＣ", "two\nlines", "photos/1.jpg", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=ZONE),
         {"price": 0.1, "stock": 3, "new": True, "tags": ["x", "y"], "since": datetime(2020, 1, 1, tzinfo=UTC)}),
    Item("plain", image=Path("photos/2.jpg"), title="x"),
]  # fmt: skip


@pytest.fixture
def store(tmp_path):
    retriever = Retriever(
        HashEncoder(),
        decay=Decay.gaussian(scale=3, weight=0.5),
        user_tower=UserTower(half_life=7, kinds={"wish": 2}),
    )
    retriever.upsert(ITEMS)
    retriever.record([Event("用户", "plain", "wish", datetime(2026, 2, 2, tzinfo=ZONE), 2.5)])
    retriever.save(tmp_path / "store")
    return tmp_path / "store"


def load(store):
    return Retriever.load(store, encoder=HashEncoder())


def test_everything_comes_back(store):
    contents = store_folder.read_store(store)
    assert list(contents.items) == ITEMS
    assert contents.events == (Event("用户", "plain", "wish", datetime(2026, 2, 2, tzinfo=ZONE), 2.5),)
    loaded = load(store)
    assert loaded._ranking.decay == Decay.gaussian(scale=3, weight=0.5)
    assert loaded._user_tower == UserTower(half_life=7, kinds={"wish": 2})


@pytest.mark.parametrize("name", ["items.jsonl", "events.jsonl", "vectors.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_named(store, name, damage):
    (path,) = store.glob(f"*/{name}")
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data if damage == "flip" else data[:-3])
    with pytest.raises(StoreDamagedError, match=name) as error:
        load(store)
    assert isinstance(error.value, OSError)
    assert "\n" not in str(error.value)


def test_a_damaged_name_of_the_current_generation_cannot_lead_outside(store):
    (store / "CURRENT").write_text("../elsewhere abc")
    with pytest.raises(StoreDamagedError, match="CURRENT"):
        load(store)


def test_a_store_of_a_newer_version_is_refused_by_version(store):
    (manifest,) = store.glob("*/manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(StoreVersionError, match="format 99"):
        load(store)


def test_no_store_and_other_peoples_folders(tmp_path):
    with pytest.raises(StoreError, match="holds no store"):
        load(tmp_path)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="other files"):
        Retriever(HashEncoder()).save(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("step", range(5))
def test_a_write_that_fails_at_any_step_leaves_the_old_store_whole(store, monkeypatch, step):
    """The planted fault: the disk is full at the n-th of the five files that a save writes."""
    retriever = load(store)
    retriever.upsert([Item("new", "new")])
    real, calls = store_folder._write_synced, []

    def failing(path, data):
        calls.append(path)
        if len(calls) > step:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(store_folder, "_write_synced", failing)
    with pytest.raises(StoreError, match="No space left"):
        retriever.save(store)
    assert len(load(store)) == 2
    monkeypatch.setattr(store_folder, "_write_synced", real)
    retriever.save(store)
    assert len(load(store)) == 3
    assert len(list(store.glob("generation-*"))) == 1


def test_a_store_knows_its_encoder(store):
    with pytest.raises(StoreError, match="encoder="):
        Retriever.load(store)
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.load(store, encoder=HashEncoder(31))


def test_a_decay_of_your_own_must_be_passed_again(tmp_path):
    class Never:
        def factor(self, ages):
            return np.ones(len(ages))

    Retriever(HashEncoder(), decay=Never()).save(tmp_path / "s")
    with pytest.raises(StoreError, match="decay="):
        Retriever.load(tmp_path / "s", encoder=HashEncoder())
    Retriever.load(tmp_path / "s", encoder=HashEncoder(), decay=Never())


def test_nothing_in_a_store_is_pickled(store, monkeypatch):
    vectors = np.array([[{"object": 1}]], dtype=object)
    (path,) = store.glob("*/vectors.npy")
    np.save(path, vectors, allow_pickle=True)
    monkeypatch.setattr(store_folder, "_check", lambda path, data, sha256: data)
    with pytest.raises(StoreDamagedError, match="vectors"):
        load(store)
