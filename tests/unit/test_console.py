"""What the command line prints on consoles of every kind, and how it ends when nobody reads it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import HashEncoder

from twotower import Event, Item, Query, Retriever
from twotower.__main__ import main
from twotower.errors import QueryWarning

TITLES = ["Red shoe 👟 é", '茶杯 \u2028 \u0000 "quoted" \\', "İ ﬁ 𝄞", "plain"]
SHOP = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[1])]!r}
from fakes import HashEncoder
from twotower import Item, Retriever
from twotower.__main__ import main
shop = Retriever(HashEncoder())
shop.upsert([Item(str(n), title, "long " * 200) for n, title in enumerate({TITLES!r} * 25)])
Retriever.open = classmethod(lambda *_, **__: shop)
sys.exit(main(["search", "shoe", "--store", "anywhere", *sys.argv[1:]]))
"""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Retriever:
    """What every store opens as."""
    retriever = Retriever(HashEncoder())
    retriever.upsert(
        [Item(str(place), title, attributes={"colour": title}) for place, title in enumerate(TITLES)]
    )
    monkeypatch.setattr(Retriever, "open", lambda *_, **__: retriever)
    return retriever


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "gbk"])
def test_json_is_valid_on_every_console(shop, monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["search", "shoe", "--store", "anywhere", "--json"]) == 0
    rows = [json.loads(line) for line in written.getvalue().decode(encoding).splitlines()]
    assert sorted((row["title"], row["attributes"]["colour"]) for row in rows) == sorted(
        zip(TITLES, TITLES, strict=True)
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_table_is_printed_on_every_console(shop, monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["search", "shoe", "--store", "anywhere"]) == 0
    assert r"Red shoe \U0001f45f" in written.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "arguments",
    [
        ["\ud83d shoe"],
        ["shoe", "--user", "u\udcff"],
        ["shoe", "--where", '{"colour": "\\ud83d"}'],
        ["shoe", "--where", '{"\\udcff": 1}'],
        ["shoe", "--reranker", "\ud83d"],
    ],
)
def test_half_a_character_in_an_argument_is_named(shop, arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["search", *arguments, "--store", "anywhere"])
    assert stop.value.code == 2
    assert "must be UTF-8, got" in capsys.readouterr().err.splitlines()[-1]


def shell(arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `twotower search` over a small shop, followed by what a shell does with its output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {arguments}', sys.executable, SHOP],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--json -k 100 | head -n 1", 1, ""),
        ("-k 100 >&-", 0, ""),
        ("-k 1 > /dev/full", 1, "No space left on device"),
    ],
)
def test_output_that_nobody_can_read_ends_without_a_traceback(arguments, code, said):
    done = shell(arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


@pytest.mark.parametrize("query", ["", "shoe"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_unknown_user_is_reported_beside_the_hits(shop, capsys, query, form):
    shop.record([Event("u1", "3", "purchase", datetime(2026, 5, 1, tzinfo=UTC))])
    asked = ["search", query, "--store", "anywhere", *form]
    assert main([*asked, "--user", "ghost", "--now", "2026-06-01T00:00:00Z"]) == 0
    printed = capsys.readouterr()
    assert "twotower: nothing is known about user 'ghost': " in printed.err
    assert "ghost" not in printed.out
    assert (len(printed.out.splitlines()) == len(TITLES)) == bool(query)
    main([*asked, "--user", "u1", "--now", "2026-06-01T00:00:00Z"])
    assert capsys.readouterr().err == ""
    main([*asked, "--user", "u1", "--now", "2026-04-01T00:00:00Z"])  # before they did anything
    assert "nothing is known about user 'u1'" in capsys.readouterr().err


def test_a_very_long_query_is_truncated_with_one_warning(shop, capsys):
    long = "shoe " + "lamp " * 200_000
    batch = [long, Query(long), "shoe", long.upper()]
    with pytest.warns(QueryWarning, match=r"only the first 10,000 characters of a query are searched"):
        found = shop.search_batch(batch)
    assert [hit.id for hit in found[0]] == [hit.id for hit in shop.search(long[:10_000])]
    assert found[0] == found[1]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            shop.search_batch(batch)
    assert len(told) == 1
    assert main(["search", long[:120_000], "--store", "anywhere", "-k", "1"]) == 0
    assert capsys.readouterr().err.count("only the first") == 1
