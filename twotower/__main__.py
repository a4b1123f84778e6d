"""The command line: reads the arguments and runs one of `twotower.commands`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from io import TextIOWrapper

from twotower import __version__
from twotower.commands import (
    calibrate,
    compact,
    delete,
    demo,
    export,
    index,
    record,
    reindex,
    search,
    stats,
    train,
    verify,
)
from twotower.commands.terminal import is_expected, one_line, quiet_libraries

COMMANDS = (  # in the order of `--help`
    demo.add_to,
    index.add_to,
    search.add_to,
    record.add_to,
    delete.add_to,
    stats.add_to,
    verify.add_to,
    compact.add_to,
    reindex.add_to,
    calibrate.add_to,
    export.add_to,
    train.add_to,
)


def make_parser() -> ArgumentParser:
    """Build the parser of the command line; the parsed arguments hold the command's function as `run`."""
    parser = ArgumentParser(
        "twotower",
        description="Product search with text, photos, reranking and time decay.",
        epilog="example:\n  twotower demo",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"twotower {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_to in COMMANDS:
        add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 1 after a failure, 130 after Ctrl-C; wrong usage exits with 2.
    """
    given = make_parser().parse_args(argv)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for characters that the terminal cannot show
    try:
        with quiet_libraries():
            given.run(given)
        if sys.stdout is not None:  # None if the shell has closed it
            sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted: everything saved so far is kept", 130)
    except BrokenPipeError:  # whatever read our output has exited
        _drop_output()
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        _drop_output()
        return _fail(one_line(error), 1)
    return 0


def _drop_output() -> None:
    """Flush the output, or discard it if it cannot be written, so that the interpreter does not complain at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(f"twotower: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
