"""Any life of a store against a dict: writes, crashes, damage to derived files, and every way of looking."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fakes import HashEncoder
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from twotower import Event, IndexPolicy, Item, Retriever

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "blue", "running", "shoes", "跑步鞋", "红色"]
COLOURS = ["red", "blue", "green"]

titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
rows = st.tuples(st.integers(0, 60), titles, st.sampled_from(COLOURS))
batches = st.lists(rows, min_size=1, max_size=25, unique_by=lambda row: row[0])


def opened(folder, **options):
    # A graph from 13 rows on, so that graphs, their files and merges take part.
    return Retriever.open(folder, encoder=HashEncoder(16), index=IndexPolicy(exact_up_to=12), **options)


class Life(RuleBasedStateMachine):
    @initialize()
    def make(self):
        self.places = tempfile.TemporaryDirectory()
        self.number = 0
        self.retriever = opened(self.folder)
        self.abandoned: list[Retriever] = []
        self.items: dict[str, Item] = {}
        self.events: list[Event] = []
        self.upsert([(number, WORDS[number % 6], COLOURS[number % 3]) for number in range(40)])

    @property
    def folder(self):
        return Path(self.places.name) / f"{self.number}"

    @rule(batch=batches)
    def upsert(self, batch):
        items = [Item(f"i{number}", title, attributes={"colour": colour}) for number, title, colour in batch]
        assert self.retriever.upsert(items).upserted == len(items)
        for item in items:
            self.items.pop(item.id, None)  # the order is that of the last writes
            self.items[item.id] = item

    @precondition(lambda self: self.items)
    @rule(data=st.data(), colour=st.sampled_from(COLOURS), price=st.integers(0, 3) | st.none())
    def update(self, data, colour, price):
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.items)), min_size=1, unique=True))
        changes = {"colour": colour, "price": price}
        assert self.retriever.update(dict.fromkeys(chosen, changes)).upserted == len(chosen)
        for item_id in chosen:
            old = self.items.pop(item_id)
            merged = {**old.attributes, **changes}
            kept = {name: value for name, value in merged.items() if value is not None}
            self.items[item_id] = replace(old, attributes=kept)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def delete(self, data):
        asked = data.draw(st.lists(st.sampled_from([*sorted(self.items), "nobody"]), min_size=1))
        known = [item_id for item_id in dict.fromkeys(asked) if item_id in self.items]
        assert self.retriever.delete(asked) == known
        for item_id in known:
            del self.items[item_id]

    @precondition(lambda self: self.items)
    @rule(data=st.data(), user=st.sampled_from("uv"), minutes=st.integers(0, 9))
    def record(self, data, user, minutes):
        item = data.draw(st.sampled_from(sorted(self.items)))
        event = Event(user, item, "view", NOW - timedelta(minutes=minutes))
        report = self.retriever.record([event])
        assert report.repeated == (event in self.events)
        if not report.repeated:
            self.events.append(event)

    @rule()
    def checkpoint(self):
        self.retriever._corpus.checkpoint()

    @rule()
    def compact(self):
        self.retriever.maintenance.compact()

    @rule()
    def refresh(self):
        self.retriever.maintenance.refresh()

    @rule()
    def crash(self):
        """What a killed process leaves is a copy of the folder at that moment."""
        before = self.folder
        self.number += 1
        shutil.copytree(before, self.folder)
        self.abandoned.append(self.retriever)
        self.retriever = opened(self.folder)

    @rule()
    def close_and_open(self):
        self.retriever.close()
        self.retriever = opened(self.folder)

    @rule(file=st.integers(0, 99), place=st.integers(0, 10**6), bit=st.integers(0, 7))
    def damage_what_is_derived(self, file, place, bit):
        self.retriever.close()
        files = sorted(path for path in self.folder.glob("generation-*/*"))
        if files:
            path = files[file % len(files)]
            content = bytearray(path.read_bytes())
            content[place % len(content)] ^= 1 << bit
            path.write_bytes(content)
        with opened(self.folder, read_only=True) as reader:
            assert len(reader.maintenance.verify()) == bool(files)
            self.check(reader)
        self.retriever = opened(self.folder)
        if files:
            self.retriever._corpus.checkpoint()

    @rule()
    def read_beside(self):
        with opened(self.folder, read_only=True) as reader:
            self.check(reader)

    @invariant()
    def everything_is_as_in_the_model(self):
        self.check(self.retriever)
        self.retriever.maintenance.settle()  # so that a step finds the same files every time
        self.check(self.retriever)

    def check(self, retriever):
        assert list(retriever.items()) == list(self.items.values())
        assert len(retriever) == len(self.items)
        hits = retriever.search("red shoes", k=100, now=NOW)
        assert {hit.id: hit.item for hit in hits} == self.items
        for colour in COLOURS if self.items else ():
            hits = retriever.search("red shoes", k=100, where={"colour": colour}, now=NOW)
            expected = {key for key, item in self.items.items() if item.attributes["colour"] == colour}
            assert {hit.id for hit in hits} == expected
        for user in "uv":
            own = [event for event in self.events if event.user == user]
            found = retriever._corpus.item_store.events_of(user, until=NOW, newest=100)
            assert list(found) == sorted(own, key=lambda event: (event.time, event.item))
        assert list(retriever._corpus.item_store.events()) == self.events

    def teardown(self):
        if hasattr(self, "places"):
            assert self.retriever.maintenance.verify() == []
            for retriever in (*self.abandoned, self.retriever):
                retriever.close()
            self.places.cleanup()


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow])
