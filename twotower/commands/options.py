"""The arguments of every command; each `--help` ends with an example that the tests run."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, RawDescriptionHelpFormatter, _SubParsersAction
from pathlib import Path
from typing import TypeAlias, get_args

from twotower.commands import arguments

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


def make_parser(version: str) -> ArgumentParser:
    """Build the parser of the command line.

    What it parses holds the name of the command as `command` and the command's own parser as `parser`.

    Args:
        version: of the package.
    """
    parser = ArgumentParser(
        "twotower",
        description="Product search with text, photos, reranking and time decay.",
        epilog="example:\n  twotower demo",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"twotower {version}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_demo(commands)
    _add_index(commands)
    _add_search(commands)
    _add_record(commands)
    _add_upkeep(commands)
    _add_export(commands)
    train = _command(
        commands,
        "train",
        "fit a model on your own judgements",
        "twotower train rerank --data beir/ --out reranker/",
    )
    _add_train_rerank(train.add_subparsers(required=True, metavar="MODEL", dest="model"))
    return parser


def _command(commands: Commands, name: str, purpose: str, example: str) -> ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    return parser


def _add_store(parser: ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="the store's folder")


def _add_demo(commands: Commands) -> None:
    demo = _command(
        commands,
        "demo",
        "make a sample shop, search it, measure every stage, and write a page to look at",
        "twotower demo --folder twotower-demo",
    )
    demo.add_argument(
        "--folder",
        type=Path,
        default=Path("twotower-demo"),
        help="where the page goes (default: twotower-demo)",
    )
    demo.add_argument(
        "--open", action=BooleanOptionalAction, default=False, help="show the page in a browser"
    )


def _add_index(commands: Commands) -> None:
    index = _command(
        commands,
        "index",
        "bring a store up to date with a catalogue",
        "twotower index catalogue.jsonl --store store/",
    )
    index.add_argument(
        "catalogue", type=Path, metavar="CATALOGUE", help="a .jsonl, .csv or .parquet file, or a BEIR folder"
    )
    _add_store(index)
    index.add_argument(
        "--on-bad", choices=("stop", "skip"), default="stop", help="what to do with bad items (default: stop)"
    )
    index.add_argument(
        "--searchable",
        nargs="+",
        metavar="ATTRIBUTE",
        help="attributes that people type, for a new store (default: brand category colour)",
    )
    index.add_argument("--text-model", metavar="MODEL", help="hub name or folder (default: all-MiniLM-L6-v2)")
    index.add_argument(
        "--image-model", metavar="ARCH", help="open_clip architecture (default: the compact model)"
    )
    index.add_argument("--image-weights", metavar="TAG_OR_FILE", help="weights of the image model")
    index.add_argument(
        "--text-weight", type=arguments.weight, metavar="W", help="weight of the words, such as 0.9"
    )
    index.add_argument(
        "--image-weight", type=arguments.weight, metavar="W", help="weight of the photos, such as 0.1"
    )


def _add_search(commands: Commands) -> None:
    search = _command(
        commands,
        "search",
        "find items by words, by a photo, or for a user",
        """twotower search "coffee mug" --store store/ --where '{"price": {"$lt": 50}}'""",
    )
    search.add_argument("query", nargs="?", default="", type=arguments.words, metavar="QUERY", help="words")
    _add_store(search)
    search.add_argument(
        "--image", type=Path, metavar="FILE", help="a photo to search by, alone or with words"
    )
    search.add_argument("--user", help="whose history to take into account")
    search.add_argument(
        "--where", type=arguments.where, metavar="JSON", help="""a filter, such as '{"brand": "Acme"}'"""
    )
    search.add_argument("-k", type=arguments.count, default=10, help="number of hits (default: 10)")
    search.add_argument(
        "--now", type=arguments.moment, metavar="TIME", help="the moment to search at (default: now)"
    )
    search.add_argument("--reranker", metavar="MODEL", help="folder or hub name of a cross-encoder")
    search.add_argument(
        "--rerank-depth", type=arguments.count, metavar="N", help="candidates to rerank (default: 100)"
    )
    search.add_argument(
        "--budget-ms",
        type=arguments.positive,
        metavar="MS",
        help="milliseconds to answer in: rerank what fits",
    )
    search.add_argument("--min-score", type=float, metavar="S", help="leave out hits with a lower score")
    search.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_record(commands: Commands) -> None:
    record = _command(
        commands,
        "record",
        "add what users did to a store",
        "twotower record events.jsonl --store store/",
    )
    record.add_argument(
        "events",
        type=Path,
        metavar="EVENTS",
        help="a .jsonl, .csv or .parquet file with user, item, kind and time",
    )
    _add_store(record)


def _add_upkeep(commands: Commands) -> None:
    for name, purpose in (
        ("stats", "show how large a store is and how its items are indexed"),
        ("verify", "read every byte of a store and report what is damaged"),
        ("compact", "remove deleted and replaced items from a store's files"),
    ):
        _add_store(_command(commands, name, purpose, f"twotower {name} --store store/"))
    calibrate = _command(
        commands,
        "calibrate",
        "tune a store's index on your queries until it reaches its target recall",
        "twotower calibrate beir/ --store store/",
    )
    calibrate.add_argument(
        "queries", type=Path, metavar="QUERIES", help="a BEIR folder, of which queries.jsonl is read"
    )
    _add_store(calibrate)


def _add_export(commands: Commands) -> None:
    export = _command(
        commands,
        "export",
        "write a store's items as a catalogue",
        "twotower export backup.jsonl --store store/ --vectors backup.safetensors",
    )
    export.add_argument("catalogue", type=Path, metavar="CATALOGUE", help="a new .jsonl file")
    _add_store(export)
    export.add_argument(
        "--vectors", type=Path, metavar="FILE", help="a new .safetensors file for the vectors"
    )


def _add_train_rerank(models: Commands) -> None:
    from rerank.training.losses import LossName

    rerank = _command(
        models,
        "rerank",
        "fit a reranker on judgements, with negatives from your own recall",
        "twotower train rerank --data beir/ --out reranker/ --minutes 30",
    )
    rerank.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/train.tsv and, to measure on, qrels/dev.tsv",
    )  # fmt: skip
    rerank.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the fitted model")
    rerank.add_argument("--base", metavar="MODEL", help="model to start from (default: all-MiniLM-L6-v2)")
    rerank.add_argument("--loss", choices=get_args(LossName), help="loss to minimise (default: pointwise)")
    rerank.add_argument("--minutes", type=arguments.positive, metavar="M", help="time limit for fitting")
    rerank.add_argument(
        "--epochs", type=arguments.count, metavar="N", help="passes over the pairs (default: 1)"
    )
    rerank.add_argument(
        "--negatives", type=arguments.count, metavar="N", help="unjudged items per query (default: 4)"
    )
    rerank.add_argument(
        "--max-length", type=arguments.count, metavar="N", help="tokens per pair at most (default: 128)"
    )
    rerank.add_argument("--seed", type=int, metavar="S", help="seed of everything random (default: 0)")
    rerank.add_argument(
        "--store", type=Path, metavar="DIR", help="use a store's items and recall instead of corpus.jsonl"
    )
    rerank.add_argument(
        "--checkpoint", type=Path, metavar="DIR",
        help="where an interrupted training run resumes from (default: beside --out)",
    )  # fmt: skip
    rerank.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="also write the losses to TensorBoard"
    )
    rerank.add_argument("--wandb", metavar="PROJECT", help="also send the losses to Weights & Biases")
