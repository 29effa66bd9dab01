"""Judge: a callable class that Ray Data's `map_batches` runs in its actors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snellen.assessor import Assessor
from snellen.backends import open_backend
from snellen.rows import score_rows, settings_of
from snellen.table import COLUMNS, ScoreRow, to_arrow, valid_text

if TYPE_CHECKING:
    import pyarrow as pa

    from snellen.assessor import Source

PICTURES = ("bytes", "image", "file", "problem")
"""Columns that a batch brings its pictures in; they are not in the result."""


class Judge:
    """Score batches of pictures: `dataset.map_batches(Judge, batch_size=8, num_cpus=0.9, compute=...)`.

    A batch is a dict of columns. Each picture is in one of: `bytes` (an encoded file), `image` (an array, as
    `ray.data.read_images` gives), `file` (its path as bytes) or else `path` (text). `path`, or else `key`, names the
    picture in its row. Other columns are carried along.

    The result has the columns of `snellen score` (see `ScoreRow`) with the same types for every batch. A picture that
    cannot be read is a row with an error.

    Args:
        model: a name or folder for `open_backend`.
        threads: threads of a model of snellen-1's format: as many as an actor has CPUs, so that actors do not fight.
        features: measure the pictures too.
        options: those of `Assessor`.
    """

    def __init__(self, model: str = "snellen-1", threads: int = 1, features: bool = False, **options: Any) -> None:
        backend = open_backend(model, threads=threads, options=options.get("options"))
        self.assessor = Assessor(backend, **options)
        self.features = features
        self._same = settings_of(self.assessor)

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return one row for each picture of the batch, in order."""
        names = [_name(name) for name in batch["path" if "path" in batch else "key"]]
        sources = [_source(batch, at) for at in range(len(names))]
        scored = score_rows(self.assessor, (source for source in sources if source is not None), self.features)
        rows = []
        for at, (name, source) in enumerate(zip(names, sources, strict=True)):
            row = (
                ScoreRow(name, error="unreadable", problem=str(batch["problem"][at]))
                if source is None
                else next(scored)
            )
            rows.append(replace(row, path=name, **self._same))
        table = to_arrow(rows)
        for name, column in batch.items():
            if name not in COLUMNS and name not in PICTURES:
                values = column.tolist() if hasattr(column, "tolist") else list(column)
                if name == "key":
                    values = [valid_text(_name(value)) for value in values]
                table = table.append_column(name, [values])
        return table


def _name(value: Any) -> str:
    """Return a name as text: file names that are no text come as the bytes they are."""
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _source(batch: Mapping[str, Any], at: int) -> Source | None:
    """Return the picture of one row; None where it could not be taken out of its shard."""
    if "problem" in batch and batch["problem"][at]:
        return None
    if "image" in batch:
        image: Source = batch["image"][at]
        return image
    if "bytes" in batch and batch["bytes"][at] is not None:
        return bytes(batch["bytes"][at])
    if "file" in batch and batch["file"][at] is not None:
        return os.fsdecode(bytes(batch["file"][at]))
    return _name(batch["path"][at])
