"""Any vision-language model behind an OpenAI-compatible chat completions server (vLLM, llama.cpp, OpenAI, ...)."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from PIL import Image

from snellen.backend import Backend, BackendError, Conversation, Reply, Sampling
from snellen.backends.box_units import box_scale
from snellen.backends.rating_tokens import RATING_TOKENS, Choice, leading_number, rating_from_choices
from snellen.image import View
from snellen.reply import RATING_PREFIX

TOP_LOGPROBS = 20
"""Alternatives requested per token: the most that OpenAI and vLLM return by default."""
RETRIED = (408, 409, 429, 500, 502, 503, 504)
"""Status codes after which a request is sent again."""


class OpenAIBackend(Backend):
    """A model behind a chat completions server.

    The rating distribution comes from the server's top log-probabilities, see `rating_from_choices`; None where the
    server gives none. `rate` sends the beginning of the reply as an unfinished assistant message, with the flags of
    vLLM. The API key is that of the environment variable OPENAI_API_KEY, if set.

    Args:
        address: URL#MODEL, for example `http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct`.
        long_side: longest side of a view, px. Views are cut from the picture's own pixels and sent as PNG.
        parallel: requests in flight at a time.
        attempts: how often a request is sent that does not reach the server or gets 408, 409, 429 or 5xx.
        wait: seconds before the second attempt, doubled for each further one, unless the server sends Retry-After.
        timeout: seconds without an answer after which an attempt fails.

    Raises:
        ValueError: `address` has another form.
        BackendError: from `reply` and `rate`, when a request fails for good.
    """

    def __init__(
        self,
        address: str,
        *,
        long_side: int = 1024,
        parallel: int = 8,
        attempts: int = 5,
        wait: float = 1.0,
        timeout: float = 300.0,
    ) -> None:
        url, _, model = address.partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise ValueError(f"an OpenAI-compatible model is given as http(s)://HOST/v1#MODEL, not {address!r}")
        self.url = url.rstrip("/") + "/chat/completions"
        self.name = model
        self.version = url
        self.long_side = long_side
        self.parallel = parallel
        self.attempts = attempts
        self.wait = wait
        self.timeout = timeout

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`; BackendError as soon as one request fails for good."""
        return self._replies(conversations, sampling, "")

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; the reply is forced up to its rating."""
        forced = self._replies(conversations, Sampling(max_tokens=RATING_TOKENS), RATING_PREFIX)
        return [Reply(leading_number(reply.text), rating=reply.rating, finish="rating") for reply in forced]

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`; by the model's name."""
        height, width = view.shown(self.long_side).shape[:2]
        return box_scale(self.name, (width, height))

    def _replies(self, conversations: Sequence[Conversation], sampling: Sampling, prefix: str) -> list[Reply]:
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            return list(pool.map(lambda conversation: self._reply(conversation, sampling, prefix), conversations))

    def _reply(self, conversation: Conversation, sampling: Sampling, prefix: str) -> Reply:
        """Request what follows a forced `prefix` of the reply; the prefix is no part of the returned text."""
        answer = self._post(self.request(conversation, sampling, prefix))
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] or ""
            finish = "length" if choice.get("finish_reason") == "length" else "stop"
            content = (choice.get("logprobs") or {}).get("content") or []
            choices = [_choice(token) for token in content]
            logprobs = tuple(float(token["logprob"]) for token in content)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            excerpt = json.dumps(answer)[:200]
            raise BackendError(f"{self.url}: the answer is not a chat completion ({error!r}): {excerpt}") from error
        if not isinstance(text, str):
            raise BackendError(f"{self.url}: the message's content is not text: {text!r:.200}")
        generated = "".join(part.text for part in choices)
        start = "" if generated.startswith(prefix) else prefix
        return Reply(
            text.removeprefix(prefix),  # some servers return the prefix too, others only what follows
            logprobs=logprobs,
            rating=rating_from_choices(start, choices) if choices else None,
            finish="length" if finish == "length" else "stop",
        )

    def request(self, conversation: Conversation, sampling: Sampling, prefix: str = "") -> dict[str, Any]:
        """Return the JSON object of a request."""
        messages = [
            {"role": turn.role, "content": turn.text if turn.role == "assistant" else self._content(turn.parts())}
            for turn in conversation
        ]
        body: dict[str, Any] = {
            "model": self.name,
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
        if prefix:
            messages.append({"role": "assistant", "content": prefix})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    def _content(self, parts: Sequence[str | View]) -> list[dict[str, Any]]:
        return [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": self._data_url(part)}}
            for part in parts
        ]

    def _data_url(self, view: View) -> str:
        file = io.BytesIO()
        Image.fromarray(view.shown(self.long_side)).save(file, "PNG", compress_level=1)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        for attempt in range(1, self.attempts + 1):
            pause = self.wait * 2 ** (attempt - 1)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    payload = response.read()
                break
            except urllib.error.HTTPError as error:
                problem = f"status {error.code}: {error.read(500).decode(errors='replace').strip()}"
                if error.code not in RETRIED:
                    raise BackendError(f"{self.url}: {problem}") from error
                pause = _retry_after(error.headers.get("Retry-After"), pause)
                cause: Exception = error
            except (OSError, HTTPException) as error:  # OSError covers URLError, refused connections and timeouts
                problem, cause = f"cannot be reached ({error})", error
            if attempt == self.attempts:
                raise BackendError(f"{self.url}: {problem}; gave up after {attempt} attempts") from cause
            time.sleep(pause)
        try:
            return json.loads(payload)
        except ValueError as error:
            raise BackendError(f"{self.url}: the answer is not JSON: {payload[:200]!r}") from error


def _retry_after(header: str | None, otherwise: float) -> float:
    """Return the seconds of a Retry-After header, at most 60; `otherwise` where it is absent or holds a date."""
    return min(float(header), 60.0) if header is not None and header.isdecimal() else otherwise


def _choice(token: dict[str, Any]) -> Choice:
    alternatives = {str(other["token"]): float(other["logprob"]) for other in token.get("top_logprobs") or []}
    alternatives[str(token["token"])] = float(token["logprob"])
    return Choice(str(token["token"]), alternatives)
