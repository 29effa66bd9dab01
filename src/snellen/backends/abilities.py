"""Abilities of a chat completions server, found out by a few small requests when it is opened."""

from __future__ import annotations

import base64
import io
import re
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any

from PIL import Image

from snellen.backend import BackendError
from snellen.backends.chat_server import ChatServer, RequestError
from snellen.reply import RATING_PREFIX

PROBE_TOKENS = 16
MOST_TRIES = 24
"""Combinations of parameters that are tried at most."""
REFUSALS = (400, 403, 415, 422, 501)
"""Statuses with which servers refuse a parameter."""
NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values that change nothing. Where they are left out, vLLM takes those of the checkpoint, llama.cpp its own."""
OPTIONAL = ("seed", "temperature", "top_p", *NEUTRAL)
"""Parameters that may be left out where a server refuses them."""
CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
"""vLLM's flags: the last message is the beginning of the reply. Other servers that continue it ignore them."""


@dataclass(frozen=True)
class Abilities:
    """Fields that a server takes and gives; part of a result's provenance.

    Attributes:
        listed: the model is among those that the server lists; None where it lists none.
        root: the server's own name of the checkpoint, where it states one (vLLM); the box units follow from it.
        limit: name of the parameter for the most tokens.
        top_logprobs: alternatives for each token, 0 where the server gives no log-probabilities.
        schema: replies can be held to a JSON schema.
        continues: a given beginning of the reply is continued.
        neutral: requests hold the values of `NEUTRAL`, so that nothing but `Sampling` counts.
        refused: parameters that the server refuses, and that are left out.
    """

    listed: bool | None = None
    root: str | None = None
    limit: str = "max_tokens"
    top_logprobs: int = 20
    schema: bool = False
    continues: bool = False
    neutral: bool = False
    refused: tuple[str, ...] = ()

    def parameters(self, max_tokens: int, values: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a request: limit, log-probabilities, and of `values` and `NEUTRAL` what is not
        refused."""
        given = (NEUTRAL if self.neutral else {}) | values
        body = {self.limit: max_tokens} | {name: value for name, value in given.items() if name not in self.refused}
        if self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self) | {"refused": list(self.refused)}


def named(abilities: Abilities, message: str) -> list[Abilities]:
    """Return what to try after a server refused a request with a message that names a parameter; none if it names none.

    That one is changed: fewer alternatives, another name of the limit, or left out.
    """
    fewer = [replace(abilities, top_logprobs=count) for count in (5, 0) if count < abilities.top_logprobs]
    if "logprobs" in message and fewer:
        return fewer if "top_logprobs" in message else fewer[-1:]
    optional = [name for name in OPTIONAL if name in message and name not in abilities.refused]
    if optional:
        return [replace(abilities, refused=(*abilities.refused, *optional))]
    return [_renamed(abilities)] if re.search(r"max_(completion_)?tokens", message) else []


def guesses(abilities: Abilities) -> list[Abilities]:
    """Return what to try after a server refused a request and did not say why: each change by itself."""
    fewer = [replace(abilities, top_logprobs=count) for count in (5, 0) if count < abilities.top_logprobs]
    plain = [replace(abilities, neutral=False)] if abilities.neutral else []
    left = [name for name in OPTIONAL if name not in abilities.refused]
    return [
        *fewer, _renamed(abilities), *plain, *(replace(abilities, refused=(*abilities.refused, name)) for name in left)
    ]  # fmt: skip


def _renamed(abilities: Abilities) -> Abilities:
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
    return replace(abilities, limit=other[abilities.limit])


async def probe(server: ChatServer, model: str, values: dict[str, Any]) -> Abilities:
    """Return what the server can do.

    Args:
        values: the parameters that requests will have beside model, messages and limit, such as temperature and seed.

    Raises:
        BackendError: it cannot be reached, does not serve the model, or the model takes no pictures.
    """
    abilities = replace(await _listed(server, model), neutral=True)
    abilities = await _accepted(server, model, values, abilities)
    schema = await _holds_to_schema(server, model, values, abilities)
    continues = await _continues(server, model, values, abilities)
    return replace(abilities, schema=schema, continues=continues)


async def _listed(server: ChatServer, model: str) -> Abilities:
    try:
        answer = await server.get("/models")
    except RequestError as error:
        if error.status in (401, None):  # wrong key, or nobody there; some servers have no list
            raise
        return Abilities()
    entries = answer.get("data") if isinstance(answer, dict) else None
    found = [one for one in entries or [] if isinstance(one, dict) and isinstance(one.get("id"), str)]
    names = [one["id"] for one in found]
    if not names:
        return Abilities()
    if model not in names:
        served = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise BackendError(f"{server.shown} does not serve {model!r}; it serves {served}; name one of these behind #")
    root = found[names.index(model)].get("root")
    return Abilities(listed=True, root=root if isinstance(root, str) else None)


async def _accepted(server: ChatServer, model: str, values: dict[str, Any], abilities: Abilities) -> Abilities:
    """Return the abilities with which the server takes a request with a picture."""
    waiting = deque([abilities])
    tried: list[Abilities] = []
    refusal: RequestError | None = None
    while waiting and len(tried) < MOST_TRIES:
        now = waiting.popleft()
        if now in tried:
            continue
        tried.append(now)
        body = _body(model, "Is this a picture? Reply with one word.", values, now, picture=True)
        try:
            answer = await server.post("/chat/completions", lambda body=body: body)  # type: ignore[misc]
        except RequestError as error:
            if error.status not in REFUSALS:
                if error.status == 500 and await _takes_text(server, model, values, now):  # llama.cpp
                    raise _no_pictures(model, error) from error
                raise
            if more := named(now, str(error)):
                waiting.extendleft(reversed(more))
            elif refusal is None and await _takes_text(server, model, values, now):
                raise _no_pictures(model, error) from error
            else:
                waiting.extend(guesses(now))
            refusal = refusal or error
            continue
        return replace(now, top_logprobs=_given(answer, now.top_logprobs))
    assert refusal is not None
    raise refusal


def _no_pictures(model: str, error: RequestError) -> BackendError:
    return BackendError(f"{model} takes no pictures ({error}); use a vision-language model")


async def _takes_text(server: ChatServer, model: str, values: dict[str, Any], abilities: Abilities) -> bool:
    """Return whether the same request is taken without its picture."""
    body = _body(model, "Reply with one word.", values, abilities)
    try:
        await server.post("/chat/completions", lambda: body)
    except RequestError as error:
        _raise_if_hopeless(error)
        return False
    return True


def _given(answer: Any, asked: int) -> int:
    """Return the alternatives that an answer lists: 0 where it has text but no log-probabilities."""
    try:
        choice = answer["choices"][0]
        content = (choice.get("logprobs") or {}).get("content")
        if content:
            return asked if any(token.get("top_logprobs") for token in content) else 0
        return 0 if choice["message"].get("content") else asked
    except (KeyError, IndexError, TypeError, AttributeError):
        return asked  # a fault of this answer; requests for pictures will show whether it stays


async def _holds_to_schema(server: ChatServer, model: str, values: dict[str, Any], abilities: Abilities) -> bool:
    schema = {
        "type": "object",
        "properties": {"reply": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["reply"],
        "additionalProperties": False,
    }
    body = _body(model, "Is the sky blue?", values, replace(abilities, top_logprobs=0)) | response_format(schema)
    try:
        answer = await server.post("/chat/completions", lambda: body)
        # white space is free, so a small model may not reach the end; only the schema names the key
        return re.match(r'\s*\{\s*"reply"\s*:', answer["choices"][0]["message"]["content"]) is not None
    except (RequestError, KeyError, IndexError, TypeError) as error:
        _raise_if_hopeless(error)
        return False


async def _continues(server: ChatServer, model: str, values: dict[str, Any], abilities: Abilities) -> bool:
    """Return whether a begun reply is continued.

    True where a number follows, which nothing but the beginning asks for, or where the reply repeats the beginning
    (llama.cpp). A small model may write something else than a number; then True where the prompt has fewer tokens than
    with the last turn closed.
    """
    body = _body(model, "Describe this picture in a sentence.", values, abilities, picture=True)
    body["messages"].append({"role": "assistant", "content": RATING_PREFIX})
    try:
        answer = await server.post("/chat/completions", lambda: body | CONTINUE)
        text = answer["choices"][0]["message"]["content"]
        if text.startswith(RATING_PREFIX) or re.match(r"\s*\d", text):
            return True
        closed = await server.post("/chat/completions", lambda: body)
        return 0 < int(answer["usage"]["prompt_tokens"]) < int(closed["usage"]["prompt_tokens"])
    except (RequestError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        _raise_if_hopeless(error)
        return False


def _raise_if_hopeless(error: Exception) -> None:
    if isinstance(error, RequestError) and error.hopeless:
        raise error


def _body(model: str, text: str, values: dict[str, Any], abilities: Abilities, picture: bool = False) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if picture:
        content.insert(0, {"type": "image_url", "image_url": {"url": data_url(Image.new("RGB", (64, 64), "grey"))}})
    messages = [{"role": "user", "content": content}]
    return {"model": model, "messages": messages, **abilities.parameters(PROBE_TOKENS, values)}


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a request that holds the reply to a JSON schema."""
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
    }


def data_url(image: Image.Image) -> str:
    """Return an image as a data URL of a PNG."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
