from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import read_options
from benchmarks.common.contract import Result
from benchmarks.common.speed import System, UnequalWorkError
from benchmarks.encode import benchmark as encode
from benchmarks.encode.photos import draw_files, photo_sets
from twotower import Item


class Bench:
    """Systems that move a clock by a known time, and write down who was called."""

    def __init__(self):
        self.now = 0.0
        self.calls = []
        self.vectors = np.eye(3, 4, dtype=np.float32)

    def system(self, name, seconds, *, turn=0.0, exact=True):
        vectors = self.vectors * np.cos(turn) + np.roll(self.vectors, 1, axis=1) * np.sin(turn)

        def run(inputs):
            assert inputs == list("abc")
            self.calls.append(name)
            self.now += seconds
            return vectors.astype(np.float32)

        return System(run, exact=exact)

    def measure(self, systems):
        result = Result("encode", 0)
        texts = list("abc")
        encode.measure(
            result, systems, texts, "texts_per_s", "short", {}, reference="peer", clock=lambda: self.now
        )
        return result.rows, result.ratios


def test_known_times_give_known_rates_and_ratios():
    bench = Bench()
    rows, ratios = bench.measure(
        {"twotower": bench.system("twotower", 0.75), "peer": bench.system("peer", 1.5)}
    )
    metrics = {row.system: row.metrics for row in rows}
    assert metrics["twotower"]["texts_per_s"].median == 4
    assert metrics["peer"]["texts_per_s"].median == 2
    assert ratios.keys() == {"twotower / peer : texts_per_s short"}
    ratio = ratios["twotower / peer : texts_per_s short"]
    assert (ratio.median, ratio.n) == (2, 5)


def test_systems_take_turns():
    bench = Bench()
    bench.measure({name: bench.system(name, 1) for name in ("twotower", "peer")})
    timed = bench.calls[2:]  # the first two are the check
    turns = [timed[place : place + 2] for place in range(0, len(timed), 2)]
    assert len(turns) == 5
    assert all(sorted(turn) == ["peer", "twotower"] for turn in turns)
    assert {turn[0] for turn in turns} == {"peer", "twotower"}


def test_other_vectors_are_refused_unless_they_are_declared_and_then_reported():
    bench = Bench()
    turned = {"twotower": bench.system("twotower", 1, turn=0.02), "peer": bench.system("peer", 1)}
    with pytest.raises(UnequalWorkError, match=r"cosine 0\.9998"):
        bench.measure(turned)
    turned["twotower"] = bench.system("twotower", 1, turn=0.02, exact=False)
    rows, _ = bench.measure(turned)
    assert rows[0].metrics["min_cosine"] == pytest.approx(np.cos(0.02))


def test_vectors_that_are_not_of_unit_length_are_refused():
    bench = Bench()
    long = System(lambda inputs: 2 * bench.vectors)
    with pytest.raises(UnequalWorkError):
        bench.measure({"twotower": long, "peer": bench.system("peer", 1)})


def test_drawn_photos_are_the_same_for_a_seed_and_of_the_size(tmp_path):
    (tmp_path / "again").mkdir()
    first = draw_files(tmp_path, 2, 300, np.random.default_rng(1))
    again = draw_files(tmp_path / "again", 2, 300, np.random.default_rng(1))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    with Image.open(first[0]) as photo:
        assert (photo.size, photo.mode, photo.format) == ((300, 300), "RGB", "JPEG")


def test_only_photos_that_all_readers_see_alike_are_taken(tmp_path):
    photo = Image.new("RGB", (8, 8), "red")
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(tmp_path / "plain.jpg")
    photo.save(tmp_path / "turned.jpg", exif=turned)
    photo.convert("CMYK").save(tmp_path / "print.jpg")
    photo.save(tmp_path / "other.png")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    names = ("plain.jpg", "plain.jpg", "turned.jpg", "print.jpg", "other.png", "broken.jpg", "missing.jpg")
    items = [Item(str(number), image=tmp_path / name) for number, name in enumerate(names)]
    sets = photo_sets([*items, Item("none")], tmp_path, 5, np.random.default_rng(0))
    assert sets == {"data": [tmp_path / "plain.jpg"]}


def test_the_real_encoders_agree_with_the_libraries_under_them(
    one_thread, tiny_text_folder, tiny_clip_folder
):
    clip = f"local-dir:{tiny_clip_folder}"
    given = ["--quick", "--text-model", str(tiny_text_folder), "--image-model", clip]
    options = read_options("encode", given)
    result = encode.run(options)
    assert len(result.ratios) == 3 * 2 + 2 * 2
    exact = [row.metrics["min_cosine"] for row in result.rows if row.system == "twotower all-pixels"]
    assert len(exact) == 2
    assert min(exact) > 0.99999
    assert "1000x1000" in result.headline
