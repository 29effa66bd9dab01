"""Thumbnails of a folder: in memory up to a bound, on disk only in a folder that the user names."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snellen.apps.browse.thumbnail import Thumbnail, make_thumbnail
from snellen.output import OutputError, replacing
from snellen.usage import complain


class Thumbnails:
    """Thumbnails by place in a list of files. Safe to use from several threads.

    Args:
        files: the pictures.
        most_bytes: bytes of JPEG that are kept in memory; those that were shown last.
        folder: where thumbnails are kept on disk, None for nowhere.
        max_megapixels: larger pictures have none.
    """

    def __init__(
        self, files: Sequence[Path], most_bytes: int, folder: Path | None = None, max_megapixels: float = 100.0
    ) -> None:
        self.files = files
        self.most_bytes = most_bytes
        self.folder = folder
        self.max_megapixels = max_megapixels
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes_kept(self) -> int:
        """Bytes of JPEG in memory."""
        return self._bytes

    def jpeg(self, place: int) -> bytes:
        """Return the JPEG of a picture. Raises ImageError."""
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None:
                self._kept.move_to_end(place)
                return kept
        return self.make(place).jpeg

    def make(self, place: int) -> Thumbnail:
        """Return the whole thumbnail of a picture, from disk or from the picture, and keep its JPEG.

        Where the folder for thumbnails cannot be written, a line says so once, and they are kept in memory only.

        Raises:
            ImageError: the picture cannot be read.
        """
        file = self.files[place]
        folder = self.folder
        stored = None if folder is None else folder / _key(file)
        made = None if stored is None else _read(stored)
        if made is None:
            made = make_thumbnail(file, self.max_megapixels)
            if stored is not None:
                self._store(stored, made)
        self._keep(place, made.jpeg)
        return made

    def _store(self, path: Path, made: Thumbnail) -> None:
        try:
            _write(path, made)
        except OutputError as error:
            with self._lock:
                kept_on_disk, self.folder = self.folder is not None, None
            if kept_on_disk:
                complain(f"{error}; thumbnails are kept in memory only from now on")

    def _keep(self, place: int, jpeg: bytes) -> None:
        with self._lock:
            self._bytes += len(jpeg) - len(self._kept.pop(place, b""))
            self._kept[place] = jpeg
            while self._bytes > self.most_bytes and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)


def _key(file: Path) -> str:
    """Return the name of a picture's thumbnail on disk: another one where the picture has changed."""
    try:
        known = file.stat()
        size, time = known.st_size, known.st_mtime_ns
    except OSError:
        size = time = 0
    return hashlib.sha256(f"{size} {time} ".encode() + os.fsencode(os.path.abspath(file))).hexdigest()[:32] + ".npz"


def _read(path: Path) -> Thumbnail | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            taken = float(file["taken"])
            return Thumbnail(
                file["jpeg"].tobytes(), None if np.isnan(taken) else taken, int(file["bits"]), file["gray"]
            )
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
    ):  # none, or one that is damaged: it is made again
        return None


def _write(path: Path, made: Thumbnail) -> None:
    taken = np.nan if made.taken is None else made.taken
    jpeg = np.frombuffer(made.jpeg, np.uint8)
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, jpeg=jpeg, taken=taken, bits=np.uint64(made.bits), gray=made.gray)
