"""Reading a chat completion: its text, however the server hands it over, and the tokens of its rating."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from snellen.backends.rating_logprobs import Choice, choices_of, spells
from snellen.reply import FIRST_LABELS
from snellen.vocabulary import KINDS

ANSWER_KEYS = ("bbox_2d", "rating", "tool", "issues")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class CompletionError(ValueError):
    """A JSON value that is not a chat completion with a text."""


@dataclass(frozen=True)
class Completion:
    """One chat completion.

    Attributes:
        text: the reply; characters that cannot be written or printed are replaced by U+FFFD.
        finish: "length" where the limit of tokens ended it.
        repaired: how the text was put together, each one of `REPAIRS`.
        choices: the tokens with their alternatives; none where the server lists none, or not those of this text.
        note: why `choices` are not used although the server lists some.
        prompt_tokens: as the server counts them, 0 where it does not.
        reply_tokens: the same of what it wrote.
    """

    text: str
    finish: Literal["stop", "length"] = "stop"
    repaired: tuple[str, ...] = ()
    choices: Sequence[Choice] = field(default=(), repr=False)
    note: str | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0


def read_completion(answer: Any, prefix: str = "") -> Completion:
    """Read the JSON value of a chat completion; raises CompletionError where it is none.

    A text in parts is joined. A think text with our sections that the server handed over apart (`reasoning_content`) is
    put before its answer; other reasoning is the model's own and no part of the reply.

    Args:
        prefix: beginning of the reply that was forced. Some servers return it too; it is no part of the text.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        finish = choice.get("finish_reason")
        content, repaired = _joined(message.get("content"))
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        refusal = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise CompletionError(f"the answer is not a chat completion ({error!r})") from error
    if not content and refusal:
        raise CompletionError(f"the model refused: {refusal!s:.200}")
    if not content and finish not in ("stop", "length", None):
        raise CompletionError(f"the model ended with {finish!r} and wrote no text")
    text = content.removeprefix(prefix)
    choices, note = _choices(choice, text)
    if isinstance(reasoning, str) and FIRST_LABELS[1] in reasoning and "<think>" not in text and not prefix:
        text, repaired = f"<think>{reasoning.strip()}</think>{text}", (*repaired, "reasoning apart")
    ended: Literal["stop", "length"] = "length" if finish == "length" else "stop"
    return Completion(printable(text), ended, repaired, choices, note, *_usage(answer))


def _usage(answer: Any) -> tuple[int, int]:
    """Return the tokens of prompt and reply that a server counted; 0 for what it did not count."""
    usage = answer.get("usage")
    counts = [usage.get(key) if isinstance(usage, dict) else None for key in ("prompt_tokens", "completion_tokens")]
    prompt, reply = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return prompt, reply


def _joined(content: Any) -> tuple[str, tuple[str, ...]]:
    """Return a message's content as one text, and the repair that this took."""
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        raise CompletionError(f"the message's content is not text: {content!r:.100}")
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    if not all(isinstance(part, str) for part in parts):
        raise CompletionError(f"the message's content is not text: {content!r:.100}")
    return "".join(map(str, parts)), ("text in parts",)


def _choices(choice: Any, text: str) -> tuple[Sequence[Choice], str | None]:
    try:
        choices = choices_of(choice.get("logprobs"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return (), f"log-probabilities cannot be read ({error})"
    if choices and not spells(choices, text):
        return (), "log-probabilities are of another text"
    return choices, None


def printable(text: str) -> str:
    """Return the text with lone surrogates and control characters (but tab and line feed) replaced by U+FFFD."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n").encode("utf-8", "replace").decode())


def reply_schema(labels: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a reply: one text for each section label, then the keys of the answer."""
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    issue = {"kind": {"type": "string", "enum": list(KINDS)}, "severity": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
             "bbox_2d": box}  # fmt: skip
    answer = {
        "bbox_2d": box,
        "rating": {"type": "number"},
        "tool": {"type": "string", "enum": ["crop", "final"]},
        "issues": {"type": "array", "items": _object(issue)},
    }
    return _object({**{label: {"type": "string"} for label in labels}, **answer})


def rating_schema() -> dict[str, Any]:
    """Return the JSON schema of a rating alone."""
    return _object({"rating": {"type": "number"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def from_schema(text: str, labels: Sequence[str]) -> str:
    """Return a reply that follows `reply_schema` in the usual form; the text itself where it does not follow it."""
    try:
        value = json.loads(text)
        sections = [" ".join(str(value[label]).split()) for label in labels]
        answer = json.dumps({key: value[key] for key in ANSWER_KEYS})
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    think = "\n".join(f"{label}: {section}" for label, section in zip(labels, sections, strict=True))
    return f"<think>{think}</think><answer>{answer}</answer>"
