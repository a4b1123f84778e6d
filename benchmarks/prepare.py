"""`python -m benchmarks prepare NAME --from PATH --to DIR`: a public data set, as downloaded, into our layout.

The layout is a BEIR folder (corpus.jsonl, queries.jsonl, qrels/<split>.tsv) with interactions/<split>.tsv for
behaviour. Nothing is downloaded here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.converters import esci, home_depot, movielens, myntra, online_retail, wands
from benchmarks.converters.source import Source
from benchmarks.converters.writer import writing
from twotower.errors import CatalogueError

ORIGINALS = {
    "wands": "folder or zip with product.csv, query.csv and label.csv",
    "esci": f"folder with {esci.EXAMPLES} and {esci.PRODUCTS}",
    "home-depot": "folder or zip with train.csv, product_descriptions.csv and attributes.csv",
    "online-retail": "folder or zip with Online Retail as .csv, or .xlsx where openpyxl is installed",
    "movielens": "folder or zip of ml-1m, ml-latest-small or ml-25m",
    "myntra": "folder with styles.csv and images/",
}
CONVERT = {
    "wands": wands.convert,
    "esci": esci.convert,
    "home-depot": home_depot.convert,
    "online-retail": online_retail.convert,
    "movielens": movielens.convert,
    "myntra": myntra.convert,
}


def main(argv: Sequence[str]) -> int:
    """Convert one data set.

    Args:
        argv: the arguments after "prepare".

    Returns:
        The exit code: 0, 1 after a failure, 130 after Ctrl-C; wrong usage exits with 2.
    """
    options = vars(_parser().parse_args(argv))
    name, source, folder = options.pop("name"), options.pop("source"), options.pop("folder")
    try:
        with writing(folder) as output:
            CONVERT[name](Source(source), output, **options)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    except (CatalogueError, OSError) as error:
        return _fail(" ".join(str(error).split()), 1)
    for note, count in output.notes.items():
        if count:
            print(f"{count:,} {note}")
    print(f"{folder}: " + ", ".join(f"{count:,} {what}" for what, count in output.counts.items()))
    return 0


def _fail(message: str, code: int) -> int:
    print(f"prepare: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks prepare", description=__doc__)
    sets = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, original in ORIGINALS.items():
        one = sets.add_parser(name, help=original)
        one.add_argument("--from", dest="source", type=Path, required=True, metavar="PATH", help=original)
        one.add_argument(
            "--to", dest="folder", type=Path, required=True, metavar="DIR", help="new or empty folder"
        )
        if name == "esci":
            one.add_argument("--locale", choices=esci.LOCALES, default="us", help="(default: us)")
            one.add_argument(
                "--version",
                choices=esci.VERSIONS,
                default="small",
                help="small is the ranking task's (default: small)",
            )
    return parser
