"""Pictures of a folder, found by name and by content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from snellen.fileformat import PICTURE_SUFFIXES, is_picture
from snellen.usage import UsageError


@dataclass(frozen=True)
class Found:
    """Content of a folder. Paths are inside it, with forward slashes, and sorted.

    Attributes:
        pictures: files that are pictures by their suffix, readable or not, or by their content.
        problems: {path: reason} of folders that cannot be listed.
        skipped: the other files, without hidden ones.
    """

    pictures: list[str]
    problems: dict[str, str]
    skipped: list[str]


def find_pictures(folder: Path) -> Found:
    """Return the content of `folder` and its subfolders, without hidden ones and without links to folders.

    Raises UsageError where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name one that holds pictures")
    names: list[str] = []
    skipped: list[str] = []
    problems: dict[str, str] = {}
    waiting = [folder]
    while waiting:  # os.walk of Python 3.10 and 3.11 calls itself: a thousand folders in each other are too many
        parent = waiting.pop()
        try:
            with os.scandir(parent) as listed:
                entries = [entry for entry in listed if not entry.name.startswith(".")]
        except OSError as error:
            problems[path_inside(parent, folder)] = f"the folder cannot be listed ({error.strerror})"
            continue
        for entry in entries:
            path = parent / entry.name
            if _is_folder(entry):
                if not entry.is_symlink():
                    waiting.append(path)
            else:
                known = path.suffix.lower() in PICTURE_SUFFIXES
                (names if known or is_picture(path) else skipped).append(path_inside(path, folder))
    return Found(sorted(names), problems, sorted(skipped))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def path_inside(path: PurePath, folder: PurePath) -> str:
    """Return a path relative to the folder it is in, with forward slashes on every system."""
    return path.relative_to(folder).as_posix()
