"""The command line as a shell sees it: what it prints, where, and its exit code; with the default models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from twotower import IndexPolicy, Retriever
from twotower.__main__ import main
from twotower.commands import index as index_command
from twotower.demo.photos import draw_photo
from twotower.ingest.catalogue import read_catalogue
from twotower.store.receipt import Receipt

RECORDS = [
    {"id": "shoes", "title": "Red running shoes", "text": "Light mesh trainers", "image": "shoes.jpg",
     "time": "2026-05-20T00:00:00Z", "price": 79.0, "brand": "Acme"},
    {"id": "bag", "title": "Brown leather handbag", "time": "2024-01-10T00:00:00Z", "price": 120.0, "brand": "Bolt"},
    {"id": "mug", "title": "Blue coffee mug", "image": "mug.jpg", "price": 12.0, "brand": "Acme"},
    {"id": "茶杯", "title": "Green tea cup 茶杯", "price": 15.0, "brand": "Muhe"},
]  # fmt: skip
NOW = datetime(2026, 6, 1, tzinfo=UTC)
EVENTS = [{"user": "u1", "item": "mug", "kind": "purchase", "time": "2026-05-30T00:00:00Z"}]


def write(path: Path, records: list[dict[str, object]]) -> Path:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(lines, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue, its photos, events, and a store made of both."""
    folder = tmp_path_factory.mktemp("shop")
    for name, category, colour in (("shoes", "running shoes", "red"), ("mug", "mug", "blue")):
        draw_photo(category, colour, "plain", np.random.default_rng(1)).save(folder / f"{name}.jpg")
    catalogue = write(folder / "catalogue.jsonl", RECORDS)
    assert main(["index", str(catalogue), "--store", str(folder / "store")]) == 0
    events = write(folder / "events.jsonl", EVENTS)
    assert main(["record", str(events), "--store", str(folder / "store")]) == 0
    return folder


def searched(shop: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    code = main(
        ["search", "--store", str(shop / "store"), "--now", "2026-06-01T00:00:00Z", "--json", *arguments]
    )
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return [json.loads(line) for line in captured.out.splitlines()]


def ids(records: list[dict[str, object]]) -> list[object]:
    return [record["id"] for record in records]


def test_json_has_rank_score_and_parts_that_add_up(shop, capsys):
    first, *_ = found = searched(shop, capsys, "red running shoes")
    assert [record["rank"] for record in found] == [1, 2, 3, 4]
    assert (first["id"], first["title"], first["time"]) == (
        "shoes",
        "Red running shoes",
        "2026-05-20T00:00:00+00:00",
    )
    parts = dict(first["explain"])
    freshness = parts.pop("freshness")
    assert first["score"] == pytest.approx(sum(parts.values()) * freshness, abs=1e-6)
    assert first["attributes"]["brand"] == "Acme"


def test_json_keeps_chinese_as_it_is(shop, capsys):
    assert main(["search", "tea cup", "--store", str(shop / "store"), "--json", "-k", "1"]) == 0
    assert "茶杯" in capsys.readouterr().out


def test_table_shows_rank_score_id_title_and_parts(shop, capsys):
    assert main(["search", "handbag", "--store", str(shop / "store"), "-k", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "1"
    assert first.split()[2:6] == ["bag", "Brown", "leather", "handbag"]
    assert float(first.split()[1]) > float(second.split()[1])
    assert "text 0." in first
    assert "freshness 0." in first


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('{"price": {"$lt": 50}}', {"mug", "茶杯"}),
        ('{"time": {"$gte": "2026-01-01T00:00:00Z"}}', {"shoes"}),
        ('{"$or": [{"time": {"$lt": "2025-01-01T00:00:00+08:00"}}, {"brand": "Muhe"}]}', {"bag", "茶杯"}),
        ('{"time": {"$in": ["2026-05-20T02:00:00+02:00"]}}', {"shoes"}),
    ],
)
def test_where_filters_also_by_time(shop, capsys, where, expected):
    assert set(ids(searched(shop, capsys, "things", "--where", where))) == expected


def test_a_photo_finds_itself(shop, capsys):
    # An item without words of its own would win by construction, so only those with a photo compete.
    where = '{"id": {"$in": ["shoes", "mug"]}}'
    assert ids(searched(shop, capsys, "--image", str(shop / "mug.jpg"), "--where", where))[0] == "mug"
    assert ids(searched(shop, capsys, "--image", str(shop / "shoes.jpg"), "--where", where))[0] == "shoes"


def test_a_recorded_purchase_changes_the_user_s_results(shop, capsys):
    first, *_ = searched(shop, capsys, "--user", "u1")
    assert first["id"] == "mug"
    assert set(first["explain"]) == {"user", "freshness"}
    assert "user" in searched(shop, capsys, "handbag", "--user", "u1")[0]["explain"]


def test_indexing_again_changes_nothing_then_only_what_changed(shop, tmp_path, capsys):
    store = str(tmp_path / "store")
    catalogue = write(tmp_path / "catalogue.jsonl", [RECORDS[1], RECORDS[3]])
    assert main(["index", str(catalogue), "--store", store]) == 0
    assert "2 indexed, 0 unchanged, 0 skipped" in capsys.readouterr().out
    write(catalogue, [RECORDS[1] | {"price": 99.0}])
    assert main(["index", str(catalogue), "--store", store]) == 0
    assert "1 indexed, 0 unchanged" in capsys.readouterr().out
    assert main(["index", str(catalogue), "--store", store]) == 0
    assert "0 indexed, 1 unchanged" in capsys.readouterr().out
    retriever = Retriever.open(store, read_only=True)
    assert retriever.get("bag").attributes["price"] == 99.0
    assert "茶杯" in retriever  # no longer in the catalogue, but it stays


BAD = [
    RECORDS[1],
    RECORDS[1],
    {"id": "late", "title": "Naive time", "time": "2026-01-01T00:00:00"},
    {"id": "blind", "title": "Broken photo", "image": "broken.jpg"},
]


def test_a_bad_row_stops_before_anything_is_written(tmp_path, capsys):
    catalogue = write(tmp_path / "catalogue.jsonl", BAD)
    assert main(["index", str(catalogue), "--store", str(tmp_path / "store")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("twotower: ")
    assert "'bag' occurs twice" in line
    assert not (tmp_path / "store").exists()


def test_bad_rows_are_skipped_with_their_reasons(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    catalogue = write(tmp_path / "catalogue.jsonl", BAD)
    assert main(["index", str(catalogue), "--store", str(tmp_path / "store"), "--on-bad", "skip"]) == 0
    columns, summary, *reasons = capsys.readouterr().out.splitlines()
    assert columns.startswith(
        "columns: id: id; title: title; image: image; time: time; price: number; brand: attribute"
    )
    assert summary == "1 indexed, 0 unchanged, 3 skipped"
    assert [
        any(word in reason for reason in reasons) for word in ("line 3, field 'time'", "twice", "broken.jpg")
    ] == [
        True,
        True,
        True,
    ]
    assert len(Retriever.open(tmp_path / "store", read_only=True)) == 1


def test_an_interrupted_index_keeps_what_was_saved_and_goes_on(tmp_path, capsys, monkeypatch):
    catalogue = write(tmp_path / "catalogue.jsonl", [RECORDS[1], RECORDS[3], {"id": "c", "title": "Lamp"}])
    arguments = ["index", str(catalogue), "--store", str(tmp_path / "store")]
    monkeypatch.setattr(index_command, "ITEMS_PER_WRITE", 1)
    upsert, calls = Retriever.upsert, []

    def interrupted(self, items, **options):
        calls.append(items)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upsert(self, items, **options)

    monkeypatch.setattr(Retriever, "upsert", interrupted)
    assert main(arguments) == 130
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "twotower: interrupted: everything saved so far is kept"
    assert len(Retriever.open(tmp_path / "store", read_only=True)) == 2
    assert main(arguments) == 0
    assert "1 indexed, 2 unchanged" in capsys.readouterr().out


def test_searchable_attributes_are_found_by_their_words(shop, tmp_path, capsys):
    catalogue, store = str(shop / "catalogue.jsonl"), str(tmp_path / "store")
    assert main(["index", catalogue, "--store", store, "--searchable", "brand", "colour"]) == 0
    with Retriever.open(store, read_only=True) as retriever:
        assert retriever.text_of(retriever.get("bag")) == "Brown leather handbag\nBolt"
    assert main(["index", catalogue, "--store", store]) == 0  # the store knows
    capsys.readouterr()
    assert main(["index", catalogue, "--store", store, "--searchable", "price"]) == 1
    assert "searchable=['brand', 'colour']" in capsys.readouterr().err


def test_another_encoder_is_refused(shop, tmp_path, capsys):
    arguments = [
        "index",
        str(shop / "catalogue.jsonl"),
        "--store",
        str(shop / "store"),
        "--text-weight",
        "0.5",
    ]
    assert main(arguments) == 1
    assert "another encoder" in capsys.readouterr().err


FAILURES = {
    "no store": (["search", "q", "--store", "nothing-here"], "holds no store"),
    "no catalogue": (["index", "nothing-here.csv", "--store", "s"], "nothing-here.csv"),
    "no events": (["record", "nothing-here.csv", "--store", "s"], "nothing-here.csv"),
}


@pytest.mark.parametrize(("arguments", "words"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("twotower: ")
    assert words in line


def test_failures_of_a_search_are_one_sentence(shop, capsys):
    for arguments, words in (
        (["q", "--where", '{"price": "cheap"}'], "its values are numbers"),
        (["--image", "nothing-here.jpg"], "nothing-here.jpg"),
        (["q", "--reranker", str(shop / "no-model")], "no-model"),
    ):
        assert main(["search", "--store", str(shop / "store"), *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def test_pages_follow_each_other_and_go_on_counting(shop, capsys):
    whole = searched(shop, capsys, "things", "-k", "4")
    pages = [searched(shop, capsys, "things", "-k", "2", "--offset", str(offset)) for offset in (0, 2)]
    assert [*pages[0], *pages[1]] == whole
    assert main(["search", "things", "--store", str(shop / "store"), "-k", "1", "--offset", "3"]) == 0
    assert capsys.readouterr().out.split()[0] == "4"


def test_a_misspelled_filter_warns_in_one_line_beside_the_hits(shop, capsys):
    for where, words in (
        ('{"prise": 5}', "did you mean 'price'"),
        ('{"brand": "muhe"}', "did you mean 'Muhe'"),
    ):
        assert main(["search", "q", "--store", str(shop / "store"), "--where", where]) == 0
        printed = capsys.readouterr()
        assert printed.out == "no hits\n"
        assert printed.err.startswith("twotower: warning: no item has")
        assert words in printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["search", "--store", "s"],
        ["search", "q", "--store", "s", "-k", "0"],
        ["search", "q", "--store", "s", "--offset", "-1"],
        ["search", "q", "--store", "s", "--now", "2026-01-01"],
        ["search", "q", "--store", "s", "--where", "[1]"],
        ["search", "q", "--store", "s", "--where", '{"time": {"$gte": "yesterday"}}'],
        ["search", "\udcff", "--store", "s"],
        ["index", "c.csv", "--store", "s", "--text-weight", "nan"],
        ["index", "c.csv", "--store", "s", "--text-weight", "0", "--image-weight", "0"],
        ["index", "c.csv", "--store", "s", "--image-weights", "openai"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert (
        f"twotower {arguments[0]}: error: " in capsys.readouterr().err if arguments else "twotower: error: "
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twotower", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


def test_a_pipe_gets_no_bars_and_a_warning_is_one_line(tmp_path):
    catalogue = write(tmp_path / "catalogue.jsonl", [{"id": "a", "title": "红色跑步鞋"}])
    done = run("index", str(catalogue), "--store", str(tmp_path / "store"))
    assert (done.returncode, done.stdout) == (
        0,
        "columns: id: id; title: title\n1 indexed, 0 unchanged, 0 skipped\n",
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("twotower: warning: the text model")


def test_help_loads_no_models():
    done = run("search", "--help")
    assert done.returncode == 0
    slow = "{'torch', 'faiss', 'transformers', 'sentence_transformers', 'open_clip', 'pyarrow', 'scipy', 'sklearn'}"
    code = f"import sys, twotower.__main__; print(sorted({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_reader_that_closes_the_pipe_is_not_an_error(shop):
    shell = f"{sys.executable} -m twotower search mug --json --store {shop / 'store'} | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_ctrl_c_in_a_real_process_is_one_line(tmp_path):
    catalogue = write(
        tmp_path / "catalogue.jsonl", [{"id": f"{n}", "title": f"mug {n}"} for n in range(5000)]
    )
    command = [sys.executable, "-m", "twotower", "index", str(catalogue), "--store", str(tmp_path / "store")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # A shell starts background jobs, CI's perhaps, with Ctrl-C ignored; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    receipt = Receipt(tmp_path / "store" / "receipt")  # counts the writes that were acknowledged
    while not receipt.read() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "twotower: interrupted: everything saved so far is kept\n"
    kept = len(Retriever.open(tmp_path / "store", read_only=True))
    assert 0 < kept < 5000  # whole batches: the first was acknowledged
    assert kept % 1_000 == 0


def test_calibrate_measures_each_kind_of_query(shop, tmp_path, capsys):
    with Retriever.open(tmp_path / "store", index=IndexPolicy(exact_up_to=2)) as retriever:
        retriever.upsert(read_catalogue(shop / "catalogue.jsonl"))
    (tmp_path / "mug.jpg").write_bytes((shop / "mug.jpg").read_bytes())
    asked = [{"_id": "1", "text": "mug"}, {"_id": "2", "text": "shoe"}]
    write(tmp_path / "queries.jsonl", [*asked, {"_id": "3", "text": "", "metadata": {"image": "mug.jpg"}}])
    assert main(["calibrate", str(tmp_path), "--store", str(tmp_path / "store")]) == 0
    lines = ["    recall@10 1.000 for 2 words", "    recall@10 1.000 for 1 photo"]
    assert capsys.readouterr().out.splitlines()[2:4] == lines
    assert main(["stats", "--store", str(tmp_path / "store")]) == 0
    assert capsys.readouterr().out.splitlines()[2:4] == lines
