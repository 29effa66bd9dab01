"""Keeps a reply to the protocol's form while it is written: which tokens can stand next.

A decoder of a few million parameters now and then forgets a section or a bracket, or misquotes its own earlier rating.
What it wants to say is not touched: words, boxes, kinds and severities are its own choice among what the form leaves
open, and nothing that was written is changed afterwards. The only number among the words is the rating of the round
before, and the verdict and the direction in them are those of this round's own rating, which is read before the words
are written. An issue is of a kind that the summary names. No three words stand in a row that did not in the same
section of anything it was taught: at a loss, it would put parts of words and of sentences together to what nobody says.
And a section does not go round in circles: no four words in a row are said twice in it, nor two long ones (the
teacher's hardly ever are).
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from snellen.answer import DIRECTIONS, KINDS, direction, named, verdict

Mask = npt.NDArray[np.bool_]

ENOUGH = 44
"""From so many tokens on a section ends where it can (the teacher's longest has 40)."""
SECTION_TOKENS = 60
"""A section has at most so many tokens: then it ends wherever it is."""
REPEATED = 4
"""So many words in a row are not said again in the same section."""
LONG = 4
"""Nor are two words of so many letters each."""
MOST_ISSUES = 4
CLOSING = '</think><answer>{"bbox_2d": ['
NO_WORD = frozenset('"[]{}<\n\r\t0123456789')
"""What no word holds; the earlier rating is let in by itself."""
ENDS = "\n<"
"""What a section ends with."""
NUMBER = "0"
"""Stands for any number in a phrase; no word holds a digit."""
_NUMBER, _WORD = re.compile(r"\d\.\d\d"), re.compile(r" ?(?:[A-Za-z]+|\S)")
_ISSUES = {
    kind: tuple(f'{{"kind": "{kind}", "severity": {level}, "bbox_2d": [' for level in range(1, 6)) for kind in KINDS
}

Phrase = tuple[str, str, str, str]
"""The label of a section and three words in a row in it, each with the blank before it; marks are words. Before the
first word of a section stand two empty ones, behind its last one."""
Place = tuple[str, str, str]
"""The label of a section and the last two words in it."""
Follow = dict[Place, list[str]]


def phrases_of(replies: Iterable[str]) -> frozenset[Phrase]:
    """All phrases in the sections of some replies."""
    found: set[Phrase] = set()
    for reply in replies:
        for line in reply.partition("</think>")[0].removeprefix("<think>").splitlines():
            label, _, text = line.partition(": ")
            words, begun = _words(text)
            said = ["", "", *words, *([begun] if begun else []), ""]
            found |= {(label, *three) for three in _threes(said)}
    return frozenset(found)


def suiting(phrases: Iterable[Phrase], clauses: Iterable[Mapping[str, Iterable[str]]]) -> dict[Phrase, frozenset[str]]:
    """Each phrase with what it suits: where a group of clauses, by what they suit, has it in some but not in all."""
    found = dict.fromkeys(phrases, frozenset[str]())
    for group in clauses:
        said = {name: {three for text in texts for three in _threes(_words(text)[0])} for name, texts in group.items()}
        for phrase in found:
            names = frozenset(name for name in said if phrase[1:] in said[name])
            if len(names) < len(said):
                found[phrase] |= names
    return found


def _threes(words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)


def occasion(rating: float, earlier: int | None) -> frozenset[str]:
    """What a round's words have to suit: the verdict of its rating, and where it goes from the earlier one, if there is
    one, in hundredths."""
    move = [] if earlier is None else [direction(rating - earlier / 100)]
    return frozenset([verdict(rating), *move])


def _words(text: str) -> tuple[list[str], str]:
    """The words of a text that have ended, and what it leaves open."""
    text = _NUMBER.sub(NUMBER, text)
    words = _WORD.findall(text)
    if words and text[-1].isalpha():
        return words, words.pop()
    return words, text[sum(map(len, words)) :]


def _is_long(word: str) -> bool:
    return len(word.strip()) >= LONG


def _leads(before: Place, said: str, follow: Follow) -> bool:
    """Whether what is said after two words follows them, up to where the section ends, if it does."""
    at = next((i for i, letter in enumerate(said) if letter in ENDS), None)
    words, left = _words(said[:at])
    if at is not None:
        words, left = [*words, *([left] if left else []), ""], ""
    for word in words:
        if word not in follow.get(before, []):
            return False
        before = (before[0], before[2], word)
    return not left or any(word.startswith(left) for word in follow.get(before, []))


@dataclass(frozen=True)
class Pieces:
    """The text of each token, (V,), the id of "0.00" and of the end, and masks (V,) that are made once: where a grammar
    allows the same, it gives the same array, which nobody may change.

    phrases: those that were taught, each with what it suits: verdicts ("fair") or directions ("down far"). One that
    suits none in particular can always be said."""

    texts: Sequence[str]
    zero: int
    end: int
    phrases: Mapping[Phrase, frozenset[str]]
    known: dict[object, Mask] = field(default_factory=dict)
    ways: dict[frozenset[str], Follow] = field(default_factory=dict)

    def follow(self, suits: frozenset[str]) -> Follow:
        """The words that follow two others, "" where a section ends, in what suits an occasion. What can only lead to
        what does not suit is left out; a number, which is the earlier rating, suits none without a direction."""
        if suits not in self.ways:
            quotes = not suits.isdisjoint(DIRECTIONS)
            found: dict[Place, set[str]] = {}
            leading: dict[Place, list[tuple[Place, str]]] = {}  # to a place
            for (label, one, two, three), wants in self.phrases.items():
                if (quotes or three.strip() != NUMBER) and not (wants and wants.isdisjoint(suits)):
                    found.setdefault((label, one, two), set()).add(three)
                    leading.setdefault((label, two, three), []).append(((label, one, two), three))
            dead = [place for place in leading if place[2] and place not in found]
            while dead:
                for place, word in leading[dead.pop()]:
                    found[place].discard(word)
                    if not found[place] and place in leading:
                        dead.append(place)
            self.ways[suits] = {place: sorted(words) for place, words in found.items() if words}
        return self.ways[suits]

    @cached_property
    def by_text(self) -> list[tuple[str, int]]:
        """All tokens that have a text, in its order; every number stands at `NUMBER`."""
        return sorted((_NUMBER.sub(NUMBER, text), i) for i, text in enumerate(self.texts) if text)

    def starting(self, options: tuple[str, ...], written: str) -> Mask:
        """Tokens that one of the options goes on with, after what is written of it."""
        key = (options, written)
        if key not in self.known:
            rests = [option[len(written) :] for option in options if option.startswith(written)]
            begins = {rest[:n] for rest in rests for n in range(1, len(rest) + 1)}
            self.known[key] = np.array([text in begins for text in self.texts])
        return self.known[key]

    def label(self, label: str, rest: str, last: bool, suits: frozenset[str]) -> Mask:
        """Tokens that go on with what is left before a section's words, of its label, or hold it and words; with the
        end of the line, if a section follows."""
        key = (label, rest, last, suits)
        if key not in self.known:

            def fits(text: str) -> bool:
                if not text.startswith(rest):
                    return bool(text) and rest.startswith(text)
                more = text[len(rest) :]
                words = more if last else more.removesuffix("\n")
                return not set(words) & NO_WORD and (not more or _leads((label, "", ""), more, self.follow(suits)))

            self.known[key] = np.array([fits(text) for text in self.texts])
        return self.known[key]

    def section(self, last: bool, ends: bool, earlier: int | None) -> Mask:
        """Tokens inside a section: words and the earlier rating, if there is one, in hundredths; and what ends the
        section. Nothing else if it `ends`."""
        key = (last, ends, earlier)
        if key not in self.known:
            words = np.array([bool(t) and not set(t) & NO_WORD for t in self.texts])
            if earlier is not None:
                words[self.zero + earlier] = True
            if last:
                stops = np.array([bool(t) and CLOSING.startswith(t) for t in self.texts])
            else:
                stops = np.array([t.endswith("\n") and not set(t[:-1]) & NO_WORD for t in self.texts])
            self.known[key] = stops if ends else words | stops
        return self.known[key]

    def phrased(self, before: Place, begun: str, suits: frozenset[str], but: frozenset[str] = frozenset()) -> Mask:
        """Tokens that phrases go on with which suit an occasion, after two words and what is written of the next, `but`
        for some words."""
        key = (before, begun, suits, but)
        if key not in self.known:
            follow, mask = self.follow(suits), np.zeros(len(self.texts), bool)
            if but:
                follow = follow | {before: [word for word in follow.get(before, []) if word not in but]}
            found = self._candidates(before, begun, follow)
            mask[[i for text, i in found if _leads(before, begun + text, follow)]] = True
            self.known[key] = self._same(mask)
        return self.known[key]

    def _candidates(self, before: Place, begun: str, follow: Follow) -> Iterator[tuple[str, int]]:
        """All tokens that can be right, and few others: what begins a word that can stand next, or begins with one."""
        after = follow.get(before, [])
        rests = {word[len(begun) :] for word in after if word.startswith(begun)}
        if begun and begun in after:
            rests |= set(follow.get((before[0], before[2], begun), []))
        if "" in rests:
            rests |= set(ENDS)
        for rest in rests - {""}:
            for n in range(1, len(rest)):
                yield from self._between(rest[:n], rest[:n])
            yield from self._between(rest, rest + chr(sys.maxunicode))

    def _between(self, low: str, high: str) -> list[tuple[str, int]]:
        """The tokens whose text is from `low` to `high`."""
        first, last = bisect_left(self.by_text, (low, -1)), bisect_right(self.by_text, (high, len(self.texts)))
        return self.by_text[first:last]

    def _same(self, mask: Mask) -> Mask:
        """The one mask that allows just this: there are few, however many ways lead to them."""
        return self.known.setdefault(np.packbits(mask).tobytes(), mask)

    def both(self, one: Mask, other: Mask) -> Mask:
        """Tokens that two of these masks allow."""
        key = (id(one), id(other))
        if key not in self.known:
            self.known[key] = self._same(one & other)
        return self.known[key]

    @cached_property
    def _several(self) -> Mask:
        return np.array([len(re.findall("[A-Za-z]+", text)) > 1 for text in self.texts])

    def several(self, mask: Mask) -> list[int]:
        """The tokens that a mask allows of which each holds more than one word, or parts of them."""
        found: list[int] = np.flatnonzero(mask & self._several).tolist()
        return found

    def without(self, mask: Mask, tokens: Sequence[int]) -> Mask:
        """What a mask allows, but for some tokens."""
        if not tokens:
            return mask
        mask = mask.copy()
        mask[list(tokens)] = False
        return self._same(mask)

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

    labels: of the sections. rating: this round's, which is read before its words. earlier: that of the round before, in
    hundredths.
    """

    def __init__(self, pieces: Pieces, labels: Sequence[str], rating: float, earlier: int | None = None) -> None:
        self.pieces, self.labels, self.earlier = pieces, labels, earlier
        self.suits = occasion(rating, earlier)
        self.issues: tuple[str, ...] = ()  # how one can begin: of kinds that the first section names
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
                return pieces.label(self.labels[self.done], self._label[len(self.text) :], self._last, self.suits)
            return self._words()
        if len(self.boxes[-1]) == 4:
            return pieces.numbers(100, 500)
        return self._side()

    def _words(self) -> Mask:
        """Inside a section: what phrases that were taught go on with, and not what it has said before. (Where they go
        on with nothing, what fits the form: so after text that was not written under this grammar.)"""
        pieces = self.pieces
        words, begun = _words(self.text[len(self._label) :])
        section, ends = (pieces.section(self._last, only, self.earlier) for only in (False, True))
        if len(self.tokens) >= SECTION_TOKENS:
            return ends
        one, two = ["", "", *words][-2:]
        place = (self.labels[self.done], one, two)
        new, phrased = (
            pieces.both(section, pieces.phrased(place, begun, self.suits, but))
            for but in (self._again(words), frozenset[str]())
        )
        new = pieces.without(new, [i for i in pieces.several(new) if self._says_again(words, begun + pieces.texts[i])])
        full = [pieces.both(ends, phrased)] if len(self.tokens) >= ENOUGH else []
        return next(mask for mask in (*full, new, phrased, section) if mask.any())

    @staticmethod
    def _again(words: Sequence[str]) -> frozenset[str]:
        """The words that would repeat what the section has said."""
        last, before = words[1 - REPEATED :], REPEATED - 1
        again = {words[i + before] for i in range(len(words) - before) if words[i : i + before] == last}
        if words and _is_long(words[-1]):
            again |= {two for one, two in pairwise(words) if one == words[-1] and _is_long(two)}
        return frozenset(again)

    def _says_again(self, words: Sequence[str], text: str) -> bool:
        """Whether a text of several words would repeat what the section has said."""
        more, left = _words(text.rstrip(ENDS))
        for word in (*more, *([left] if left else [])):
            if word in self._again(words):
                return True
            words = [*words, word]
        return False

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
            self.options, self.text = (begin + "]}</answer>", *(begin + issue for issue in self.issues)), ""

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
            if not self.done:
                self.issues = tuple(issue for kind in KINDS if kind in named(self.text) for issue in _ISSUES[kind])
            self.done, self.text, self.tokens = self.done + 1, "", []

    def _next(self) -> tuple[str, ...]:
        """What can follow a number of a box."""
        if len(self.boxes[-1]) < 4:
            return (", ",)
        if not self.rated:
            return ('], "rating": ',)
        more = () if len(self.boxes) > MOST_ISSUES else tuple("]}, " + issue for issue in self.issues)
        return ("]}]}</answer>", *more)

    def _after(self, written: str) -> None:
        self.options = ()
        if written.endswith("</answer>"):
            self.over = True
        elif written.endswith('"bbox_2d": ['):
            self.boxes.append([])
