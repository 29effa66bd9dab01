"""Requests in files instead of to a server: for `vllm run-batch` and hosted batch services, at their price and pace.

A folder holds a job. What a model is to be asked is appended to `requests-001.jsonl`, a new file for each run; replies
are read from every `replies*.jsonl`, whoever wrote them. Both are joined on `custom_id`, a checksum of the request, so
nothing else has to be remembered: a run that was killed is begun again, and nothing is asked twice.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image

from snellen.backend import BackendError
from snellen.backends.abilities import Abilities
from snellen.backends.chat_server import RETRIED, RequestError, Waiting
from snellen.backends.openai import OpenAIBackend

Result = TypeVar("Result")

MAX_REQUESTS = 50_000
"""Requests in a file at most: the limit of OpenAI's service."""
MAX_BYTES = 190_000_000
"""Size of a file at most; the limit of OpenAI's service is 200 MB."""
SETTINGS = "server.json"
"""File of a job with the abilities of its server: fields of `Abilities`."""


class BatchBackend(OpenAIBackend):
    """A model that is asked through files. Pictures whose requests have no reply yet are `waiting`.

    Args:
        address: FOLDER#MODEL; the folder is made.
        long_side, structured: as for `OpenAIBackend`.

    Raises:
        ValueError: `address` has another form.
        BackendError: a file of the job cannot be read or written.
    """

    def __init__(self, address: str, *, long_side: int = 1024, structured: str = "retry") -> None:
        folder, _, model = address.partition("#")
        if not folder or not model:
            raise ValueError("a job in files is given as FOLDER#MODEL")
        self.name = model
        self.version = "batch"
        self.long_side = long_side
        self.structured = structured
        job = JobFolder(Path(folder))
        self.server = job
        self.abilities = job.abilities()
        self.details = {"server": self.abilities.to_dict(), "structured": structured}


class JobFolder:
    """The files of a job, with the methods of a `ChatServer` that `OpenAIBackend` uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = str(folder)
        self._answers: dict[str, tuple[Path, int]] = {}  # file and offset: all replies together may not fit in memory
        self._failed: Counter[str] = Counter()
        self._requested: Counter[str] = Counter()
        self._file: BinaryIO | None = None
        self._written = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("requests-*.jsonl")):
                self._requested.update(_requested(path))
            for path in sorted(folder.glob("replies*.jsonl")):
                self._read_replies(path)
        except OSError as error:
            raise BackendError(f"{folder}: the job's files cannot be read or written ({error})") from error

    def abilities(self) -> Abilities:
        """Return what the job's server can do: the file SETTINGS, else vLLM's log-probabilities and no schema."""
        path = self.folder / SETTINGS
        if not path.exists():
            return Abilities()
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            return Abilities(**given | {"refused": tuple(given.get("refused", ()))})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            problem = f"{path} cannot be read ({error}); it holds what a result lists under provenance.backend.server"
            raise BackendError(problem) from error

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end."""
        with ThreadPoolExecutor(1) as pool:  # a thread of its own: notebooks have a loop in theirs
            return pool.submit(asyncio.run, work).result()

    async def post(self, path: str, body: Callable[[], Any], attempts: int | None = None) -> Any:
        """Return the reply to a request.

        Raises:
            Waiting: there is none yet; the request is in a file.
            RequestError: the server refused it.
        """
        request = body()
        name = custom_id(request)
        if name in self._answers:
            answer = self._answer(name)
            if (problem := _refusal(answer)) is not None:
                raise RequestError(f"{self.shown}: {name}: {problem}")
            return answer["response"]["body"]
        if self._requested[name] <= self._failed[name]:
            self._write({"custom_id": name, "method": "POST", "url": f"/v1{path}", "body": request})
        raise Waiting(f"its request {name} in {self.folder} has no reply yet")

    def excerpt(self, value: Any) -> str:
        """Return the beginning of a JSON value for an error."""
        return json.dumps(value)[:300]

    def _read_replies(self, path: Path) -> None:
        with path.open("rb") as file:
            while line := file.readline():
                try:
                    answer = json.loads(line)
                    name = str(answer["custom_id"])
                    problem, status = _refusal(answer), (answer.get("response") or {}).get("status_code")
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # cut off, or no reply: its request is still open
                if problem is not None and (status is None or status in RETRIED):
                    self._failed[name] += 1  # overloaded, expired: worth another try
                elif problem is None or name not in self._answers:
                    self._answers[name] = (path, file.tell() - len(line))

    def _answer(self, name: str) -> dict[str, Any]:
        path, offset = self._answers[name]
        with path.open("rb") as file:
            file.seek(offset)
            answer: dict[str, Any] = json.loads(file.readline())
            return answer

    def _write(self, request: dict[str, Any]) -> None:
        line = json.dumps(request).encode() + b"\n"
        full = self._written == MAX_REQUESTS or (self._file is not None and self._file.tell() + len(line) > MAX_BYTES)
        if self._file is None or full:
            self._file, self._written = _next_file(self.folder), 0
        self._file.write(line)
        self._file.flush()
        self._written += 1
        self._requested[request["custom_id"]] += 1


def custom_id(request: dict[str, Any]) -> str:
    """Return the name of a request: its round and a checksum of its texts, views and settings.

    Pictures count by their pixels, since another version of an encoder writes other bytes.
    """
    said = []
    for turn in request["messages"]:
        content = turn["content"]
        said.append([turn["role"], content if isinstance(content, str) else [_part(part) for part in content]])
    text = json.dumps({**request, "messages": said}, sort_keys=True)
    number = 1 + sum(turn["role"] == "assistant" for turn in request["messages"][:-1])
    return f"round{number}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _part(part: dict[str, Any]) -> str:
    if part["type"] == "text":
        return str(part["text"])
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return f"{pixels.shape} {hashlib.sha256(pixels.tobytes()).hexdigest()}"


def _refusal(answer: dict[str, Any]) -> str | None:
    """Return why a line of a reply file is no reply; None for a reply."""
    response = answer.get("response") or {}
    if answer.get("error") is None and response.get("status_code") == 200 and isinstance(response.get("body"), dict):
        return None
    said = answer.get("error") or response.get("body")
    return f"status {response.get('status_code')}: {json.dumps(said)[:300]}"


def _requested(path: Path) -> Iterator[str]:
    """Yield the names of a file's requests; a last line that a killed run left unfinished is cut off."""
    whole = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                os.truncate(path, whole)
                return
            whole += len(line)
            yield json.loads(line[: line.index(b",")] + b"}")["custom_id"]


def _next_file(folder: Path) -> BinaryIO:
    numbers = [int(path.stem.rpartition("-")[2]) for path in folder.glob("requests-[0-9]*.jsonl")]
    return (folder / f"requests-{max(numbers, default=0) + 1:03d}.jsonl").open("xb")
