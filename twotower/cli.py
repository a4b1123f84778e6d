"""The command line: it reads arguments, calls `twotower.commands` and prints what they return."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace, _SubParsersAction
from collections.abc import Sequence
from dataclasses import fields
from io import TextIOWrapper
from pathlib import Path
from typing import get_args

from twotower.commands import arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 1 after a failure, 130 after Ctrl-C; wrong usage exits with 2.
    """
    given = _parser().parse_args(argv)
    from twotower.commands.terminal import is_expected, one_line, quiet_libraries

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles in letters that a terminal lacks
    try:
        with quiet_libraries():
            given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted; what was saved before stays", 130)
    except BrokenPipeError:
        # Who read our output has gone; without this the interpreter would complain at its end.
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


def _parser() -> ArgumentParser:
    from twotower import __version__

    parser = ArgumentParser(
        "twotower", description="Product search with text, photos, reranking and time decay."
    )
    parser.add_argument("--version", action="version", version=f"twotower {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    index = commands.add_parser("index", help="bring a store up to date with a catalogue")
    index.add_argument("catalog", type=Path, help="a .jsonl, .csv or .parquet file, or a BEIR folder")
    _store(index)
    index.add_argument("--on-bad", choices=("stop", "skip"), default="stop", help="what to do with bad items")
    index.add_argument("--text-model", metavar="MODEL", help="hub name or folder (default: all-MiniLM-L6-v2)")
    index.add_argument(
        "--image-model", metavar="ARCH", help="open_clip architecture (default: the compact model)"
    )
    index.add_argument("--image-weights", metavar="TAG_OR_FILE", help="of the image model")
    index.add_argument(
        "--text-weight", type=arguments.weight, metavar="W", help="share of the words, such as 0.9"
    )
    index.add_argument(
        "--image-weight", type=arguments.weight, metavar="W", help="share of the photos, such as 0.1"
    )
    index.set_defaults(run=_index, parser=index)

    search = commands.add_parser("search", help="find items by words, by a photo, for a user")
    search.add_argument("query", nargs="?", default="", type=arguments.words, help="words")
    _store(search)
    search.add_argument("--image", type=Path, help="a photo to search by, alone or with words")
    search.add_argument("--user", help="whose history to take into account")
    search.add_argument(
        "--where", type=arguments.where, metavar="JSON", help='such as \'{"price": {"$lt": 50}}\''
    )
    search.add_argument("-k", type=arguments.count, default=10, help="how many hits (default: 10)")
    search.add_argument("--now", type=arguments.moment, metavar="TIME", help="when to search (default: now)")
    search.add_argument("--reranker", metavar="MODEL", help="folder or hub name of a cross-encoder")
    search.add_argument(
        "--rerank-depth",
        type=arguments.count,
        metavar="N",
        help="how many candidates it reads (default: 100)",
    )
    search.add_argument(
        "--budget-ms",
        type=arguments.positive,
        metavar="MS",
        help="milliseconds in which it reads as many as fit",
    )
    search.add_argument("--min-score", type=float, metavar="S", help="leave out hits that score lower")
    search.add_argument("--json", action="store_true", help="one JSON object a line")
    search.set_defaults(run=_search, parser=search)

    record = commands.add_parser("record", help="add what users did to a store")
    record.add_argument("events", type=Path, help="a .jsonl, .csv or .parquet file of user, item, kind, time")
    _store(record)
    record.set_defaults(run=_record)

    for name, run, told in (
        ("stats", _stats, "how large a store is, and what it is kept in"),
        ("verify", _verify, "read every byte of a store and say what is wrong"),
        ("compact", _compact, "drop what was deleted and replaced from a store's files"),
    ):
        command = commands.add_parser(name, help=told)
        _store(command)
        command.set_defaults(run=run)

    calibrate = commands.add_parser(
        "calibrate",
        help="measure how much a store's index finds of what is there, and let it try hard enough",
    )
    calibrate.add_argument("queries", type=Path, help="a BEIR folder, for its queries.jsonl")
    _store(calibrate)
    calibrate.set_defaults(run=_calibrate)

    export = commands.add_parser("export", help="write a store's items as a catalogue")
    _store(export)
    export.add_argument("catalog", type=Path, help="a new .jsonl file")
    export.add_argument(
        "--vectors", type=Path, metavar="FILE", help="a new .safetensors file for the vectors"
    )
    export.set_defaults(run=_export)

    train = commands.add_parser("train", help="fit a model on your own judgements")
    _add_train_rerank(train.add_subparsers(required=True, metavar="MODEL"))

    demo = commands.add_parser("demo", help="make a sample shop, search it, and measure every stage")
    demo.add_argument("--folder", type=Path, default=Path("twotower-demo"), help="where the page goes")
    demo.add_argument(
        "--open", action=BooleanOptionalAction, default=False, help="show the page in a browser"
    )
    demo.set_defaults(run=_demo)
    return parser


def _add_train_rerank(models: _SubParsersAction[ArgumentParser]) -> None:
    from rerank.training.losses import LossName

    rerank = models.add_parser("rerank", help="fit a reranker, with negatives from your own recall")
    rerank.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/train.tsv and, to measure on, qrels/dev.tsv",
    )  # fmt: skip
    rerank.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the fitted model")
    rerank.add_argument("--base", metavar="MODEL", help="what to start from (default: all-MiniLM-L6-v2)")
    rerank.add_argument("--loss", choices=get_args(LossName), help="what is minimised (default: pointwise)")
    rerank.add_argument("--minutes", type=arguments.positive, metavar="M", help="most time for fitting")
    rerank.add_argument(
        "--epochs", type=arguments.count, metavar="N", help="passes over the pairs (default: 1)"
    )
    rerank.add_argument(
        "--negatives",
        type=arguments.count,
        metavar="N",
        help="unjudged items a query, from recall (default: 4)",
    )
    rerank.add_argument(
        "--max-length", type=arguments.count, metavar="N", help="most tokens of a pair (default: 128)"
    )
    rerank.add_argument("--seed", type=int, metavar="S", help="of everything random (default: 0)")
    rerank.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="the items of a store and its recall, in place of corpus.jsonl",
    )
    rerank.add_argument(
        "--checkpoint", type=Path, metavar="DIR",
        help="where an interrupted training goes on from (default: beside --out)",
    )  # fmt: skip
    rerank.add_argument("--tensorboard", type=Path, metavar="DIR", help="write the losses there, too")
    rerank.add_argument("--wandb", metavar="PROJECT", help="send the losses to Weights & Biases, too")
    rerank.set_defaults(run=_train_rerank)


def _store(parser: ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="the store's folder")


def _index(given: Namespace) -> None:
    from twotower.commands.index import EncoderChoice, index

    if given.text_weight == given.image_weight == 0:
        given.parser.error("--text-weight and --image-weight cannot both be 0")
    if given.image_weights is not None and given.image_model is None:
        given.parser.error("--image-weights belongs to --image-model: give both")
    names = ("text_model", "image_model", "image_weights", "text_weight", "image_weight")
    chosen = {name: value for name in names if (value := getattr(given, name)) is not None}
    report = index(
        given.catalog, given.store, EncoderChoice(**chosen).encoder, skip_bad=given.on_bad == "skip"
    )
    print(*report.lines(), sep="\n")


def _search(given: Namespace) -> None:
    from twotower.commands.hits import as_json, as_table
    from twotower.retriever import RankingParts, Retriever

    if not (given.query.strip() or given.image or given.user):
        given.parser.error("give words, --image or --user")
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
        print(*retriever.calibrate(queries).lines(), sep="\n")


def _export(given: Namespace) -> None:
    from twotower.commands.store import export

    print(f"{export(given.store, given.catalog, given.vectors):,} items written to {given.catalog}")


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
