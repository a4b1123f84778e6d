"""What all commands share: a parser whose `--help` ends with an example, and common options."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from twotower.commands import arguments

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    purpose: str,
    example: str,
    run: Callable[[Namespace], None] | None = None,
    details: str = "",
) -> ArgumentParser:
    """Add a command.

    Args:
        commands: to add it to.
        name: of the command.
        purpose: a verb phrase without a full stop.
        example: a whole command line.
        run: runs the command on the parsed arguments, among which `parser` is the command's own parser; None for a
            group of commands.
        details: what else its help says, in whole lines.
    """
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.\n{details}".rstrip(),
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser, run=run)
    return parser


def add_store(parser: ArgumentParser, *, written: bool = False) -> None:
    """Add the option that names the store, and for commands that write to it how long to wait for others.

    Args:
        parser: where to.
        written: whether the command writes to the store.
    """
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="the store's folder")
    if written:
        parser.add_argument(
            "--wait",
            type=arguments.weight,
            default=0.0,
            metavar="SECONDS",
            help="how long to wait for another process that is writing to the store (default: fail at once)",
        )
