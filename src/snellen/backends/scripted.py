"""Backend with fixed replies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from snellen.backend import Backend, BackendError, Conversation, RatingDistribution, Reply, Sampling

Script = Path | Sequence[str | Reply] | Callable[[Conversation], str | Reply]


class ScriptedBackend(Backend):
    """Backend with fixed replies, for tests, demonstrations and dry runs.

    Args:
        script: one reply for each round (the same for every picture), or a function from the conversation so far to the
            reply, or a JSONL file with one reply for each round: a JSON string, or an object with "text" and,
            optionally, "rating": {"values": [...], "probs": [...]} and "finish".
    """

    name = "scripted"

    def __init__(self, script: Script) -> None:
        self.version = "1"
        if isinstance(script, Path):
            self.version = hashlib.sha256(_read(script).encode()).hexdigest()[:12]
            script = read_script(script)
        self.script = script

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply for each conversation; BackendError when the script has no reply for that round."""
        return [self._reply(conversation) for conversation in conversations]

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Return the ratings of the scripted replies; a text without `"rating":` counts as the rating itself."""
        return [_rating_only(self._reply(conversation)) for conversation in conversations]

    def _reply(self, conversation: Conversation) -> Reply:
        number = 1 + sum(turn.role == "assistant" for turn in conversation)
        if callable(self.script):
            scripted = self.script(conversation)
        elif number <= len(self.script):
            scripted = self.script[number - 1]
        else:
            raise BackendError(f"the script has {len(self.script)} replies, but round {number} is asked for")
        return scripted if isinstance(scripted, Reply) else Reply(scripted)


def _rating_only(reply: Reply) -> Reply:
    match = re.search(r'"rating"\s*:\s*([^,}\s]*)', reply.text)
    text = match[1] if match else reply.text
    return Reply("" if reply.rating is not None else text, rating=reply.rating, finish="rating")


def read_script(path: Path) -> list[Reply]:
    """Return the replies of a JSONL file, see `ScriptedBackend`; BackendError names the file and the wrong line."""
    replies = []
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            replies.append(_reply_from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(f"{path}, line {number}: not a scripted reply ({error}); {SCRIPT_HELP}") from error
    if not replies:
        raise BackendError(f"{path}: no replies in it; {SCRIPT_HELP}")
    return replies


SCRIPT_HELP = 'each line is a JSON string or {"text": ..., "rating": {"values": [...], "probs": [...]}}'


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"{path}: the script cannot be read ({error})") from error


def _reply_from_json(value: object) -> Reply:
    if isinstance(value, str):
        return Reply(value)
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise TypeError("neither a string nor an object with a text")
    rating = value.get("rating")
    finish = value.get("finish", "stop")
    if finish not in ("stop", "length", "rating"):
        raise ValueError(f"finish is stop, length or rating, not {finish!r}")
    distribution = None
    if rating is not None:
        distribution = RatingDistribution(np.asarray(rating["values"], float), np.asarray(rating["probs"], float))
    return Reply(value["text"], rating=distribution, finish=finish)
