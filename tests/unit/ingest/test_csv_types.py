"""The types that CSV columns get, and how a file says them."""

from __future__ import annotations

import gzip

import pytest
from catalogues import refusal

from twotower.ingest import Catalogue, ReadOptions, read_catalogue


def column(write, cells, name="x", **options):
    """The values of one column; None where an item lacks it."""
    rows = "".join(f'{number},t,"{cell}"\n' for number, cell in enumerate(cells))
    path = write("shop.csv", f"id,title,{name}\n{rows}")
    return [item.attributes.get(name) for item in read_catalogue(path, ReadOptions(**options))]


def test_codes_stay_text_and_long_ids_stay_apart(write):
    for codes in (
        ["0012345678905", "4006381333931"],
        ["1234567890123456781", "1234567890123456782"],
        ["+4930123456", "+4989123456"],
        ["12E5", "34E7"],
        ["01067", "10115", "80331", "20095"],
        [
            *(str(4_006_381_333_931 + n) for n in range(300)),
            "0012345678905",
        ],  # one, but as long as the others
        [*(f"00{n:011}" for n in range(300)), "12.5"],  # one that is no code changes nothing
    ):
        assert column(write, codes) == codes


def test_numbers_are_exact(write):
    assert column(write, ["1", "999999999999999", "-3"]) == [1, 999_999_999_999_999, -3]
    assert column(write, ["1e2", " -.5 ", "5."]) == [100, -0.5, 5]
    assert column(write, ["007.50", "12"]) == [7.5, 12]
    assert column(write, ["1234567890123456781"], types={"x": "number"}) == [1_234_567_890_123_456_781]


@pytest.mark.parametrize("word", ["N/A", "n/a", "NA", "NaN", "NULL", "None", "-"])
def test_a_word_for_a_missing_value_leaves_the_others_numbers(write, word):
    assert column(write, ["5", word, "7.5"]) == [5, None, 7.5]
    assert column(write, ["true", word]) == [True, None]
    assert column(write, ["red", word, "blue"]) == ["red", word, "blue"]


def test_words_that_count_as_missing_are_named_by_line_and_column(write):
    path = write("shop.csv", "id,title,price\n1,a,5\n2,b,N/A\n3,c,7\n")
    report = list(Catalogue.of_file(path).columns.lines())
    assert report == [
        "columns: id: id; title: title; price: number",
        "  price: 1 value such as 'N/A' (line 3) counts as missing",
    ]


@pytest.mark.parametrize("cell", ["1.299,00", "call us", "12,50", "$5"])
def test_one_cell_among_many_numbers_is_an_error_of_its_row(write, cell):
    cells = [f"{n}.5" for n in range(40)]
    cells[20] = cell
    rows = "".join(f'{number},t,"{each}"\n' for number, each in enumerate(cells))
    path = write("shop.csv", f"id,title,price\n{rows}")
    message = refusal(path)
    assert message.startswith(
        f", line 22, field 'price': '{cell}' is not a number, as 39 of the column's 40 values are"
    )
    bad = []
    kept = [item.attributes["price"] for item in read_catalogue(path, bad=bad)]
    assert kept == [n + 0.5 for n in range(40) if n != 20]
    assert len(bad) == 1


def test_a_few_prices_in_another_notation_do_not_make_the_column_text(write):
    path = write("shop.csv", 'id,title,price\n1,a,79.0\n2,b,120\n3,c,"1.299,00"\n')
    assert ", line 4, field 'price': '1.299,00' is not a number" in refusal(path)


def test_a_code_among_short_numbers_has_to_be_declared(write):
    stock = [str(n % 90) for n in range(200)] + ["0012345678905"]
    with pytest.raises(ValueError, match="declare types x=text or x=number"):
        column(write, stock)
    assert column(write, stock, types={"x": "text"}) == stock
    assert column(write, stock, types={"x": "number"})[-1] == 12_345_678_905


def test_declared_types_decide(write):
    assert column(write, ["1", "0"], types={"x": "boolean"}) == [True, False]
    assert column(write, ["yes", "NO"], types={"x": "boolean"}) == [True, False]
    assert column(write, ["1", "true"], types={"x": "text"}) == ["1", "true"]
    (when,) = column(write, ["2026-01-01"], types={"x": "time"}, timezone="+02:00")
    assert when.isoformat() == "2025-12-31T22:00:00+00:00"
    with pytest.raises(ValueError, match=r"line 3, field 'x': 'many' is not a number, as declared"):
        column(write, ["1", "many"], types={"x": "number"})
    with pytest.raises(
        ValueError, match="has no attribute 'prise' whose type could be declared: name one of x"
    ):
        column(write, ["1"], types={"prise": "number"})


def test_european_decimals_are_read_when_they_are_declared(write):
    cells = ["1.299,00", "12,5", "1 000,5", "7", "1.299"]
    assert column(write, cells, decimal=",") == [1299.0, 12.5, 1000.5, 7, 1299]
    assert column(write, ["1,299.00", "5"], decimal=".") == [1299.0, 5]
    assert column(write, ["12,50", "7,25"]) == ["12,50", "7,25"]
    path = write("shop.csv", 'id,title,price\n1,a,"12,50"\n2,b,"7,25"\n')
    assert "such as '12,50': repair them, or declare the type, with decimal a comma" in "".join(
        Catalogue.of_file(path).columns.lines()
    )
    with pytest.raises(ValueError, match=r"'12\.50' is not a number"):
        column(write, ["12,50", "7,25", "3,0", "4,0", "12.50"], decimal=",")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_found(write, separator, end):
    rows = [
        ["id", "title", "price, EUR" if separator != "," else "price"],
        ["1", "a, b; c" if separator == "|" else "ab", "5"],
    ]
    path = write("shop.csv", end.join(separator.join(row) for row in rows) + end)
    (item,) = read_catalogue(path)
    assert (item.id, item.title, list(item.attributes.values())) == ("1", rows[1][1], [5])


def test_a_separator_can_be_declared_by_the_caller_or_by_excel(write):
    assert next(read_catalogue(write("a.csv", "id:title\n1:x\n"), ReadOptions(separator=":"))).title == "x"
    assert next(read_catalogue(write("b.csv", "sep=;\nid;title\n1;a,b\n"))).title == "a,b"
    assert next(read_catalogue(write("c.tsv", "id\ttitle,price;x\n1\tx\n"))).attributes == {
        "title,price;x": "x"
    }


def test_packed_files_and_suffixes_in_capitals_are_read(write):
    text = "ID,Title,Price\n1,mug,5\n"
    for name, content in [
        ("shop.csv.gz", gzip.compress(text.encode())),
        ("SHOP.CSV", text),
        ("shop.tsv.gz", gzip.compress(text.replace(",", "\t").encode())),
        ("shop.json.gz", gzip.compress(b'[{"ID": 1, "Title": "mug", "Price": 5}]')),
        ("shop.jsonl.gz", gzip.compress(b'{"ID": 1, "Title": "mug", "Price": 5}')),
        ("utf16.csv", text.encode("utf-16")),
    ]:
        (item,) = read_catalogue(write(name, content))
        assert (item.id, item.title, item.attributes) == ("1", "mug", {"Price": 5})
    whole = gzip.compress(text.encode() * 1000)
    assert refusal(write("cut.csv.gz", whole[:-20])).startswith(" is not a complete .gz file")
    assert refusal(write("no.csv.gz", text)).startswith(" is not a complete .gz file")


def test_a_long_cell_is_read_whole(write):
    (item,) = read_catalogue(write("shop.csv", f'id,description\n1,"{"word " * 100_000}"\n'))
    assert len(item.text) == 500_000


def test_other_encodings_are_read_when_they_are_declared(write):
    chinese = write("shop.csv", "编号,标题,价格\n1,运动鞋,99.5\n".encode("gb18030"))
    assert "is not UTF-8: save the file as UTF-8, or name its encoding, such as gb18030 (Chinese)" in refusal(
        chinese
    )
    (item,) = read_catalogue(chinese, ReadOptions(encoding="gb18030"))
    assert (item.id, item.title, item.attributes) == ("1", "运动鞋", {"价格": 99.5})


def test_the_numbers_of_rows_that_pandas_writes_are_left_out(write):
    (item,) = read_catalogue(write("shop.csv", ",id,title,price\n0,1,mug,5\n"))
    assert (item.id, item.title, item.attributes) == ("1", "mug", {"price": 5})


def test_rows_that_excel_leaves_behind_are_skipped(write):
    path = write("shop.csv", "id;title;\n1;a;\n;;\n2;b\n3;c;x\n")
    bad = []
    assert [item.id for item in read_catalogue(path, bad=bad)] == ["1", "2"]
    assert "line 5 has 3 cells but the header has 2" in str(bad[0])


@pytest.mark.parametrize(
    "broken",
    ['2,"open quote', '2,"a" quote"', "2,b,too many", "2", "2,\udcff", '2,"a\udcffb"', "2,nul\0"],
)
def test_a_damaged_row_is_one_error_and_the_others_are_read(write, broken):
    rows = ["1,a", broken, *(f"{n},c" for n in range(3, 60))]
    path = write("shop.csv", "\n".join(["id,title", *rows]).encode("utf-8", "surrogateescape"))
    bad = []
    items = list(read_catalogue(path, bad=bad))
    assert [item.id for item in items] == ["1", *(str(n) for n in range(3, 60))]
    assert len(bad) == 1
    assert "line 3" in str(bad[0])


def test_quotes_that_are_not_csv_are_kept_in_files_with_tabs(write):
    (item,) = read_catalogue(write("shop.tsv", 'id\ttitle\n1\t"Best" 5" nail\n'))
    assert item.title == '"Best" 5" nail'


@pytest.mark.parametrize(
    "options",
    [{"types": {"a": "int"}}, {"separator": ""}, {"separator": '"'}, {"decimal": "x"}, {"encoding": "no"},
     {"encoding": "hex"}, {"timezone": "Mars"}, {"timezone": "../etc"}, {"timezone": "+99"}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        ReadOptions(**options)
