"""The tables of benchmarks/README.md and of the README, drawn from the committed files of full runs."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.report import tables
from benchmarks.report.tables import File

PAGE = Path(__file__).parents[1] / "README.md"
FRONT = Path(__file__).parents[2] / "README.md"
MARKED = re.compile(r"(?<=<!-- results: )(\w+)( -->\n).*?(?=<!-- end of results -->)", flags=re.DOTALL)
STAMPED = re.compile(r"-\d{8}T\d{6}Z$")  # the name of a run without --out, which is not shown
# The full runs by the name of their file; DATA is a folder of BEIR folders.
FULL_RUNS = {
    "search-sample": "search",
    "search-chorus": "search --data DATA/chorus --relevant 2 --gain exponential",
    "search-home_depot": "search --data DATA/home_depot --relevant 4 --gain exponential",
    "search-myntra": "search --data DATA/myntra --gain exponential",
    "pipeline-myntra": "pipeline --data DATA/myntra --gain exponential --backend onnx-int8",
    "recall-100k": "recall --sizes 100000",
    "recall-1m": "recall --sizes 1000000",
    "ingest-100k": "ingest",
    "opening-1m": "opening",
    "crash-300": "crash --kills 300",
    "rerank": "rerank",
    "encode": "encode",
    "train-home_depot": "train --data DATA/home_depot --relevant 4 --gain exponential --minutes 3",
    "recommend-online_retail": "recommend --data DATA/online_retail",
    "multimodal-myntra": "multimodal --data DATA/myntra --gain exponential",
    "multimodal-grocery": "multimodal --data DATA/grocery",
}
# The catalogues of the README's table, by the file of their full run.
CATALOGUES = {
    "search-chorus": "Chorus, electronics",
    "search-home_depot": "Home Depot, hardware",
    "search-myntra": "Myntra, fashion",
}
# The metrics of rows that come first on the page; for other benchmarks, ratios come first.
ROWS_FIRST = {
    "search": (
        "ndcg@10", "difference_vs_bm25", "p_holm_vs_bm25", "ndcg@10_condensed", "judged@10", "recall@100",
        "gap_closed",
    ),
    "multimodal": ("ndcg@10", "difference_vs_mean", "p_holm_vs_mean", "recall@100"),
    "recommend": ("ndcg@10", "p_holm_vs_repeat", "hr@10", "recall@100"),
    "train": ("ndcg@10", "recall@100", "examples_per_s"),
    "crash": ("kills", "operations", "lost", "ghosts", "halves", "unfindable", "problems"),
}  # fmt: skip


def drawn(page: str, folder: Path) -> str:
    """The page with every block between its markers drawn anew from the result files of a folder."""
    paths = [path for path in sorted(folder.glob("*.json")) if STAMPED.search(path.stem) is None]
    files = {path.stem: tables.read(path) for path in paths}
    return MARKED.sub(lambda found: f"{found[1]}{found[2]}\n{_section(found[1], files)}\n\n", page)


def _section(benchmark: str, files: dict[str, File]) -> str:
    if benchmark == "default":
        return _default_table(files)
    planned = [name for name, command in FULL_RUNS.items() if command.split()[0] == benchmark]
    own = [name for name, file in files.items() if file["benchmark"] == benchmark]
    parts = [_result(name, files[name]) for name in dict.fromkeys([*planned, *own]) if name in files]
    return "\n\n".join(parts + [f"Not measured: {_command(name)}" for name in planned if name not in files])


def _result(name: str, file: File) -> str:
    command = f"{_command(name)}, " if name in FULL_RUNS else ""
    first, rest = tables.ratio_table(file) if file["ratios"] else "", tables.row_tables(file)
    title = "Rows"
    if metrics := ROWS_FIRST.get(file["benchmark"]):
        first, rest, title = tables.row_tables(file, metrics), first, "Ratios"
    folded = f"\n\n<details><summary>{title}</summary>\n\n{rest}\n\n</details>" if rest else ""
    return f"**{name}**: {command}{tables.machine(file)}.\n\n{first}{folded}"


def _default_table(files: dict[str, File]) -> str:
    """nDCG@10 of the default retriever beside BM25, a row for each catalogue that was measured."""
    rows = []
    for name, catalogue in CATALOGUES.items():
        whole = [row for row in files[name]["rows"] if "ranked" not in row["params"]] if name in files else []
        found = {row["system"]: row["metrics"]["ndcg@10"] for row in whole}  # not of the judged alone
        if found:
            change = f"{100 * (found['default'] / found['bm25'] - 1):+.0f} %"
            rows.append(f"| {catalogue} | {found['bm25']:.3f} | **{found['default']:.3f}** | {change} |")
    header = ["| catalogue | BM25 | `default` | change |", "|---|---|---|---|"]
    return "\n".join([*header, *rows]) if rows else "Not measured yet."


def _command(name: str) -> str:
    return f"`python -m benchmarks {FULL_RUNS[name]} --out benchmarks/results/{name}.json`"
