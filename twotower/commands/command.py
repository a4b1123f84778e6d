"""What all commands share: a parser of their own, whose `--help` ends with an example that the tests run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from twotower.commands import arguments

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_command(
    commands: Commands, name: str, purpose: str, example: str, run: Callable[[Namespace], None] | None = None
) -> ArgumentParser:
    """Add a command.

    Args:
        commands: where to.
        name: of the command.
        purpose: a verb phrase without a full stop.
        example: a whole command line.
        run: prints what the command has to say; it finds the command's own parser in `parser`. None for a group of
            commands.
    """
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser, run=run)
    return parser


def add_wait(parser: ArgumentParser) -> None:
    """Add the option of commands that write to a store."""
    parser.add_argument(
        "--wait",
        type=arguments.weight,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for another process that writes to the store (default: fail at once)",
    )


def add_store(parser: ArgumentParser) -> None:
    """Add the option that names the store."""
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="the store's folder")
