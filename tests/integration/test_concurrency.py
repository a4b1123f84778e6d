"""Threads that search beside one that writes, and processes that were forked from one that had searched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fakes import HashEncoder

from twotower import IndexPolicy, Item, ReciprocalRank, Retriever

SIZE = 300
COLOURS = ["red", "blue"]


def items(colour):
    return [Item(f"i{n}", f"{colour} thing {n}", attributes={"colour": colour}) for n in range(SIZE)]


def check_colours(retriever):
    """Everything is of one colour."""
    hits = retriever.search("thing", k=SIZE)
    return len(hits) == SIZE and len({hit.item.attributes["colour"] for hit in hits}) == 1


def check_words(retriever):
    """The same by words and vectors."""
    hits = retriever.using(hybrid=ReciprocalRank(depth=SIZE)).search("thing 7", k=SIZE)
    return len(hits) == SIZE and len({hit.item.attributes["colour"] for hit in hits}) == 1


def check_filter(retriever):
    """All are red, or none is."""
    hits = retriever.search("thing", k=SIZE, where={"colour": "red"})
    return len(hits) in (0, SIZE) and all(hit.item.attributes["colour"] == "red" for hit in hits)


@pytest.fixture
def _hasty_threads():
    """Threads take turns every few bytecodes, so that a state torn for microseconds is met within seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
@pytest.mark.parametrize("seconds", [1.5, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("durable", [False, True], ids=["memory", "store"])
def test_readers_beside_a_writer_see_whole_states(tmp_path, durable, seconds):
    """Each write replaces every item by one of the other colour: a search that sees both has read a torn state."""
    made = partial(Retriever.open, tmp_path / "store") if durable else Retriever
    retriever = made(encoder=HashEncoder(), index=IndexPolicy(exact_up_to=150))
    retriever.upsert(items("red"))
    checks = (check_colours, check_words, check_filter)
    assert all(check(retriever) for check in checks)
    stop, done = threading.Event(), [0] * len(checks)

    def read(number):
        while not stop.is_set():
            assert checks[number](retriever), checks[number].__doc__
            done[number] += 1

    with retriever, ThreadPoolExecutor() as pool:
        readers = [pool.submit(read, number) for number in range(len(checks))]
        end, turn = time.monotonic() + seconds, 0
        while time.monotonic() < end or min(turn, *done) < 2:
            turn += 1
            retriever.upsert(items(COLOURS[turn % 2]))
            if turn % 7 == 0:
                retriever.maintenance.compact()
            if any(reader.done() for reader in readers):
                break  # one has failed
        stop.set()
        for reader in readers:
            reader.result()


PREFORK = """
import os, sys
import faiss
from fakes import HashEncoder
from twotower import Retriever

reader = Retriever.open(sys.argv[1], encoder=HashEncoder(), read_only=True)
queries = [f"thing {n}" for n in range(100)]

def ask():
    return reader.search_batch(queries, k=5), reader.search("thing 7", k=3, where={"colour": "red"})

before = ask()  # OpenMP's threads are running now, and a forked child has none of them
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(0 if ask() == before else 1)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert ask() == before
print(codes)
"""


@pytest.mark.parametrize("exact_up_to", [100, 10_000])
def test_forked_readers_answer_as_their_parent(tmp_path, exact_up_to):
    with Retriever.open(
        tmp_path / "store", encoder=HashEncoder(), index=IndexPolicy(exact_up_to=exact_up_to)
    ) as retriever:
        retriever.upsert(items("red"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PREFORK, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0, 0]"
