"""Raters and answers of a study in one SQLite file, safe with many writers at once (write-ahead log)."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.study.playlist import Task
from snellen.usage import UsageError

SCHEMA = """
CREATE TABLE rater (
  code TEXT PRIMARY KEY, token TEXT UNIQUE, session TEXT UNIQUE, invited REAL NOT NULL, opened REAL, consented REAL,
  screen TEXT, finished REAL, simulated INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE task (
  rater TEXT NOT NULL REFERENCES rater(code), position INTEGER NOT NULL, kind TEXT NOT NULL, picture TEXT NOT NULL,
  other TEXT NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (rater, position)
) WITHOUT ROWID;
CREATE TABLE answer (
  rater TEXT NOT NULL, position INTEGER NOT NULL, answers TEXT NOT NULL, boxes TEXT NOT NULL, seconds REAL NOT NULL,
  shown REAL NOT NULL, answered REAL NOT NULL, received REAL NOT NULL, view TEXT NOT NULL,
  PRIMARY KEY (rater, position), FOREIGN KEY (rater, position) REFERENCES task(rater, position)
) WITHOUT ROWID;
"""
"""token and session are SHA-256 digests. shown, answered: the browser's clock, s since 1970; received: the server's."""


class UsedLink(Exception):
    """The invitation has been opened in another browser."""


class UnknownLink(Exception):
    """No such invitation."""


@dataclass(frozen=True)
class RaterState:
    """Stored state of a rater; times in s since 1970, None where it has not happened."""

    code: str
    opened: float | None
    consented: float | None
    screen: dict[str, Any] | None
    finished: float | None
    simulated: bool


@dataclass(frozen=True)
class Answer:
    """One answer. answers: by name of the question. boxes: {"kind", "severity", "box"} each. view: window, pixel ratio
    and scale. seconds: from the picture's appearance to the answer."""

    rater: str
    position: int
    task: Task
    answers: dict[str, Any]
    boxes: list[dict[str, Any]]
    seconds: float
    shown: float
    answered: float
    received: float
    view: dict[str, Any]


class Store:
    """The answers of a study. Each method is one transaction on a connection of its own, from any thread.

    durable: an answer that was acknowledged survives a power cut; False is for simulated raters, who are faster.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.durable = True

    def create(self) -> None:
        """Create the file with its tables."""
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.file, timeout=60.0, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'OFF'}")
            if write:
                connection.execute("BEGIN IMMEDIATE")
            yield connection
            if write:
                connection.execute("COMMIT")
        finally:
            connection.close()  # rolls back what was not committed

    def check(self) -> None:
        """Raise UsageError where the file is missing or is no store."""
        try:
            if not self.file.is_file():
                raise sqlite3.OperationalError("no such file")
            with self._open() as connection:
                connection.execute("SELECT code FROM rater LIMIT 1")
        except sqlite3.Error as error:
            raise UsageError(f"{self.file} cannot be read ({error}); restore it from a copy") from error

    def invite(self, number: int, *, simulated: bool = False) -> list[tuple[str, str]]:
        """Add raters; return (code, token) of each. Tokens are stored as digests only: print them now or never."""
        prefix = "sim-" if simulated else ""
        made = [(prefix + secrets.token_hex(4), secrets.token_urlsafe(18)) for _ in range(number)]
        with self._open(write=True) as connection:
            connection.executemany(
                "INSERT INTO rater (code, token, invited, simulated) VALUES (?, ?, ?, ?)",
                [(code, _digest(token), time.time(), simulated) for code, token in made],
            )
        return made

    def renew(self, code: str) -> str:
        """Return a new token for a rater whose link was lost or opened elsewhere; answers stay, the old browser is out.

        Raises UsageError for an unknown code.
        """
        token = secrets.token_urlsafe(18)
        with self._open(write=True) as connection:
            done = connection.execute(
                "UPDATE rater SET token = ?, session = NULL WHERE code = ?", (_digest(token), code)
            )
            if done.rowcount == 0:
                raise UsageError(f"no rater {code} in this study; snellen study raters lists them")
        return token

    def open_link(self, token: str, session: str | None) -> tuple[str, str]:
        """Return (code, session) for a token. The first browser gets a session; only with it the link opens again.

        Raises UnknownLink and UsedLink.
        """
        with self._open(write=True) as connection:
            row = connection.execute("SELECT code, session FROM rater WHERE token = ?", (_digest(token),)).fetchone()
            if row is None:
                raise UnknownLink
            code, stored = row
            if stored is not None:
                if session is None or _digest(session) != stored:
                    raise UsedLink
                return code, session
            made = secrets.token_urlsafe(24)
            connection.execute(
                "UPDATE rater SET session = ?, opened = coalesce(opened, ?) WHERE code = ?",
                (_digest(made), time.time(), code),
            )
            return code, made

    def rater_of(self, session: str) -> str | None:
        """Return the code of a session's rater; None for an unknown session."""
        with self._open() as connection:
            row = connection.execute("SELECT code FROM rater WHERE session = ?", (_digest(session),)).fetchone()
        return row[0] if row else None

    def raters(self) -> list[RaterState]:
        """Return all raters in the order of their invitation."""
        with self._open() as connection:
            rows = connection.execute(f"SELECT {_RATER} FROM rater ORDER BY invited, rowid").fetchall()
        return [_rater_state(row) for row in rows]

    def rater(self, code: str) -> RaterState:
        """Return one rater. Raises KeyError."""
        with self._open() as connection:
            row = connection.execute(f"SELECT {_RATER} FROM rater WHERE code = ?", (code,)).fetchone()
        if row is None:
            raise KeyError(code)
        return _rater_state(row)

    def note(self, code: str, *, consented: bool = False, screen: Any = None, finished: bool = False) -> None:
        """Store a rater's consent, screen check or end, each the first time."""
        with self._open(write=True) as connection:
            for name, value in (
                ("consented", time.time() if consented else None),
                ("screen", None if screen is None else json.dumps(screen)),
                ("finished", time.time() if finished else None),
            ):
                connection.execute(f"UPDATE rater SET {name} = coalesce({name}, ?) WHERE code = ?", (value, code))

    def tasks(self, code: str) -> list[Task]:
        """Return a rater's items in order."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT kind, picture, other, block FROM task WHERE rater = ? ORDER BY position", (code,)
            ).fetchall()
        return [Task(*row) for row in rows]

    def add_tasks(self, code: str, after: int, tasks: Sequence[Task]) -> None:
        """Add items to a rater's, if there are still `after` of them: a second request at once adds nothing."""
        with self._open(write=True) as connection:
            count = connection.execute("SELECT count(*) FROM task WHERE rater = ?", (code,)).fetchone()[0]
            if count == after:
                connection.executemany(
                    "INSERT INTO task VALUES (?, ?, ?, ?, ?, ?)",
                    [(code, after + at, t.kind, t.picture, t.other, t.block) for at, t in enumerate(tasks)],
                )

    def assigned(self) -> dict[str, int]:
        """Return how often each picture is among the rated items of all raters."""
        with self._open() as connection:
            return dict(connection.execute("SELECT picture, count(*) FROM task WHERE kind = 'rated' GROUP BY picture"))

    def next_position(self, code: str) -> int:
        """Return the number of a rater's answers: the position of the item that comes next."""
        with self._open() as connection:
            found: int = connection.execute("SELECT count(*) FROM answer WHERE rater = ?", (code,)).fetchone()[0]
        return found

    def add_answer(
        self, code: str, position: int, answers: Any, boxes: Any, seconds: float, times: tuple[float, float], view: Any
    ) -> bool:
        """Store an answer. Returns False, and stores nothing, where that item has one already.

        times: shown, answered. Raises ValueError where the item is not the rater's next.
        """
        with self._open(write=True) as connection:
            count = connection.execute("SELECT count(*) FROM answer WHERE rater = ?", (code,)).fetchone()[0]
            if position < count:
                return False
            if position > count:
                raise ValueError(f"item {position} comes after item {count}")
            connection.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (code, position, json.dumps(answers), json.dumps(boxes), seconds, *times, time.time(),
                 json.dumps(view)),
            )  # fmt: skip
        return True

    def answers(self) -> list[Answer]:
        """Return all answers by rater and position."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT a.rater, a.position, t.kind, t.picture, t.other, t.block, a.answers, a.boxes, a.seconds, "
                "a.shown, a.answered, a.received, a.view FROM answer a "
                "JOIN task t USING (rater, position) ORDER BY 1, 2"
            ).fetchall()
        return [
            Answer(rater, position, Task(*task), json.loads(answers), json.loads(boxes), seconds,
                   shown, answered, received, json.loads(view))
            for rater, position, *task, answers, boxes, seconds, shown, answered, received, view in rows
        ]  # fmt: skip

    def choices(self) -> list[tuple[str, str, str]]:
        """Return (picture, other, preferred: first, second or tie) of all answered rated pairs."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT t.picture, t.other, a.answers FROM answer a JOIN task t USING (rater, position) "
                "WHERE t.kind = 'rated' AND t.other != ''"
            ).fetchall()
        return [(first, second, json.loads(text)["preferred"]) for first, second, text in rows]


_RATER = "code, opened, consented, screen, finished, simulated"


def _rater_state(row: Any) -> RaterState:
    code, opened, consented, screen, finished, simulated = row
    return RaterState(code, opened, consented, json.loads(screen) if screen else None, finished, bool(simulated))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
