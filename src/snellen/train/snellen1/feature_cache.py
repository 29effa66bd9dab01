"""What the frozen vision side says of a look, computed once and kept, also from one run to the next.

Looks are told apart by the name of their picture and their region, so names must be unique: paths are. In a file they
are kept under the checksum of the weights that made them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snellen.backends.onnx import closer
from snellen.image import View
from snellen.snellen1.perception import Seen, Vision

TOGETHER = 16
"""Looks that go through the encoder at a time."""


class LookCache:
    """Looks with a frozen vision side and keeps what it said, in `file` or, with None, in memory."""

    def __init__(self, vision: Vision, file: Path | None = None) -> None:
        self.vision = vision.eval()
        self.made_by = _checksum(vision)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(":memory:" if file is None else str(file), timeout=60.0, isolation_level=None)
        self._store.execute("PRAGMA synchronous = OFF")  # what a crash of the machine loses is computed again
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS looks (made_by TEXT, look TEXT, vectors BLOB, PRIMARY KEY (made_by, look))"
        )

    def ensure(self, views: Iterable[View]) -> None:
        """Encode those that are not there yet, many at a time."""
        missing = {_name(view): view for view in views if self._find(view) is None}
        names, looks = list(missing), list(missing.values())
        for begin in range(0, len(looks), TOGETHER):
            rows = self._encode(looks[begin : begin + TOGETHER])
            filled = [(self.made_by, name, row.tobytes()) for name, row in zip(names[begin:], rows, strict=False)]
            # another process may have been faster; what it wrote is the same
            self._store.executemany("INSERT OR IGNORE INTO looks VALUES (?, ?, ?)", filled)

    def take(self, views: Sequence[View]) -> Seen:
        """What the encoder says of N views, float on the CPU."""
        self.ensure(views)
        found = [self._find(view) for view in views]
        return Seen.unpack(torch.from_numpy(np.stack([row for row in found if row is not None]).astype(np.float32)))

    def _find(self, view: View) -> np.ndarray | None:
        query = "SELECT vectors FROM looks WHERE made_by = ? AND look = ?"
        row = self._store.execute(query, (self.made_by, _name(view))).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float16)

    @torch.no_grad()
    def _encode(self, views: Sequence[View]) -> npt.NDArray[np.float16]:
        """As the exported model sees: as it lies and mirrored, the mean; crops closer still."""
        cells, regions = self._read(views)
        overviews = [view.overview for view in views]
        rated = 0.5 * (self.vision.glimpses(overviews) + self.vision.glimpses([one[:, ::-1] for one in overviews]))
        seen = self.vision.judge(cells, regions, rated)
        near = {i: one for i, view in enumerate(views) if (one := closer(view, seen.box[i].tolist()))}
        if near:
            closest = cells.clone(), regions.clone()
            for whole, part in zip(closest, self._read(list(near.values())), strict=True):
                whole[list(near)] = part
            seen = self.vision.judge(cells, regions, rated, closest)
        return seen.packed().cpu().numpy().astype(np.float16)

    def _read(self, views: Sequence[View]) -> tuple[Tensor, Tensor]:
        """All numbers of the cells of looks, and their regions."""
        overviews, fragments = [view.overview for view in views], [view.fragments for view in views]
        turned = [[one[:, ::-1] for one in part] for part in (overviews, fragments)]
        cells = 0.5 * (self.vision.cells(overviews, fragments) + self.vision.cells(*turned).flip(-1))
        return cells, torch.tensor([view.region.to_list() for view in views], device=cells.device)


def _name(view: View) -> str:
    r = view.region
    # both ways and closer: what was kept before it was read so is not the same
    return f"{view.picture.name}\n{r.x0:.6f} {r.y0:.6f} {r.x1:.6f} {r.y1:.6f} both closer"


def _checksum(vision: Vision) -> str:
    found = hashlib.sha256()
    for value in vision.state_dict().values():
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
