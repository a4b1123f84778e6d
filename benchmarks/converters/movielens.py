"""MovieLens: ratings of films, in the form of ml-1m (.dat) or of ml-latest-small and ml-25m (.csv).

Source: Harper & Konstan 2015, "The MovieLens Datasets: History and Context", https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.converters.rows import (
    Decode,
    as_row,
    read_lines,
    read_table,
    required_number,
    required_whole,
    utf_8_or_latin_1,
    watched,
)
from benchmarks.converters.source import Source
from benchmarks.converters.writer import Interaction, Output
from twotower.ingest.fields import required_text, text
from twotower.ingest.row import Row

MOVIE = ("movieId", "title", "genres")
RATING = ("userId", "movieId", "rating", "timestamp")
NO_GENRES = "(no genres listed)"
DEV_SHARE = 0.1
CHUNK = 65536  # ratings that become Python objects at a time
Column = NDArray[np.int64] | NDArray[np.float64]


def convert(source: Source, output: Output) -> None:
    """Write films and ratings: the event is "rating", its quantity the stars; dev is the latest tenth of all."""
    for row in _rows(source, "movies", MOVIE):
        genres = text(row, "genres").split("|")
        output.document(
            row,
            required_text(row, "movieId"),
            required_text(row, "title"),
            metadata={"genres": [genre for genre in genres if genre and genre != NO_GENRES]},
        )
    users, movies, stars, times = _ratings(source)
    # Stable: ratings of one second stay in the file's order.
    order = np.argsort(times, kind="stable")
    cut = times[order[int(len(order) * (1 - DEV_SHARE))]] if len(order) else 0
    place = Row(str(source.path), {})
    for split, places in (("train", order[times[order] < cut]), ("dev", order[times[order] >= cut])):
        output.interactions(place, split, _events(places, users, movies, stars, times))


def _events(places: NDArray[np.intp], *columns: Column) -> Iterator[Interaction]:
    for start in range(0, len(places), CHUNK):
        chunk = places[start : start + CHUNK]
        for user, movie, stars, time in zip(*(column[chunk].tolist() for column in columns), strict=True):
            whole = int(stars) if stars == int(stars) else stars
            yield Interaction(str(user), str(movie), time, "rating", whole)


def _ratings(source: Source) -> tuple[Column, ...]:
    """User, film, stars and unix seconds; as arrays, since ml-25m has 25 million."""
    users, movies, stars, times = array("q"), array("q"), array("d"), array("q")
    for row in _rows(source, "ratings", RATING):
        users.append(required_whole(row, "userId"))
        movies.append(required_whole(row, "movieId"))
        stars.append(required_number(row, "rating"))
        times.append(required_whole(row, "timestamp"))
    return np.asarray(users), np.asarray(movies), np.asarray(stars), np.asarray(times)


def _rows(source: Source, name: str, columns: Sequence[str]) -> Iterator[Row]:
    if f"{name}.dat" in source.names():
        return _dat_rows(source, f"{name}.dat", columns, utf_8_or_latin_1)
    return read_table(source, f"{name}.csv", columns)


def _dat_rows(source: Source, name: str, columns: Sequence[str], decode: Decode) -> Iterator[Row]:
    place = source.place(name)
    for line, content in watched(read_lines(source, name, decode), name):
        if content.strip():
            yield as_row(f"{place}, line {line}", columns, content.rstrip("\r\n").split("::"))
