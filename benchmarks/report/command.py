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


def main(argv: Sequence[str], pages: Sequence[Path] = (PAGE, FRONT), results: Path = RESULTS) -> int:
    """Draw or check pages from a folder of results, or write report.md and its pictures.

    Returns:
        The exit code: 0, or 1 after a sentence on stderr if a file cannot be read or a page is out of date.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument(
        "files", type=Path, nargs="*", help="results to report on (default: draw the pages' tables)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "report", help="folder for the report of FILES")
    parser.add_argument("--check", action="store_true", help="fail if pages and results differ")
    options = parser.parse_args(argv)
    try:
        if options.files:
            write_report(options.files, options.out)
        else:
            for page in pages:
                update_page(page, results, check=options.check)
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


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


def write_report(paths: Sequence[Path], out: Path) -> None:
    """Write every number of some result files, and pictures, into a folder."""
    files = {path: tables.read(path) for path in paths}
    out.mkdir(parents=True, exist_ok=True)
    sections = [f"# Benchmarks\n\n## Where we look worst\n\n{tables.worst_table(files.values())}"]
    for path, file in files.items():
        shown = "".join(f"\n![{picture.stem}]({picture.name})\n" for picture in draw(file, out / path.stem))
        heading = f"## {file['benchmark']}\n\n{path.name}: {tables.machine(file)}."
        sections.append(f"{heading}\n\n{tables.ratio_table(file)}\n{shown}\n{tables.row_tables(file)}")
    (out / "report.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out / "report.md")
