"""A path means the place that it named when it was given, wherever the process goes afterwards."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import HashEncoder
from PIL import Image

from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from rerank import CrossEncoderReranker
from rerank.training.checkpoint import Checkpoint
from rerank.training.options import FitOptions
from twotower import DualEncoder, Event, IndexPolicy, Item, Query, Retriever
from twotower.commands.opened import opened_corpus
from twotower.ingest.catalogue import read_catalogue
from twotower.ingest.events import read_events
from twotower.store.folder import StoreFolder, lock_folder

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OURS = [Item(f"ours{number}", f"lamp {number}") for number in range(40)]
THEIRS = [Item(f"theirs{number}", f"lamp {number}") for number in range(40)]


def opened(folder, **options):
    return Retriever.open(folder, encoder=HashEncoder(), index=IndexPolicy(exact_up_to=20), **options)


@pytest.fixture
def shops(tmp_path, monkeypatch):
    """Two folders with a shop in `store` each; the process is in the first."""
    for name, items in (("ours", OURS), ("theirs", THEIRS)):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name / "store") as retriever:
            retriever.upsert(items)
    monkeypatch.chdir(tmp_path / "ours")
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_a_new_thread(ask):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    thread.join()
    return answers[0]


def ids(retriever):
    hits = {hit.id for hit in retriever.search("lamp", k=200, now=NOW)}
    assert hits == {item.id for item in retriever.items()}
    return hits


@pytest.mark.parametrize("given", ["store", "./store", "../ours/store", Path("store")])
def test_a_store_stays_the_one_that_was_opened(shops, given):
    theirs = content(shops / "theirs")
    with opened(given) as writer, opened(given, read_only=True) as reader:
        os.chdir(shops / "theirs")
        ours = {item.id for item in OURS}
        assert ids(writer) == ids(reader) == in_a_new_thread(lambda: ids(writer)) == ours
        writer.upsert([Item("new", "lamp")])
        writer.record([Event("u", "new", "view", NOW)])
        writer.delete(["ours0"])
        reader.maintenance.refresh()
        assert in_a_new_thread(lambda: ids(reader)) == ids(writer) == {*ours, "new"} - {"ours0"}
        writer.maintenance.compact()
        assert writer.maintenance.verify() == in_a_new_thread(reader.maintenance.verify) == []
        assert writer.maintenance.stats().store.item_store_bytes > 0
    assert content(shops / "theirs") == theirs
    with opened(shops / "ours" / "store") as again:
        assert ids(again) == {*ours, "new"} - {"ours0"}


def test_a_store_opened_without_its_encoder_stays_too(shops):
    with opened_corpus(Path("store"), read_only=False) as corpus:
        os.chdir(shops / "theirs")
        corpus.delete(["ours0"])
        assert in_a_new_thread(lambda: len(list(corpus.items()))) == 39
        corpus.compact()
    os.chdir(shops / "ours")
    store = StoreFolder.create(lock_folder("fresh"), {})
    os.chdir(shops / "theirs")
    store.close()
    assert not (shops / "theirs" / "fresh").exists()
    with opened("store", read_only=True) as theirs:
        assert len(ids(theirs)) == 40


def test_a_photo_is_where_it_was_when_the_item_was_made(shops, text_encoder, clip_encoder):
    for shop, colour in (("ours", "red"), ("theirs", "blue")):
        Image.new("RGB", (40, 40), colour).save(shops / shop / "photo.png")
    retriever = Retriever(DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.1, 0.9)))
    items = [Item("text", "mug", image="photo.png"), Item("path", "mug", image=Path("photo.png"))]
    query = Query(image="photo.png")
    os.chdir(shops / "theirs")
    retriever.upsert(items)
    for hit in retriever.search(query, now=NOW):
        assert hit.score == pytest.approx(1, abs=0.15)  # but for the words
        assert Path(hit.item.image) == shops / "ours" / "photo.png"
    assert [type(item.image) for item in retriever.items()] == [str, type(Path())]
    assert retriever.changed(items) == []
    other = retriever.search(image="photo.png", k=1, now=NOW)[0]
    assert other.score < retriever.search(query, k=1, now=NOW)[0].score


@pytest.mark.parametrize("photo", ["https://shop.example/a.jpg", "data:image/png;base64,AA", "", None])
def test_what_is_not_a_path_is_left_as_it_is(photo):
    assert Item("a", image=photo).image == Query(image=photo).image == photo


def test_a_saved_copy_is_where_it_was_asked_for(shops):
    with opened("store") as retriever:
        retriever.save("copy")
        os.chdir(shops / "theirs")
        retriever.save("copy")
    for name in ("ours", "theirs"):
        with opened(shops / name / "copy", read_only=True) as copy:
            assert ids(copy) == {item.id for item in OURS}


def test_models_are_where_they_were(shops, tiny_text_folder, tiny_clip_folder):
    (shops / "ours" / "text").symlink_to(tiny_text_folder)
    (shops / "ours" / "clip").symlink_to(tiny_clip_folder)
    encoder = DualEncoder(
        TextEncoder("text", device="cpu"), ClipEncoder("local-dir:clip", device="cpu"), WeightedConcat()
    )
    reranker = CrossEncoderReranker("text")
    Retriever.open("mine", encoder=encoder).close()
    os.chdir(shops / "theirs")
    assert Path(reranker.model) == shops / "ours" / "text"
    with Retriever.open(shops / "ours" / "mine") as retriever:
        retriever.upsert([Item("a", "red mug")])
        assert [hit.id for hit in retriever.search("red mug", now=NOW)] == ["a"]


def test_a_file_that_is_read_later_is_the_one_that_was_named(shops):
    for shop in ("ours", "theirs"):
        (shops / shop / "items.jsonl").write_text(f'{{"id": "{shop}", "title": "lamp"}}\n')
        (shops / shop / "events.csv").write_text(f"user,item,kind,time\nu,{shop},view,2026-01-01T00:00:00Z\n")
    items, events = read_catalogue(Path("items.jsonl")), read_events(Path("events.csv"))
    os.chdir(shops / "theirs")
    assert [item.id for item in items] == [event.item for event in events] == ["ours"]


def test_a_checkpoint_is_where_it_was(shops):
    options, checkpoint = FitOptions(checkpoint="checkpoint"), Checkpoint(Path("checkpoint"), "")
    os.chdir(shops / "theirs")
    assert options.checkpoint == checkpoint._path.parent == shops / "ours" / "checkpoint"
