"""The README's promises: its two commands are single lines, and its Python runs as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples.draw_query_flow import drawing

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(("heading", "word"), [("Run it", "twotower demo"), ("Test it", "pytest")])
def test_run_it_and_test_it_are_one_line_each(heading, word):
    (block,) = blocks("sh", section(heading))
    assert len(block.strip().splitlines()) == 1
    assert word in block


def test_ci_runs_the_readme_s_test_command():
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    """All blocks in order, as a reader would paste them, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    code = blocks("python")
    assert code
    namespace: dict[str, object] = {}
    for block in code:
        exec(compile(block, "README.md", "exec"), namespace)


def test_every_picture_and_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_drawing_of_the_query_flow_is_what_its_script_draws():
    picture = ROOT / "examples" / "images" / "query_flow.svg"
    assert picture.read_text(encoding="utf-8") == drawing()
    words = re.findall(r'class="name"[^>]*>([^<]+)<', picture.read_text(encoding="utf-8"))
    assert words == [
        "query", "encode", "dense recall", "lexical recall", "fusion", "decay", "rerank", "blend",
    ]  # fmt: skip


def test_the_demo_s_picture_is_small():
    assert (ROOT / "examples" / "images" / "demo.png").stat().st_size < 200_000


def test_every_command_of_the_readme_exists():
    from twotower.__main__ import main

    commands = set(re.findall(r"\btwotower (index|search|record|demo|[a-z]+) ", "\n".join(blocks("sh"))))
    for command in commands - {"demo"}:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
