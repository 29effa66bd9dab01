"""Vocabulary of the writer: names, looks, goals and places, and the notation of its phrases.

In a phrase, `[a|b]` stands for one of a and b (nested at will; an empty choice is allowed) and `{name}` for a value,
which may hold choices itself; see `say`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from snellen.region import Region
from snellen.vocabulary import NAMES, SEVERITIES

SEVERITY = dict(enumerate(SEVERITIES, 1))
"""Severity 1..5 -> its word."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def say(phrase: str, rng: np.random.Generator, **values: str) -> str:
    """Draw one wording of a phrase: values first, then choices from the inside out, then single spaces."""

    def pick(match: re.Match[str]) -> str:
        options = match[1].split("|")
        return options[int(len(options) * rng.random())]

    text, drawn = _CHOICE.subn(pick, phrase.format(**values))
    while drawn:  # choices that held choices
        text, drawn = _CHOICE.subn(pick, text)
    return re.sub(r" ([,.;:])", r"\1", " ".join(text.split()))


def sentence(phrase: str, rng: np.random.Generator, **values: str) -> str:
    """Draw one wording with a capital letter at the start of each sentence."""
    text = say(phrase, rng, **values)
    return re.sub(r"(^|[.] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def wordings(phrase: str) -> list[str]:
    """Return all wordings of a phrase without values, before spaces are tidied."""
    match = _CHOICE.search(phrase)
    if match is None:
        return [phrase]
    head, tail = phrase[: match.start()], phrase[match.end() :]
    return [text for option in match[1].split("|") for text in wordings(head + option + tail)]


@dataclass(frozen=True)
class KindWords:
    """Phrases about one kind of fault.

    Attributes:
        name: its names in the text, all of them among `vocabulary.NAMES`.
        look: a clause on how the fault looks, true by its nature.
        goal: the opposite, a noun phrase in positive words.
        shun: its effect, a noun phrase in negative words that names no kind.
        article: "a " where the name needs one.
    """

    name: str
    look: str
    goal: str
    shun: str
    article: str = ""


KIND_WORDS: dict[str, KindWords] = {
    "blur": KindWords(
        "[blur|softness]",
        "[edges|contours|outlines] [look|are] [soft|out of focus]",
        "[crisp|sharp|well defined] [edges|contours|outlines]",
        "[soft|smeared] [edges|contours|outlines]",
    ),
    "motion blur": KindWords(
        "motion blur",
        "[edges|contours|details] are [smeared|drawn out] in one direction",
        "[crisp|sharp], steady [edges|contours|outlines]",
        "[streaks|double contours|smeared edges|motion trails]",
    ),
    "noise": KindWords(
        "[noise|grain]",
        "[random|fine] speckle [covers|lies over] [smooth surfaces|plain areas|the tones]",
        "[smooth|clean] [tones|surfaces|areas]",
        "[speckle|speckled tones|random dots|gritty surfaces]",
    ),
    "compression": KindWords(
        "[compression|compression damage]",
        "[texture|fine detail] is [broken up|wiped out] [by the coding|in patches]",
        "[intact|full|natural] [texture|detail]",
        "[coding artifacts|blocks and ripples|wiped-out texture|block edges]",
    ),
    "pixelation": KindWords(
        "pixelation",
        "detail is [coarser|rougher] than the pixel grid",
        "[full|native] resolution",
        "[stair steps|coarse blocks|jagged contours]",
    ),
    "banding": KindWords(
        "banding",
        "[smooth tones|soft gradients|gentle transitions] break into [steps|bands]",
        "[smooth|even|seamless] [gradients|transitions|tones]",
        "[tone steps|hard bands|broken gradients]",
    ),
    "oversharpening": KindWords(
        "oversharpening",
        "[edges|contours|outlines] carry [bright lines|halos|double lines]",
        "[natural|gentle] [edges|contours|edge contrast]",
        "[halos|ringing|harsh outlines|hard edge lines]",
    ),
    "overexposure": KindWords(
        "overexposure",
        "[light tones|bright parts] look [too bright|washed out|pale]",
        "[balanced light|even light|full highlight detail]",
        "[burnt highlights|glare|washed-out tones|bleached tones]",
    ),
    "underexposure": KindWords(
        "underexposure",
        "[tones|dark parts|surfaces] [look too dark|sink into shadow]",
        "[balanced light|brighter light|open shadows]",
        "[blocked shadows|murky tones|sunken shadows]",
    ),
    "low contrast": KindWords(
        "contrast loss",
        "light and dark [lie|sit] [too|] close together",
        "[full contrast|rich contrast|a full tonal range|a rich tonal range]",
        "[flat tones|haze|dull gray tones]",
    ),
    "color cast": KindWords(
        "color cast",
        "[colors|hues] look [shifted|off]",
        "[neutral|true|natural] [colors|hues]",
        "[false colors|tinted tones|shifted hues]",
        "a ",
    ),
    "saturation": KindWords(
        "saturation problem",
        "the [colors|hues] look unnatural",
        "[natural|balanced|lifelike] colors",
        "[unnatural colors|wrong color strength]",
        "a ",
    ),
    "corruption": KindWords(
        "corruption",
        "[pieces|parts|patches] of the image are [misplaced|overwritten|broken]",
        "[intact|complete] [content|image content]",
        "[misplaced patches|torn blocks|broken pieces]",
    ),
}

EVIDENCE: dict[str, str] = {
    "soft": "[fine texture|fine detail] is [soft|weak]",
    "softer": "[edges|contours|details] are softer than [elsewhere|in the rest]",
    "grainy": "even [smooth areas|plain surfaces|flat areas] look [grainy|gritty]",
    "grainier": "[plain surfaces|smooth areas] are rougher than [elsewhere|in the rest]",
    "blocky": "[small square blocks|block edges|a square grid] can be seen",
    "burnt": "[highlights|the brightest parts] are clipped",
    "bright": "the [tones|surfaces] are [very bright|close to white]",
    "brighter": "this part is [brighter|paler] than the rest",
    "blocked": "[shadows|the darkest parts] are clipped",
    "dark": "the [tones|surfaces] are [very dark|close to black]",
    "darker": "this part is [darker|dimmer] than the rest",
    "flat": "[tones hardly differ|light and dark span a narrow range]",
    "tinted": "[color|everything] [leans|drifts] [to|towards] {hue}",
    "dull": "[color is|colors are] [faint|dull|weak]",
    "gaudy": "[color is|colors are] [very strong|gaudy]",
}
"""Clause for each measured sign of a fault; `snellen.rationale.evidence` decides which of them holds."""


@dataclass(frozen=True)
class StrengthWords:
    """Phrases about one measured strength.

    Attributes:
        clause: states it.
        noun: names it, in positive words.
        spoil: what would spoil it, a verb with its object in negative words.
    """

    clause: str
    noun: str
    spoil: str


STRENGTHS: dict[str, StrengthWords] = {
    "sharp": StrengthWords(
        "[edges|details|contours] are [crisp|sharp]",
        "[crisp|sharp] [details|edges|contours]",
        "[soften|smear] the [edges|outlines]",
    ),
    "calm": StrengthWords(
        "[smooth areas|plain surfaces] are clean", "clean [surfaces|tones|areas]", "[roughen|coarsen] plain areas"
    ),
    "light": StrengthWords(
        "[the light|the exposure] is [balanced|even|well held]",
        "[balanced|even] [light|exposure]",
        "[burn the highlights|block the shadows]",
    ),
    "range": StrengthWords(
        "[contrast|the tonal range] is [full|rich]", "[full|rich] [contrast|tonal range]", "flatten the tones"
    ),
    "vivid": StrengthWords("colors are [rich|lively]", "[rich|lively] colors", "[fade|dull|exaggerate] the colors"),
    "neutral": StrengthWords("colors are [natural|neutral]", "[natural|neutral] colors", "[tint|shift] the hues"),
}
"""Measured strengths of a picture or of a part of it."""


@dataclass(frozen=True)
class TraitWords:
    """Phrases about one measured weakness that is no claimed fault: a clause, and the kind of fault it resembles."""

    clause: str
    kind: str


TRAITS: dict[str, TraitWords] = {
    "soft": TraitWords("[fine detail|the focus] is [rather soft|a little weak]", "blur"),
    "grainy": TraitWords("[smooth|plain] areas look [gritty|speckled]", "noise"),
    "blocky": TraitWords("[small square blocks|block edges] [show|can be seen]", "compression"),
    "burnt": TraitWords("[highlights|the brightest parts] are clipped", "overexposure"),
    "blocked": TraitWords("[shadows|the darkest parts] are clipped", "underexposure"),
    "flat": TraitWords("[contrast is modest|the tonal range is narrow]", "low contrast"),
    "dull": TraitWords("[color is|colors are] [faint|pale]", "saturation"),
    "dark": TraitWords("the light is [dim|low]", "underexposure"),
}
"""Measured weaknesses of a picture in which no fault is claimed."""

PLACE_WORDS = {
    "upper left": "[in the upper left|in the upper left part|at the upper left]",
    "top centre": "[at the top|in the upper middle]",
    "upper right": "[in the upper right|in the upper right part|at the upper right]",
    "left side": "[on the left|on the left side]",
    "centre": "[in the middle|around the middle]",
    "right side": "[on the right|on the right side]",
    "lower left": "[in the lower left|in the lower left part|at the lower left]",
    "bottom centre": "[at the bottom|in the lower middle]",
    "lower right": "[in the lower right|in the lower right part|at the lower right]",
    "whole picture": "[across the whole picture|all over the picture|throughout the frame|across the entire frame]",
}
"""`Region.place` -> an adverb."""

BAND_WORDS = {
    "top centre": "along the top",
    "bottom centre": "along the bottom",
    "left side": "along the left side",
    "right side": "along the right side",
}
"""The same for a region that spans the picture from side to side."""

CROP_WORDS = {
    "upper left": "the upper left[| part]",
    "top centre": "the [top|upper middle]",
    "upper right": "the upper right[| part]",
    "left side": "the left side",
    "centre": "the middle",
    "right side": "the right side",
    "lower left": "the lower left[| part]",
    "bottom centre": "the [bottom|lower middle]",
    "lower right": "the lower right[| part]",
    "whole picture": "most of the picture",
}
"""`Region.place` of a crop -> a noun phrase."""

SAME_WHOLE, SAME_PART = "over the same area", "in the same part"
"""Phrases that refer back to the place of the fault before."""

_SPAN = 0.8


def where(region: Region) -> str:
    """Return the phrase that places a region: "in the upper left part", "along the bottom"."""
    place = region.place
    across = region.width if place in ("top centre", "bottom centre") else region.height
    return BAND_WORDS[place] if place in BAND_WORDS and across >= _SPAN else PLACE_WORDS[place]


def same_place(region: Region, before: Region) -> str:
    """Return `where`, or a phrase that refers back where the region before has the same name of place."""
    if where(region) != where(before):
        return where(region)
    return SAME_WHOLE if region.place == "whole picture" else SAME_PART


def places_in(text: str) -> frozenset[str]:
    """Return each `Region.place` that a text names in the writer's own words."""
    return frozenset(place for place, named in _PLACE.items() if named.search(text))


_PLACE = {
    place: re.compile(rf"\b(?:{'|'.join(wordings(f'[{words}|{BAND_WORDS.get(place, words)}]'))})\b", re.IGNORECASE)
    for place, words in PLACE_WORDS.items()
}
_MARKS = {
    *SEVERITIES,
    *(name for several in NAMES.values() for name in several),
    *(text for words in (PLACE_WORDS, CROP_WORDS) for phrase in words.values() for text in wordings(phrase)),
    *BAND_WORDS.values(),
    SAME_WHOLE,
    SAME_PART,
}
_MARK = re.compile(r"\b(?:" + "|".join(sorted(_MARKS, key=len, reverse=True)) + r")\b")


def unmarked(text: str) -> str:
    """Return a lower-case text with a bar in place of each name of a kind, severity and place."""
    return _MARK.sub("|", text)
