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
from snellen.image import View, resample
from snellen.reply import RATING_PREFIX

TOP_LOGPROBS = 20  # the most that OpenAI and vLLM give by default
RETRIED = (408, 409, 429, 500, 502, 503, 504)


class OpenAIBackend(Backend):
    """Replies from a server.

    `address` is URL#MODEL, for example `http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct`; the key is taken from
    the environment variable OPENAI_API_KEY where there is one. A view is sent as a PNG of at most `long_side` px, cut
    from the picture's own pixels. The conversations of a batch are asked in parallel, `parallel` at a time. A request
    that fails with 408, 409, 429 or 5xx, or never reaches the server, is sent up to `attempts` times, after `wait`,
    2 `wait`, 4 `wait`, ... seconds or what the server asks for in Retry-After. Then, and on any other failure,
    BackendError: there is never a reply that the server did not give.

    The rating distribution is read from the server's top log-probabilities (see `rating_from_choices`: exact along the
    number that was written, spread evenly where it was not); None where the server gives none. `rate` sends the
    beginning of the reply as an unfinished assistant message, with the flags that vLLM knows.
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
        """One reply for each conversation, in order; BackendError as soon as one of them cannot be had."""
        return self._replies(conversations, sampling, "")

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; the reply is forced up to its rating."""
        forced = self._replies(conversations, Sampling(max_tokens=RATING_TOKENS), RATING_PREFIX)
        return [Reply(leading_number(reply.text), rating=reply.rating, finish="rating") for reply in forced]

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`; by the model's name."""
        height, width = resample(view.picture, view.region, self.long_side).shape[:2]
        return box_scale(self.name, (width, height))

    def _replies(self, conversations: Sequence[Conversation], sampling: Sampling, prefix: str) -> list[Reply]:
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            return list(pool.map(lambda conversation: self._reply(conversation, sampling, prefix), conversations))

    def _reply(self, conversation: Conversation, sampling: Sampling, prefix: str) -> Reply:
        """Request what follows a forced `prefix` of the reply; the prefix is no part of the returned text."""
        said = self._post(self.request(conversation, sampling, prefix))
        try:
            choice = said["choices"][0]
            text = choice["message"]["content"] or ""
            finish = "length" if choice.get("finish_reason") == "length" else "stop"
            content = (choice.get("logprobs") or {}).get("content") or []
            choices = [_choice(token) for token in content]
            logprobs = tuple(float(token["logprob"]) for token in content)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            excerpt = json.dumps(said)[:200]
            raise BackendError(f"{self.url}: the answer is no chat completion ({error!r}): {excerpt}") from error
        if not isinstance(text, str):
            raise BackendError(f"{self.url}: the message's content is no text: {text!r:.200}")
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
        Image.fromarray(resample(view.picture, view.region, self.long_side)).save(file, "PNG", compress_level=1)
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
    """Seconds; the header may also hold a date, which is not worth a parser."""
    return min(float(header), 60.0) if header is not None and header.isdecimal() else otherwise


def _choice(token: dict[str, Any]) -> Choice:
    alternatives = {str(other["token"]): float(other["logprob"]) for other in token.get("top_logprobs") or []}
    alternatives[str(token["token"])] = float(token["logprob"])
    return Choice(str(token["token"]), alternatives)
