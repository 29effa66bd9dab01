"""A folder of pictures as a sequence: rendered views of a scene, in the order of a camera path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from snellen.fileformat import PICTURE_SUFFIXES
from snellen.image import ImageError, Picture, load
from snellen.reading import Reading
from snellen.video.decode import VideoInfo
from snellen.video.frame import Frame, small_gray
from snellen.video.motion import Gray


class Views:
    """The pictures of a folder, by name with numbers in order (2 before 10). Iterate once.

    rate: views per second. `problems` names the pictures that cannot be read; they are left out of the sequence.

    Raises ImageError where the folder holds no picture.
    """

    def __init__(self, folder: Path, rate: float, max_megapixels: float = 100.0) -> None:
        self.paths = sorted((path for path in folder.iterdir() if _is_view(path)), key=lambda path: natural(path.name))
        reading = Reading(str(folder), "folder", max_megapixels)
        if not self.paths:
            reading.refuse("missing", "holds no pictures", "name a folder of rendered views, or a video")
        self._rate, self._most = rate, max_megapixels
        self.info = VideoInfo(str(folder), "pictures", 0, 0, rate, len(self.paths) / rate)
        self.notes: tuple[str, ...] = ()
        self.problems: list[str] = []

    def __enter__(self) -> Views:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        """Yield the views, each as large as the first when it is compared with its neighbours."""
        shape: tuple[int, ...] | None = None
        for number, path in enumerate(self.paths):
            try:
                picture = load(path, max_megapixels=self._most)
            except ImageError as error:
                self.problems.append(str(error))
                continue
            small = small_gray(picture)
            shape = shape or small.shape
            if small.shape != shape:
                self.problems.append(f"{path}: another shape than the views before; left out")
                continue
            yield _frame(number / self._rate, small, picture)
        if shape is None:
            Reading(self.info.name, "folder").refuse("unreadable", "not one picture can be read", "check the files")


def _frame(time: float, small: Gray, picture: Picture) -> Frame:
    return Frame(time, np.asarray(small), lambda: picture)


def _is_view(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key in which numbers count as numbers."""
    parts = re.split(r"(\d+)", name.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
