"""`twotower demo`: make a sample shop, search it, measure every stage, and write an HTML page about it."""

from __future__ import annotations

from argparse import BooleanOptionalAction, Namespace
from pathlib import Path

from twotower.commands.command import Commands, add_command


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    demo = add_command(
        commands,
        "demo",
        "make a sample shop, search it, measure every stage, and write an HTML page about it",
        "twotower demo --folder twotower-demo",
        run,
    )
    demo.add_argument(
        "--folder",
        type=Path,
        default=Path("twotower-demo"),
        help="folder for the page (default: twotower-demo)",
    )
    demo.add_argument(
        "--open", action=BooleanOptionalAction, default=False, help="open the page in a browser"
    )


def run(given: Namespace) -> None:
    """Run the command."""
    from twotower.demo.run import run_demo

    page = run_demo(given.folder, say=print)
    if given.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
