"""Shards: pieces of the input that are read, scored and written as one, so that a run can go on between them."""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from snellen.fileformat import PICTURE_SUFFIXES
from snellen.folder import find_pictures
from snellen.usage import UsageError

IMAGE_COLUMNS = ("bytes", "image", "jpg", "png", "webp")
KEY_COLUMNS = ("key", "__key__", "id", "path", "url")
"""Columns of a Parquet file that hold encoded pictures and their keys, the first that is there."""
PART = re.compile(r"part-(\d{6,})")
"""Name of a shard of a folder or a list, with its number. Names of the others end in eight hexadecimal digits."""
PACKED = (".tar", ".parquet")
ROWS = 16
"""Records that are read from a Parquet file at a time."""


@dataclass(frozen=True)
class Shard:
    """A piece of the input.

    Attributes:
        name: of the table that its rows go to, without suffix; unique in a run.
        source: a folder, a Parquet file or a tar file.
        names: the pictures of a folder, relative to it, or of a list, as they are written there.
    """

    name: str
    source: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """One picture of a shard.

    Attributes:
        key: of the sample: the name in a folder or list, the key of a WebDataset sample, the key column of Parquet.
        path: unique in the run: the key itself, or the shard and the name inside it.
        data: the encoded picture.
        file: path of the picture, as bytes, where there is no `data`.
        problem: why it cannot be taken out of its shard, or "".
    """

    key: str
    path: str
    data: bytes | None = None
    file: bytes | None = None
    problem: str = ""


def find_shards(
    inputs: Sequence[str], size: int, done: Collection[str], scored: Collection[str]
) -> tuple[list[Shard], list[str]]:
    """Return the shards that inputs name, without what is done, and what of the inputs is left out, in words.

    Args:
        inputs: folders of pictures, of .tar or of .parquet files; such files; lists of paths (.txt), one a line. The
            pictures of one folder are named inside it, those of several inputs with their folder.
        size: pictures in a shard of a folder or a list.
        done: names of the shards that have a table.
        scored: paths that have a row, for folders and lists: pictures that are new get shards of their own.

    Raises:
        UsageError: an input is of another kind, or is not there.
    """
    shards: list[Shard] = []
    problems: list[str] = []
    loose: list[tuple[str, str]] = []
    for text in inputs:
        if not text:
            raise UsageError("the path of an input is empty; name a folder or a file")
        path = Path(text)
        inside = sorted(one for one in path.rglob("*") if one.suffix in PACKED and one.is_file())
        files = [path] if path.is_file() else inside
        if path.is_dir():
            found = find_pictures(path)
            problems += [f"{path / name}: {problem}" for name, problem in found.problems.items()]
            if files and found.pictures:
                problems.append(
                    f"{text}: pictures beside shards are left out: {len(found.pictures)}; name them in a list"
                )
            elif not files and len(inputs) == 1:
                loose += [(text, name) for name in found.pictures]
            elif not files:
                loose += [("", f"{text}/{name}") for name in found.pictures]
        elif not path.is_file():
            raise UsageError(f"{text}: no such file or folder; check the path")
        if files == [path] and path.suffix == ".txt":
            loose += [("", line) for line in path.read_text("utf-8", "surrogateescape").split("\n") if line]
        else:
            shards += [Shard(_name(file), str(file)) for file in files]
    for shard in shards:
        if Path(shard.source).suffix not in PACKED:
            raise UsageError(f"{shard.source}: give a folder, a list (.txt), .parquet or .tar (WebDataset)")
    todo = [(source, name) for source, name in dict.fromkeys(loose) if name not in scored]
    first = 1 + max((int(found[1]) for found in map(PART.fullmatch, done) if found), default=-1)
    for source in dict.fromkeys(source for source, _ in todo):
        own = [name for other, name in todo if other == source]
        for start in range(0, len(own), size):
            shards.append(Shard(f"part-{first:06d}", source, tuple(own[start : start + size])))
            first += 1
    return [shard for shard in dict.fromkeys(shards) if shard.name not in done], problems


def _name(file: Path) -> str:
    """Return a name for the table of a file: two files of one name in different folders get two."""
    return f"{file.stem}-{zlib.crc32(str(file).encode('utf-8', 'surrogateescape')):08x}"


def read_shard(shard: Shard, image: str | None = None, key: str | None = None) -> tuple[int, Iterator[Record]]:
    """Return the number of pictures of a shard, and an iterator over them. A shard that cannot be read is one record.

    image, key: columns of Parquet files, None for the first of IMAGE_COLUMNS and KEY_COLUMNS.
    """
    if shard.names:
        return len(shard.names), (
            Record(name, name, file=os.fsencode(os.path.join(shard.source, name))) for name in shard.names
        )
    try:
        if shard.source.endswith(".tar"):
            return _read_tar(shard.source)
        return _read_parquet(shard.source, image, key)
    except (OSError, ValueError, KeyError, tarfile.TarError) as error:
        problem = f"{shard.source} cannot be read ({error}); make it again"
        return 1, iter([Record(shard.source, shard.source, problem=problem)])


def _read_tar(source: str) -> tuple[int, Iterator[Record]]:
    members, lost = [], []
    with tarfile.open(source) as tar:
        try:
            for member in tar:
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in PICTURE_SUFFIXES:
                    members.append(member)
        except tarfile.TarError as error:
            lost.append(Record(source, source, problem=f"the archive ends too early ({error}); make it again"))

    def records() -> Iterator[Record]:
        with tarfile.open(source) as tar:
            for member in members:
                path = PurePosixPath(member.name)
                sample = path.with_name(path.name.partition(".")[0]).as_posix()  # as WebDataset groups its files
                where = f"{Path(source).name}:{member.name}"
                try:
                    file = tar.extractfile(member)
                    data = file.read() if file else b""
                    if len(data) < member.size:
                        raise tarfile.ReadError(f"{len(data)} of {member.size} bytes are there")
                    yield Record(sample, where, data)
                except (OSError, tarfile.TarError) as error:
                    yield Record(sample, where, problem=f"cannot be taken from the archive ({error}); make it again")
        yield from lost

    return len(members) + len(lost), records()


def _read_parquet(source: str, image: str | None, key: str | None) -> tuple[int, Iterator[Record]]:
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(source)
    names = file.schema_arrow.names
    chosen = image or next((name for name in IMAGE_COLUMNS if name in names), None)
    if chosen not in names:
        raise ValueError(f"no column {image or ' or '.join(IMAGE_COLUMNS)} with encoded pictures; name it with --image")
    named = key or next((name for name in KEY_COLUMNS if name in names), None)
    if named is not None and named not in names:
        raise ValueError(f"no column {named}; name the one with the keys with --key")

    def records() -> Iterator[Record]:
        number = 0
        for batch in file.iter_batches(ROWS, columns=[chosen] if named is None else [chosen, named]):
            for row in batch.to_pylist():
                text = str(number if named is None else row[named])
                yield _cell(text, f"{Path(source).name}:{number}", row[chosen])
                number += 1

    return int(file.metadata.num_rows), records()


def _cell(key: str, path: str, cell: Any) -> Record:
    """Return the record of a cell: bytes, or {"bytes", "path"} as the library datasets writes pictures."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes):
        return Record(key, path, data)
    return Record(key, path, problem=f"the cell holds {type(data).__name__}, not an encoded picture")
