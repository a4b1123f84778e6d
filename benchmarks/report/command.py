"""`python -m benchmarks report`: draw the tables of the pages; with FILES, write a report of those instead."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.contract import RESULTS
from benchmarks.report import tables
from benchmarks.report.page import FRONT, PAGE, drawn
from benchmarks.report.pictures import draw


def main(argv: Sequence[str]) -> int:
    """Draw or check the page, or write report.md and its pictures.

    Args:
        argv: the arguments after "report".

    Returns:
        The exit code: 0, or 1 after a sentence on stderr if a file cannot be read or the page is out of date.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument(
        "files", type=Path, nargs="*", help="result files to report on (default: draw the page's tables)"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "report", help="with FILES, folder for report.md and pictures"
    )
    parser.add_argument(
        "--page",
        type=Path,
        nargs="+",
        default=[PAGE, FRONT],
        help="pages to draw (default: benchmarks/README.md and README.md)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="files that the page is drawn from (default: benchmarks/results)",
    )
    parser.add_argument("--check", action="store_true", help="fail if the page and the files differ")
    options = parser.parse_args(argv)
    try:
        if options.files:
            return write_report(options.files, options.out)
        for page in options.page:
            update_page(page, options.results, check=options.check)
        return 0
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1


def update_page(page: Path, results: Path, *, check: bool) -> None:
    """Draw a page's tables anew, or with `check` only compare.

    Raises:
        ValueError: with `check`, if they differ.
    """
    before = page.read_text(encoding="utf-8")
    after = drawn(before, results)
    if check and after != before:
        raise ValueError(f"'{page}' differs from the files in '{results}': run `python -m benchmarks report`")
    if after != before:
        page.write_text(after, encoding="utf-8")
    print(page)


def write_report(paths: Sequence[Path], out: Path) -> int:
    """Write every number of some result files, and pictures, into a folder."""
    files = {path: tables.read(path) for path in paths}
    out.mkdir(parents=True, exist_ok=True)
    sections = [f"## Where we look worst\n\n{tables.worst_table(files.values())}"]
    for path, file in files.items():
        pictures = draw(file, out / path.stem)
        shown = "\n".join(f"\n![{picture.stem}]({picture.name})" for picture in pictures)
        heading = f"## {file['benchmark']}\n\n{path.name}: {tables.machine(file)}."
        sections.append(f"{heading}\n\n{tables.ratio_table(file)}\n{shown}\n\n{tables.row_tables(file)}")
    report = out / "report.md"
    report.write_text("# Benchmarks\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")
    print(report)
    return 0
