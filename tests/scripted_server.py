"""A scripted chat completions server on this machine, with the faults and habits that real ones have."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from snellen.reply import FIRST_LABELS, LATER_LABELS


@dataclass(frozen=True)
class Asked:
    """One request: its number from 1, method, path with query, headers and JSON body."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def round(self) -> int:
        """Round of the assessment, from 1."""
        turns: list[dict[str, Any]] = self.body["messages"]
        return 1 + sum(1 for turn in turns[:-1] if turn["role"] == "assistant")

    @property
    def images(self) -> list[str]:
        """Data URLs of the pictures."""
        contents = [turn["content"] for turn in self.body["messages"] if isinstance(turn["content"], list)]
        return [part["image_url"]["url"] for content in contents for part in content if part["type"] == "image_url"]

    @property
    def forced(self) -> str:
        """Beginning of the reply that is forced; empty for none."""
        turns = self.body.get("messages", [])
        return str(turns[-1]["content"]) if turns and turns[-1]["role"] == "assistant" else ""


@dataclass(frozen=True)
class Answer:
    """What the server sends. ending: whole; "drip" one byte at a time and never the last; "reset" a broken connection
    instead; "short" fewer bytes than announced."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ending: Literal["whole", "drip", "reset", "short"] = "whole"

    @property
    def data(self) -> bytes:
        """The bytes of the body: as they are, or as JSON."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class ChatServerState:
    """A running server: `respond` answers, `asked` holds the requests so far, `most` how many it had at a time."""

    address: str
    respond: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)
    most: int = 0

    @property
    def chats(self) -> list[Asked]:
        """The requests for a completion."""
        return [one for one in self.asked if one.method == "POST"]


@contextmanager
def serve(respond: Callable[[Asked], Answer]) -> Iterator[ChatServerState]:
    """Run a server on a free port of the loopback address until the block ends."""
    closing = threading.Event()
    lock = threading.Lock()
    busy = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.handle_one({})

        def do_POST(self) -> None:
            self.handle_one(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def handle_one(self, body: dict[str, Any]) -> None:
            nonlocal busy
            with lock:
                busy += 1
                state.most = max(state.most, busy)
                asked = Asked(len(state.asked) + 1, self.command, self.path, dict(self.headers), body)
                state.asked.append(asked)
            answer = state.respond(asked)
            with lock:
                busy -= 1
            self.send(answer)

        def send(self, answer: Answer) -> None:
            if answer.ending == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            more = {"drip": 1_000_000, "short": 1}.get(answer.ending, 0)
            self.send_header("Content-Length", str(len(answer.data) + more))
            self.end_headers()
            if answer.ending == "drip":
                while not closing.wait(0.02):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            else:
                self.wfile.write(answer.data)
            self.close_connection = answer.ending != "whole"

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are what some tests are about."""

    http = Quiet(("127.0.0.1", 0), Handler)
    state = ChatServerState(f"http://127.0.0.1:{http.server_port}/v1", respond)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        closing.set()
        http.shutdown()
        thread.join()
        http.server_close()


def chat(text: Any, logprobs: Any = None, finish: str = "stop", **message: Any) -> Answer:
    """Return a chat completion."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return Answer({"choices": [{**choice, "logprobs": logprobs}]})


def refuse(message: str, status: int = 400) -> Answer:
    """Return an error as OpenAI's servers word it."""
    return Answer({"error": {"message": message, "type": "invalid_request_error"}}, status)


def reply_text(number: int, rating: str = "3.47", tool: str = "", box: str = "") -> str:
    """Return a well-formed reply of round `number`: the first asks for a crop, later ones are final."""
    labels = FIRST_LABELS if number == 1 else LATER_LABELS
    think = "\n".join(f"{label}: some noise in the sky." for label in labels)
    tool = tool or ("crop" if number == 1 else "final")
    box = box or ("[0.10, 0.20, 0.60, 0.70]" if tool == "crop" else "[0.00, 0.00, 0.00, 0.00]")
    answer = f'{{"bbox_2d": {box}, "rating": {rating}, "tool": "{tool}", "issues": []}}'
    return f"<think>{think}</think><answer>{answer}</answer>"


def token(text: str, probability: float = 1.0, **others: float) -> dict[str, Any]:
    """Return one token of `logprobs.content`. others: alternatives with their probability, d4 for "4"."""

    listed = {text: probability} | {name.removeprefix("d"): value for name, value in others.items()}
    top = [{"token": name, "logprob": math.log(value), "bytes": list(name.encode())} for name, value in listed.items()]
    return {**top[0], "top_logprobs": top}


def tokens_of(text: str, rating: str) -> dict[str, Any]:
    """Return `logprobs` of a text, certain, each character of its last rating a token of its own."""
    before, after = text.rsplit(f'"rating": {rating}', 1)
    pieces = [before + '"rating": ', *rating, after]
    return {"content": [token(piece) for piece in pieces if piece]}
