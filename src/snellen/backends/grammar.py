"""Keeps a reply to the protocol's form while it is written: which tokens can stand next.

A decoder of a few million parameters now and then forgets a section or a bracket, or misquotes its own earlier rating.
What it wants to say is not touched: words, boxes and severities are its own choice among what the form leaves open, and
nothing that was written is changed afterwards. The only number among the words is the rating of the round before, and
the verdict and the direction in them are those of this round's own rating, which is read before the words are written.
So is what the looks show, where they show a fault: of that the words and the issues speak, as severe as it shows and
where it shows it, and of no other (left to itself, the decoder may clear up close what the crop shows plainly). Where
they show none, nothing is wrong in a picture that is liked; in another it may find a fault of its own, which a later
look leaves as it was, or clears, and what its first section finds the others go on with. The issues are of the kinds
that the first section names, of each one, up to MOST_ISSUES: a fault that is told of can be checked. It is listed as
severe as the first section calls it, and the other sections call it that; how they compare it with the first look is
how the two lists compare. No five words stand in a row that did not in the same section of anything it was taught: at a
loss, it would put parts of words and of sentences together to what nobody says. And a section does not go round in
circles: no four words in a row are said twice in it, nor two long ones (the teacher's hardly ever are), nor the earlier
rating.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from snellen.backends.pieces import CLOSING, Pieces
from snellen.backends.taught import (
    BEFORE,
    ENDS,
    FAULT,
    FINDINGS,
    NOTHING,
    NUMBER,
    PLACED,
    RELATED,
    UNLIKED,
    Mask,
    sentences,
    words_of,
)
from snellen.region import Region
from snellen.vocabulary import (
    GONE,
    KINDS,
    LIKED,
    RELATIONS,
    SEVERITIES,
    STILL_NOTHING,
    called,
    direction,
    named,
    relation,
    verdict,
)

UNSEEN = ("in part", "elsewhere")
"""Of `snellen.vocabulary.RELATIONS`, where the crop does not show the fault whole."""
ENOUGH = 44
"""From so many tokens on a section ends where it can (the teacher's longest has 40)."""
SECTION_TOKENS = 60
"""A section has at most so many tokens: then it ends wherever it is."""
REPEATED = 4
"""So many words in a row are not said again in the same section."""
LONG = 4
"""Nor are two words of so many letters each."""
MOST_ISSUES = 4
_ISSUES = {
    kind: tuple(f'{{"kind": "{kind}", "severity": {level}, "bbox_2d": [' for level in range(1, 6)) for kind in KINDS
}


def occasion(rating: float, earlier: int | None, found: str | None) -> frozenset[str]:
    """What a round's words have to suit: the verdict of its rating, and where it goes from the earlier one, if there is
    one, in hundredths; and what it finds, a kind, NOTHING or, with None, any of these."""
    move = [] if earlier is None else [direction(rating - earlier / 100)]
    clear = NOTHING if rating >= LIKED else UNLIKED
    finding = {clear, FAULT, *KINDS} if found is None else {clear} if found == NOTHING else {found, FAULT}
    return frozenset([verdict(rating), *move, *finding])


def relations(found: str | None, listed: Mapping[str, int] | None) -> frozenset[str]:
    """What words may say of what is found, a kind or one of CLEAR, beside what the round before listed, None where
    there is none. Of several faults that are gone they speak of the first."""
    new = {relation(None, 1)}
    if listed is None or found is None:
        return RELATED
    if found in KINDS:
        return frozenset(RELATIONS) - new if found in listed else frozenset(new)
    return frozenset([GONE[kind] for kind in listed][:1] or [STILL_NOTHING])


def unshown(found: str, listed: Mapping[str, int] | None) -> frozenset[str]:
    """What words may say of what they find where the looks show no fault, and how severe they may call it: of a kind
    that was listed that it is as it was, and of no other kind anything; where none was listed, what they will."""
    if found not in KINDS or not listed:
        return relations(found, listed) | frozenset(SEVERITIES)
    if found not in listed:
        return frozenset()
    before = listed[found]
    return frozenset((SEVERITIES[before - 1], relation(before, before), *UNSEEN))


def comparison(found: str | None, now: Mapping[str, int], listed: Mapping[str, int] | None) -> frozenset[str]:
    """How severe words may call a fault, and what they may say it is beside what was listed, after the first section;
    an occasion. now: how severe that has called which kinds; what it calls nothing is what it was."""
    before = (listed or {}).get(found or "")
    severe = set(now.values()) | ({before} if before and found not in now else set())
    words = frozenset(SEVERITIES[level - 1] for level in severe) or frozenset(SEVERITIES)
    if before is None:
        return words | relations(found, listed)
    unseen = () if found in now else UNSEEN  # what is not seen whole is not called anything
    return words | {relation(before, now.get(found or "", before)), *unseen}


def called_places(fault: Region, shown: Region) -> frozenset[str]:
    """What words may call the place of a fault: where less than half of it is `shown`, also the place of that, which
    they tell of then."""
    return fault.places if shown.covers(fault) >= 0.5 else fault.places | {shown.place}


def _is_long(word: str) -> bool:
    return len(word.strip()) >= LONG


class Grammar:
    """Where one reply is. `allowed` says which tokens can stand next, `add` takes the one that does.

    labels: of the sections. rating: this round's, which is read before its words. found: the kind of fault that the
    looks show, None for none; severe: how severe, None leaves it to the first section. earlier: the rating of the
    round before, in hundredths; listed: how severe it listed which kinds; None in a first round. places: what words may
    call the place of a fault that the looks show, out of PLACED.
    """

    def __init__(
        self,
        pieces: Pieces,
        labels: Sequence[str],
        rating: float,
        found: str | None,
        severe: int | None = None,
        earlier: int | None = None,
        listed: Mapping[str, int] | None = None,
        places: frozenset[str] = PLACED,
    ) -> None:
        self.pieces, self.labels, self.rating, self.earlier, self.listed = pieces, labels, rating, earlier, listed
        self.found = NOTHING if found is None and rating >= LIKED else found  # None: left to the first section
        self.severe, self.places = severe, places
        self.kinds: tuple[str, ...] = ()  # of which an issue can be: those that the first section names, if any
        self.called: dict[str, int] = {}  # how severe it calls them
        self.said = RELATED  # what it leaves open of how they compare with what was listed
        self.done = 0  # sections
        self.text = ""  # of the section or the fixed part so far
        self.tokens: list[int] = []  # of the section
        self.options: tuple[str, ...] = ()  # the fixed part is one of these; none while in a section
        self.boxes: list[list[int]] = []  # in hundredths; the first is what is asked for
        self.rated = self.over = False
        self.occasion = self._suited()

    @property
    def _label(self) -> str:
        return ("" if self.done else "<think>") + self.labels[self.done] + ": "

    @property
    def _last(self) -> bool:
        return self.done == len(self.labels) - 1

    @property
    def _issues(self) -> tuple[str, ...]:
        """How an issue can begin: as severe as the first section calls it; what that calls nothing stays as it was."""
        uncalled = (self.listed or {}).get(self.found or "", self.severe)
        known = ({self.found: uncalled} if uncalled else {}) | self.called
        return tuple(
            issue
            for kind in self.kinds
            for issue in (_ISSUES[kind][known[kind] - 1 : known[kind]] if kind in known else _ISSUES[kind])
        )

    def _suited(self) -> frozenset[str]:
        """What the words of the section have to suit."""
        # the last section tells of the crop; where a fault is that the decoder finds by itself, nobody else knows
        suited = occasion(self.rating, self.earlier, self.found) | (PLACED if self._last else self.places)
        if self.done:  # where several faults were found, the first that is named is the worst
            main = self.found if self.found in KINDS else next(iter(self.called), self.found)
            suited |= comparison(main, self.called, self.listed)
            suited -= FINDINGS - {FAULT, *self.kinds} if self.kinds else frozenset()
            suited -= RELATED - self.said if not suited.isdisjoint(self.said) else frozenset()
        else:
            words = SEVERITIES if self.severe is None else SEVERITIES[self.severe - 1 : self.severe]
            suited |= {*words, *relations(self.found, self.listed)}
        return self.pieces.fitting(self.labels[self.done], suited)

    def allowed(self) -> Mask:
        """(V,)."""
        pieces = self.pieces
        if self.over:
            return pieces.numbers(pieces.end - pieces.zero, pieces.end - pieces.zero)
        if self.options:
            return pieces.starting(self.options, self.text)
        if not self.boxes:
            rest = self._label[len(self.text) :]
            if rest:
                suited = self._occasions(())
                return pieces.either([pieces.label(self.labels[self.done], rest, self._last, one) for one in suited])
            return self._words()
        if len(self.boxes[-1]) == 4:
            return pieces.numbers(100, 500)
        return self._side()

    def _words(self) -> Mask:
        """Inside a section: what phrases that were taught go on with, and not what it has said before. (Where they go
        on with nothing, what fits the form: so after text that was not written under this grammar.)"""
        pieces = self.pieces
        words, begun = words_of(self.text[len(self._label) :])
        earlier = None if any(word.strip() == NUMBER for word in words) else self.earlier  # it is quoted once
        section, ends = (pieces.section(self._last, only, earlier) for only in (False, True))
        if len(self.tokens) >= SECTION_TOKENS:
            return ends
        place = (self.labels[self.done], *[*BEFORE, *words][-len(BEFORE) :])
        suited = self._occasions(words)
        new, phrased = (
            pieces.both(section, pieces.either([pieces.phrased(place, begun, one, but) for one in suited]))
            for but in (self._again(words), frozenset[str]())
        )
        new = pieces.without(new, [i for i in pieces.several(new) if self._says_again(words, begun + pieces.texts[i])])
        full = [pieces.both(ends, phrased)] if len(self.tokens) >= ENOUGH else []
        found = next((mask for mask in (*full, new, phrased) if mask.any()), None)
        anyhow = pieces.both(section, pieces.phrased(place, begun, self.occasion)) if found is None else found
        return anyhow if anyhow.any() else section

    def _occasions(self, words: Sequence[str]) -> list[frozenset[str]]:
        """What the next word has to suit, one of these. One sentence of a first section says how severe a fault is.
        If it may find what it will, it goes on to its end with a finding that its sentence leaves open, and says of
        that what it is beside what was listed: what suits one finding now and another later suits neither. Where the
        looks show no fault, nothing is revealed beside one that was listed, and it stays as it was, or is cleared."""
        if self.done:
            return [self.occasion]
        *told, sentence = sentences([*BEFORE, *words])
        told_of = named("".join(word for one in told for word in one))
        if self.found is not None:
            return [self.occasion - frozenset(SEVERITIES if self.found in told_of else ())]
        left, how = (self.pieces.open_after(self.labels[0], sentence, group) for group in (FINDINGS, RELATED))
        rest = self.occasion - FINDINGS - RELATED - frozenset(SEVERITIES)
        return [
            rest
            | {one}
            | ({FAULT} if one in KINDS else set())
            | (beside - frozenset(SEVERITIES if one in told_of else ()))
            for one in sorted(left & self.occasion)
            if not how.isdisjoint(beside := unshown(one, self.listed))
        ]

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
        more, left = words_of(text.rstrip(ENDS))
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
            self.options, self.text = tuple(begin + rest for rest in self._issues or ("]}</answer>",)), ""

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
                self._find(self.text[len(self._label) :])
            self.done, self.text, self.tokens = self.done + 1, "", []
            self.occasion = self._suited()

    def _find(self, summary: str) -> None:
        """What the first section says of faults is what the reply goes on with."""
        if self.found is None:
            self.found = self.pieces.found_by(self.labels[0], summary)
        for sentence in sentences([*BEFORE, *words_of(summary)[0]])[:1]:  # of the worst
            self.said = self.pieces.open_after(self.labels[0], sentence, RELATED)
        if self.found != NOTHING:
            self.kinds = tuple(kind for kind in KINDS if kind in named(summary))
            self.called = called(summary)

    def _next(self) -> tuple[str, ...]:
        """What can follow a number of a box."""
        if len(self.boxes[-1]) < 4:
            return (", ",)
        if not self.rated:
            return ('], "rating": ',)
        full = len(self.boxes) > MOST_ISSUES
        return ("]}]}</answer>",) if full or not self.kinds else tuple("]}, " + issue for issue in self._issues)

    def _after(self, written: str) -> None:
        self.options = ()
        if written.endswith("</answer>"):
            self.over = True
        elif written.endswith('"bbox_2d": ['):
            self.boxes.append([])
            self.kinds = tuple(kind for kind in self.kinds if not written.endswith(_ISSUES[kind]))
