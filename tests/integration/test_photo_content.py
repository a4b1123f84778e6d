"""A photo is its content: one that was replaced under its name is another, one that was touched is not."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from PIL import Image

from multimodal import WeightedConcat
from twotower import DualEncoder, Item, Retriever
from twotower.commands.index import index

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def draw(path, colour):
    Image.new("RGB", (40, 40), colour).save(path)
    return path


@pytest.fixture
def encoder(text_encoder, clip_encoder):
    return DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.1, 0.9))


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    return {name: draw(tmp_path / "photos" / f"{name}.png", name) for name in ("red", "blue")}


def items(photos):
    return [Item(name, "mug", image=str(path)) for name, path in photos.items()] + [Item("none", "lamp")]


def changed(retriever, photos):
    return [item.id for item in retriever.changed(items(photos))]


@pytest.mark.parametrize("stored", [False, True])
def test_a_replaced_photo_is_a_change_and_a_touched_one_is_none(tmp_path, encoder, photos, stored):
    retriever = Retriever.open(tmp_path / "store", encoder=encoder) if stored else Retriever(encoder)
    assert changed(retriever, photos) == ["red", "blue", "none"]
    retriever.upsert(items(photos))
    os.utime(photos["blue"], (1, 1))
    assert changed(retriever, photos) == []
    size = photos["red"].stat().st_size
    photos["red"].write_bytes(photos["blue"].read_bytes()[:size].ljust(size))
    os.utime(photos["red"], (1, 1))
    assert changed(retriever, photos) == ["red"]
    photos["red"].unlink()
    assert changed(retriever, photos) == ["red"]
    draw(photos["red"], "green")
    retriever.upsert(items(photos))
    assert changed(retriever, photos) == []
    retriever.close()


def test_copies_of_a_store_know_what_their_photos_were(tmp_path, encoder, photos):
    in_memory = Retriever(encoder)
    in_memory.upsert(items(photos))
    in_memory.save(tmp_path / "saved")
    with Retriever.open(tmp_path / "saved", encoder=encoder) as saved:
        assert changed(saved, photos) == []
        saved.maintenance.compact()
        saved.save(tmp_path / "copy")
    draw(photos["blue"], "green")
    for name in ("saved", "copy"):
        with Retriever.open(tmp_path / name, encoder=encoder, read_only=True) as copy:
            assert changed(copy, photos) == ["blue"]


def test_index_encodes_a_replaced_photo_again(tmp_path, encoder, photos):
    catalogue = tmp_path / "catalogue.jsonl"
    lines = [f'{{"id": "{name}", "image": "photos/{path.name}"}}\n' for name, path in photos.items()]
    catalogue.write_text("".join(lines))

    def bring_up_to_date():
        report = index(catalogue, tmp_path / "store", encoder)
        return report.indexed, report.unchanged

    assert bring_up_to_date() == (2, 0)
    assert bring_up_to_date() == (0, 2)
    new = draw(tmp_path / "new.png", "yellow")
    photos["red"].write_bytes(new.read_bytes())
    assert bring_up_to_date() == (1, 1)
    with Retriever.open(tmp_path / "store", encoder=encoder, read_only=True) as retriever:
        hit = retriever.search(image=new, k=1, now=NOW)[0]
        assert hit.id == "red"
        assert hit.explain["image"] == pytest.approx(1, abs=1e-5)  # no query is nearer than the photo itself


def test_a_photo_that_changes_while_it_is_encoded_is_noticed_next_time(
    tmp_path, encoder, photos, monkeypatch
):
    encode = DualEncoder.encode_items

    def encode_and_replace(self, items):
        vectors = encode(self, items)
        draw(photos["red"], "green")
        return vectors

    retriever = Retriever(encoder)
    with monkeypatch.context() as patch:
        patch.setattr(DualEncoder, "encode_items", encode_and_replace)
        retriever.upsert(items(photos))
    assert changed(retriever, photos) == ["red"]
