"""Keeps a reply to the protocol's form while it is written: which tokens can stand next.

A decoder of a few million parameters now and then forgets a section or a bracket, or misquotes its own earlier rating.
What it wants to say is not touched: words, boxes, kinds and severities are its own choice among what the form leaves
open, and nothing that was written is changed afterwards. The only number among the words is the rating of the round
before. It writes no words but those it was taught, though tokens are parts of words and could be put together to
others; and a section does not go round in circles: no three tokens in a row are said twice in it (the teacher's never
are).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snellen.answer import KINDS

Mask = npt.NDArray[np.bool_]

SECTION_TOKENS = 60
"""A section has at most so many tokens (the teacher's longest has 40), then it has to end."""
REPEATED = 3
"""So many tokens in a row are not said again in the same section."""
SHORTEST = 12
"""A section has at least so many characters (the teacher's shortest has 15): less is a sentence broken off."""
MOST_ISSUES = 4
CLOSING = '</think><answer>{"bbox_2d": ['
NO_WORD = frozenset('"[]{}<\n\r\t0123456789')
"""What no word holds; the earlier rating is let in by itself."""
BEFORE_EARLIER = ("look gave ", "rating was ")
"""Words that the earlier rating follows."""
_WORD, _BEGUN = re.compile("[a-z]+"), re.compile("[a-z]*$")
_ISSUE = tuple(f'{{"kind": "{kind}", "severity": {level}, "bbox_2d": [' for kind in KINDS for level in range(1, 6))


def words_of(rationales: Iterable[str]) -> frozenset[str]:
    """All words of some rationales, in small letters."""
    return frozenset(word for text in rationales for word in _WORD.findall(text.lower()))


@dataclass(frozen=True)
class Pieces:
    """The text of each token, (V,), the id of "0.00" and of the end, and masks (V,) that are made once: where a grammar
    allows the same, it gives the same array, which nobody may change. words: those that can be written, in small
    letters."""

    texts: Sequence[str]
    zero: int
    end: int
    words: frozenset[str]
    known: dict[object, Mask] = field(default_factory=dict)

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """What a word can begin with."""
        return frozenset(word[:n] for word in self.words for n in range(1, len(word) + 1))

    def starting(self, options: tuple[str, ...], written: str) -> Mask:
        """Tokens that one of the options goes on with, after what is written of it."""
        key = (options, written)
        if key not in self.known:
            rests = [option[len(written) :] for option in options if option.startswith(written)]
            begins = {rest[:n] for rest in rests for n in range(1, len(rest) + 1)}
            self.known[key] = np.array([text in begins for text in self.texts])
        return self.known[key]

    def label(self, rest: str, last: bool) -> Mask:
        """Tokens that go on with what is left of a label, or hold it and words; with the end of the line, if a section
        follows."""
        key = (rest, last)
        if key not in self.known:

            def fits(text: str) -> bool:
                more = text[len(rest) :]
                words = more[:-1] if not last and more.endswith("\n") and more.strip() else more
                return bool(text) and (rest.startswith(text) or (text.startswith(rest) and not set(words) & NO_WORD))

            self.known[key] = np.array([fits(text) for text in self.texts])
        return self.known[key]

    def section(self, last: bool, lacks: int, full: bool, earlier: int | None) -> Mask:
        """Tokens inside a section: words and the earlier rating, if there is one, in hundredths; and what ends the
        section where it brings the characters that it still `lacks`. Nothing else when it is full."""
        key = (last, lacks, full, earlier)
        if key not in self.known:
            words = np.array([bool(t) and not set(t) & NO_WORD for t in self.texts])
            if earlier is not None:
                words[self.zero + earlier] = True
            if last:
                stops = np.array([not lacks and bool(t) and CLOSING.startswith(t) for t in self.texts])
            else:
                lines = [t.endswith("\n") and len(t.strip()) >= lacks for t in self.texts]
                stops = np.array(lines) & np.array([not set(t) & (NO_WORD - {"\n"}) for t in self.texts])
            self.known[key] = stops if full else words | stops
        return self.known[key]

    def spelled(self, mask: Mask, begun: str) -> Mask:
        """Of these tokens those that spell words, after the letters of one that is begun."""
        key = (id(mask), begun)
        if key not in self.known:
            if begun not in self.known:
                self.known[begun] = np.array([self._spells(begun, text) for text in self.texts])
            self.known[key] = mask & self.known[begun]
        return self.known[key]

    def _spells(self, begun: str, text: str) -> bool:
        """Whether all words that `text` ends are known ones, and what it leaves open begins one."""
        said, answer, _ = (begun + text.lower()).partition("<")
        whole = _WORD.findall(said)
        left_open = whole.pop() if not answer and _WORD.match(said[-1:]) else ""
        return self.words.issuperset(whole) and (not left_open or left_open in self.beginnings)

    def without(self, mask: Mask, tokens: frozenset[int]) -> Mask:
        """One of these masks less some tokens."""
        if not tokens:
            return mask
        key = (id(mask), tokens)
        if key not in self.known:
            self.known[key] = mask.copy()
            self.known[key][list(tokens)] = False
        return self.known[key]

    def numbers(self, low: int, high: int, or_zero: bool = False) -> Mask:
        """The tokens of low / 100 to high / 100, and of 0.00 if so wanted."""
        key = ("numbers", low, high, or_zero)
        if key not in self.known:
            mask = np.zeros(len(self.texts), bool)
            mask[self.zero + low : self.zero + high + 1] = True
            mask[self.zero] |= or_zero
            self.known[key] = mask
        return self.known[key]


class Grammar:
    """Where one reply is. `allowed` says which tokens can stand next, `add` takes the one that does.

    labels: of the sections. earlier: the rating of the round before, in hundredths.
    """

    def __init__(self, pieces: Pieces, labels: Sequence[str], earlier: int | None = None) -> None:
        self.pieces, self.labels, self.earlier = pieces, labels, earlier
        self.done = 0  # sections
        self.text = ""  # of the section or the fixed part so far
        self.tokens: list[int] = []  # of the section
        self.options: tuple[str, ...] = ()  # the fixed part is one of these; none while in a section
        self.boxes: list[list[int]] = []  # in hundredths; the first is what is asked for
        self.rated = self.over = False

    @property
    def _label(self) -> str:
        return ("" if self.done else "<think>") + self.labels[self.done] + ": "

    @property
    def _last(self) -> bool:
        return self.done == len(self.labels) - 1

    def allowed(self) -> Mask:
        """(V,)."""
        pieces = self.pieces
        if self.over:
            return pieces.numbers(pieces.end - pieces.zero, pieces.end - pieces.zero)
        if self.options:
            return pieces.starting(self.options, self.text)
        if not self.boxes:
            if len(self.text) < len(self._label):
                return pieces.label(self._label[len(self.text) :], self._last)
            if self.earlier is not None and self.text.endswith(BEFORE_EARLIER):
                return pieces.numbers(self.earlier, self.earlier)
            return self._words()
        if len(self.boxes[-1]) == 4:
            return pieces.numbers(100, 500)
        return self._side()

    def _words(self) -> Mask:
        """Inside a section. A word that is begun is ended, even where the section is full or it was said before."""
        lacks = max(0, SHORTEST - len(self.text[len(self._label) :].lstrip()))
        full = not lacks and len(self.tokens) >= SECTION_TOKENS
        begun = _BEGUN.search(self.text[len(self._label) :].lower())[0]  # type: ignore[index]  # it always matches
        spelled = [
            self.pieces.spelled(self.pieces.section(self._last, lacks, ends, self.earlier), begun)
            for ends in (full, False)
        ]
        wanted = [self.pieces.without(spelled[0], self._again()), *spelled]
        return next(mask for mask in wanted if mask.any())

    def _again(self) -> frozenset[int]:
        """Tokens that would repeat what the section has said."""
        before = REPEATED - 1
        last, starts = self.tokens[-before:], range(len(self.tokens) - before)
        return frozenset(self.tokens[i + before] for i in starts if self.tokens[i : i + before] == last)

    def _side(self) -> Mask:
        """The next number of a box; the first box may be all zero, which asks for nothing."""
        box = self.boxes[-1]
        if len(box) < 2:
            return self.pieces.numbers(0, 99)
        nothing = len(self.boxes) == 1 and not any(box)
        if nothing and len(box) == 3:
            return self.pieces.numbers(0, 0)
        return self.pieces.numbers(box[len(box) - 2] + 1, 100, or_zero=nothing)

    def add(self, token: int) -> None:
        """The token that was chosen."""
        text = self.pieces.texts[token]
        if self.options:
            self.text += text
            if self.text in self.options:
                self._after(self.text)
        elif not self.boxes:
            self._in_section(token, text)
        elif len(self.boxes[-1]) < 4:
            self.boxes[-1].append(token - self.pieces.zero)
            self.options, self.text = self._next(), ""
        else:
            self.rated = True
            tool = "crop" if any(self.boxes[0]) else "final"
            begin = f', "tool": "{tool}", "issues": ['
            self.options, self.text = (begin + "]}</answer>", *(begin + issue for issue in _ISSUE)), ""

    def _in_section(self, token: int, text: str) -> None:
        begun = len(self.text) >= len(self._label)
        self.tokens.append(token)
        if begun and self._last and CLOSING.startswith(text):
            self.options, self.text = (CLOSING,), text
            if text == CLOSING:
                self._after(text)
            return
        self.text += text
        if "\n" in text:
            self.done, self.text, self.tokens = self.done + 1, "", []

    def _next(self) -> tuple[str, ...]:
        """What can follow a number of a box."""
        if len(self.boxes[-1]) < 4:
            return (", ",)
        if not self.rated:
            return ('], "rating": ',)
        more = () if len(self.boxes) > MOST_ISSUES else tuple("]}, " + issue for issue in _ISSUE)
        return ("]}]}</answer>", *more)

    def _after(self, written: str) -> None:
        self.options = ()
        if written.endswith("</answer>"):
            self.over = True
        elif written.endswith('"bbox_2d": ['):
            self.boxes.append([])
