"""What the frozen encoder says of a look, computed once and kept, also from one run to the next.

Looks are told apart by the name of their picture and their region, so names must be unique: paths are. In a file they
are kept under the checksum of the encoder that made them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snellen.backends.bundled import GRID_SIDE, pool_all, pool_grid
from snellen.image import View
from snellen.model.vision import SUMMARY, WIDTH, Encoder, Glance
from snellen.train.vision import encode_mixed

CELLS = GRID_SIDE * GRID_SIDE
SPLITS = (SUMMARY, SUMMARY + CELLS * WIDTH, SUMMARY + 2 * CELLS * WIDTH)
"""A look is one row of half precision numbers: summary, overview cells, fragment cells, the plain head's rating."""
TOGETHER = 16
"""Looks that go through the encoder at a time."""


class LookCache:
    """Encodes looks with a frozen encoder and keeps the results, in `file` or, with None, in memory."""

    def __init__(self, encoder: Encoder, glance: Glance, file: Path | None = None) -> None:
        self.encoder, self.glance = encoder.eval(), glance.eval()
        self.made_by = _checksum(encoder, glance)
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

    def take(self, views: Sequence[View]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Summary (N, 128), overview and fragments (N, 25, 160) and the plain head's rating (N,), float on the CPU."""
        self.ensure(views)
        found = [self._find(view) for view in views]
        rows = torch.from_numpy(np.stack([row for row in found if row is not None]).astype(np.float32))
        summary, overview, fragments, plain = torch.tensor_split(rows, SPLITS, dim=1)
        return summary, overview.reshape(-1, CELLS, WIDTH), fragments.reshape(-1, CELLS, WIDTH), plain[:, 0]

    def _find(self, view: View) -> np.ndarray | None:
        query = "SELECT vectors FROM looks WHERE made_by = ? AND look = ?"
        row = self._store.execute(query, (self.made_by, _name(view))).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float16)

    @torch.no_grad()
    def _encode(self, views: Sequence[View]) -> list[np.ndarray]:
        overviews, fragments = (
            [cells.cpu().numpy() for cells in encode_mixed(self.encoder, pictures)]
            for pictures in ([view.overview for view in views], [view.fragments for view in views])
        )
        pairs = zip(overviews, fragments, strict=True)
        pools = np.stack([np.concatenate([pool_all(a), pool_all(b)]) for a, b in pairs])
        summary = self.glance.summary(torch.from_numpy(pools).to(self.glance.score.weight.device))
        plain = self.glance.rating(summary).cpu().numpy()
        return [
            np.concatenate([s, pool_grid(a).ravel(), pool_grid(b).ravel(), [p]]).astype(np.float16)
            for s, a, b, p in zip(summary.cpu().numpy(), overviews, fragments, plain, strict=True)
        ]


def _name(view: View) -> str:
    r = view.region
    return f"{view.picture.name}\n{r.x0:.6f} {r.y0:.6f} {r.x1:.6f} {r.y1:.6f}"


def _checksum(encoder: Encoder, glance: Glance) -> str:
    state = [*encoder.state_dict().values(), *glance.state_dict().values()]
    found = hashlib.sha256()
    for value in state:
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
