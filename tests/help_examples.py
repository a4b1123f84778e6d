"""The examples at the end of every command's `--help`, read from the parser itself."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, _SubParsersAction

from twotower.__main__ import make_parser


def help_examples(parser: ArgumentParser | None = None) -> dict[str, list[str]]:
    """The arguments of each example, by the command that it belongs to; "" is the program itself."""
    parser = make_parser() if parser is None else parser
    command = " ".join(parser.prog.split()[1:])
    help_text = parser.format_help()
    line = help_text.rstrip().splitlines()[-1]
    assert help_text.split()[-len(line.split()) - 1] == "example:", f"--help of {command!r} has no example"
    program, *arguments = shlex.split(line)
    assert program == "twotower"
    examples = {command: arguments}
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for child in action.choices.values():
                examples |= help_examples(child)
    return examples
