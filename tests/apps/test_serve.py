"""`snellen serve`: what it answers, what it refuses, and that no client harms another."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictures import noise
from PIL import Image
from serving import CROP, FINAL, Gate, client, errors, events, files, service
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive

from snellen.apps.serve.app import service_app
from snellen.apps.web.options import Limits, WebOptions
from snellen.apps.web.upload import Upload, shown_name
from snellen.assessor import Assessor
from snellen.backend import BackendError, Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.image import load

DATA = Path(__file__).parents[1] / "data"


def encoded(width: int = 700, height: int = 640, seed: int = 0, kind: str = "PNG") -> bytes:
    """Return a file of noise."""
    file = io.BytesIO()
    Image.fromarray(noise(width, height, seed)).save(file, kind)
    return file.getvalue()


def form(pictures: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a form."""
    head = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
    body = b"".join(head + data + b"\r\n" for data in pictures) + b"--b--\r\n"
    return body, {"host": "127.0.0.1", "content-type": "multipart/form-data; boundary=b"}


async def ask(app: ASGIApp, path: str, headers: dict[str, str], receive: Receive) -> list[Message]:
    """Ask an application without a server; return what it sends. receive: gives the messages of the client."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw, "query_string": b""}
    await app(scope, receive, send)  # a fault of the application would be raised again here
    return sent


PICTURE = encoded()
SMALL = encoded(64, 40)


@pytest.fixture(scope="module")
def server() -> Iterator[TestClient]:
    with client() as one:
        yield one


def test_an_answer_is_that_of_the_assessor(server: TestClient) -> None:
    answer = server.post("/v1/assess", files=files(("a.png", PICTURE), ("b.txt", b"not a picture at all")))
    offline = Assessor(ScriptedBackend([CROP, FINAL])).assess([load(PICTURE, name="a.png")])
    assert answer.status_code == 200
    first, second = answer.json()["assessments"]
    assert first == json.loads(json.dumps(offline[0].to_dict()))
    assert (second["name"], second["score"], second["error"]["code"]) == ("b.txt", None, "unreadable")


def test_rounds_come_as_events_before_the_assessment(server: TestClient) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = server.post("/v1/assess", files=files(("a.png", PICTURE)), headers=headers)
    found = events(answer.text)
    assert [name for name, _ in found] == ["round", "round", "assessment", "done"]
    first, second, whole, done = (json.loads(data) for _, data in found)
    assert (first["index"], first["round"], first["step"]["rating"]) == (0, 1, 3.5)
    assert [first["step"], second["step"]] == whole["assessment"]["steps"]
    assert done == {"pictures": 1, "failed": 0}


def test_a_score_has_no_rounds(server: TestClient) -> None:
    (one,) = server.post("/v1/score", files=files(("a.png", PICTURE))).json()["scores"]
    assert one == {
        "name": "a.png",
        "score": 2.5,
        "interval": None,
        "label": "poor",
        "issues": [
            {"kind": "noise", "severity": 2, "region": [0.1, 0.2, 0.6, 0.7], "place": one["issues"][0]["place"]}
        ],
        "error": None,
    }


def test_rewards_are_numbers_on_a_named_scale(server: TestClient) -> None:
    pictures = files(("a.png", SMALL), ("b", b"\0\1\2"))
    answer = server.post("/v1/reward", files=pictures, data={"scale": "unit"}).json()
    assert answer["rewards"] == [0.625, None]  # score only: round 1 states 3.50, and (3.5 - 1) / 4 = 0.625
    assert [(one["index"], one["code"]) for one in answer["errors"]] == [(1, "unreadable")]
    assert server.post("/v1/reward", files=pictures).json()["rewards"] == [3.5, None]
    assert server.post("/v1/reward", files=pictures, data={"scale": "percent"}).status_code == 422


def test_options_are_those_of_the_command(server: TestClient) -> None:
    answer = server.post("/v1/assess", files=files(("a.png", PICTURE)), data={"max_rounds": "1", "seed": "7"})
    (one,) = answer.json()["assessments"]
    assert one["score"] == 3.5 and len(one["steps"]) == 1
    assert one["provenance"]["options"] == {"seed": 7}
    (one,) = server.post("/v1/score", files=files(("a.png", PICTURE)), data={"max_megapixels": "0.1"}).json()["scores"]
    assert one["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "fields",
    [
        {"max_rounds": "0"}, {"max_rounds": "9"}, {"max_rounds": "two"}, {"max_rounds": ["1", "2"]},
        {"score_only": "maybe"},
        {"temperature": "nan"}, {"model": "hf:x"}, {"protocol": "none"}, {"question": ""}, {"url": "http://127.0.0.1/"},
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(server: TestClient, fields: dict[str, Any]) -> None:
    answer = server.post("/v1/assess", files=files(("a.png", SMALL)), data=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_option")
    assert next(iter(fields)) in answer.json()["error"]["problem"] or "url" in fields


def test_a_body_that_is_no_form_with_pictures_is_refused(server: TestClient) -> None:
    found = [
        server.post("/v1/assess", content=b"{}", headers={"Content-Type": "application/json"}),
        server.post("/v1/assess", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        server.post("/v1/assess", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=a"}),
        server.post("/v1/assess", files={"option": (None, "1")}),
        server.post("/v1/assess", files=files(*[("a.png", SMALL)] * 129)),
        server.get("/v1/assess"),
        server.get("/v2"),
    ]
    assert [(one.status_code, one.json()["error"]["code"]) for one in found] == [
        (415, "wrong_content_type"), (400, "bad_form"), (400, "bad_form"), (422, "bad_option"),
        (413, "too_many_pictures"), (405, "method_not_allowed"), (404, "not_found"),
    ]  # fmt: skip
    body, headers = form([SMALL])
    cut = server.post("/v1/assess", content=body[:-9], headers=headers)
    assert (cut.status_code, cut.json()["error"]["problem"]) == (400, "the form is cut off before its end")
    assert server.post("/v1/assess", files={"seed": (None, "1")}).json()["error"]["code"] == "no_picture"


def test_a_large_body_is_refused_before_it_is_read() -> None:
    options = WebOptions(limits=Limits(body=1000))

    def parts() -> Iterator[bytes]:  # without a Content-Length
        yield from [b"x" * 400] * 4

    with client(options=options) as server:
        announced = server.post("/v1/assess", files=files(("a.png", b"x" * 2000)))
        streamed = server.post(
            "/v1/assess", content=parts(), headers={"Content-Type": "multipart/form-data; boundary=a"}
        )
    assert [one.json()["error"]["code"] for one in (announced, streamed)] == ["body_too_large"] * 2
    assert announced.status_code == 413


def test_bodies_of_all_requests_have_a_limit_together() -> None:
    with client(options=WebOptions(limits=Limits(bodies=1000))) as server:
        answer = server.post("/v1/assess", files=files(("a.png", b"x" * 2000)))
        small = server.post("/v1/assess", files=files(("a.png", b"x" * 20)))
    assert (answer.status_code, answer.json()["error"]["code"], answer.headers["Retry-After"]) == (429, "busy", "1")
    assert small.status_code == 200  # what the first request held is free again


def test_pixels_are_counted_before_they_are_decoded(server: TestClient) -> None:
    bomb = bytearray(SMALL)
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2  # the header says 2,500 megapixels
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (one,) = server.post("/v1/score", files=files(("bomb.png", bytes(bomb)))).json()["scores"]
    assert one["error"]["code"] == "too_large" and one["score"] is None


def test_hostile_files_get_the_error_that_they_get_offline(server: TestClient) -> None:
    found = [(path.name, path.read_bytes()) for path in sorted(DATA.iterdir())]
    found += [(f"cut {name}", data[: len(data) // 3]) for name, data in found]
    found += [("empty.jpg", b""), ("page.html", b"<script>alert(1)</script>"), ("zip", b"PK\3\4" + b"\0" * 1000)]
    answer = server.post("/v1/score", files=files(*found), data={"score_only": "true"})
    offline = Assessor(ScriptedBackend([CROP, FINAL]), score_only=True)
    expected = [offline.assess([data])[0] for _, data in found]
    assert errors(answer.json()["scores"]) == [one.error and one.error.code for one in expected]
    assert [one["score"] for one in answer.json()["scores"]] == [one.score for one in expected]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\x\\a.png", "a.png"), ("a/", "picture 1"), (None, "picture 1"),
        ("\x1b[2J.png", "\\x1b[2J.png"), ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)  # fmt: skip
def test_a_file_name_is_only_shown(sent: str | None, shown: str) -> None:
    assert shown_name(sent, 0) == shown


def test_a_full_queue_answers_429() -> None:
    gate = Gate()
    with client(ScriptedBackend(gate), room=2, most=1) as server:
        first = threading.Thread(target=server.post, args=("/v1/score",), kwargs={"files": files(("a", SMALL))})
        first.start()
        assert gate.entered.wait(60)
        full = server.post("/v1/score", files=files(*[("a", SMALL)] * 3))
        assert (full.status_code, full.json()["error"]["code"]) == (429, "busy")
        assert int(full.headers["Retry-After"]) >= 1
        gate.open.set()
        first.join()
        assert server.post("/v1/score", files=files(("a", SMALL))).status_code == 200


def test_a_request_has_a_time_limit_and_leaves_nothing_in_the_queue() -> None:
    gate = Gate()
    with client(ScriptedBackend(gate), seconds=0.2, most=1) as server:
        late = server.post("/v1/score", files=files(*[("a", SMALL)] * 3))
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        headers = {"Accept": "text/event-stream"}
        found = events(server.post("/v1/assess", files=files(("a", SMALL)), headers=headers).text)
        assert [(name, json.loads(data)["error"]["code"]) for name, data in found] == [("error", "timeout")]
        assert server.get("/healthz").json()["waiting"] == 0
        gate.open.set()


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_what_a_vanished_client_asked_for_is_dropped(accept: str) -> None:
    gate = Gate()
    with service(ScriptedBackend(gate), most=1) as one:
        app = service_app(one, WebOptions())
        body, headers = form([SMALL] * 3)

        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.to_thread(gate.entered.wait, 60)  # the first picture is on its way
            return {"type": "http.disconnect"}

        asyncio.run(ask(app, "/v1/assess", headers | {"accept": accept}, receive))
        assert one.batcher.waiting == 0
        gate.open.set()


def test_a_client_that_goes_away_while_it_sends_is_no_fault_of_the_server() -> None:
    with service(ScriptedBackend([FINAL])) as one:
        app = service_app(one, WebOptions())
        body, headers = form([SMALL])
        messages: list[dict[str, Any]] = [
            {"type": "http.disconnect"},
            {"type": "http.request", "body": body[:100], "more_body": True},
        ]

        async def receive() -> dict[str, Any]:
            return messages.pop()

        sent = asyncio.run(ask(app, "/v1/score", headers, receive))
    assert sent[0]["status"] == 499


def test_a_body_that_does_not_come_is_given_up() -> None:
    with service(ScriptedBackend([FINAL])) as one:
        app = service_app(one, WebOptions(limits=Limits(seconds=0.05)))
        _, headers = form([])

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()  # for ever
            raise AssertionError

        sent = asyncio.run(ask(app, "/v1/score", headers, receive))
    assert sent[0]["status"] == 408


def test_pictures_that_arrive_together_share_a_batch() -> None:
    class Counting(ScriptedBackend):
        sizes: list[int] = []

        def reply(self, conversations: Any, sampling: Any) -> Any:
            self.sizes.append(len(conversations))
            return super().reply(conversations, sampling)

    gate = Gate()
    backend = Counting(gate)
    with service(backend, most=4) as one:
        first = one.queue([Upload("a", SMALL)], one.settings)
        assert gate.entered.wait(60)
        others = one.queue([Upload("a", SMALL)] * 6, one.settings)
        different = one.queue([Upload("a", SMALL)], replace(one.settings, max_rounds=1))
        gate.open.set()
        assert {job.done.result(60).score for job in (*first, *others, *different)} == {2.5}
    assert backend.sizes == [1, 4, 2, 1]


def test_a_picture_on_which_the_model_fails_harms_no_other() -> None:
    wide = encoded(80, 40)

    def script(conversation: Conversation) -> str:
        if conversation[0].views[0].picture.width == 80:
            raise RuntimeError("a fault of the model")
        return FINAL

    with client(ScriptedBackend(script)) as server:
        (good,) = server.post("/v1/score", files=files(("a", SMALL))).json()["scores"]
        bad = server.post("/v1/score", files=files(("a", SMALL), ("b", wide), ("c", SMALL)))
        assert (bad.status_code, bad.json()["error"]["code"]) == (500, "internal")
        assert "fault of the model" not in bad.text
        assert server.post("/v1/score", files=files(("a", SMALL))).json()["scores"] == [good]


def test_a_model_that_does_not_answer_is_503() -> None:
    def script(conversation: Conversation) -> str:
        raise BackendError("the model's server is down")

    with client(ScriptedBackend(script)) as server:
        answer = server.post("/v1/score", files=files(("a", SMALL)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")


def test_tokens_hosts_and_origins() -> None:
    options = WebOptions(tokens=("a" * 32, "b" * 32), origins=("https://friend.example",))
    form_of_one = files(("a", SMALL))
    with client(options=options) as server:

        def status(**headers: str) -> int:
            return server.post("/v1/score", files=form_of_one, headers=headers).status_code

        good = {"Authorization": "Bearer " + "b" * 32}
        assert (status(), status(Authorization="Bearer wrong"), status(Authorization="Basic " + "a" * 32)) == (
            401,
            401,
            401,
        )
        assert status(**good) == 200
        assert status(**good, Origin="https://evil.example") == 403
        assert status(**good, Origin="http://127.0.0.1:8000") == 200
        assert status(**good, Origin="https://friend.example") == 200
        assert status(**good, Host="evil.example") == 421
        assert server.get("/healthz").status_code == 200
        assert server.get("/metrics").status_code == 401


def test_cors_is_off_and_the_headers_keep_a_page_to_itself(server: TestClient) -> None:
    answer = server.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_metrics_count_requests_and_pictures() -> None:
    with client() as server:
        server.post("/v1/score", files=files(("a", SMALL), ("b", b"text")))
        server.get("/nothing")
        text = server.get("/metrics").text
    assert 'snellen_requests_total{path="/v1/score",status="200"} 1.0' in text
    assert 'snellen_requests_total{path="other",status="404"} 1.0' in text
    assert 'snellen_pictures_total{outcome="ok"} 1.0' in text
    assert 'snellen_pictures_total{outcome="unreadable"} 1.0' in text
