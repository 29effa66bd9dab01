"""Rating distribution from the log-probabilities that a server lists beside the tokens of a reply.

A server lists a few alternatives at each token (20 at most, often 5). Along the written number they are followed
exactly. An alternative that begins another number ("4" where "3" was written) leads to a branch whose continuation
the reply does not show: `Recovered.branches`. A server that continues a given beginning is asked for each of them;
otherwise their probability counts as not recovered. Spreading it evenly over 4.00 to 4.99 would bias the expectation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.backends.rating_tokens import RATING_KEY, consistent

SAME = 10
"""A text that fixes the rating up to this many neighbours (3.40 to 3.49) is spread evenly over them."""
LEAST_BRANCH = 0.01
"""Branches with less probability are not asked for."""
MOST_BRANCHES = 4
"""Branches that are asked for at most: five first digits less the written one."""


class TokenTextError(ValueError):
    """The text of the listed tokens cannot be recovered, so no number can be read from them."""


@dataclass(frozen=True)
class Choice:
    """One generated token.

    Attributes:
        text: its text.
        alternatives: log-probabilities (natural log) at its place by text, its own included.
    """

    text: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True)
class Recovered:
    """Probability of ratings, as far as one reply shows it.

    Attributes:
        mass: probability by rating text, "1.00" to "5.00".
        branches: probability of beginnings of a number whose continuation is unknown, e.g. {"4": 0.2}.
        before: the reply up to its rating: what a branch continues.
    """

    mass: Mapping[str, float]
    branches: Mapping[str, float]
    before: str

    def asked(self) -> list[str]:
        """Return the branches worth a request of their own, most probable first."""
        worth = [text for text, weight in self.branches.items() if weight >= LEAST_BRANCH]
        return sorted(worth, key=lambda text: -self.branches[text])[:MOST_BRANCHES]

    def joined(self, more: Mapping[str, Recovered | None]) -> dict[str, float]:
        """Return the mass with that of branches that were followed, each weighted with its probability."""
        mass = dict(self.mass)
        for branch, found in more.items():
            for rating, weight in (found.mass if found else {}).items():
                mass[rating] = mass.get(rating, 0.0) + self.branches[branch] * weight
        return mass


def choices_of(logprobs: Any) -> list[Choice]:
    """Return the tokens of `choices[0].logprobs` of a chat completion; none where it lists none.

    Raises:
        TokenTextError: a token is given as an id, or its text cannot be determined.
        KeyError, TypeError, ValueError, AttributeError: it has another form.
    """
    content = (logprobs or {}).get("content") or []
    return [_choice(token) for token in content]


def _choice(token: Mapping[str, Any]) -> Choice:
    alternatives = {}
    for other in [*(token.get("top_logprobs") or []), token]:
        logprob = float(other["logprob"])
        if logprob > 1e-3:  # NaN compares as false, and is caught below
            raise ValueError(f"a log-probability is 0 or less, not {logprob}")
        if math.isnan(logprob):
            raise ValueError("a log-probability is not a number")
        alternatives[_token_text(other)] = logprob
    return Choice(_token_text(token), alternatives)


def _token_text(token: Mapping[str, Any]) -> str:
    """Return the text of a token; bytes that are no UTF-8 by themselves become lone surrogates.

    `bytes` holds it exactly. Without it, `bytes:\\x2e` (vLLM) is decoded; an id (`token_id:13`) has no text.
    """
    text = str(token["token"])
    data = token.get("bytes")
    if isinstance(data, list) and (data or not text):
        return bytes(data).decode("utf-8", "surrogateescape")
    if re.fullmatch(r"bytes:(\\x[0-9a-fA-F]{2})+", text):
        return bytes.fromhex(text[len("bytes:") :].replace("\\x", "")).decode("utf-8", "surrogateescape")
    if re.fullmatch(r"token_id:\d+", text):
        raise TokenTextError(f"the server lists tokens as ids ({text})")
    return text


def spells(choices: Sequence[Choice], text: str) -> bool:
    """Return whether the tokens are those of a text: they end with it, but for white space and end marks.

    They need not begin with it: reasoning, or a forced beginning, may come first.
    """
    joined = "".join(choice.text for choice in choices).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    wanted = text.strip()
    tail = joined[joined.rfind(wanted) + len(wanted) :] if wanted and wanted in joined else None
    return tail is not None and re.fullmatch(r"\s*(<[^<>\s]*>\s*)*", tail) is not None


def recover(prefix: str, choices: Sequence[Choice]) -> Recovered | None:
    """Return the probabilities at the last `"rating":` of a reply; None where it holds no rating.

    Args:
        prefix: beginning of the reply that was forced, not generated. It may end inside the number.
        choices: the generated tokens.
    """
    text = prefix + "".join(choice.text for choice in choices)
    keys = list(RATING_KEY.finditer(text))
    number = re.compile(r'"?([0-9.]+)').match(text, keys[-1].end()) if keys else None
    if number is None:
        return None
    start, stop = number.span(1)
    mass: dict[str, float] = {}
    branches: dict[str, float] = {}
    weight = 1.0
    position = len(prefix)
    for choice in choices:
        begin, position = position, position + len(choice.text)
        if position <= start or begin >= stop:
            continue
        known, before = text[start:begin], text[begin:start]
        for alternative, logprob in choice.alternatives.items():
            if alternative != choice.text:
                _place(mass, branches, _number_text(known, alternative, before), weight * math.exp(logprob))
        weight *= math.exp(choice.alternatives.get(choice.text, -math.inf))
    _place(mass, {}, number[1] + "}", weight)
    return Recovered(mass, branches, text[:start])


def _number_text(known: str, token: str, before: str) -> str:
    """Return the number's text when `token` follows; "" where the token holds none of it.

    Args:
        known: the number as far as it was written before the token.
        before: what the written token holds before the number: white space, a quote, the end of the key.
    """
    if before.strip():
        token = token[len(before) :] if token.startswith(before) else ""
    elif not known:
        token = token.lstrip()
    return known + token if token else ""


def _place(mass: dict[str, float], branches: dict[str, float], text: str, weight: float) -> None:
    """Add a weight to the ratings that a text can become, or, where these are many, to the branch."""
    ratings = consistent(text) if text else ()
    if len(ratings) > SAME:
        branches[text] = branches.get(text, 0.0) + weight
        return
    for rating in ratings:
        mass[rating] = mass.get(rating, 0.0) + weight / len(ratings)


def level_mass(choices: Sequence[Choice], known: str, levels: Collection[str]) -> tuple[dict[str, float], list[str]]:
    """Return the probability of level words as the next word, and what may still become one.

    Args:
        choices: tokens behind the stem; the first one counts.
        known: beginning of the word that stands at the end of the stem, "" for none.
        levels: the words.

    Returns:
        The probability of each text that the first token makes, words and beginnings of words; and those of the
        beginnings that are worth a request of their own.
    """
    mass: dict[str, float] = {}
    for alternative, logprob in choices[0].alternatives.items() if choices else ():
        text = known + alternative if known else alternative.lstrip()
        if text and any(word.startswith(text) for word in levels):
            mass[text] = mass.get(text, 0.0) + math.exp(logprob)
    begun = [text for text, weight in mass.items() if text not in levels and weight >= LEAST_BRANCH]
    return mass, begun
