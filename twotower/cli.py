"""The command line: reads the arguments, calls `twotower.commands` and prints what they return."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from io import TextIOWrapper

from twotower.commands.options import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 1 after a failure, 130 after Ctrl-C; wrong usage exits with 2.
    """
    from twotower import __version__

    given = make_parser(__version__).parse_args(argv)
    if problem := _misuse(given):
        given.parser.error(problem)
    from twotower.commands.terminal import is_expected, one_line, quiet_libraries

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles may have letters that the terminal lacks
    try:
        with quiet_libraries():
            COMMANDS[given.command](given)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted: what was saved before is kept", 130)
    except BrokenPipeError:
        # The reader of our output has gone; without this the interpreter would complain when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        return _fail(one_line(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"twotower: {message}", file=sys.stderr)
    return code


def _misuse(given: Namespace) -> str:
    """What is wrong with the arguments together, "" if nothing is."""
    if given.command == "index" and given.text_weight == given.image_weight == 0:
        return "--text-weight and --image-weight must not both be 0"
    if given.command == "index" and given.image_weights is not None and given.image_model is None:
        return "--image-weights belongs to --image-model: give both"
    if given.command == "search" and not (given.query.strip() or given.image or given.user):
        return "nothing to search by: give words, --image or --user"
    return ""


def _index(given: Namespace) -> None:
    from twotower.commands.index import EncoderChoice, index

    names = ("text_model", "image_model", "image_weights", "text_weight", "image_weight")
    chosen = {name: value for name in names if (value := getattr(given, name)) is not None}
    report = index(
        given.catalogue,
        given.store,
        EncoderChoice(**chosen).encoder,
        skip_bad=given.on_bad == "skip",
        searchable=given.searchable,
    )
    print(*report.lines(), sep="\n")


def _search(given: Namespace) -> None:
    from twotower.commands.hits import as_json, as_table
    from twotower.presets import Retriever
    from twotower.retriever import RankingParts

    reranker = None
    if given.reranker is not None:
        from rerank.cross_encoder.reranker import CrossEncoderReranker

        reranker = CrossEncoderReranker(given.reranker)
    retriever = Retriever.open(given.store, reranker=reranker, read_only=True)
    depth: RankingParts = {} if given.rerank_depth is None else {"rerank_depth": given.rerank_depth}
    hits = retriever.search(
        given.query,
        given.k,
        image=given.image,
        user=given.user,
        where=given.where,
        now=given.now,
        budget_ms=given.budget_ms,
        min_score=given.min_score,
        **depth,
    )
    for line in as_json(hits) if given.json else as_table(hits):
        print(line)


def _record(given: Namespace) -> None:
    from twotower.commands.store import open_existing
    from twotower.ingest.events import read_events

    events = list(read_events(given.events))
    with open_existing(given.store) as retriever:
        retriever.record(events)
    print(f"{len(events):,} events recorded")


def _stats(given: Namespace) -> None:
    from twotower.commands.store import stats

    print(*stats(given.store), sep="\n")


def _verify(given: Namespace) -> None:
    from twotower.commands.store import verify
    from twotower.errors import StoreDamagedError

    if problems := verify(given.store):
        print(*problems, sep="\n")
        raise StoreDamagedError(f"store '{given.store}' has {len(problems)} problems: see above")
    print("nothing is wrong")


def _compact(given: Namespace) -> None:
    from twotower.commands.store import compact

    print(*compact(given.store), sep="\n")


def _calibrate(given: Namespace) -> None:
    from twotower.commands.store import open_existing
    from twotower.ingest.beir import read_queries

    queries = list(read_queries(given.queries).values())
    with open_existing(given.store) as retriever:
        print(*retriever.maintenance.calibrate(queries).lines(), sep="\n")


def _export(given: Namespace) -> None:
    from twotower.commands.store import export

    print(f"{export(given.store, given.catalogue, given.vectors):,} items written to {given.catalogue}")


def _train_rerank(given: Namespace) -> None:
    from datetime import UTC, datetime

    from twotower.commands.train import Training, train_rerank

    names = [each.name for each in fields(Training)]
    chosen = {name: value for name in names if (value := getattr(given, name)) is not None}
    train_rerank(Training(**chosen), today=datetime.now(UTC).date(), say=print)


def _demo(given: Namespace) -> None:
    from twotower.demo.run import run_demo

    page = run_demo(given.folder, say=print)
    if given.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


COMMANDS: Mapping[str, Callable[[Namespace], None]] = {
    "demo": _demo,
    "index": _index,
    "search": _search,
    "record": _record,
    "stats": _stats,
    "verify": _verify,
    "compact": _compact,
    "calibrate": _calibrate,
    "export": _export,
    "train": _train_rerank,
}
