"""The files of an original as it was downloaded: in a folder, or in a zip that is never extracted."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

from twotower.errors import CatalogueError

MAX_MEMBER_BYTES = 2 * 2**30
"""What one member of a zip may expand to; the largest that is read, ml-25m's ratings, has 0.7 GB."""


@dataclass(frozen=True, slots=True)
class Source:
    """An original data set.

    Args:
        path: a folder that holds the files, itself or one level down, or the zip that does.
    """

    path: Path

    def names(self) -> list[str]:
        """Names of the files, without the folders that they are in."""
        return sorted({PurePosixPath(entry).name for entry in self._entries()})

    def place(self, name: str) -> str:
        """How messages call a file."""
        return str(self.path / name)

    def file(self, name: str) -> Path:
        """The path of a file; only a folder has one.

        Raises:
            CatalogueError: there is no such file, there are several, or the source is a zip.
        """
        if not self.path.is_dir():
            raise CatalogueError(f"{self.path} is not a folder; extract the download and give its folder.")
        return self.path / self._entry(name)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read a file, or the file in NAME.zip where that is there instead, as Kaggle packs them.

        Raises:
            CatalogueError: there is no such file, there are several, or a zip is damaged, encrypted or too large.
        """
        packed = f"{name}.zip"
        if name not in self.names() and packed in self.names():
            # A zip is read from its end, so it is unpacked into a nameless file first.
            with self._open(packed) as inner, TemporaryFile() as copy:
                shutil.copyfileobj(inner, copy)
                with _member(
                    copy, _only(name, _members(copy, self.place(packed)), self.place(packed))
                ) as file:
                    yield file
            return
        with self._open(name) as file:
            yield file

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        entry = self._entry(name)
        if self.path.is_dir():
            with (self.path / entry).open("rb") as file:
                yield file
        else:
            with self.path.open("rb") as archive, _member(archive, entry) as file:
                yield file

    def _entry(self, name: str) -> str:
        return _only(name, self._entries(), str(self.path))

    def _entries(self) -> list[str]:
        if self.path.is_dir():
            files = (file for pattern in ("*", "*/*") for file in self.path.glob(pattern))
            return [str(file.relative_to(self.path)) for file in files if file.is_file()]
        if not self.path.is_file():
            raise CatalogueError(f"{self.path} does not exist; give the folder or zip that was downloaded.")
        with self.path.open("rb") as archive:
            return _members(archive, str(self.path))


def _only(name: str, entries: list[str], place: str) -> str:
    """The entry of that name."""
    found = [entry for entry in entries if PurePosixPath(entry).name == name]
    if not found:
        raise CatalogueError(f"{place} has no file {name!r}; give the complete original download.")
    # A file beside the folder that also has one is the one that was meant.
    shallow = [entry for entry in found if entry.count("/") == min(each.count("/") for each in found)]
    if len(shallow) > 1:
        raise CatalogueError(f"{place} has several files {name!r} ({', '.join(shallow)}); leave one of them.")
    return shallow[0]


def _members(archive: IO[bytes], place: str) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as content:
            infos = content.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise CatalogueError(f"{place} is not a readable zip ({error}); download it again.") from None
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        drive = any(":" in part for part in path.parts[:1])
        if path.is_absolute() or drive or ".." in path.parts:
            raise CatalogueError(
                f"{place} has the member {info.filename!r}, which leads out of the archive; get the original."
            )
    # macOS adds a shadow of each file.
    return [
        info.filename for info in infos if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]


@contextmanager
def _member(archive: IO[bytes], entry: str) -> Iterator[IO[bytes]]:
    place = f"member {entry!r} of {getattr(archive, 'name', 'the zip')}"
    try:
        with zipfile.ZipFile(archive) as content:
            # zipfile reads no more than the size declared here, so the limit holds for a lying header, too.
            size = content.getinfo(entry).file_size
            if size > MAX_MEMBER_BYTES:
                raise CatalogueError(
                    f"{place} expands to {size:,} bytes, over {MAX_MEMBER_BYTES:,}; extract it and give the folder."
                )
            with content.open(entry) as file:
                yield file
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CatalogueError(f"{place} is damaged ({error}); download it again.") from None
    except (NotImplementedError, RuntimeError) as error:  # a method that Python lacks; a password
        raise CatalogueError(f"{place} cannot be read ({error}); extract it and give the folder.") from None
