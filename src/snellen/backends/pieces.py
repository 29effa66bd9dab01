"""Which tokens can stand where words stand: those that spell phrases which were taught (`snellen.backends.taught`)."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from snellen.backends.taught import (
    BEFORE,
    ENDS,
    FAULT,
    FINDINGS,
    NOTHING,
    PLACED,
    RELATED,
    Follow,
    Mask,
    Phrase,
    Place,
    Table,
    numbered,
    runs_of,
    sentences,
    suits,
    words_of,
)
from snellen.vocabulary import DIRECTIONS, KINDS, SEVERITIES, named

CLOSING = '</think><answer>{"bbox_2d": ['
NO_WORD = frozenset('"[]{}<\n\r\t0123456789')
"""What no word holds; the earlier rating is let in by itself."""
MOST_KEPT = 50_000
"""So many masks are kept at most, by what they were made for: without a bound a process grows with every picture."""


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

    def forget(self) -> None:
        """Where much is kept, begin anew, but for numbers, by which others know where a rating stands. Between replies
        only: what is kept refers to other masks by identity."""
        if len(self.known) > MOST_KEPT:
            numbers = {key: mask for key, mask in self.known.items() if isinstance(key, tuple) and key[0] == "numbers"}
            self.known.clear()
            self.ways.clear()
            self.known.update(numbers)

    @cached_property
    def table(self) -> Table:
        return Table(self.phrases)

    def follow(self, occasion: frozenset[str]) -> Follow:
        """What follows in an occasion. What can only lead to what does not suit is left out; a number, which is the
        earlier rating, suits none without a direction."""
        if occasion not in self.ways:
            table = self.table
            alive = np.array([suits(wants, occasion) for wants in table.sorts], bool)[table.wants]
            if occasion.isdisjoint(DIRECTIONS):
                alive &= ~table.number
            while True:
                goes_on = np.zeros(len(table.span) + 1, bool)
                goes_on[table.places[alive]] = True
                ended = table.leads < 0
                dead = alive & ~ended & ~goes_on[table.leads]
                if not dead.any():
                    break
                alive &= ~dead
            self.ways[occasion] = Follow(table, alive)
        return self.ways[occasion]

    def fitting(self, label: str, occasion: frozenset[str]) -> frozenset[str]:
        """The occasion, or where a section has nothing that suits it, as much of it as has: without where the fault is,
        without how it compares, without how severe it is."""
        anywhere = occasion | PLACED
        wider = anywhere | RELATED
        for one in (occasion, anywhere, wider, wider | frozenset(SEVERITIES)):
            if self.follow(one).after((label, *BEFORE)):
                return one
        return occasion

    def open_after(self, label: str, words: Sequence[str], group: frozenset[str] = FINDINGS) -> frozenset[str]:
        """What of a group, of findings those of CLEAR and KINDS, a sentence of a section leaves open, so far: its
        phrases suit that. A sentence that does not begin the section is without the words before it."""
        left = group - {FAULT}
        for run in runs_of(words):
            wants = self.phrases.get((label, *run), frozenset()) & group
            if wants:
                left &= wants | frozenset(KINDS if FAULT in wants else ())
        return left

    def found_by(self, label: str, text: str) -> str | None:
        """What a section finds, by its words: a kind that a sentence names and that all of its phrases suit; NOTHING
        where none does; None where several are found, or a sentence suits nothing."""
        kinds: set[str] = set()
        for sentence in sentences([*BEFORE, *words_of(text)[0]]):
            left = self.open_after(label, sentence)
            if not left:
                return None
            kinds |= left & named("".join(sentence))
        return None if len(kinds) > 1 else next(iter(kinds), NOTHING)

    @cached_property
    def by_text(self) -> list[tuple[str, int]]:
        """All tokens that have a text, in its order; every number stands at `NUMBER`."""
        return sorted((numbered(text), i) for i, text in enumerate(self.texts) if text)

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
                return not set(words) & NO_WORD and (not more or self.follow(occasion).leads((label, *BEFORE), more))

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
        """Tokens that phrases go on with which suit an occasion, at a place and after what is written of the next word,
        `but` for some words."""
        key = (before, begun, occasion, but)
        if key not in self.known:
            follow, mask = self.follow(occasion), np.zeros(len(self.texts), bool)
            if but:
                follow = follow.without(before, but)
            found = self._candidates(before, begun, follow)
            mask[[i for text, i in found if follow.leads(before, begun + text)]] = True
            self.known[key] = self._same(mask)
        return self.known[key]

    def _candidates(self, before: Place, begun: str, follow: Follow) -> Iterator[tuple[str, int]]:
        """All tokens that can be right, and few others: what begins a word that can stand next, or begins with one."""
        after = follow.after(before)
        rests = {word[len(begun) :] for word in after if word.startswith(begun)}
        if begun and begun in after:
            rests |= set(follow.after((before[0], *before[2:], begun)))
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

    def either(self, masks: Sequence[Mask]) -> Mask:
        """Tokens that one of these masks allows."""
        if len(masks) == 1:
            return masks[0]
        key = frozenset(map(id, masks))
        if key not in self.known:
            self.known[key] = self._same(np.any([np.zeros(len(self.texts), bool), *masks], axis=0))
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
