"""What a model was taught to say, five words at a time: its phrases, what each suits, and what can follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snellen.region import PLACES
from snellen.vocabulary import DIRECTIONS, GONE, KINDS, NAMES, RELATIONS, SEVERITIES, STILL_NOTHING, VERDICTS, named

Mask = npt.NDArray[np.bool_]

ENDS = "\n<"
"""What a section ends with."""
NUMBER = "0"
"""Stands for any number in a phrase; no word holds a digit."""
_NUMBER, _WORD = re.compile(r"\d\.\d\d"), re.compile(r" ?(?:[A-Za-z]+|\S)")
_HOW = "|".join(SEVERITIES)
_NAME = "|".join(sorted({name.split()[0] for names in NAMES.values() for name in names}))
_CALLED = re.compile(rf"\b({_HOW}) (?:{_NAME})\b|\b(?:is|proves|as) ({_HOW})\b", re.IGNORECASE)

NOTHING, UNLIKED, FAULT = "nothing", "unliked", "fault"
"""What a look may find, beside one of KINDS: nothing wrong, in a picture that is liked (see
`snellen.vocabulary.LIKED`) and in one that is not; and what suits a fault of any kind."""
CLEAR = frozenset((NOTHING, UNLIKED))
FINDINGS = frozenset((FAULT, *CLEAR, *KINDS))
RELATED = frozenset((*RELATIONS, *GONE.values(), STILL_NOTHING))
PLACED = frozenset((*(place for row in PLACES for place in row), "whole picture"))
OCCASIONS = (
    frozenset(word for _, word in VERDICTS), frozenset(DIRECTIONS), FINDINGS, frozenset(SEVERITIES), RELATED, PLACED,
)  # fmt: skip
"""What words may have to suit, group by group: a verdict, where the rating goes, what was found, how severe that is,
what it is beside what the round before listed, and where."""
FEW = 3
"""A phrase that was said of more findings than these is particular to none of them."""

WORDS = 5
"""So many words in a row were taught to stand so. With four, what stands before a name of two words and its article is
forgotten behind them."""
Phrase = tuple[str, ...]
"""The label of a section and WORDS words in a row in it, each with the blank before it; marks are words."""
Place = tuple[str, ...]
"""The label of a section and the last words in it, one fewer."""
BEFORE = ("",) * (WORDS - 1)
"""What stands before the first word of a section; one empty word stands behind its last."""


def phrases_of(replies: Iterable[str]) -> frozenset[Phrase]:
    """All phrases in the sections of some replies."""
    found: set[Phrase] = set()
    for reply in replies:
        for line in reply.partition("</think>")[0].removeprefix("<think>").splitlines():
            label, _, text = line.partition(": ")
            words, begun = words_of(text)
            said = [*BEFORE, *words, *([begun] if begun else []), ""]
            found |= {(label, *run) for run in runs_of(said)}
    return frozenset(found)


def suiting(phrases: Iterable[Phrase], clauses: Iterable[Mapping[str, Iterable[str]]]) -> dict[Phrase, frozenset[str]]:
    """Each phrase with what it suits: where a group of clauses, by what they suit, has it in some but not in all. A
    clause is also what a section can begin with."""
    found = dict.fromkeys(phrases, frozenset[str]())
    for group in clauses:
        said = {
            name: {run for text in texts for run in runs_of([*BEFORE, *words_of(text)[0]])}
            for name, texts in group.items()
        }
        for phrase in found:
            names = frozenset(name for name in said if phrase[1:] in said[name])
            if len(names) < len(said):
                found[phrase] |= names
    return found


def suiting_findings(replies: Mapping[str, Sequence[str]]) -> dict[Phrase, frozenset[str]]:
    """All phrases of replies, each given with what it finds (one of CLEAR, or kinds, the worst first), with the
    findings that they suit: those that they were said of, if these are few; none in particular or FAULT, if they are
    many; and FAULT, if they were said where several were found only. There a sentence of the first section tells of the
    kind that it names, and the last section of the worst; nobody knows of what the others do."""
    said: dict[Phrase, set[str]] = {}
    for reply, found in replies.items():
        for phrase in phrases_of([reply]):
            said.setdefault(phrase, set()).update(found if len(found) == 1 else ())
        lines = reply.partition("</think>")[0].removeprefix("<think>").splitlines()
        if lines and len(found) > 1:
            for phrase in phrases_of(lines[-1:]):
                said[phrase].add(found[0])
            label, _, text = lines[0].partition(": ")
            for sentence in sentences([*BEFORE, *words_of(text)[0]]):
                kinds = named("".join(sentence))
                for run in runs_of(sentence) if len(kinds) == 1 else ():
                    said.setdefault((label, *run), set()).update(kinds)
    return {
        phrase: frozenset(those) if 0 < len(those) <= FEW else frozenset([] if those & CLEAR else [FAULT])
        for phrase, those in said.items()
    }


def suiting_severities(phrases: Iterable[Phrase]) -> dict[Phrase, frozenset[str]]:
    """Each phrase with the severities that it calls something: before a name of a fault, or as what one is."""
    return {
        phrase: frozenset(word.lower() for words in _CALLED.findall("".join(phrase[1:])) for word in words if word)
        for phrase in phrases
    }


def suiting_places(
    phrases: Iterable[Phrase], places_in: Callable[[str], frozenset[str]]
) -> dict[Phrase, frozenset[str]]:
    """Each phrase with the places that it names; places_in: reads them from a text (`snellen.rationale.lexicon`)."""
    return {phrase: places_in("".join(phrase[1:])) for phrase in phrases}


def suits(wants: frozenset[str], occasion: frozenset[str]) -> bool:
    """Whether what a phrase wants is there: something of each group of OCCASIONS of which it wants anything."""
    return all(wants.isdisjoint(group) or not wants.isdisjoint(group & occasion) for group in OCCASIONS)


def runs_of(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """WORDS words in a row, from each on."""
    return zip(*(words[i:] for i in range(WORDS)), strict=False)


def numbered(text: str) -> str:
    """A text with NUMBER for each number."""
    return _NUMBER.sub(NUMBER, text)


def words_of(text: str) -> tuple[list[str], str]:
    """The words of a text that have ended, and what it leaves open."""
    text = numbered(text)
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


def read_phrases(folder: Path) -> dict[Phrase, frozenset[str]]:
    """What a model was taught to say, five words at a time, and what each phrase suits (see `Pieces`), from
    phrases.txt."""
    lines = (line.split("\t") for line in (folder / "phrases.txt").read_text(encoding="utf8").splitlines())
    return {(label, *words): frozenset(filter(None, suits.split(", "))) for label, *words, suits in lines}


def write_phrases(phrases: Mapping[Phrase, frozenset[str]], folder: Path) -> None:
    """What `read_phrases` reads."""
    lines = ["\t".join((*phrase, ", ".join(sorted(phrases[phrase])))) + "\n" for phrase in sorted(phrases)]
    (folder / "phrases.txt").write_text("".join(lines), encoding="utf8")


class Table:
    """Phrases by the place that they go on from, as arrays: which of them suit an occasion is worked out for all at
    once. words: the last ones. span: first and last of each place. leads: the number of the place that comes next, -1
    where the section ends, the number of places where nothing was taught to follow."""

    def __init__(self, phrases: Mapping[Phrase, frozenset[str]]) -> None:
        taught = sorted(phrases)
        self.words = [phrase[-1] for phrase in taught]
        self.span: dict[Place, tuple[int, int]] = {}
        for i, phrase in enumerate(taught):
            place = phrase[:-1]
            self.span[place] = self.span.get(place, (i, i))[0], i + 1
        number = {place: n for n, place in enumerate(self.span)}
        self.places = np.repeat(np.arange(len(number)), [last - first for first, last in self.span.values()])
        self.leads = np.array(
            [number.get((phrase[0], *phrase[2:]), len(number)) if phrase[-1] else -1 for phrase in taught],
            np.int64,
        )
        self.number = np.array([word.strip() == NUMBER for word in self.words], bool)
        self.sorts = sorted(set(phrases.values()), key=sorted)
        sort = {wants: n for n, wants in enumerate(self.sorts)}
        self.wants = np.array([sort[phrases[phrase]] for phrase in taught], np.int64)


@dataclass(frozen=True)
class Follow:
    """The words that follow others in what suits an occasion, `alive` among the phrases of a table, "" where a
    section ends."""

    table: Table
    alive: Mask

    def after(self, place: Place) -> list[str]:
        first, last = self.table.span.get(place, (0, 0))
        return [self.table.words[i] for i in range(first, last) if self.alive[i]]

    def without(self, place: Place, words: frozenset[str]) -> Follow:
        """The same but for some words at one place."""
        alive = self.alive.copy()
        for i in range(*self.table.span.get(place, (0, 0))):
            alive[i] &= self.table.words[i] not in words
        return Follow(self.table, alive)

    def leads(self, before: Place, said: str) -> bool:
        """Whether what is said at a place follows it, up to where the section ends, if it does."""
        at = next((i for i, letter in enumerate(said) if letter in ENDS), None)
        words, left = words_of(said[:at])
        if at is not None:
            words, left = [*words, *([left] if left else []), ""], ""
        for word in words:
            if word not in self.after(before):
                return False
            before = (before[0], *before[2:], word)
        return not left or any(word.startswith(left) for word in self.after(before))
