"""`twotower index --prune` removes what a delivery lacks, but not because a delivery is short or damaged."""

from __future__ import annotations

import json

import pytest
from fakes import HashEncoder
from PIL import Image

from multimodal import WeightedConcat
from twotower import DualEncoder, Retriever
from twotower.__main__ import main
from twotower.commands import index as index_command


@pytest.fixture
def encoder():
    return HashEncoder()


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys, encoder):
    """Indexes lines, given as ids or whole; returns the exit code, the output and the ids in the store."""
    monkeypatch.setattr(index_command, "encoder_for", lambda *_: encoder)

    def run(lines, *arguments, columns=None):
        rows = [
            line
            if isinstance(line, str)
            else json.dumps({"id": f"{line}", "title": f"mug {line}", "price": line})
            for line in lines
        ]
        path = tmp_path / "catalogue.jsonl"
        path.write_text("".join(f"{row}\n" for row in rows))
        code = main(["index", str(path), "--store", str(tmp_path / "store"), *arguments])
        captured = capsys.readouterr()
        with Retriever.open(tmp_path / "store", encoder=encoder, read_only=True) as retriever:
            return code, captured.out + captured.err, {item.id for item in retriever.items()}

    return run


def ids(numbers):
    return {f"{number}" for number in numbers}


def test_items_missing_from_the_catalogue_are_removed_on_request(shop):
    assert shop(range(20))[2] == ids(range(20))
    assert shop(range(2, 22))[2] == ids(range(22))
    code, out, left = shop(range(2, 22), "--prune")
    assert (code, left) == (0, ids(range(2, 22)))
    assert "0 indexed, 20 unchanged, 0 skipped\n2 pruned\n" in out
    assert "0 pruned" in shop(range(2, 22), "--prune")[1]
    assert shop([*range(3, 22), 30], "--prune")[2] == ids([*range(3, 22), 30])


@pytest.mark.parametrize("kept", [0, 1, 7, 13, 16, 20])
def test_the_limit_that_a_refusal_advises_is_enough(shop, kept):
    shop(range(23))
    code, out, left = shop(range(kept), "--prune")
    assert (code, len(left)) == ((0, 20) if kept == 20 else (1, 23))
    if code:
        advised = out.split("pass --max-pruned ")[1].split()[0]
        assert shop(range(kept), "--max-pruned", advised)[::2] == (0, ids(range(kept)))


@pytest.mark.parametrize(
    ("kept", "options", "allowed"),
    [
        (range(16), ["--prune"], True),  # a fifth is missing
        (range(15), ["--prune"], False),
        ([], ["--prune"], False),
        (range(15), ["--max-pruned", "25%"], True),
        (range(15), ["--prune", "--max-pruned", "24%"], False),
        (range(15), ["--max-pruned", "5"], True),
        (range(15), ["--max-pruned", "4"], False),
        ([], ["--max-pruned", "100%"], True),
        (range(19), ["--max-pruned", "0"], False),
    ],
)
def test_too_many_missing_items_stop_everything_before_it_begins(shop, kept, options, allowed):
    shop(range(20))
    rows = [json.dumps({"id": f"{number}", "title": "lamp"}) for number in kept]
    code, out, left = shop(rows, *options)
    assert (code == 0) == allowed
    assert left == (ids(kept) if allowed else ids(range(20)))
    if not allowed:
        missing = 20 - len(kept)
        assert f"{missing} of 20 items are not in" in out
        assert "nothing was written" in out
        assert f"pass --max-pruned {5 * missing}%" in out
        assert "20 unchanged" in shop(range(20))[1]  # not one lamp


def test_what_a_bad_row_names_is_not_missing(shop):
    shop(range(20))
    bad = json.dumps({"id": "3", "title": "mug", "price": {"$time": "yesterday"}})
    code, out, left = shop([*range(3), bad, *range(4, 19)], "--prune", "--on-bad", "skip")
    assert (code, left) == (0, ids(range(19)))
    assert "1 pruned" in out


@pytest.mark.parametrize("unreadable", ['{"id": "3', '{"title": "mug"}', '{"id": ["3"], "title": "mug"}'])
def test_with_a_row_whose_item_is_unknown_nothing_is_removed(shop, unreadable):
    shop(range(20))
    code, out, left = shop([*range(3), unreadable, *range(4, 19)], "--prune", "--on-bad", "skip")
    assert (code, left) == (1, ids(range(20)))
    assert "line 4" in out
    assert "so the items to prune are unknown: nothing was written" in out
    assert shop([*range(20), unreadable], "--prune", "--on-bad", "skip")[0] == 0  # none is missing


class TestPhotos:
    @pytest.fixture
    def encoder(self, text_encoder, clip_encoder):
        return DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.5, 0.5))

    def test_options_about_photos_reach_the_store(self, shop, tmp_path):
        Image.new("RGB", (9, 9)).save(tmp_path.parent / "outside.png")
        (tmp_path / "bad.png").write_bytes(b"\x89PNG")
        bad = json.dumps({"id": "bad", "title": "mug", "image": "bad.png"})
        code, out, left = shop([1, bad], "--on-bad-photo", "words")
        assert (code, left) == (0, {"1", "bad"})
        assert "1 indexed by their words alone\n  without photo: bad: " in out
        assert shop([1, bad])[0] == 1
        outside = json.dumps({"id": "out", "title": "mug", "image": str(tmp_path.parent / "outside.png")})
        assert shop([1, outside])[0] == 1
        assert shop([1, outside], "--photos-anywhere")[2] == {"1", "bad", "out"}
