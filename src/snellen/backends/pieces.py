"""Which tokens can stand where words stand: those that spell phrases which were taught, three words at a time."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snellen.answer import DIRECTIONS, KINDS, VERDICTS, named

Mask = npt.NDArray[np.bool_]

CLOSING = '</think><answer>{"bbox_2d": ['
NO_WORD = frozenset('"[]{}<\n\r\t0123456789')
"""What no word holds; the earlier rating is let in by itself."""
ENDS = "\n<"
"""What a section ends with."""
NUMBER = "0"
"""Stands for any number in a phrase; no word holds a digit."""
_NUMBER, _WORD = re.compile(r"\d\.\d\d"), re.compile(r" ?(?:[A-Za-z]+|\S)")

NOTHING, UNLIKED, FAULT = "nothing", "unliked", "fault"
"""What a look may find, beside one of KINDS: nothing wrong, in a picture that is liked (see `snellen.answer.LIKED`) and
in one that is not; and what suits a fault of any kind."""
CLEAR = frozenset((NOTHING, UNLIKED))
FINDINGS = frozenset((FAULT, *CLEAR, *KINDS))
OCCASIONS = (frozenset(word for _, word in VERDICTS), frozenset(DIRECTIONS), FINDINGS)
"""What words may have to suit, group by group: a verdict, where the rating goes, what was found."""
FEW = 3
"""A phrase that was said of more findings than these is particular to none of them."""

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
            words, begun = words_of(text)
            said = ["", "", *words, *([begun] if begun else []), ""]
            found |= {(label, *three) for three in _threes(said)}
    return frozenset(found)


def suiting(phrases: Iterable[Phrase], clauses: Iterable[Mapping[str, Iterable[str]]]) -> dict[Phrase, frozenset[str]]:
    """Each phrase with what it suits: where a group of clauses, by what they suit, has it in some but not in all."""
    found = dict.fromkeys(phrases, frozenset[str]())
    for group in clauses:
        said = {
            name: {three for text in texts for three in _threes(words_of(text)[0])} for name, texts in group.items()
        }
        for phrase in found:
            names = frozenset(name for name in said if phrase[1:] in said[name])
            if len(names) < len(said):
                found[phrase] |= names
    return found


def suiting_findings(replies: Mapping[str, str | None]) -> dict[Phrase, frozenset[str]]:
    """All phrases of replies, each given with what it finds (of CLEAR, a kind, None for anything else than one fault in
    sight), with the findings that they suit: those that they were said of, if these are few; none in particular or
    FAULT, if they are many; and FAULT, if they were said of anything else only."""
    said: dict[Phrase, set[str]] = {}
    for reply, found in replies.items():
        for phrase in phrases_of([reply]):
            said.setdefault(phrase, set()).update([found] if found else [])
    return {
        phrase: frozenset(those) if 0 < len(those) <= FEW else frozenset([] if those & CLEAR else [FAULT])
        for phrase, those in said.items()
    }


def suits(wants: frozenset[str], occasion: frozenset[str]) -> bool:
    """Whether what a phrase wants is there: something of each group of OCCASIONS of which it wants anything."""
    return all(wants.isdisjoint(group) or not wants.isdisjoint(group & occasion) for group in OCCASIONS)


def _threes(words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)


def words_of(text: str) -> tuple[list[str], str]:
    """The words of a text that have ended, and what it leaves open."""
    text = _NUMBER.sub(NUMBER, text)
    words = _WORD.findall(text)
    if words and text[-1].isalpha():
        return words, words.pop()
    return words, text[sum(map(len, words)) :]


def sentences(words: Sequence[str]) -> list[list[str]]:
    """The words sentence by sentence; the last one may be unfinished, or empty."""
    found: list[list[str]] = [[]]
    for word in words:
        found[-1].append(word)
        if word == ".":
            found.append([])
    return found


def _leads(before: Place, said: str, follow: Follow) -> bool:
    """Whether what is said after two words follows them, up to where the section ends, if it does."""
    at = next((i for i, letter in enumerate(said) if letter in ENDS), None)
    words, left = words_of(said[:at])
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

    phrases: those that were taught, each with what it suits: verdicts ("fair"), directions ("down far"), findings
    ("noise"). One that suits nothing in particular can always be said."""

    texts: Sequence[str]
    zero: int
    end: int
    phrases: Mapping[Phrase, frozenset[str]]
    known: dict[object, Mask] = field(default_factory=dict)
    ways: dict[frozenset[str], Follow] = field(default_factory=dict)

    def follow(self, occasion: frozenset[str]) -> Follow:
        """The words that follow two others, "" where a section ends, in what suits an occasion. What can only lead to
        what does not suit is left out; a number, which is the earlier rating, suits none without a direction."""
        if occasion not in self.ways:
            quotes = not occasion.isdisjoint(DIRECTIONS)
            found: dict[Place, set[str]] = {}
            leading: dict[Place, list[tuple[Place, str]]] = {}  # to a place
            for (label, one, two, three), wants in self.phrases.items():
                if (quotes or three.strip() != NUMBER) and suits(wants, occasion):
                    found.setdefault((label, one, two), set()).add(three)
                    leading.setdefault((label, two, three), []).append(((label, one, two), three))
            dead = [place for place in leading if place[2] and place not in found]
            while dead:
                for place, word in leading[dead.pop()]:
                    found[place].discard(word)
                    if not found[place] and place in leading:
                        dead.append(place)
            self.ways[occasion] = {place: sorted(words) for place, words in found.items() if words}
        return self.ways[occasion]

    def open_after(self, label: str, words: Sequence[str]) -> frozenset[str]:
        """The findings, of CLEAR and KINDS, that a sentence of a section, so far, leaves open: its phrases suit them.
        A sentence that does not begin the section is without the two words before it."""
        left = CLEAR | frozenset(KINDS)
        for three in _threes(words):
            wants = self.phrases.get((label, *three), frozenset()) & FINDINGS
            if wants:
                left &= wants | frozenset(KINDS if FAULT in wants else ())
        return left

    def found_by(self, label: str, text: str) -> str | None:
        """What a section finds, by its words: a kind that a sentence names and that all of its phrases suit; NOTHING
        where none does; None where several are found, or a sentence suits nothing."""
        kinds: set[str] = set()
        for sentence in sentences(["", "", *words_of(text)[0]]):
            left = self.open_after(label, sentence)
            if not left:
                return None
            kinds |= left & named("".join(sentence))
        return None if len(kinds) > 1 else next(iter(kinds), NOTHING)

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

    def label(self, label: str, rest: str, last: bool, occasion: frozenset[str]) -> Mask:
        """Tokens that go on with what is left before a section's words, of its label, or hold it and words; with the
        end of the line, if a section follows."""
        key = (label, rest, last, occasion)
        if key not in self.known:

            def fits(text: str) -> bool:
                if not text.startswith(rest):
                    return bool(text) and rest.startswith(text)
                more = text[len(rest) :]
                words = more if last else more.removesuffix("\n")
                return not set(words) & NO_WORD and (not more or _leads((label, "", ""), more, self.follow(occasion)))

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

    def phrased(self, before: Place, begun: str, occasion: frozenset[str], but: frozenset[str] = frozenset()) -> Mask:
        """Tokens that phrases go on with which suit an occasion, after two words and what is written of the next, `but`
        for some words."""
        key = (before, begun, occasion, but)
        if key not in self.known:
            follow, mask = self.follow(occasion), np.zeros(len(self.texts), bool)
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
