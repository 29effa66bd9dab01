"""Claims of a free text about a picture: faults it names or denies, their severities and places, visible properties.

Found by patterns, clause by clause. What is hedged, wished for or meant as praise ("may", "avoid", "background blur")
is no claim. A word for a fault is often said of a thing ("the grain of the oak"), so a claim is clear only in forms of
a sentence that say or deny it of the picture. Patterns miss paraphrases; they are made to be right where they find one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from snellen.region import FULL, Region
from snellen.vocabulary import KIND_OF, SEVERITIES

WORDS: dict[str, str] = {
    "motion blur": r"motion[- ]blur(?:red|ring)?|camera shake|motion smear(?:ing)?",
    "blur": r"blur(?:red|ry|riness|ring)?|softness|soft focus|out of focus|unfocused|defocus(?:ed)?|lack of sharpness",
    "noise": r"(?:image |sensor |digital |colou?r |chroma )?noise|noisy|grain(?:y|iness)?",
    "compression": r"(?:jpeg |heavy |lossy )?compression(?: damage| artifacts?| artefacts?)?"
    r"|(?:jpeg|block(?:ing|y)) art[ei]facts?|blockiness|macroblocking",
    "pixelation": r"pixelation|pixelated|pixelization",
    "banding": r"banding|posteri[sz]ation|posteri[sz]ed",
    "oversharpening": r"over-?sharpen(?:ing|ed)",
    "overexposure": r"over-?expos(?:ure|ed)|blown(?:[- ]out)? highlights|burnt[- ]out highlights",
    "underexposure": r"under-?expos(?:ure|ed)|crushed (?:shadows|blacks)",
    "low contrast": r"low contrast|contrast loss|loss of contrast|lack of contrast|poor contrast",
    "color cast": r"(?:\w+ )?colou?r[- ]cast|colou?r tint",
    "saturation": r"saturation problem|over-?saturat(?:ion|ed)|under-?saturat(?:ion|ed)|desaturat(?:ion|ed)",
    "corruption": r"corruption|corrupted|data damage",
}
"""Kind of fault -> the words that name it in free text; those of `vocabulary.NAMES` are among them."""

STRENGTH: dict[str, tuple[int, int]] = {
    **{word: (number, number) for number, word in enumerate(SEVERITIES, 1)},
    "faint": (1, 2), "minor": (1, 2), "subtle": (1, 2), "weak": (1, 2), "light": (1, 2),
    "considerable": (3, 4), "noticeable": (2, 4), "marked": (3, 4), "pronounced": (3, 5), "heavy": (4, 5),
    "serious": (4, 5), "extreme": (5, 5), "massive": (5, 5),
}  # fmt: skip
"""Word -> lowest and highest severity that it can mean."""

PLACES: dict[str, tuple[str, Region]] = {
    "upper left": (r"(?:upper|top)[- ]left", Region(0, 0, 0.5, 0.5)),
    "upper right": (r"(?:upper|top)[- ]right", Region(0.5, 0, 1, 0.5)),
    "lower left": (r"(?:lower|bottom)[- ]left", Region(0, 0.5, 0.5, 1)),
    "lower right": (r"(?:lower|bottom)[- ]right", Region(0.5, 0.5, 1, 1)),
    "top centre": (r"(?:at|along|near|in|across) the top|upper (?:middle|half|part|third|edge)", Region(0, 0, 1, 0.5)),
    "bottom centre": (r"(?:at|along|near|in|across) the bottom|lower (?:middle|half|part|third|edge)",
                      Region(0, 0.5, 1, 1)),
    "left side": (r"(?:on|at|along|in|to) the left|left(?:-hand)? (?:side|half|part|edge|third)", Region(0, 0, 0.5, 1)),
    "right side": (r"(?:on|at|along|in|to) the right|right(?:-hand)? (?:side|half|part|edge|third)",
                   Region(0.5, 0, 1, 1)),
    "centre": (r"(?:in|around|at|near) the (?:middle|cent(?:er|re))|central (?:part|area|region)",
               Region(0.2, 0.2, 0.8, 0.8)),
    "whole picture": (r"(?:whole|entire) (?:picture|image|frame|photo|scene)|throughout the (?:frame|picture|image)"
                      r"|all over the (?:picture|image|frame)|everywhere", FULL),
}  # fmt: skip
"""Place -> the words that name it, and a generous rectangle of it."""

_PICTURE = r"(?:image|picture|photo(?:graph)?|shot|scene|frame)"
_IS = r"(?:is|are|looks?|appears?)(?: (?:very|quite|rather|too|far too|much too|so|clearly|really|overall|extremely))*"
PROPERTIES: dict[str, str] = {
    "dark": rf"\b{_PICTURE} {_IS} (?:dark|dim|murky|underlit)\b|\b(?:very|too|overly) dark {_PICTURE}\b"
    rf"|\b(?:light|lighting) {_IS} (?:dim|low)\b|\b(?:tones|surfaces) are very dark\b",
    "bright": rf"\b{_PICTURE} {_IS} bright\b|\b(?:very|too|overly) bright {_PICTURE}\b"
    r"|\b(?:tones|surfaces) are (?:very bright|close to white)\b",
    "sharp": rf"\b(?:{_PICTURE}|focus|edges|details|contours) {_IS} (?:sharp|crisp|tack-sharp)\b",
    "clean": rf"\b{_PICTURE} {_IS} (?:noise-free|free of noise)\b|\b(?:smooth areas|plain surfaces) are clean\b",
    "flat": r"\bcontrast is (?:low|flat|poor|weak)\b|\btones hardly differ\b",
    "contrasty": r"\b(?:contrast|the tonal range) is (?:full|rich|strong|high)\b",
    "vivid": r"\bcolou?rs are (?:vivid|rich|lively|vibrant|very strong|gaudy)\b",
    "dull": r"\bcolou?rs? (?:is|are) (?:faint|dull|weak|pale|muted|drab)\b",
}
"""Visible property -> the words that claim it of the whole picture."""

_KINDS = [(kind, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, words in WORDS.items()]
_NAMED = "|".join(f"(?:{words})" for words in WORDS.values())
_FILLER = (
    r"(?:[\s,]|\b(?:a|an|any|the|visible|noticeable|apparent|obvious|detectable|signs?|traces?|hints?|evidence|of|or"
    rf"|nor|and|{_NAMED})\b)*"
)
_NO = (
    r"\b(?:no|not|without|free (?:of|from)|neither|nor|lacks?|absence of|never|none|hardly any"
    r"|does not (?:confirm|bear out|show)|rules out)"
)
_DENIED = re.compile(rf"{_NO}\b{_FILLER}$", re.IGNORECASE)
_DENIED_AFTER = re.compile(
    r"^(?: suspected[\w ]*)?,? (?:is|are|was) "
    r"(?:not (?:confirmed|visible|present|seen|a problem|an issue)|absent|nowhere)",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(rf"{_NO}\b|n't\b", re.IGNORECASE)
_FAULT = re.compile(
    rf"\b(?:{_PICTURE}|exposure|it) {_IS} $|"
    r"\b(?:suffer\w*|affect\w*|marr(?:ed|ing)|degrad\w*|weaken\w*|spoil\w*|harm\w*|plagued|fault|problem|defect|flaw)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:may|might|could|would|should|possibl[ey]|perhaps|seems?|appears? to|uncertain|unsure|suspect\w*|whether|if"
    r"|doubt\w*|potential\w*|hard to (?:be|tell|judge)|uncertainty|how (?:strong|much|far)|avoid\w*|prevent\w*"
    r"|watch out|introduc\w*|risk|depends|than|check\w*|verify|judge|rather than|before|reduc\w*|remov\w*|fix\w*"
    r"|intentional\w*|deliberate\w*|artistic\w*|pleas\w+|bokeh|shallow|depth of field|background|backdrop|gentl[ey]"
    r"|softly|creamy|style)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?<=[.!?;:])\s+|\s+(?:but|while|whereas|although|though|however|yet)\s+|,\s+(?=with no |without )"
)
_PLACED = [(place, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for place, (words, _) in PLACES.items()]
_STRENGTHS = "|".join(STRENGTH)
_BEFORE = re.compile(rf"\b({_STRENGTHS})(?: (?:but|and) \w+)?(?: \w+)?\s$", re.IGNORECASE)
_AFTER = re.compile(rf"^ (?:is|looks|proves|appears)(?: \w+)? ({_STRENGTHS})\b", re.IGNORECASE)
_ZOOM = re.compile(
    r"\b(?:zoom(?:ing|s)? in(?:to| on)?|look(?:ing)? closer at|closer look at|crop of|cropping)\s+(.{0,40})",
    re.IGNORECASE,
)
_LOOSE = {
    **{place: words for place, (words, _) in PLACES.items()},
    "top centre": r"(?:the )top\b(?![- ](?:left|right))|upper (?:middle|half|part|third|edge)",
    "bottom centre": r"(?:the )bottom\b(?![- ](?:left|right))|lower (?:middle|half|part|third|edge)",
    "centre": r"(?:the )(?:middle|cent(?:er|re))",
}

# Forms of a clause in which a fault is said, or denied, of the picture and of nothing else. A mention stands between
# what comes before and after it.
_PART = (
    r"(?:(?:upper|lower|top|bottom|left|right|hand|central|whole|entire|middle|same|dark|bright|smooth|flat|fine)[ -])*"
    r"(?:corners?|areas?|sides?|half|part|third|edges?|middle|cent(?:er|re)|frame|image|picture|photo(?:graph)?|scene|top"
    r"|bottom|left|right|sky|shadows|highlights|foreground|details|textures|regions|tones)\b"
)
_IN_PART = rf"(?:(?:in|at|near|towards?|across|over|along|around|on|throughout|within|to) (?:the )?{_PART}|everywhere)"
_WHERE = rf"(?:,? {_IN_PART}(?: (?:of|and) (?:the )?(?:{_PICTURE}\b|{_PART}))?)*"
_LEAD = (
    r"(?:(?:\w+ly|also|overall|still|otherwise|(?:seen|up) close(?:r|ly)?|on [\w ]*inspection|at first glance"
    rf"|looking at the details|{_IN_PART}),? )*"
)
_SKIP = (
    r"(?:[\s,]|\b(?:an?|some|the|very|quite|rather|clearly|visible|noticeable|obvious|apparent|evident|of|and|also"
    rf"|amounts?|levels?|degrees?|signs?|traces?|{_STRENGTHS}|{_NAMED})\b)*"
)
_SUBJECT = rf"(?:(?:the|this) )?(?:{_PICTURE}|(?:{_PICTURE} |overall )?quality|crop|it)"
_SAID_BEFORE = re.compile(
    rf"^{_LEAD}(?:{_SUBJECT} (?:\w+ly )?(?:shows|has|suffers from|exhibits|displays|contains|reveals|confirms|uncovers"
    r"|brings out|(?:is|was) (?:\w+ly )?(?:affected|marred|degraded|weakened|spoiled|harmed|plagued|hurt|limited"
    rf"|reduced|lowered|damaged|held back(?: a little)?) by)|{_SUBJECT} {_IS}|there (?:is|are)"
    r"|(?:i|we|one|you)(?: can)?(?: also)? (?:see|sees|notice|find|make out|spot|observe|detect)"
    r"|(?:the|its|a) (?:\w+ ){0,2}(?:fault|flaw|problem|weakness|weak point|defect|issue|drawback|thing to notice) is|"
    r"(?:the )?crop (?:also )?(?:confirms|shows|reveals|uncovers|brings out)(?: a part of)?"
    rf"|){_SKIP}$",
    re.IGNORECASE,
)
_SAID_AFTER = re.compile(rf"^{_WHERE}(?: as well)?\s*(?:$|[.:;,!]|that is\b)", re.IGNORECASE)
_ALONE = re.compile(rf"^{_LEAD}{_SKIP}$", re.IGNORECASE)
_STATED = re.compile(
    rf"^{_WHERE},? (?:(?:is|are|was|looks?|proves|appears)(?: \w+ly| just| now)? (?:visible|present|apparent|evident"
    r"|obvious|noticeable|confirmed|hard to miss|easy to see|impossible to miss|(?:only )?partly in view"
    rf"|worse|stronger|milder|weaker|{_STRENGTHS})\b"
    r"|(?:stands? out|catche?s? the eye|come?s? to light|adds? to it|can (?:just )?be (?:seen|made out)"
    r"|(?:also |now )+looks? (?:worse|stronger|milder|weaker))\b"
    r"|(?:degrades?|lowers?|hurts?|reduces?|limits?|harms?|spoils?|mars?|weakens?) the (?:overall )?"
    rf"(?:{_PICTURE}|quality|result|score)\b|(?:shows?|appears?)(?: clearly| faintly| up)?{_WHERE}\s*(?:$|[.:;,!]))",
    re.IGNORECASE,
)
_DENIAL_AFTER = re.compile(
    rf"^{_WHERE}(?: (?:at all|anywhere|either))?\s*(?:$|[.:;,!]|(?:or|nor|and)\b"
    r"|(?:is|are|was|were|can be|could be) (?:found|visible|present|seen|noticeable|apparent|confirmed|evident)\b)",
    re.IGNORECASE,
)
_DENIAL_BEFORE = re.compile(
    rf"^{_LEAD}(?:{_SUBJECT}\b[\w\s'-]{{0,40}}|there (?:is|are|was|were) |(?:i|we|one|you)\b[\w\s]{{0,25}}|)$",
    re.IGNORECASE,
)
_FOLLOWED = re.compile(
    rf"^(?:{_WHERE}(?:,| and| or| nor|,? with| plus)+{_SKIP}\b(?:{_NAMED})\b)+(?=[\s.:;,!]|$)", re.IGNORECASE
)
_EARLIER = re.compile(rf"\b((?:{_NAMED})\b){_WHERE}(?=,| and)", re.IGNORECASE)
"""Further faults behind a mention; earlier ones with their places."""
_EXCEPTION = re.compile(
    r"\b(?:only|alone|except\w*|apart from|aside from|other than|everything but|all but|nowhere else|on purpose"
    r"|as intended|belongs?|typical)\b",
    re.IGNORECASE,
)
_PROPERTY_END = re.compile(r"^(?: and \w+)?(?: (?:overall|throughout|everywhere))?\s*(?:$|[.:;,!])", re.IGNORECASE)
_PROPERTY_START = re.compile(rf"^{_LEAD}(?:(?:the|this|its|it is an?|this is an?)(?: \w+)? )?$", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """One claim of a text.

    Attributes:
        text: the clause that makes it.
        what: a kind of fault, a property of `PROPERTIES`, or "crop".
        present: False where the clause denies it.
        severity: lowest and highest severity that is stated, 1..5; None without one.
        places: places that are named for it, of `PLACES`.
        clear: the clause says or denies it of the picture, in a form that says nothing else, and makes no exception.
        plain: True where a clear clause means a fault and nothing else: a severity from mild on is stated, or words
            such as "suffers from" or "the picture is" come before. A background has blur and a plank grain without any.
    """

    text: str
    what: str
    present: bool = True
    severity: tuple[int, int] | None = None
    places: tuple[str, ...] = ()
    clear: bool = True
    plain: bool = True


def claims_in(text: str) -> list[Claim]:
    """Return the claims of one section, in order."""
    return [claim for clause in clauses(text) for claim in (*_faults(clause), *_properties(clause), *_crops(clause))]


def clauses(text: str) -> list[str]:
    """Return the clauses of a text: its sentences, split at contrasts."""
    return [part.strip() for part in _SENTENCE.split(text) if part and part.strip()]


def kinds_in(text: str) -> frozenset[str]:
    """Return the kinds of fault that a text calls by a name of `vocabulary.NAMES`."""
    return frozenset(KIND_OF[name.lower()] for name in _NAME.findall(text))


_NAME = re.compile(  # the longer first: "motion blur" is not "blur"
    rf"\b(?:{'|'.join(sorted(KIND_OF, key=len, reverse=True))})\b", re.IGNORECASE
)


def _mentions(clause: str) -> list[tuple[str, int, int]]:
    """Return (kind, start, stop) of each mention that no longer one holds, in order."""
    found: list[tuple[str, int, int]] = []
    for kind, pattern in _KINDS:
        for match in pattern.finditer(clause):
            if not any(start < match.end() and match.start() < stop for _, start, stop in found):
                found.append((kind, match.start(), match.end()))
    return sorted(found, key=lambda one: one[1])


def _faults(clause: str) -> Iterator[Claim]:
    mentions = _mentions(clause)
    places = _places_of(clause, mentions)
    for number, (kind, start, stop) in enumerate(mentions):
        before, after = clause[:start], clause[stop:]
        if _DENIED_AFTER.search(after) or (_DENIED.search(before) and not _UNSURE.search(before)):
            clear = _clearly_denied(clause, before, after)
            yield Claim(clause, kind, False, None, places[number], clear, clear)
        elif not (_NEGATIVE.search(clause) or _UNSURE.search(clause)):
            word = _BEFORE.search(before) or _AFTER.search(after)
            stated = STRENGTH[word[1].lower()] if word else None
            clear = _clearly_said(clause, before, after)
            means = (stated is not None and stated[0] >= 2) or _FAULT.search(before) is not None
            yield Claim(clause, kind, True, stated, places[number], clear, clear and means)


def _clearly_said(clause: str, before: str, after: str) -> bool:
    """Return whether a clause says of the picture that it has a fault, which stands between `before` and `after`."""
    if _EXCEPTION.search(clause):
        return False
    before, after = _EARLIER.sub(r"\1", before), _FOLLOWED.sub("", after)
    whole = _SAID_BEFORE.search(before) and _SAID_AFTER.search(after)
    return bool(whole or (_ALONE.search(before) and _STATED.search(after)))


def _clearly_denied(clause: str, before: str, after: str) -> bool:
    """Return whether a clause denies a fault of the picture, without an exception."""
    if _EXCEPTION.search(clause):
        return False
    if _DENIED_AFTER.search(after):
        return _ALONE.search(before.replace("suspected ", "")) is not None
    denied = _DENIED.search(before)
    assert denied is not None
    return bool(_DENIAL_BEFORE.search(before[: denied.start()]) and _DENIAL_AFTER.search(_FOLLOWED.sub("", after)))


def _places_of(clause: str, mentions: list[tuple[str, int, int]]) -> list[tuple[str, ...]]:
    """Return the places of each mention: those between it and the next one, and those before the first."""
    found: list[list[str]] = [[] for _ in mentions]
    for place, pattern in _PLACED:
        for match in pattern.finditer(clause):
            earlier = [i for i, (_, _, stop) in enumerate(mentions) if stop <= match.start()]
            if mentions:
                found[earlier[-1] if earlier else 0].append(place)
    if len(mentions) > 1 and found[0] and mentions[0][1] > 0 and not any(found[1:]):
        found = [[] for _ in mentions]  # one place for several faults: it is not said for which
    return [tuple(places) for places in found]


def _properties(clause: str) -> Iterator[Claim]:
    if _NEGATIVE.search(clause) or _UNSURE.search(clause) or any(p.search(clause) for _, p in _PLACED[:-1]):
        return
    for name, words in PROPERTIES.items():
        match = re.search(words, clause, re.IGNORECASE)
        if match and _PROPERTY_START.search(clause[: match.start()]) and _PROPERTY_END.search(clause[match.end() :]):
            yield Claim(clause, name)


def _crops(clause: str) -> Iterator[Claim]:
    match = _ZOOM.search(clause)
    if match is None or _NEGATIVE.search(clause):
        return
    places = tuple(place for place, words in _LOOSE.items() if re.search(rf"\b(?:{words})", match[1], re.IGNORECASE))
    if len(places) == 1:
        yield Claim(clause, "crop", places=places)
