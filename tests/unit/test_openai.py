"""Any model behind a chat completions server: requests, fallbacks, habits, scores, one picture's failure."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import noise_picture
from PIL import Image
from scripted_server import Answer, Asked, ChatServerState, chat, refuse, reply_text, serve, token, tokens_of

from snellen.assessor import Assessor
from snellen.backend import BackendError, Reply, Sampling, Turn, seeds
from snellen.backends import open_backend
from snellen.backends.abilities import Abilities
from snellen.backends.chat_server import ChatServer
from snellen.backends.openai import OpenAIBackend
from snellen.image import Picture
from snellen.options import ModelOptions
from snellen.protocol import open_protocol
from snellen.region import Region
from snellen.reply import FIRST_LABELS, LATER_LABELS, RATING_PREFIX

BARE = Abilities(top_logprobs=0)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def client(
    server: ChatServerState, abilities: Abilities | None = BARE, name: str = "eye-7b", **more: Any
) -> OpenAIBackend:
    return OpenAIBackend(f"{server.address}/#{name}", wait=0.0, abilities=abilities, **more)


def ask(text: str = "Hello?") -> tuple[Turn, ...]:
    return (Turn("user", text),)


def pictures(count: int) -> list[Picture]:
    """Pictures that are quickly encoded, and large enough for a crop to show more."""
    return [noise_picture(340, 60, seed, f"picture {seed}") for seed in range(count)]


def well_formed(asked: Asked) -> Answer:
    return chat(reply_text(asked.round))


# requests


def test_request_and_reply() -> None:
    picture = noise_picture(600, 400)
    views = [picture.view(), picture.view(Region(0.5, 0.5, 1.0, 1.0))]
    turns = open_protocol("snellen").conversation("Sharp?", views, [Turn("assistant", "Unsure.")])
    with serve(lambda asked: chat("Fine.", finish="length")) as server:
        backend = client(server, Abilities(), long_side=300)
        (reply,) = backend.reply([turns], Sampling(temperature=0.5, top_p=0.9, max_tokens=77, seed=3, top_k=50))
    assert (backend.name, backend.version) == ("eye-7b", server.address)
    assert reply == Reply("Fine.", finish="length")
    (sent,) = [asked.body for asked in server.asked]
    assert server.asked[0].path == "/v1/chat/completions"
    assert {key: sent[key] for key in ("model", "temperature", "top_p", "top_k", "max_tokens", "seed")} == {
        "model": "eye-7b", "temperature": 0.5, "top_p": 0.9, "top_k": 50, "max_tokens": 77,
        "seed": seeds([turns], 3)[0],
    }  # fmt: skip
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"] == "Unsure."
    whole, crop = (np.asarray(_image(url)) for url in server.asked[0].images)
    assert np.array_equal(crop, picture.pixels[200:, 300:])  # native pixels: the crop is no larger than 300 px
    assert whole.shape == (200, 300, 3)


def _image(url: str) -> Image.Image:
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("model", ["localhost#m", "http://x", "http://x/v1#", "ftp://x#m"])
def test_a_name_of_another_form_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match=r"http\(s\)://HOST/v1#MODEL"):
        open_backend(f"openai:{model}")


def test_replies_are_in_order_and_none_is_none() -> None:
    with serve(lambda asked: chat(asked.body["messages"][0]["content"][0]["text"].upper())) as server:
        backend = client(server, concurrency=2)
        said = backend.reply([ask(text) for text in "abcd"], Sampling())
        assert [reply.text for reply in said] == list("ABCD")
        assert backend.reply([], Sampling()) == []
    assert backend.batch_size == 2


def test_rollouts_of_a_group_have_seeds_of_their_own() -> None:
    views = [noise_picture(40, 40, seed).view() for seed in (1, 1, 2, 1)]
    turns = [open_protocol("snellen").conversation("Sharp?", [view], []) for view in views]
    with serve(lambda asked: chat(str(asked.body["seed"]))) as server:
        said = client(server).reply(turns, Sampling(temperature=1.0, seed=5))
    assert [reply.text for reply in said] == [str(seed) for seed in seeds(turns, 5)]
    assert len({reply.text for reply in said}) == 4


# one picture's failure


FAILURES: dict[str, tuple[Answer, str]] = {
    "refused": (refuse("content policy"), "status 400.*content policy"),
    "forbidden": (refuse("moderation", 403), "status 403.*moderation"),
    "too large": (refuse("too large", 413), "status 413"),
    "no choices": (Answer({"id": "x", "choices": []}), "not a chat completion"),
    "html": (Answer(b"<html>gateway</html>"), "not JSON"),
    "invalid UTF-8": (Answer(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'), "not JSON"),
    "no message": (Answer({"choices": [{"message": "hi"}]}), "not a chat completion"),
    "a list": (Answer([1]), "not a chat completion"),
    "numbers": (chat([1]), "not text"),
    "pictures": (chat([{"type": "image_url", "image_url": {}}]), "not text"),
    "refusal": (chat(None, refusal="I can't help with that."), "refused: I can't help"),
    "filter": (chat("", finish="content_filter"), "ended with 'content_filter'"),
    "tool call": (chat(None, finish="tool_calls", tool_calls=[{"id": "1"}]), "ended with 'tool_calls'"),
    "broken": (Answer({}, ending="reset"), "the connection broke"),
    "busy": (refuse("overloaded", 503), "status 503.*gave up after 2 attempts"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_one_pictures_failure_is_its_row_and_the_others_have_scores(kind: str) -> None:
    answer, problem = FAILURES[kind]
    sources = pictures(3)
    failing: list[str] = []

    def respond(asked: Asked) -> Answer:
        if asked.images and not failing and _shows(asked, sources[1]):
            failing.append(asked.images[0])
        return answer if asked.images[:1] == failing else well_formed(asked)

    with serve(respond) as server:
        results = Assessor(client(server, attempts=2))(sources)
    assert [one.score for one in results] == [3.47, None, 3.47]
    error = results[1].error
    assert error is not None and error.code == "no_reply" and error.problem.startswith("round 1: ")
    assert re.search(problem, error.problem)


def _shows(asked: Asked, picture: Picture) -> bool:
    shown = np.asarray(_image(asked.images[0]))
    return shown.shape == picture.pixels.shape and np.array_equal(shown, picture.pixels)


def test_a_failure_in_round_two_keeps_round_one_but_gives_no_score() -> None:
    with serve(lambda asked: refuse("too long") if asked.round == 2 else well_formed(asked)) as server:
        (result,) = Assessor(client(server))(pictures(1))
    assert result.score is None and result.steps[0].rating == 3.47
    assert result.error is not None and result.error.problem.startswith("round 2: ")


@pytest.mark.parametrize(("status", "message"), [(401, "no such key"), (404, "no such model")])
def test_what_no_picture_can_pass_ends_the_run(status: int, message: str) -> None:
    with serve(lambda asked: refuse(message, status)) as server, pytest.raises(BackendError, match=message):
        Assessor(client(server))(pictures(2))


def test_a_server_that_answers_nothing_ends_the_run() -> None:
    silent = pytest.raises(BackendError, match="does not answer other requests either")
    with serve(lambda asked: refuse("starting", 503)) as server, silent:
        Assessor(client(server, attempts=2))(pictures(2))


def test_a_server_that_went_away_ends_the_run() -> None:
    with serve(well_formed) as server:
        backend = client(server, attempts=2)
    with pytest.raises(BackendError, match="cannot be reached"):
        Assessor(backend)(pictures(1))


# habits


def think(text: str) -> str:
    return text[len("<think>") : text.index("</think>")]


HABITS: dict[str, tuple[Callable[[str], Answer], list[str]]] = {
    "as asked": (chat, []),
    "fenced JSON": (lambda text: chat(text.replace("<answer>", "<answer>```json ").replace("</ans", "```</ans")),
                    ["code fence"]),
    "fenced": (lambda text: chat(f"```\n{text}\n```"), ["code fence"]),
    "preamble": (lambda text: chat("Sure! Here is my assessment.\n" + text), ["text around the reply"]),
    "quoted rating": (lambda text: chat(text.replace("3.47", '"3.47"')), ["quoted rating"]),
    "pixels": (lambda text: chat(text.replace("[0.10, 0.20, 0.60, 0.70]", "[34, 12, 204, 42]")), ["box units"]),
    "in parts": (lambda text: chat([{"type": "text", "text": text[:90]}, {"type": "text", "text": text[90:]}]),
                 ["text in parts"]),
    "reasoning apart": (lambda text: chat(text[text.index("<answer>") :], reasoning_content=think(text)),
                        ["reasoning apart"]),
    "reasoning of its own": (lambda text: chat(text, reasoning="Let me see."), []),
    "bold labels": (lambda text: chat(text.replace("Issues to Avoid:", "**Issues to Avoid:**")), ["marked-up labels"]),
}  # fmt: skip


@pytest.mark.parametrize("habit", HABITS)
def test_habits_of_models_are_repaired_and_listed(habit: str) -> None:
    wrap, repaired = HABITS[habit]
    with serve(lambda asked: wrap(reply_text(asked.round))) as server:
        (result,) = Assessor(client(server, name="Qwen2.5-VL-7B"))(pictures(1))
    assert result.error is None and result.score == 3.47 and len(result.steps) == 2
    first = result.steps[0]
    assert first.parsed is not None and first.parsed.rationale is not None
    assert first.to_dict()["repaired"] == repaired
    assert first.parsed.answer.region == Region(0.1, 0.2, 0.6, 0.7)


def test_boxes_in_thousandths_by_the_name_of_the_checkpoint() -> None:
    text = reply_text(1, box="[100, 200, 600, 700]")
    with serve(lambda asked: chat(text if asked.round == 1 else reply_text(2))) as server:
        backend = client(server, Abilities(top_logprobs=0, root="Qwen/Qwen3-VL-4B-Instruct"), name="alias")
        (result,) = Assessor(backend)(pictures(1))
    parsed = result.steps[0].parsed
    assert parsed is not None and parsed.answer.region == Region(0.1, 0.2, 0.6, 0.7)
    assert parsed.repaired == ("box units",)


def test_text_that_cannot_be_written_or_printed_is_replaced() -> None:
    text = reply_text(2).replace("noise", "so\u0000ft \ud800 \u001b[31m", 1)
    with serve(lambda asked: chat(text)) as server:
        (reply,) = client(server).reply([ask()], Sampling())
    assert "so\ufffdft ? \ufffd[31m" in reply.text
    reply.text.encode()


def test_an_empty_message_stays_empty() -> None:
    with serve(lambda asked: chat(None, finish="length")) as server:
        assert client(server).reply([ask()], Sampling()) == [Reply("", finish="length")]


# structured outputs


def in_json(asked: Asked) -> Answer:
    """Prose, unless a schema is asked for."""
    if "response_format" not in asked.body:
        return chat("I would say it is a nice picture.")
    schema = asked.body["response_format"]["json_schema"]["schema"]
    values = dict.fromkeys(schema["required"][:4], "some noise")
    box = [0.1, 0.2, 0.6, 0.7] if asked.round == 1 else [0, 0, 0, 0]
    tool = "crop" if asked.round == 1 else "final"
    return chat(json.dumps({**values, "bbox_2d": box, "rating": 2.5, "tool": tool, "issues": []}))


def test_a_reply_that_cannot_be_read_is_asked_for_as_json() -> None:
    with serve(in_json) as server:
        (result,) = Assessor(client(server, Abilities(top_logprobs=0, schema=True)))(pictures(1))
    assert result.score == 2.5 and [step.to_dict()["repaired"] for step in result.steps] == [["asked for JSON"]] * 2
    kinds = [asked.body.get("response_format", {}).get("type") for asked in server.asked]
    assert kinds == [None, "json_schema"] * 2
    schemas = [asked.body["response_format"]["json_schema"]["schema"] for asked in server.asked[1::2]]
    assert [tuple(schema["required"][:4]) for schema in schemas] == [FIRST_LABELS, LATER_LABELS]
    assert result.steps[0].reply.text.startswith("<think>Image Quality Summary: some noise\nDirections")


@pytest.mark.parametrize(
    ("structured", "can", "kinds"),
    [("always", True, [True, True]), ("never", True, [False]), ("retry", False, [False]), ("always", False, [False])],
)
def test_json_is_asked_for_as_told_and_as_the_server_can(structured: Any, can: bool, kinds: list[bool]) -> None:
    with serve(in_json) as server:
        backend = client(server, Abilities(top_logprobs=0, schema=can), structured=structured)
        (result,) = Assessor(backend)(pictures(1))
    assert ["response_format" in asked.body for asked in server.asked] == kinds
    assert (result.score is None) == (not all(kinds))


def test_the_first_reply_stays_where_json_is_no_better() -> None:
    with serve(lambda asked: chat("no")) as server:
        (result,) = Assessor(client(server, Abilities(schema=True)))(pictures(1))
    assert len(server.asked) == 2 and result.steps[0].reply.text == "no" and result.score is None


def test_the_protocol_of_the_authors_is_never_held_to_our_schema(authors_package: None) -> None:
    with serve(lambda asked: chat("no")) as server:
        Assessor(client(server, Abilities(schema=True), structured="always"), "zoom-iqa")(pictures(1))
    assert ["response_format" in asked.body for asked in server.asked] == [False]


# the score


def unsure(asked: Asked) -> Answer:
    """3.47 or 4.10: 0.7 and 0.3 at the first digit; the rest is certain. A forced beginning is continued."""
    if asked.forced.endswith('"rating": 4'):
        return chat(".10, ", {"content": [token("."), token("1"), token("0"), token(", ")]})
    text = reply_text(1, tool="final")
    pieces = tokens_of(text, "3.47")
    pieces["content"][1] = token("3", 0.7, d4=0.3)
    return chat(text, pieces)


def test_other_first_digits_are_asked_for_where_the_server_continues() -> None:
    with serve(unsure) as server:
        (result,) = Assessor(client(server, Abilities(continues=True)))(pictures(1))
    step = result.steps[0]
    assert step.rating_source == "distribution" and step.rating == 3.47
    assert result.score == pytest.approx(0.7 * 3.47 + 0.3 * 4.10)
    follow = server.asked[1]
    assert follow.forced.endswith('<answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 4')
    assert (follow.body["continue_final_message"], follow.body["add_generation_prompt"]) == (True, False)


def test_below_the_mass_the_written_rating_counts() -> None:
    with serve(unsure) as server:
        (result,) = Assessor(client(server, Abilities()))(pictures(1))
    assert (result.score, result.steps[0].rating_source, len(server.asked)) == (3.47, "written", 1)


def test_a_branch_that_the_server_refuses_is_missing_mass() -> None:
    with serve(lambda asked: refuse("no") if asked.forced else unsure(asked)) as server:
        (result,) = Assessor(client(server, Abilities(continues=True)))(pictures(1))
    assert (result.score, result.steps[0].rating_source) == (3.47, "written")


@pytest.mark.parametrize("wrong", ["token_id:7", None, math.nan])
def test_log_probabilities_that_tell_nothing_are_not_used(wrong: Any) -> None:
    text = reply_text(1, tool="final")
    logprobs = tokens_of(text, "3.47")
    spoiled: dict[str, Any] = {"token": wrong, "bytes": None} if isinstance(wrong, str) else {"logprob": wrong}
    logprobs["content"][2] |= spoiled
    with serve(lambda asked: chat(text, logprobs)) as server:
        (result,) = Assessor(client(server, Abilities()))(pictures(1))
    assert (result.score, result.steps[0].rating_source) == (3.47, "written")


@pytest.mark.parametrize("repeat", [False, True])
def test_score_only_forces_the_reply_up_to_its_rating(repeat: bool) -> None:
    pieces = {"content": [token(text) for text in ("4", ".", "25", ",")]}
    with serve(lambda asked: chat(asked.forced * repeat + "4.25,", pieces)) as server:
        (result,) = Assessor(client(server, Abilities(continues=True)), score_only=True)(pictures(1))
    (sent,) = server.asked
    assert sent.forced == RATING_PREFIX
    assert (result.score, result.steps[0].rating_source) == (4.25, "distribution")


def words(asked: Asked) -> Answer:
    """Level words: "good" in one token, "excellent" in two, the others not among the alternatives."""
    if asked.forced.endswith("is ex"):
        return chat("cellent", {"content": [token("cellent", 0.75, tra=0.25)]}, "length")
    first = {" good": 0.5, " ex": 0.4, " Good": 0.04, " fa": 0.004}
    alternatives = [token(text, probability) for text, probability in first.items()]
    return chat(" good", {"content": [{**alternatives[0], "top_logprobs": alternatives}]}, "length")


def test_levels_are_read_behind_the_stem() -> None:
    with serve(words) as server:
        (result,) = Assessor(client(server, Abilities(continues=True)), "levels")(pictures(1))
    first, second = server.asked
    assert (first.forced, second.forced) == ("The quality of the image is", "The quality of the image is ex")
    assert (first.body["max_tokens"], first.body["continue_final_message"]) == (1, True)
    assert result.score == pytest.approx((0.5 * 4.0 + 0.4 * 0.75 * 5.0) / (0.5 + 0.4 * 0.75))
    assert result.steps[0].reply.rating_mass == pytest.approx(0.8)


def letters(asked: Asked) -> Answer:
    """The beginning "ex" comes as one token (0.4), or as " e" (0.2) and "x"."""
    listed = {"is": {" ex": 0.4, " e": 0.2, " good": 0.3}, "is e": {"x": 1.0}, "is ex": {"cellent": 0.5}}
    here = listed[asked.forced.removeprefix("The quality of the image ")]
    alternatives = [token(text, probability) for text, probability in here.items()]
    return chat(next(iter(here)), {"content": [{**alternatives[0], "top_logprobs": alternatives}]}, "length")


def test_a_beginning_of_a_level_that_is_reached_in_two_ways_is_asked_for_once() -> None:
    with serve(letters) as server:
        (result,) = Assessor(client(server, Abilities(continues=True)), "levels")(pictures(1))
    assert [one.forced.rpartition("image ")[2] for one in server.asked] == ["is", "is e", "is ex"]
    assert result.steps[0].reply.rating_mass == pytest.approx(0.3 + 0.6 * 0.5)
    assert result.score == pytest.approx((0.3 * 4.0 + 0.3 * 5.0) / 0.6)


@pytest.mark.parametrize("abilities", [Abilities(continues=False), Abilities(continues=True, top_logprobs=0)])
def test_levels_need_log_probabilities_of_a_begun_reply(abilities: Abilities) -> None:
    with serve(words) as server, pytest.raises(BackendError, match="use another protocol"):
        Assessor(client(server, abilities), "levels")(pictures(1))
    assert server.asked == []


def test_a_picture_whose_level_is_refused_is_an_error_of_its_own() -> None:
    with serve(lambda asked: refuse("too large") if asked.number == 2 else words(asked)) as server:
        results = Assessor(client(server, Abilities(continues=True), concurrency=1), "levels")(pictures(2))
    assert sorted(one.error is None for one in results) == [False, True]


@pytest.mark.parametrize("text", ['{"rating": 4.25}', "4.25", '"4.25"', '```json\n{"rating": "4.25"}\n```', "4.25."])
@pytest.mark.parametrize("schema", [False, True])
def test_score_only_asks_for_the_rating_alone_where_nothing_is_continued(text: str, schema: bool) -> None:
    with serve(lambda asked: chat(text)) as server:
        (result,) = Assessor(client(server, Abilities(schema=schema)), score_only=True)(pictures(1))
    (sent,) = server.asked
    assert ("response_format" in sent.body) == schema
    assert '{"rating": N.NN}' in sent.body["messages"][-1]["content"][-1]["text"]
    assert (result.score, result.steps[0].rating_source) == (4.25, "written")


@pytest.mark.parametrize("text", ["It is good.", "7.5", ""])
def test_score_only_without_a_rating_is_no_score(text: str) -> None:
    with serve(lambda asked: chat(text)) as server:
        (result,) = Assessor(client(server), score_only=True)(pictures(1))
    assert result.score is None and result.error is not None and result.error.code == "unparsable_reply"


# the probe


def able(asked: Asked) -> Answer:
    """A server that can do everything."""
    if asked.method == "GET":
        return Answer({"data": [{"id": "other"}, {"id": "eye-7b", "root": "Qwen/Qwen3-VL-4B"}]})
    if asked.forced:
        return chat("3.50, ")
    if "response_format" in asked.body:
        return chat('{"reply": "yes"}')
    return chat("Yes.", {"content": [token("Yes", 0.9, No=0.1)]} if asked.body.get("logprobs") else None)


def counted(asked: Asked, left_open: int, closed: int) -> Answer:
    """The same, of a model that writes no number; the tokens of a prompt are counted."""
    if not asked.forced:
        return able(asked)
    answer = chat("soft noise")
    answer.body["usage"] = {"prompt_tokens": left_open if "continue_final_message" in asked.body else closed}
    return answer


def without(*names: str, status: int = 400, silent: bool = False) -> Callable[[Asked], Answer]:
    """The same, but it refuses these parameters, and with `silent` does not say which."""

    def respond(asked: Asked) -> Answer:
        for name in names:
            if name in asked.body:
                return refuse("Bad request" if silent else f"Unsupported parameter: '{name}' is not supported.", status)
        return able(asked)

    return respond


def few(asked: Asked) -> Answer:
    return refuse("top_logprobs must be <= 5") if asked.body.get("top_logprobs", 0) > 5 else able(asked)


def strict(asked: Asked) -> Answer:
    """`transformers serve` (5.24): knows OpenAI's fields only, ignores some of them, lists the models of its cache."""
    known = {"model", "messages", "max_tokens", "temperature", "top_p", "seed", "logprobs", "top_logprobs",
             "response_format"}  # fmt: skip
    if asked.method == "GET":
        return Answer({"object": "list", "data": []})
    if unexpected := asked.body.keys() - known:
        return Answer({"detail": f"Unexpected fields in the request: {unexpected}"}, 422)
    return chat("Yes.")


ALL = Abilities(listed=True, root="Qwen/Qwen3-VL-4B", schema=True, continues=True, neutral=True)
PROBES: dict[str, tuple[Callable[[Asked], Answer], dict[str, Any]]] = {
    "everything": (able, {}),
    "five alternatives": (few, {"top_logprobs": 5}),
    "no logprobs": (without("logprobs"), {"top_logprobs": 0}),
    "no logprobs, silent": (without("logprobs", silent=True), {"top_logprobs": 0}),
    "ignored logprobs": (lambda asked: chat("Yes.") if asked.body.get("logprobs") and not asked.forced else able(asked),
                         {"top_logprobs": 0}),
    "new name of the limit": (without("max_tokens"), {"limit": "max_completion_tokens"}),
    "new name, silent": (without("max_tokens", silent=True), {"limit": "max_completion_tokens"}),
    "a reasoning model": (without("max_tokens", "temperature", "top_k", "logprobs"),
                          {"limit": "max_completion_tokens", "refused": ("temperature", "top_k"), "top_logprobs": 0}),
    "unknown parameters refused, as hosted services do": (
        without("top_k", "min_p", "repetition_penalty"), {"refused": ("top_k", "min_p", "repetition_penalty")}),
    "unknown parameters refused, silent": (
        without("top_k", "min_p", "repetition_penalty", silent=True), {"neutral": False}),
    "transformers serve": (
        strict, {"refused": ("top_k", "min_p", "repetition_penalty"), "top_logprobs": 0, "schema": False,
                 "continues": False, "listed": None, "root": None}),
    "no seed": (without("seed", status=422), {"refused": ("seed",)}),
    "no schema": (without("response_format"), {"schema": False}),
    "schema ignored": (lambda asked: chat("Sure!") if "response_format" in asked.body else able(asked),
                       {"schema": False}),
    "a small model that writes white space until the limit": (
        lambda asked: chat('{"reply":   "no"     ') if "response_format" in asked.body else able(asked), {}),
    "a small model that writes three decimals": (
        lambda asked: chat('3.611, "final "final0', finish="length") if asked.forced else able(asked), {}),
    "the beginning is repeated": (
        lambda asked: chat(asked.forced + "soft noise") if asked.forced else able(asked), {}),
    "a small model that continues with a word": (lambda asked: counted(asked, 40, 45), {}),
    "one that begins anew, counted": (lambda asked: counted(asked, 45, 45), {"continues": False}),
    "a reply that begins anew": (
        lambda asked: chat("A grey square.") if asked.forced else able(asked), {"continues": False}),
    "no continuation": (without("continue_final_message"), {"continues": False}),
    "continuation ignored": (lambda asked: chat("<think>") if asked.forced else able(asked), {"continues": False}),
    "no list of models": (lambda asked: Answer({}, 404) if asked.method == "GET" else able(asked),
                          {"listed": None, "root": None}),
    "empty list": (lambda asked: Answer({"data": []}) if asked.method == "GET" else able(asked),
                   {"listed": None, "root": None}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROBES)
def test_the_probe_finds_out_what_a_server_can_do(kind: str) -> None:
    respond, expected = PROBES[kind]
    with serve(respond) as server:
        backend = client(server, None)
    found = backend.abilities
    refused = expected.pop("refused", ())
    assert set(found.refused) == set(refused)
    assert replace(found, refused=()) == replace(ALL, **expected)
    assert backend.details["server"] == found.to_dict()
    assert len(server.chats) <= 12


def test_the_settings_of_a_checkpoint_do_not_count_beside_ours() -> None:
    # vLLM fills in what a request leaves open from generation_config.json: for Qwen-VL a penalty, or top-k 1
    turns = open_protocol("snellen").conversation("Sharp?", [noise_picture(64, 64).view()], [])
    sent = []
    with serve(able) as server:
        backend = client(server, None)
        for sampling in (Sampling(1.0), Sampling(1.0, top_k=50)):
            backend.reply([turns], sampling)
            sent.append(server.chats[-1].body)
    assert [one["top_k"] for one in sent] == [-1, 50]
    assert all((one["repetition_penalty"], one["min_p"]) == (1.0, 0.0) for one in sent)


def test_the_outcome_of_the_probe_is_in_the_provenance() -> None:
    def respond(asked: Asked) -> Answer:
        return few(asked) if len(server.asked) < 7 else chat(reply_text(1, tool="final"))

    with serve(respond) as server:
        (result,) = Assessor(client(server, None))(pictures(1))
    assert result.provenance is not None
    assert result.provenance["backend"]["server"]["top_logprobs"] == 5
    json.dumps(result.to_dict())


def test_a_model_that_is_not_served_is_named_with_those_that_are() -> None:
    with serve(able) as server, pytest.raises(BackendError, match="does not serve 'nose'; it serves other, eye-7b"):
        client(server, None, name="nose")


@pytest.mark.parametrize("status", [400, 500])
def test_a_model_that_takes_no_pictures_is_refused(status: int) -> None:
    blind = "eye-7b is not a multimodal model"  # llama.cpp says so with status 500

    def respond(asked: Asked) -> Answer:
        return refuse(blind, status) if asked.method == "POST" and asked.images else able(asked)

    with serve(respond) as server, pytest.raises(BackendError, match=f"takes no pictures.*{blind}"):
        client(server, None)


def test_a_wrong_key_is_told_at_opening() -> None:
    refusal = refuse("Incorrect API key", 401)
    with serve(lambda asked: refusal) as server, pytest.raises(BackendError, match="Incorrect API key"):
        client(server, None)


def test_a_server_that_refuses_everything_is_told_at_opening() -> None:
    def respond(asked: Asked) -> Answer:
        return able(asked) if asked.method == "GET" else refuse("no")

    with serve(respond) as server, pytest.raises(BackendError, match="status 400"):
        client(server, None)
    assert len(server.chats) <= 30


def test_options_by_name_reach_the_server() -> None:
    options = ModelOptions(long_side=100, timeout=7.0, concurrency=3, structured="never")
    with serve(able) as server:
        backend = open_backend(f"openai:{server.address}#eye-7b", options=options)
    assert isinstance(backend, OpenAIBackend) and isinstance(backend.server, ChatServer)
    assert (backend.long_side, backend.batch_size, backend.structured) == (100, 3, "never")
    assert (backend.server.timeout, backend.server.concurrency) == (7.0, 3)
    with pytest.raises(ValueError, match="retry, always or never"):
        ModelOptions(structured="often")


def test_more_pictures_are_in_flight_with_more_concurrency() -> None:
    together = threading.Barrier(12)

    def respond(asked: Asked) -> Answer:
        together.wait(30)  # answers only when all twelve are in flight
        return chat(reply_text(1, tool="final"))

    with serve(respond) as server:
        results = Assessor(client(server, concurrency=12))(pictures(12))
    assert [one.score for one in results] == [3.47] * 12 and server.most == 12
