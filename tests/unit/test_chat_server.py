"""HTTP hygiene: one key for one address, total timeouts, a limit on size, retries."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from typing import Any

import pytest
from scripted_server import Answer, Asked, refuse, serve

from snellen.backend import BackendError
from snellen.backends import chat_server
from snellen.backends.chat_server import ChatServer, RequestError

KEY = "sk-0123456789abcdef"
FINE = Answer({"fine": True})


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def post(address: str, **options: Any) -> Any:
    server = ChatServer(address, **{"wait": 0.0, **options})
    return server.run(server.post("/chat/completions", lambda: {"q": 1}))


def fail(address: str, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        post(address, **options)
    return caught.value


def scripted(*answers: Answer) -> Any:
    """Answer with each of these in turn; the last one stays."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def test_the_key_is_sent_as_a_bearer_token_to_the_given_address() -> None:
    with serve(lambda asked: FINE) as server:
        assert post(server.address) == {"fine": True}
        (asked,) = server.asked
    assert (asked.path, asked.body) == ("/v1/chat/completions", {"q": 1})
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


def test_no_key_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serve(lambda asked: FINE) as server:
        post(server.address)
    assert "Authorization" not in server.asked[0].headers


def test_a_redirect_to_another_port_gets_nothing() -> None:
    with serve(lambda asked: FINE) as other:
        target = f"{other.address}/steal?token=abcdef"
        with serve(lambda asked: Answer({}, 307, {"Location": target})) as server:
            error = fail(server.address)
    assert other.asked == []
    assert error.hopeless and f"redirects to {other.address}/steal" in str(error)
    assert "abcdef" not in str(error)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_that_echoes_the_key_is_printed_without_it(status: int) -> None:
    def echo(asked: Asked) -> Answer:
        return refuse(f"Incorrect API key provided: {asked.headers['Authorization']} " + "x" * 300 + KEY, status)

    with serve(echo) as server:
        error = fail(server.address, attempts=1)
    assert KEY not in str(error) and KEY[:10] not in str(error)
    assert "Incorrect API key provided: Bearer [secret]" in str(error)


def test_query_and_password_of_the_address_are_sent_but_never_shown() -> None:
    with serve(lambda asked: refuse(f"no such thing: {asked.path}")) as server:
        host = server.address.removeprefix("http://")
        address = f"http://user7:pass-word@{host}/?api-version=2026-01-01&sig=s3cr3t"
        assert ChatServer(address).shown == server.address
        error = fail(address)
        (asked,) = server.asked
    assert asked.path == "/v1/chat/completions?api-version=2026-01-01&sig=s3cr3t"
    assert asked.headers["api-key"] == KEY  # Azure's name for it
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"user7:pass-word").decode()
    assert "s3cr3t" not in str(error) and "pass-word" not in str(error) and "user7" not in str(error)


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:8000", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ChatServer(url)


def test_a_key_that_no_header_can_hold_is_refused_without_printing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "schl\u00fcssel")
    with pytest.raises(BackendError, match="OPENAI_API_KEY holds characters") as caught:
        ChatServer("http://localhost/v1")
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize("status", sorted(chat_server.RETRIED))
def test_a_busy_server_is_asked_again(status: int) -> None:
    with serve(scripted(Answer({}, status, {"Retry-After": "0.0"}), Answer({}, status), FINE)) as server:
        assert post(server.address) == {"fine": True}
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_is_a_temporary_error() -> None:
    with serve(lambda asked: refuse("out of memory", 503)) as server:
        error = fail(server.address, attempts=2)
    assert "status 503" in str(error) and "out of memory" in str(error) and "gave up after 2 attempts" in str(error)
    assert (error.status, error.temporary, error.hopeless, len(server.asked)) == (503, True, False, 2)


@pytest.mark.parametrize(("status", "hopeless"), [(400, False), (401, True), (403, False), (404, True), (422, False)])
def test_a_refusal_is_not_repeated(status: int, hopeless: bool) -> None:
    with serve(lambda asked: refuse("no", status)) as server:
        error = fail(server.address)
    assert (error.status, error.temporary, error.hopeless, len(server.asked)) == (status, False, hopeless, 1)


@pytest.mark.parametrize("ending", ["reset", "short"])
def test_a_broken_connection_is_tried_again(ending: Any) -> None:
    with serve(scripted(Answer({}, ending=ending), FINE)) as server:
        assert post(server.address) == {"fine": True}
    with serve(lambda asked: Answer({}, ending=ending)) as server:
        assert fail(server.address, attempts=2).temporary


def test_one_byte_at_a_time_ends_with_the_timeout() -> None:
    with serve(lambda asked: Answer({}, ending="drip")) as server:
        error = fail(server.address, attempts=1, timeout=0.2)
    assert "no complete answer within 0.2 s" in str(error) and error.temporary


def test_an_answer_is_not_read_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_server, "MAX_BYTES", 2**20)
    with serve(lambda asked: Answer(b'"' + b"a" * 2**20 + b'"')) as server:
        error = fail(server.address)
    assert "larger than 1 MiB" in str(error) and not error.temporary


@pytest.mark.parametrize(
    ("body", "problem", "attempts"),
    [
        (b"<html>gateway</html>", "not JSON", 3),
        (b'{"choices": "\xff\xfe\x80"}', "not JSON", 1),
        (b"", "not JSON", 1),
        (b'{"error": {"message": "overloaded", "code": 503}}', "an error with status 200.*overloaded", 3),
        (b'{"error": {"message": "too long", "code": 400}}', "an error with status 200.*too long", 1),
        (b'{"error": "bad"}', "an error with status 200", 1),
        (b"[" * 100_000, "not JSON", 1),
    ],
)
def test_what_is_no_answer_although_its_status_says_so(body: bytes, problem: str, attempts: int) -> None:
    with serve(lambda asked: Answer(body)) as server, pytest.raises(RequestError, match=problem):
        post(server.address, attempts=3)
    assert len(server.asked) == attempts


def test_no_server_at_all_is_hopeless() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = fail(f"http://127.0.0.1:{port}/v1", attempts=2)
    assert error.hopeless and "cannot be reached" in str(error) and "gave up after 2 attempts" in str(error)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_are_in_flight_than_allowed(concurrency: int) -> None:
    together = threading.Barrier(concurrency)

    def respond(asked: Asked) -> Answer:
        together.wait(10)  # answers only when as many are in flight as may be
        return FINE

    def many(server: ChatServer) -> Any:
        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(server.post("/x", dict) for _ in range(6)))

        return server.run(all_of_them())

    with serve(respond) as server:
        assert many(ChatServer(server.address, concurrency=concurrency)) == [{"fine": True}] * 6
    assert server.most == concurrency


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("2", 2.0), ("0.25", 0.25), ("-3", 0.0), ("nan", None), ("soon", None),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_in_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert chat_server._retry_after(header) == seconds


def test_a_key_in_an_error_is_never_shown_in_halves() -> None:
    server = ChatServer("http://localhost/v1")
    for before in range(280, 320):
        assert KEY[:6] not in server.excerpt("x" * before + KEY)
