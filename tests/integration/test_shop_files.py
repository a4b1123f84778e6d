"""`twotower index` and `twotower record` on files as shops have them."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import pandas as pd
import pytest
from fakes import HashEncoder

from twotower import Event, Item, Retriever
from twotower.__main__ import main
from twotower.commands import index as index_command
from twotower.commands.index import index
from twotower.commands.reading import Skipped, reason_of
from twotower.errors import ItemError
from twotower.presets import retriever as preset_retriever

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    """Runs a command on a file and a store in a folder of its own; returns its exit code, output and errors."""
    monkeypatch.setattr(preset_retriever, "default_encoder", HashEncoder)

    def run(command, name, content, *arguments):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        code = main([command, str(path), "--store", str(tmp_path / "store"), *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    run.store = tmp_path / "store"
    run.open = lambda: Retriever.open(tmp_path / "store", encoder=HashEncoder(), read_only=True)
    return run


def test_a_shop_s_file_is_indexed_as_it_is_and_the_report_says_how(shop):
    rows = "".join(
        f'{n};Shoe {n};"Light; {n}";{n}.5;0{n:012};red;https://x.test/{n}.jpg\n' for n in range(10, 30)
    )
    code, out, _ = shop("index", "shop.csv", f"SKU;Name;Description;Price;GTIN;colour;image_url\n{rows}")
    assert code == 0
    assert out == [
        "columns: SKU: id; Name: title; Description: text; Price: number; GTIN: attribute; "
        "colour: attribute, searchable; image_url: attribute",
        "  GTIN: text, because 20 of 20 values look like codes",
        "  image_url: URLs are not fetched: download the photos, and name their files in a column 'image'",
        "20 indexed, 0 unchanged, 0 skipped",
    ]
    with shop.open() as retriever:
        assert retriever.get("10").text == "Light; 10"
        assert len(retriever.search("shoe", k=30, where={"Price": {"$lt": 15}})) == 5
        assert [hit.id for hit in retriever.search("shoe", where={"GTIN": "0000000000012"})] == ["12"]


def test_options_reach_the_reader(shop):
    text = "nr^was^Preis^wann^code\n1^Schuh^1.299,00^2026-01-01 13:00^7\n".encode("utf-16")
    code, out, _ = shop(
        "index", "shop.csv", text[2:], "--columns", "id=nr,title=was", "--columns", "time=wann,price=Preis",
        "--types", "price=number,code=text", "--separator", "^", "--decimal", ",", "--encoding", "utf-16-le",
        "--timezone", "Europe/Berlin",
    )  # fmt: skip
    assert (code, out[-1]) == (0, "1 indexed, 0 unchanged, 0 skipped")
    with shop.open() as retriever:
        assert retriever.get("1") == Item("1", "Schuh", time=NOON, attributes={"price": 1299.0, "code": "7"})


@pytest.mark.parametrize(
    "arguments",
    [["--columns", "text"], ["--types", "price=money"], ["--separator", "ab"], ["--encoding", "no"],
     ["--timezone", "Mars"], ["--max-skipped", "five"], ["--on-bad", "stop", "--max-skipped", "5"]],
)  # fmt: skip
def test_options_that_cannot_be_are_wrong_usage(shop, arguments):
    with pytest.raises(SystemExit) as stop:
        shop("index", "shop.csv", "id,title\n1,a\n", *arguments)
    assert stop.value.code == 2
    assert not shop.store.exists()


def prices(bad, good=20):
    cells = [f"{n}.5" for n in range(good)] + ['"1.299,00"'] * bad
    return "id,title,price\n" + "".join(f"{n},mug {n},{cell}\n" for n, cell in enumerate(cells))


def test_a_price_that_does_not_fit_stops_before_anything_is_written(shop):
    code, out, errors = shop("index", "shop.csv", prices(1))
    assert (code, out) == (1, [])
    assert (
        "shop.csv, line 22, field 'price': '1.299,00' is not a number, as 20 of the column's 21 values are"
        in errors
    )
    assert not shop.store.exists()


def test_rows_that_do_not_fit_are_skipped_with_counts_by_reason(shop):
    content = prices(2) + "50,mug,5,one too many\n51,mug\n3,again,5\n,no id,5\n"
    code, out, errors = shop("index", "shop.csv", content, "--on-bad", "skip")
    assert (code, errors) == (0, "")
    assert out[1] == "20 indexed, 0 unchanged, 6 skipped"
    assert "2 price: … is not a number" in out[2]
    assert "2 has … cells but the header has …" in out[2]
    assert "1 occurs twice in the catalogue" in out[2]
    assert len(out[3:]) == 6
    with shop.open() as retriever:
        assert len(retriever) == 20
        assert len(retriever.search("mug", k=30, where={"price": {"$lt": 5}})) == 5


@pytest.mark.parametrize(
    ("limit", "code"), [("1", 1), ("2", 0), ("9%", 1), ("10%", 0), ("0", 1), ("100%", 0)]
)
def test_more_skipped_rows_than_allowed_fail_before_anything_is_written(shop, limit, code):
    given, out, errors = shop("index", "shop.csv", prices(2, good=18), "--max-skipped", limit)
    assert given == code
    assert shop.store.exists() == (code == 0)
    if code:
        assert "2 of 20 rows cannot be used, more than" in errors
        assert out[1] == "0 indexed, 0 unchanged, 2 skipped"


def test_a_file_of_which_nothing_can_be_used_fails(shop):
    for content in ("id,title\n,a\n,b\n", "id,title\n1,a,x\n2,b,y\n"):
        code, _, errors = shop("index", "shop.csv", content, "--on-bad", "skip")
        assert code == 1
        assert "none of the 2 rows can be used: nothing was written" in errors
    assert shop("index", "shop.csv", "id,title\n")[0] == 0  # an empty delivery is no failure


def test_photos_that_cannot_be_used_count_as_skipped(tmp_path):
    class Strict(HashEncoder):
        def encode_items(self, items):
            if bad := {item.id: "its photo is broken" for item in items if item.title == "broken"}:
                raise ItemError("broken photos", bad)
            return super().encode_items(items)

    path = tmp_path / "shop.csv"
    path.write_text("id,title\n1,mug\n2,broken\n")
    report = index(path, tmp_path / "store", Strict(), skipped=Skipped(0))
    assert (report.indexed, report.skipped.count) == (1, 1)
    assert report.failure == "1 of 2 rows cannot be used, more than 0"


def test_a_new_delivery_must_not_contradict_the_types_of_the_store(tmp_path):
    path, store = tmp_path / "shop.csv", tmp_path / "store"
    path.write_text("id,title,price,gtin\n1,mug,5,0012\n2,cup,7,0013\n")
    assert index(path, store, HashEncoder()).indexed == 2
    path.write_text('id,title,price,gtin\n1,mug,"5,50",4012\n2,cup,6,4013\n')
    with pytest.raises(
        ValueError, match=r"line 2, field 'price': '5,50' is not a number, as 'price' is in the store"
    ):
        index(path, store, HashEncoder())
    report = index(path, store, HashEncoder(), skipped=Skipped())
    assert (report.indexed, report.skipped.count) == (1, 1)
    with Retriever.open(store, encoder=HashEncoder(), read_only=True) as retriever:
        assert retriever.get("1").attributes == {"price": 5, "gtin": "0012"}
        assert retriever.get("2").attributes == {"price": 6, "gtin": "4013"}


def test_an_attribute_of_several_types_may_go_on_having_them(tmp_path):
    path, store = tmp_path / "shop.jsonl", tmp_path / "store"
    for sizes in ([40, "XL", True], ["XL", 41, False]):
        rows = [{"id": str(n), "title": "shoe", "attributes": {"size": s}} for n, s in enumerate(sizes)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        assert index(path, store, HashEncoder()).indexed == 3
        with Retriever.open(store, encoder=HashEncoder(), read_only=True) as retriever:
            assert [item.attributes["size"] for item in retriever.items()] == sizes


def test_a_catalogue_need_not_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(index_command, "ITEMS_PER_WRITE", 50)
    path = tmp_path / "shop.jsonl"
    with path.open("w") as file:
        for number in range(600):
            file.write(json.dumps({"id": number, "title": "mug", "text": f"{number} " + "x" * 50_000}) + "\n")

    class Counting(HashEncoder):
        most = 0

        def encode_items(self, items):
            Counting.most = max(Counting.most, len(items))
            return super().encode_items([Item(item.id, item.title) for item in items])

    tracemalloc.start()
    try:
        read = sum(1 for _ in index_command.checked(index_command.Catalogue.of_file(path), None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == 600
    assert (
        peak < 15_000_000 < path.stat().st_size / 2
    )  # the sample of a column is bounded, and so is the rest
    assert index(path, tmp_path / "store", Counting()).indexed == 600
    assert Counting.most == 50


EVENTS = "user_id,item_id,timestamp,event\n" + "".join(
    f"u{n},{n % 5},{1_767_268_800 + n},view\n" for n in range(10)
)


def test_events_are_recorded_once_by_the_shop_s_own_columns(shop):
    shop("index", "shop.csv", prices(0))
    code, out, _ = shop("record", "events.csv", EVENTS)
    assert (code, out) == (
        0,
        ["columns: user_id: user; item_id: item; event: kind; timestamp: time", "10 events recorded"],
    )
    assert shop("record", "events.csv", EVENTS)[1][-1] == "0 events recorded, 10 were there before"


def test_events_that_cannot_be_recorded_stop_or_are_skipped(shop):
    shop("index", "shop.csv", prices(0))
    content = EVENTS + "u,ghost,1767268800,view\nu,1,yesterday,view\nu,1,1767268800,view,x\n"
    code, out, errors = shop("record", "events.csv", content)
    assert (code, out) == (1, [])
    assert "line 13, field 'timestamp': 'yesterday' is not an ISO-8601 time" in errors
    with shop.open() as retriever:
        assert list(retriever._corpus.item_store.events()) == []
    code, out, _ = shop("record", "events.csv", content, "--on-bad", "skip")
    assert code == 0
    assert out[1] == "10 events recorded, 3 skipped"
    assert "1 names item …, which is not indexed" in out[2]
    assert any("line 12: names item 'ghost', which is not indexed" in line for line in out[3:])
    assert shop("record", "events.csv", content, "--max-skipped", "1")[0] == 1
    code, _, errors = shop(
        "record", "events.csv", "user,item,time,kind\nu,ghost,2026-01-01,view\n", "--on-bad", "skip"
    )
    assert (code, errors) == (1, "twotower: none of the 1 rows can be used: nothing was recorded\n")


def test_mappings_and_data_frames_are_taken_by_upsert_and_record():
    with Retriever(HashEncoder()) as retriever:
        rows = [{"sku": n, "name": f"mug {n}", "price": n + 0.5} for n in range(10)]
        assert retriever.upsert(rows).upserted == 10
        assert retriever.upsert(pd.DataFrame(rows)).upserted == 10
        assert retriever.get("3") == Item("3", "mug 3", attributes={"price": 3.5})
        rows[4]["price"] = "1.299,00"
        with pytest.raises(ItemError, match=r"row 4, field 'price': '1\.299,00' is not a number"):
            retriever.upsert(rows)
        report = retriever.upsert(rows, on_error="skip")
        assert (report.upserted, len(report.skipped)) == (9, 1)
        with pytest.raises(ItemError, match="upsert takes a list of items"):
            retriever.upsert(rows[0])
        clicks = [{"user_id": 1, "item_id": n, "timestamp": NOON} for n in range(3)]
        assert retriever.record(pd.DataFrame(clicks)).recorded == 3
        bad = [{"user_id": 1, "item_id": 0}, {"user_id": 1, "item_id": 99, "timestamp": NOON}]
        done = retriever.record([*clicks, *bad], on_error="skip")
        assert (done.recorded, done.repeated) == (0, 3)
        assert [each.position for each in done.skipped] == [3, 4]
        assert retriever.record([Event("1", "0", "view", NOON)]).recorded == 1


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("/a, b/shop.csv, line 3, field 'price': '1.299,00' is not a number, as 2 are", "price: … is not a number"),
        ("shop.csv, line 1,003 has 3 cells but the header has 2: repair it", "has … cells but the header has …"),
        ("item 'a' occurs twice in the catalogue: keep one", "occurs twice in the catalogue"),
        ("e.csv, line 3: names item 'x', which is not indexed: upsert it", "names item …, which is not indexed"),
        ("item 'a', field 'time': 2026-01-01 has no time zone: add it", "time: … has no time zone"),
    ],
)  # fmt: skip
def test_reasons_leave_out_what_differs_from_row_to_row(problem, reason):
    assert reason_of(problem) == reason


def test_the_counts_by_reason_add_up_however_many_reasons_there_are():
    skipped = Skipped()
    for number in range(12):
        for _ in range(number + 1):
            skipped.add(f"shop.csv, line 5, field 'c{number}': it is missing")
    counts, *_ = skipped.lines()
    assert counts.startswith("  skipped by reason: 12 c11: it is missing; 11 c10: it is missing; ")
    assert counts.endswith("; 10 for other reasons")  # 1 + 2 + 3 + 4
