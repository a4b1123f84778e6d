"""Without pyarrow, a Parquet file is refused with one sentence that says what to install."""

from __future__ import annotations

import sys

import pytest

from twotower.errors import MissingExtraError
from twotower.ingest import read_catalogue, read_events


@pytest.mark.parametrize("read", [read_catalogue, read_events])
def test_without_pyarrow_a_parquet_file_names_the_extra(write, monkeypatch, read):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = write("shop.parquet", "PAR1")
    with pytest.raises(
        MissingExtraError, match=r"^reading Parquet needs pyarrow: run `pip install 'twotower\[parquet\]'`$"
    ) as caught:
        list(read(path))
    assert isinstance(caught.value, ImportError)


def test_without_pyarrow_other_formats_are_read(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert [item.id for item in read_catalogue(write("shop.csv", "id,title\n1,mug\n"))] == ["1"]
