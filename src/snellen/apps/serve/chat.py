"""/v1/chat/completions and /v1/models in OpenAI's dialect, for models that judge pictures alone (snellen-1).

No text is read but the box that a later turn names for its crop. Each picture of the conversation is a round: the first
shows the whole picture, a later one the crop that the reply before it asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from snellen.apps.serve.batcher import Job
from snellen.apps.serve.sent_crop import CropError, crop_view, stated_box
from snellen.apps.serve.service import Service
from snellen.apps.web.error import WebError
from snellen.apps.web.gone import unless_gone
from snellen.backend import Backend, Conversation, Reply, Sampling, Turn
from snellen.image import ImageError, View, load
from snellen.reply import RATING_PREFIX, ReplyError, parse_reply

HARMLESS = {"n": (None, 1), "stream": (None, False), "tools": (None, []), "response_format": (None, {"type": "text"})}
"""Fields that change the form of an answer, and the values with which they change nothing."""
MOST_TURNS = 64


class ChatError(WebError):
    """An error in the dialect: {"error": {"message", "type", "code", ...}}."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the response."""
        error = super().to_dict()["error"]
        message = f"{error['problem']}; {error['remedy']}"
        return {"error": {"message": message, "type": "invalid_request_error", **error}}


@dataclass(frozen=True)
class Said:
    """A turn as it was sent. role: "user" or "assistant". text: joined. pictures: bytes of files."""

    role: str
    text: str
    pictures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Continue:
    """The work on conversations: the next reply, or the rating alone. Data of a job: the turns."""

    max_megapixels: float
    rating_only: bool

    def run(self, backend: Backend, jobs: Sequence[Job]) -> Iterator[Reply | ChatError]:
        """Yield the reply to each conversation, or the reason why there is none."""
        for job in jobs:
            try:
                conversation = conversation_of(job.data, self.max_megapixels)
            except ChatError as error:
                yield error
                continue
            yield (backend.rate([conversation]) if self.rating_only else backend.reply([conversation], Sampling()))[0]


def conversation_of(turns: Sequence[Said], max_megapixels: float) -> Conversation:
    """Return the conversation that a model continues: a user's turn for each picture, the replies between them.

    Raises:
        ChatError: it holds no picture, one that cannot be read, or one that is no crop of the first.
    """
    conversation: list[Turn] = []
    for said in turns:
        if said.role == "assistant" and conversation and conversation[-1].role == "user":
            conversation.append(Turn("assistant", said.text))
        for data in said.pictures:
            conversation.append(Turn("user", "", (_view(data, conversation, said.text, max_megapixels),)))
    while conversation and conversation[-1].role == "assistant":  # what was said after the last picture
        conversation.pop()
    if not conversation:
        raise ChatError(400, "no_picture", "the conversation shows no picture", "send one as a data URL in image_url")
    return tuple(conversation)


def _view(data: bytes, before: Sequence[Turn], text: str, max_megapixels: float) -> View:
    number = sum(turn.role == "user" for turn in before) + 1
    try:
        picture = load(data, name=f"picture {number}", max_megapixels=max_megapixels)
    except ImageError as error:
        raise ChatError(400, error.code, f"{error.name}: {error.problem}", error.remedy) from error
    if not before:
        return picture.view()
    remedy = "send one picture, and later the crop that the reply asked for"
    if before[-1].role != "assistant":
        raise ChatError(400, "not_a_crop", f"picture {number} follows another without a reply between them", remedy)
    try:
        answer = parse_reply(before[-1].text, number - 1).answer
        if answer.region is None:
            raise CropError("the reply before it asks for no crop")
        return crop_view(picture, before[0].views[0].picture, answer.region, stated_box(text), max_megapixels)
    except (ReplyError, CropError) as error:
        raise ChatError(400, "not_a_crop", f"picture {number}: {error}", remedy) from error


async def complete(request: Request, service: Service) -> Response:
    """POST /v1/chat/completions."""
    body = await anyio.to_thread.run_sync(_json, await request.body())
    if body.get("model") != service.backend.name:
        problem = f"there is no model {str(body.get('model'))[:80]!r}"
        raise ChatError(404, "model_not_found", problem, f"ask for {service.backend.name}")
    for name, harmless in HARMLESS.items():
        if body.get(name) not in harmless:
            problem = f"{service.backend.name} does not support {name}"
            raise ChatError(400, "unsupported", problem, f"leave {name} out")
    turns = await anyio.to_thread.run_sync(read_turns, body.get("messages"))
    forced = turns[-1].text if turns[-1].role == "assistant" else None
    if forced not in (None, RATING_PREFIX):
        problem = "the last turn is the assistant's, and it is not the beginning of a reply up to its rating"
        raise ChatError(400, "unsupported", problem, "end with the user's turn")
    work = Continue(service.settings.max_megapixels, forced is not None)
    (reply,) = await unless_gone(request, service.finish(service.put([Job("a conversation", turns, work)])))
    if isinstance(reply, ChatError):
        raise reply
    text = reply.text
    if forced is not None:
        assert reply.rating is not None  # of every model that judges pictures alone
        text = f"{reply.rating.mean:.2f}"
    return JSONResponse(_completion(service.backend.name, text))


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ChatError(400, "bad_json", "the body is not JSON", "send a JSON object") from error
    if not isinstance(value, dict):
        raise ChatError(400, "bad_json", "the body is JSON, but not an object", "send a JSON object")
    return value


def read_turns(messages: Any) -> list[Said]:
    """Return the turns of a request's messages but those of the system.

    Raises:
        ChatError: they have another form, or a picture is no data URL.
    """
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_TURNS:
        raise ChatError(400, "bad_messages", f"messages is no list of 1 to {MOST_TURNS} turns", "send such a list")
    turns = [_turn(message) for message in messages]
    kept = [turn for turn in turns if turn.role in ("user", "assistant")]
    return kept or [Said("user", "")]


def _turn(message: Any) -> Said:
    form = ChatError(400, "bad_messages", "a turn is no object with role and content", "see OpenAI's chat completions")
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise form
    content = message.get("content")
    if content is None or isinstance(content, str):
        return Said(message["role"], content or "")
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise form
    texts = [part["text"] for part in content if part.get("type") == "text" and isinstance(part.get("text"), str)]
    pictures = [_data(part.get("image_url")) for part in content if part.get("type") == "image_url"]
    return Said(message["role"], "\n".join(texts), tuple(pictures) if message["role"] == "user" else ())


def _data(image_url: Any) -> bytes:
    url = image_url.get("url") if isinstance(image_url, dict) else image_url
    if not isinstance(url, str) or not url.startswith("data:") or ";base64," not in url[:200]:
        raise ChatError(400, "bad_picture", "a picture is no data URL in base64", "send data:image/png;base64,...")
    try:
        return base64.b64decode(url[url.index(",") + 1 :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ChatError(400, "bad_picture", "a data URL is no base64", "encode the file anew") from error


def _completion(model: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
    }


async def models(request: Request, service: Service) -> Response:
    """GET /v1/models."""
    name = service.backend.name
    return JSONResponse(
        {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "snellen"}]}
    )
