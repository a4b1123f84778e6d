"""A store whose writer is killed again and again: what is missing afterwards, and what should not be there.

A process writes to a store, and notes in a journal beside it what it is about to do and what is done. It is killed
with SIGKILL while it opens the store or while it works. Then the store is opened, for writing or only for reading,
and compared with the journal. The next process continues with the same store; now and then it makes a new one.

A process dies, not the machine: what the operating system has received is still written.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from tqdm.auto import tqdm

from benchmarks.common.contract import Result
from benchmarks.common.machine import ROOT
from benchmarks.common.options import Option
from benchmarks.crash.check import Contents, Faults, check
from benchmarks.crash.journal import read_journal
from benchmarks.crash.worker import DIGEST_DIM, EXACT_UP_TO, OPENED, OPERATIONS, open_store
from twotower.store.folder import is_store

LONGEST_S = 0.3  # of work before a kill
LONGEST_OPENING_S = 0.015
OPENING = 0.2  # share of kills while the store is opened
NEW = 0.05  # share of kills of a process whose store is new
NOTHING = "nothing"  # interrupted by a kill between two operations
OPTIONS = (Option("--kills", "number of processes to kill", 300, quick=30),)


@dataclass(frozen=True, slots=True)
class Kill:
    """One process and its end."""

    folder: Path  # of the store
    journal: Path  # the file that it notes its operations in
    name: str  # unique
    opening: bool  # whether it is killed while it opens the store
    delay_s: float  # it is killed this long after it began to open the store, or after the store was open
    read_only: bool  # whether the store is opened read-only afterwards


@dataclass(slots=True)
class Tally:
    """The outcome of all kills: faults, acknowledged operations by kind, and kills by the kind that they hit."""

    faults: Faults = field(default_factory=Faults)
    operations: Counter[str] = field(default_factory=Counter)
    interrupted: Counter[str] = field(default_factory=Counter)


def run(options: Namespace) -> Result:
    """Kill, open, compare; a store that cannot be opened again is an error, and its folder is kept."""
    folder = Path(mkdtemp(prefix="twotower-crash-"))
    tally = crash(planned(folder, options.kills, options.seed))
    shutil.rmtree(folder)
    faults, operations = tally.faults, tally.operations.total()
    result = Result("crash", options.seed)
    metrics = {"kills": options.kills, "operations": operations, **asdict(faults)}
    metrics |= {f"interrupted_{kind}": tally.interrupted[kind] for kind in (*OPERATIONS, NOTHING)}
    result.add("twotower", {"dim": DIGEST_DIM, "exact_up_to": EXACT_UP_TO}, metrics)
    result.headline = (
        f"{options.kills} kills, {operations:,} acknowledged operations: {faults.lost} lost, "
        f"{faults.ghosts} ghosts, {faults.unfindable} unfindable, {faults.halves} halves."
    )
    return result


def planned(folder: Path, kills: int, seed: int) -> list[Kill]:
    """All kills; only the point at which each one hits the process depends on the machine."""
    rng = random.Random(seed)
    plan = []
    for number in range(kills):
        is_new = rng.random() < NEW
        opening = rng.random() < (0.5 if is_new else OPENING)
        store, journal = folder / (f"new-{number}" if is_new else "store"), folder / f"journal-{number}"
        delay = rng.uniform(0, LONGEST_OPENING_S if opening else LONGEST_S)
        plan.append(Kill(store, journal, f"{seed}/{number}", opening, delay, rng.random() < 0.5))
    return plan


def crash(plan: Sequence[Kill]) -> Tally:
    """Let every process work and die, and check its store after each.

    Raises:
        RuntimeError: a process ended by itself.
        StoreError: a store cannot be opened.
    """
    tally = Tally()
    known: defaultdict[Path, Contents] = defaultdict(Contents)
    process = _start(plan[0])
    try:
        for number, kill in enumerate(tqdm(plan, desc="crash", unit="kill", disable=None)):
            _strike(process, kill)
            if number + 1 < len(plan):
                process = _start(plan[number + 1])  # imports while the store is checked
            known[kill.folder] = _inspect(kill, known[kill.folder], tally)
    finally:
        with process:
            process.kill()
    return tally


def _inspect(kill: Kill, known: Contents, tally: Tally) -> Contents:
    """Open the store and count its faults; returns its contents, from which the next process continues."""
    acknowledged, pending = read_journal(kill.journal)
    tally.operations.update(operation.kind for operation in acknowledged)
    tally.interrupted[pending.kind if pending else NOTHING] += 1
    read_only = kill.read_only and is_store(kill.folder)  # its creation may have been interrupted
    with open_store(kill.folder, read_only=read_only) as retriever:
        faults, found = check(retriever, known.after(acknowledged), pending)
    if faults != Faults():
        tqdm.write(f"{kill}: {faults}, interrupted: {pending}", file=sys.stderr)
    tally.faults += faults
    return found


def _start(kill: Kill) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.crash.worker",
        str(kill.folder),
        str(kill.journal),
        kill.name,
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def _strike(process: subprocess.Popen[str], kill: Kill) -> None:
    with process:
        process.stdin.write("begin\n")
        process.stdout.readline()
        if not kill.opening and process.stdout.readline() != f"{OPENED}\n":
            raise RuntimeError(f"the process could not open the store: it is kept in '{kill.folder}'")
        time.sleep(kill.delay_s)
        process.kill()
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the process ended by itself: its store is kept in '{kill.folder}'")
