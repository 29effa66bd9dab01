"""An album: the pictures of a folder, their scores, groups and decisions; listeners are notified of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.apps.browse.decisions import write_decisions
from snellen.apps.browse.groups import Scored, group_pictures, propose
from snellen.apps.browse.thumbnail import Thumbnail
from snellen.region import Region
from snellen.sidecar import Change, Decision, Naming, plan, write
from snellen.table import ScoreRow
from snellen.vocabulary import possible

Listener = Callable[[str, Any], None]
"""A function of the name and the data of an event; called in any thread."""


class Album:
    """The pictures of a folder with scores, groups and decisions. Safe to use from several threads.

    Args:
        folder: the folder.
        names: its pictures, paths inside it.
        rows: their scores by name; pictures without a row have no score yet.
        decisions: decisions by name.
        file: table of decisions that is kept up to date, None for none.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        rows: Mapping[str, ScoreRow],
        decisions: Mapping[str, Decision],
        file: Path | None = None,
    ) -> None:
        self.folder, self.names, self.file = folder, list(names), file
        self.files = [folder / name for name in self.names]
        self.rows: list[ScoreRow | None] = [rows.get(name) for name in self.names]
        self.decisions = [decisions.get(name, Decision()) for name in self.names]
        self.taken: list[float | None] = [None] * len(self.names)
        self.groups: list[dict[str, Any]] = []
        self.version = 0  # counts the events
        self.progress = ""  # state of the background work, in words; empty when it is done
        self._decided: set[int] = set()  # places that `decide` has set
        self._labels: list[int] | None = None
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of changes from now on; return the function that ends it."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end

    def tell(self, name: str, data: Any) -> None:
        """Tell all listeners of an event."""
        with self._lock:
            self.version += 1
            for listener in self._listeners:
                listener(name, data)

    def set_progress(self, text: str) -> None:
        """Set the state of the background work, and notify the page."""
        with self._lock:
            self.progress = text
            self.tell("progress", {"text": text})

    def picture(self, place: int) -> dict[str, Any]:
        """Return path, capture time, decision, score and issues, or the error, of a picture, for the page."""
        row, decision = self.rows[place], self.decisions[place]
        known: dict[str, Any] = {"path": self.names[place], "taken": self.taken[place], "state": "unscored"}
        known |= {"pick": decision.pick, "stars": decision.stars}
        if row is None:
            return known
        if row.error is not None:
            known |= {"state": "failed", "error": {"code": row.error, "problem": row.problem or "", "remedy": ""}}
        else:
            known |= {"state": "done", "score": row.score, "low": row.low, "high": row.high, "label": row.label}
            known |= {"issues": [{**issue, "place": Region(*issue["region"]).place} for issue in row.issues or []]}
            listed = [issue["kind"] for issue in row.issues or []]
            known |= {"listed": not row.score_only, "possible": possible(row.fault_probabilities or {}, listed)}
        return known | {"width": row.width, "height": row.height}

    def set_rows(self, rows: Mapping[int, ScoreRow]) -> None:
        """Set the scores of some pictures, and notify the page."""
        with self._lock:
            for place, row in rows.items():
                self.rows[place] = row
            self.tell("rows", [{"id": place, **self.picture(place)} for place in rows])
            if self._labels is not None:
                changed = {self._labels[place] for place in rows}
                if any(self._labels.count(label) > 1 for label in changed):
                    self._propose()

    def set_thumbnails(self, made: Sequence[Thumbnail | None]) -> None:
        """Group the pictures, and notify the page. made: of every picture, None where it cannot be read."""
        readable = [place for place, one in enumerate(made) if one is not None]
        known = [one for one in made if one is not None]
        labels = list(range(len(made)))
        if known:
            found = group_pictures(
                np.array([np.nan if one.taken is None else one.taken for one in known]),
                np.array([one.bits for one in known], np.uint64),
                np.stack([one.gray for one in known]),
            )
            for place, label in zip(readable, found.tolist(), strict=True):
                labels[place] = readable[label]
        with self._lock:
            for place, one in zip(readable, known, strict=True):
                self.taken[place] = one.taken
            self._labels = labels
            taken = [{"id": place, "taken": one.taken} for place, one in zip(readable, known, strict=True)]
            self.tell("rows", [one for one in taken if one["taken"] is not None])
            self._propose()

    def _propose(self) -> None:
        """Find the best of each group, and notify the page."""
        assert self._labels is not None
        members: dict[int, list[int]] = {}
        for place, label in enumerate(self._labels):
            members.setdefault(label, []).append(place)
        self.groups = []
        for places in members.values():
            if len(places) > 1:
                proposal = propose([_scored(self.rows[place]) for place in places])
                best = None if proposal is None else places[proposal.best]
                why = "none has a score" if proposal is None else proposal.why
                self.groups.append({"pictures": places, "best": best, "why": why})
        self.tell("groups", self.groups)

    def decide(self, decisions: Mapping[int, Decision]) -> None:
        """Set decisions; write them where there is a table of them. Raises OutputError: then none is set."""
        with self._lock:
            changed = list(self.decisions)
            for place, decision in decisions.items():
                changed[place] = decision
            if self.file is not None:
                write_decisions(dict(zip(self.names, changed, strict=True)), self.file)
            self.decisions = changed
            self._decided |= decisions.keys()

    def sidecars(self, naming: Naming, save: bool) -> list[Change]:
        """Return what saving the decisions as sidecars would do; with `save`, what it did.

        A picture that nobody decided about is left out: another program may have rated it in the meantime.
        """
        with self._lock:
            own = {
                file: decision
                for place, (file, decision) in enumerate(zip(self.files, self.decisions, strict=True))
                if decision or place in self._decided
            }
            changes = plan(own, naming)
            return write(changes) if save else changes


def _scored(row: ScoreRow | None) -> Scored | None:
    if row is None or row.score is None:
        return None
    half = None if row.low is None or row.high is None else (row.high - row.low) / 2
    faults: dict[str, int] = {}
    for issue in row.issues or []:
        faults[issue["kind"]] = max(issue["severity"], faults.get(issue["kind"], 0))
    return Scored(row.score, half, None if row.score_only else faults)
