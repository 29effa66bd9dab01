from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import noise_picture
from PIL import Image

from snellen.backend import (
    BackendError,
    Calibration,
    Conversation,
    RatingDistribution,
    Reply,
    Sampling,
    Turn,
    open_backend,
)
from snellen.backends.openai import OpenAIBackend
from snellen.backends.rating_tokens import (
    RATINGS,
    Choice,
    consistent,
    distribution,
    rating_by_expansion,
    rating_from_choices,
)
from snellen.backends.scripted import ScriptedBackend
from snellen.protocol import open_protocol
from snellen.region import Region
from snellen.reply import RATING_PREFIX


def ask(text: str = "Hello?") -> Conversation:
    return (Turn("user", text),)


def spread(values: list[float], probs: list[float]) -> RatingDistribution:
    return RatingDistribution(np.array(values), np.array(probs))


def test_distribution_worked_by_hand() -> None:
    d = spread([2.0, 3.0, 5.0], [0.5, 0.25, 0.25])
    assert d.mean == pytest.approx(3.0)  # 1 + 0.75 + 1.25
    assert d.std == pytest.approx(math.sqrt(1.5))  # 0.5 * 1 + 0 + 0.25 * 4
    assert d.entropy == pytest.approx(1.5 * math.log(2))  # 0.5 * log 2 + 2 * 0.25 * log 4
    assert [d.quantile(q) for q in (0.0, 0.5, 0.51, 0.75, 0.76, 1.0)] == [2.0, 2.0, 3.0, 3.0, 5.0, 5.0]


def test_certainty_has_no_spread() -> None:
    d = spread([3.5], [1.0])
    assert (d.mean, d.std, d.entropy, d.quantile(0.5)) == (3.5, 0.0, 0.0, 3.5)
    assert spread([3.0, 4.0], [1.0, 0.0]).entropy == 0.0


def test_distribution_is_a_copy_and_cannot_be_changed() -> None:
    values = np.array([2.0, 3.0])
    d = RatingDistribution(values, np.array([0.5, 0.5]))
    values[0] = 5.0
    assert d.mean == 2.5
    with pytest.raises(ValueError, match="read-only"):
        d.probs[0] = 1.0


@pytest.mark.parametrize(
    ("values", "probs"),
    [
        ([], []),
        ([2.0, 3.0], [1.0]),
        ([3.0, 2.0], [0.5, 0.5]),
        ([0.5, 2.0], [0.5, 0.5]),
        ([2.0, 5.5], [0.5, 0.5]),
        ([2.0, 3.0], [0.5, 0.6]),
        ([2.0, 3.0], [1.5, -0.5]),
        ([2.0, 3.0], [float("nan"), 1.0]),
        ([2.0, float("nan")], [0.5, 0.5]),
    ],
)
def test_invalid_distributions_are_refused(values: list[float], probs: list[float]) -> None:
    with pytest.raises(ValueError):
        spread(values, probs)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_quantile_is_of_a_probability(q: float) -> None:
    with pytest.raises(ValueError):
        spread([2.0], [1.0]).quantile(q)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_tokens": 0}]
)
def test_sampling_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sampling(**wrong)


def test_calibrated_interval_worked_by_hand() -> None:
    calibration = Calibration(q=1.5, floor=0.2)
    assert calibration.interval(3.0, 0.4) == pytest.approx((2.4, 3.6))
    assert calibration.interval(3.0, 0.0) == pytest.approx((2.7, 3.3))
    assert calibration.interval(4.9, 1.0) == pytest.approx((3.4, 5.0))


@pytest.mark.parametrize(
    "model", ["", "snellen-9", "hf:", "openai:", "scripted:", "gpt", "openai:localhost#m", "openai:http://x"]
)
def test_unknown_models_are_refused(model: str) -> None:
    with pytest.raises(ValueError):
        open_backend(model)


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no card\.json; for a checkpoint of transformers use hf:"):
        open_backend(tmp_path)


# scripted


def test_script_of_one_reply_for_each_round() -> None:
    backend = ScriptedBackend(["one", Reply("two", (7,), (-0.5,))])
    second = (*ask(), Turn("assistant", "one"), *ask("And now?"))
    said = backend.reply([ask(), second, ask()], Sampling())
    assert [reply.text for reply in said] == ["one", "two", "one"]
    assert said[1].turn() == Turn("assistant", "two", (), (7,), (-0.5,))
    with pytest.raises(BackendError, match="has 2 replies, but round 3"):
        backend.reply([(*second, Turn("assistant", "two"), *ask())], Sampling())


def test_script_as_a_function() -> None:
    backend = ScriptedBackend(lambda conversation: conversation[-1].text.upper())
    assert [reply.text for reply in backend.reply([ask("a"), ask("b")], Sampling())] == ["A", "B"]


def test_a_script_is_rated_by_the_rating_of_its_reply() -> None:
    scored = Reply('<answer>{"rating": 3.50}</answer>', rating=spread([3.0, 4.0], [0.5, 0.5]))
    for scripted, text in ((scored, ""), ('{"rating": 2.25, "tool": "final"}', "2.25"), ("2.5", "2.5"), ("no", "no")):
        (reply,) = ScriptedBackend([scripted]).rate([ask()])
        assert (reply.text, reply.finish) == (text, "rating")
        assert reply.rating is (scored.rating if scripted is scored else None)


def test_script_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    rating = {"values": [2, 4], "probs": [0.5, 0.5]}
    path.write_text('"one"\n\n' + json.dumps({"text": "two", "rating": rating, "finish": "length"}) + "\n")
    backend = open_backend(f"scripted:{path}")
    later = (*ask(), Turn("assistant", "one"), *ask())
    one, two = backend.reply([ask(), later], Sampling())
    assert (one.text, one.rating, one.finish) == ("one", None, "stop")
    assert two.rating is not None
    assert (two.text, two.rating.mean, two.finish) == ("two", 3.0, "length")
    other = tmp_path / "other.jsonl"
    other.write_text('"one"')
    assert open_backend(f"scripted:{other}").version != backend.version


@pytest.mark.parametrize(
    "content",
    ["", "one", '{"reply": "one"}', '"one"\n3', '{"text": "x", "rating": {"values": [9], "probs": [1]}}']
    + ['{"text": "x", "rating": {"values": [3]}}', '{"text": "x", "finish": "soon"}', '{"text": "x", "rating": 3}'],
)
def test_a_bad_script_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(content)
    with pytest.raises(BackendError, match=r"script\.jsonl"):
        open_backend(f"scripted:{path}")
    with pytest.raises(BackendError, match="cannot be read"):
        open_backend(f"scripted:{tmp_path / 'missing.jsonl'}")


# digits


def test_there_are_401_ratings() -> None:
    assert (len(RATINGS), RATINGS[0], RATINGS[1], RATINGS[-1]) == (401, "1.00", "1.01", "5.00")


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 401), ("3", 100), ("3.", 100), ("3.4", 10), ("3.47", 1), ("5", 1), ("5.0", 1), ("3,", 1), ("3.4}", 1)]
    + [("0", 0), ("6", 0), ("3.475", 0), ("3.475,", 0), ("3.,", 0), (",", 0), ("x", 0), ("..", 0), ("35", 0)],
)
def test_how_many_ratings_a_text_can_become(text: str, count: int) -> None:
    assert len(consistent(text)) == count


def choice(text: str, **alternatives: float) -> Choice:
    """Alternatives by probability; names d3 for "3", p for "."."""
    names = {"p": ".", **{f"d{n}": str(n) for n in range(10)}}
    return Choice(text, {names.get(name, name): math.log(p) for name, p in alternatives.items()})


def test_digit_distribution_worked_by_hand() -> None:
    """3 (0.8) or 4 (0.2); then .4 for certain; then 7 (0.5) or 9 (0.5)."""
    choices = [
        choice('{"rating": ', x=0.5),
        choice("3", d3=0.8, d4=0.2),
        choice(".", p=1.0),
        choice("4", d4=1.0),
        choice("7", d7=0.5, d9=0.5),
        choice(', "tool": "final"}', x=0.5),
    ]
    d = rating_from_choices("", choices)
    assert d is not None
    probs = dict(zip(d.values.tolist(), d.probs.tolist(), strict=True))
    assert (probs[3.47], probs[3.49], probs[4.25]) == pytest.approx((0.4, 0.4, 0.2 / 100))
    assert d.mean == pytest.approx(0.4 * 3.47 + 0.4 * 3.49 + 0.2 * 4.495)  # 4.00 ... 4.99 evenly
    again = rating_from_choices('{"rating": ', choices[1:])
    assert again is not None and again.probs.tolist() == d.probs.tolist()


def test_tokens_may_straddle_the_rating() -> None:
    straddling = [
        Choice('": ', {}),
        Choice(" 3.", {" 3.": math.log(0.5), " 2.": math.log(0.25), "3.": math.log(0.125), " x": math.log(0.125)}),
        Choice("47,", {"47,": math.log(0.5), "5,": math.log(0.5)}),
    ]
    d = rating_from_choices('{"rating', straddling)
    assert d is not None
    probs = dict(zip(d.values.tolist(), d.probs.tolist(), strict=True))
    # " x" begins no rating: what is left is 0.875; "3." may still become any 3.xx
    assert probs[3.47] == pytest.approx((0.5 * 0.5 + 0.125 / 100) / 0.875)
    assert probs[3.5] == pytest.approx((0.5 * 0.5 + 0.125 / 100) / 0.875)
    assert probs[2.99] == pytest.approx(0.25 / 100 / 0.875)

    joined = [Choice('": 3', {'": 3': math.log(0.75), '": 4': math.log(0.125), "x4": math.log(0.125)})]
    d = rating_from_choices('{"rating', [*joined, Choice(".00", {".00": 0.0})])
    assert d is not None and d.mean == pytest.approx((0.75 * 3.0 + 0.125 * 4.495) / 0.875)


def test_the_last_rating_counts_and_none_is_none() -> None:
    sure = [Choice(text, {text: 0.0}) for text in ('"rating": ', "2.00", ', "rating": ', "4.00")]
    d = rating_from_choices("", sure)
    assert d is not None and (d.mean, d.std) == (4.0, 0.0)
    assert rating_from_choices("", sure[:1]) is None
    assert rating_from_choices("", []) is None
    assert rating_from_choices('"rating": ', [Choice("9.00", {"9.00": 0.0})]) is None
    assert distribution({}) is None


def test_expansion_follows_every_way_to_write_a_rating() -> None:
    texts = {10 + n: str(n) for n in range(10)} | {1: ".", 2: " 3", 3: ",", 4: "47"}
    table: dict[tuple[int, ...], dict[int, float]] = {
        (): {13: 0.6, 2: 0.1, 15: 0.2, 99: 0.05, 3: 0.05},  # 3 | " 3" | 5 | not of a number | ,
        (13,): {1: 0.8, 3: 0.2},  # 3. or just 3
        (13, 1): {14: 0.5, 4: 0.5},  # 3.4 or 3.47
        (13, 1, 14): {17: 1.0 - 1e-4, 19: 1e-4},  # 3.47; 3.49 is too rare to count
        (2,): {1: 1.0},
        (2, 1): {4: 1.0},  # " 3.47"
    }
    asked: list[tuple[int, ...]] = []

    def next_tokens(ids: tuple[int, ...]) -> dict[int, float]:
        asked.append(ids)
        return table[ids]

    d = rating_by_expansion(next_tokens, texts)
    assert sorted(asked) == sorted(table)
    assert d is not None
    weights = {3.0: 0.12, 3.47: 0.24 * (1 - 1e-4) + 0.24 + 0.1, 5.0: 0.2}
    total = sum(weights.values())
    assert dict(zip(d.values.tolist(), d.probs.tolist(), strict=True)) == pytest.approx(
        {value: weight / total for value, weight in weights.items()}
    )
    assert rating_by_expansion(lambda ids: {99: 1.0}, texts) is None


def test_a_distribution_needs_most_of_the_probability() -> None:
    """A model that writes 3.47 in one token that is not listed, and 5 in one that is: 5 is not its rating."""
    assert rating_by_expansion(lambda ids: {15: 0.79, 99: 0.21}, {15: "5"}) is None
    enough = rating_by_expansion(lambda ids: {15: 0.81, 99: 0.19}, {15: "5"})
    assert enough is not None and enough.mean == 5.0
    unlisted = [Choice('"rating": ', {}), choice("3.47", d5=0.3)]
    assert rating_from_choices("", unlisted) is None
    assert rating_from_choices("", [Choice('"rating": ', {}), Choice("3.47", {"3.47": math.log(0.79)})]) is None


# an OpenAI-compatible server


@dataclass
class Server:
    """A real one on this machine: says what stands in `answers` (status, headers, body), keeps what it is sent."""

    address: str
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def say(self, text: str | None, **more: Any) -> None:
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop", **more}]}
        self.answers.append((200, {}, json.dumps(body)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.headers.append(dict(self.headers))
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append({"path": self.path, **request})
            status, headers, body = state.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def client(server: Server, **more: Any) -> OpenAIBackend:
    return OpenAIBackend(f"{server.address}/#eye-7b", wait=0.0, **more)


def test_request_and_reply(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.say("Fine.", finish_reason="length")
    picture = noise_picture(600, 400)
    views = [picture.view(), picture.view(Region(0.5, 0.5, 1.0, 1.0))]
    turns = open_protocol("snellen").conversation("Sharp?", views, [Turn("assistant", "Unsure.")])
    backend = client(server, long_side=300)
    assert (backend.name, backend.version) == ("eye-7b", server.address + "/")
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=77, seed=3)
    (reply,) = backend.reply([turns], sampling)
    assert reply == Reply("Fine.", finish="length")

    (sent,) = server.requests
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert sent["path"] == "/v1/chat/completions"
    assert {key: sent[key] for key in ("model", "temperature", "top_p", "max_tokens", "seed")} == {
        "model": "eye-7b", "temperature": 0.5, "top_p": 0.9, "max_tokens": 77, "seed": 3,
    }  # fmt: skip
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"] == "Unsure."
    shown, text = sent["messages"][2]["content"]
    assert (shown["type"], text["type"]) == ("image_url", "text")
    kind, _, data = shown["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    crop = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(crop, picture.pixels[200:, 300:])  # native pixels: the crop is no larger than 300 px
    whole = sent["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(whole))).size == (300, 200)


def test_rating_from_top_logprobs(server: Server) -> None:
    def token(text: str, **others: float) -> dict[str, Any]:
        top = [{"token": name.removeprefix("d"), "logprob": math.log(p)} for name, p in others.items()]
        own = next((one["logprob"] for one in top if one["token"] == text), 0.0)
        return {"token": text, "logprob": own, "top_logprobs": top}

    content = [token('{"rating": '), token("3", d3=0.75, d5=0.25), token("."), token("50"), token("}")]
    server.say('{"rating": 3.50}', logprobs={"content": content})
    (reply,) = client(server).reply([ask()], Sampling())
    assert reply.rating is not None
    assert reply.rating.mean == pytest.approx(0.75 * 3.5 + 0.25 * 5.0)
    assert reply.logprobs == pytest.approx((0.0, math.log(0.75), 0.0, 0.0, 0.0))


@pytest.mark.parametrize("repeat", [False, True])
def test_score_only_forces_the_reply_up_to_its_rating(server: Server, repeat: bool) -> None:
    content: list[dict[str, Any]] = [{"token": text, "logprob": 0.0, "top_logprobs": []} for text in ("4.25", ",")]
    server.say(RATING_PREFIX * repeat + "4.25,", logprobs={"content": content})
    (reply,) = client(server).rate([ask()])
    (sent,) = server.requests
    assert sent["messages"][-1] == {"role": "assistant", "content": RATING_PREFIX}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert (reply.text, reply.finish) == ("4.25", "rating")
    assert reply.rating is not None and reply.rating.mean == 4.25


def test_replies_are_in_order(server: Server) -> None:
    for text in ("a", "b", "c"):
        server.say(text)
    said = client(server, parallel=1).reply([ask(str(n)) for n in range(3)], Sampling())
    assert [reply.text for reply in said] == ["a", "b", "c"]
    assert client(server).reply([], Sampling()) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, status: int) -> None:
    server.answers += [(status, {"Retry-After": "0"}, "busy"), (status, {}, "busy")]
    server.say("At last.")
    assert client(server).reply([ask()], Sampling())[0].text == "At last."
    assert len(server.requests) == 3


def test_a_server_that_stays_down_is_an_error_and_no_reply(server: Server) -> None:
    server.answers += [(503, {}, "out of memory")] * 2
    with pytest.raises(BackendError, match=r"status 503: out of memory; gave up after 2 attempts"):
        client(server, attempts=2).reply([ask()], Sampling())
    assert len(server.requests) == 2


def test_a_refusal_is_not_repeated(server: Server) -> None:
    server.answers += [(401, {}, "no such key")]
    with pytest.raises(BackendError, match="status 401: no such key"):
        client(server).reply([ask()], Sampling())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<html>", "not JSON"),
        ("{}", "not a chat completion"),
        ('{"choices": []}', "not a chat completion"),
        ('{"choices": [{"message": "hi"}]}', "not a chat completion"),
        ('{"choices": [{"message": {"content": [1]}}]}', "not text"),
        (
            '{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{"token": "x"}]}}]}',
            "not a chat completion",
        ),
        ("[1]", "not a chat completion"),
    ],
)
def test_an_answer_that_is_not_a_chat_completion_is_an_error(server: Server, body: str, problem: str) -> None:
    server.answers.append((200, {}, body))
    with pytest.raises(BackendError, match=problem):
        client(server).reply([ask()], Sampling())


def test_an_empty_message_stays_empty(server: Server) -> None:
    server.say(None, logprobs=None)
    assert client(server).reply([ask()], Sampling())[0] == Reply("")


def test_no_server_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        port = http.server_port
    with pytest.raises(BackendError, match=r"cannot be reached .* gave up after 2 attempts"):
        OpenAIBackend(f"http://127.0.0.1:{port}/v1#m", wait=0.0, attempts=2).reply([ask()], Sampling())
