"""The vocabulary of the procedural writer: how each kind of fault is called, how it looks, and what should be instead.

In a phrase `[a|b]` stands for one of a, b (nested at will, an empty choice allowed) and `{name}` for a value; see
`say`.
Few words on purpose: a decoder of a few million parameters has to learn them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from snellen.vocabulary import NAMES, SEVERITIES, VERDICTS

SEVERITY = dict(enumerate(SEVERITIES, 1))

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def say(phrase: str, rng: np.random.Generator, **values: str) -> str:
    """Draw one wording: innermost choices first, then the values, then single spaces and a capital letter."""
    text = phrase
    while (match := _CHOICE.search(text)) is not None:
        options = match[1].split("|")
        text = text[: match.start()] + options[int(rng.integers(len(options)))] + text[match.end() :]
    text = " ".join(text.format(**values).split())
    return re.sub(r" ([,.;:])", r"\1", text)


def sentence(phrase: str, rng: np.random.Generator, **values: str) -> str:
    """`say` with a capital letter at the start of each sentence."""
    text = say(phrase, rng, **values)
    return re.sub(r"(^|[.] )([a-z])", lambda match: match[1] + match[2].upper(), text)


@dataclass(frozen=True)
class KindWords:
    """One kind of fault in words. Each is a phrase.

    seen: a clause with what it looks like, true by the nature of the fault.
    maybe: what it could be mistaken for at a glance. goal: the opposite, a noun phrase in positive words.
    shun: its look in negative words, a noun phrase. article: "a " before the name, where English wants one.
    """

    seen: str
    maybe: str
    goal: str
    shun: str
    article: str = ""


KIND_WORDS: dict[str, KindWords] = {
    "blur": KindWords(
        "[edges|contours|outlines] [look|are] [soft|out of focus]",
        "[soft content|shallow focus|a smooth surface]",
        "[crisp|sharp|well defined] [edges|contours|outlines][ and fine texture||]",
        "[soft|smeared] [edges|contours|outlines]",
    ),
    "motion blur": KindWords(
        "[edges|contours|details] [look|are] [smeared|drawn out] [along one direction|in one direction]",
        "[soft content|a moving subject]",
        "[steady|firm], [crisp|sharp] [edges|contours|outlines]",
        "[streaks|double contours|smeared edges|trails]",
    ),
    "noise": KindWords(
        "[random|fine|coarse] [speckle|grain] [covers|lies over] [smooth surfaces|the tones|detail]",
        "[fine texture|a rough surface]",
        "[smooth|clean] [tones|surfaces|areas][ with true texture||]",
        "[speckle|coarse grain|random dots]",
    ),
    "compression": KindWords(
        "[texture|fine detail] [is|looks] [broken up|wiped out] [by the coding|in patches]",
        "[flat texture|a smooth surface]",
        "[intact|full|natural] [texture|detail] and [clean|smooth] [edges|tones]",
        "[coding artifacts|blocks and ripples|wiped texture|mosquito noise]",
    ),
    "pixelation": KindWords(
        "[detail|texture] is [coarser|rougher] than the [pixels|pixel grid]",
        "[coarse texture|a soft surface]",
        "[true|full|native] resolution[ with smooth contours| and fine detail|]",
        "[stair steps|coarse blocks|missing detail|jagged contours]",
    ),
    "banding": KindWords(
        "[smooth|soft] [tones|gradients|transitions] [break|fall] into [steps|bands]",
        "[flat tones|a plain surface]",
        "[smooth|even|seamless] [gradients|transitions|tones]",
        "[tone steps|hard bands|broken gradients]",
    ),
    "oversharpening": KindWords(
        "[edges|contours|outlines] [carry|have] [bright lines|halos|double lines]",
        "[hard texture|strong edges]",
        "[natural|gentle] [edges|contours|edge contrast]",
        "[halos|ringing|harsh outlines|hard edge lines]",
    ),
    "overexposure": KindWords(
        "[tones|light parts] [are|look] [too bright|washed out|pale]",
        "[a bright surface|strong light]",
        "[balanced|even] light[ and full highlight detail||]",
        "[burnt highlights|glare|washed out tones|bleached tones]",
    ),
    "underexposure": KindWords(
        "[tones|parts|surfaces] [are|look] [too dark|sunk in shadow]",
        "[a dark surface|deep shade]",
        "[balanced|even|brighter] light[ and open shadows||]",
        "[blocked shadows|murky darkness|sunken tones|sunken shadows]",
    ),
    "low contrast": KindWords(
        "[tones|light and dark] [lie|sit] [too close together|close together]",
        "[mist|haze|a pale scene]",
        "[full|rich|clear] [contrast|tonal range][ and depth||]",
        "[flat tones|haze|dull gray tones]",
    ),
    "color cast": KindWords(
        "[colors|hues] [look|are] [shifted|false|off]",
        "[colored light|a colored surface]",
        "[neutral|true|natural] [color|colors|hues]",
        "[false colors|tinted tones|color fringes|shifted hues]",
        "a ",
    ),
    "saturation": KindWords(
        "[color strength|color] [looks|is] [off|wrong|unnatural]",
        "[a pale subject|colored light]",
        "[natural|balanced|lifelike] [color strength|saturation|color]",
        "[unnatural color|wrong color strength|dull or gaudy color]",
        "a ",
    ),
    "corruption": KindWords(
        "[pieces|parts|patches] [are|look] [misplaced|overwritten|torn]",
        "[an odd pattern|strange content]",
        "[intact|complete] [content|structure|detail]",
        "[misplaced patches|torn blocks|foreign patches|broken structure]",
    ),
}

EVIDENCE: dict[str, str] = {
    "soft": "[fine texture|fine detail|texture] is [soft|weak|lost]{there}",
    "softer": "[edges|contours|details] [there|in it] [are|look] softer than [elsewhere|in the rest]",
    "grainy": "even [smooth areas|plain surfaces|flat areas] [are|look] grainy",
    "grainier": "[plain surfaces|smooth areas] there are [grainier|rougher] than [elsewhere|the rest]",
    "blocky": "[small square blocks|block edges|a square grid] can be seen",
    "burnt": "[highlights|the brightest parts] are clipped",
    "bright": "[the tones|surfaces] are [very bright|close to white]",
    "brighter": "it is [brighter|paler] than the rest",
    "blocked": "[shadows|the darkest parts] are clipped",
    "dark": "[the tones|surfaces] are [very dark|close to black]",
    "darker": "it is [darker|dimmer] than the rest",
    "flat": "[tones|light and dark] [hardly differ|span a narrow range]",
    "tinted": "[color|everything] [leans|drifts] [to|towards] {hue}",
    "dull": "[color is|colors are] [faint|dull|weak]",
    "gaudy": "[color is|colors are] [very strong|gaudy]",
}
"""What the measured maps show of a fault. Which of them may be said is decided by `snellen.rationale.evidence`."""

STRENGTHS: dict[str, tuple[str, str]] = {
    "sharp": ("[edges|details|contours] are [crisp|sharp]", "[crisp|sharp] [detail|edges|contours]"),
    "calm": ("[smooth areas|plain surfaces] are clean", "clean [surfaces|tones|areas]"),
    "light": ("[light|exposure] is [balanced|even|well held]", "[balanced|even] [light|exposure]"),
    "range": ("[contrast|the tonal range] is [full|rich]", "[full|rich] [contrast|tonal range]"),
    "vivid": ("[color is|colors are] [rich|lively]", "[rich|lively] color"),
    "neutral": ("[color is|colors are] [natural|neutral]", "[natural|neutral] color"),
    "whole": ("[content|structure] is [intact|complete]", "[intact|complete] [content|structure]"),
}
"""What the measured values show to be right: a clause, and a noun phrase."""

TRAITS: dict[str, str] = {
    "soft": "[detail|fine texture|focus] is [rather soft|soft|weak]",
    "grainy": "[grain|speckle] [shows|is visible] in [smooth|plain] areas",
    "blocky": "[small square blocks|block edges] [show|can be seen]",
    "burnt": "[highlights|the brightest parts] are clipped",
    "blocked": "[shadows|the darkest parts] are clipped",
    "flat": "[contrast|the tonal range] is [narrow|low]",
    "dull": "[color is|colors are] [faint|pale|weak]",
    "dark": "[the light is|it is] [dim|low]",
}
"""What the measured values show to be weak in a picture as found, where no fault is known."""

PLACE_WORDS = {
    "upper left": "in the upper left[ part| corner| area||]",
    "top centre": "[at the top centre|in the top centre|at the top]",
    "upper right": "in the upper right[ part| corner| area||]",
    "left side": "[on the left side|on the left]",
    "centre": "in the [centre|middle]",
    "right side": "[on the right side|on the right]",
    "lower left": "in the lower left[ part| corner| area||]",
    "bottom centre": "[at the bottom centre|in the bottom centre|at the bottom]",
    "lower right": "in the lower right[ part| corner| area||]",
    "whole picture": "[across|all over|throughout] the [whole|entire] [picture|image|frame]",
}


def name_of(kind: str, rng: np.random.Generator) -> str:
    """A kind of fault by name, without article."""
    return str(rng.choice(NAMES[kind]))


def where(place: str, rng: np.random.Generator) -> str:
    """A `Region.place` as an adverb: "in the upper left corner"."""
    return say(PLACE_WORDS[place], rng)


def places_in(text: str) -> frozenset[str]:
    """Each `Region.place` that a text names whole."""
    return frozenset(place for place, named in _PLACE.items() if named.search(text))


def wordings(phrase: str) -> list[str]:
    """All that `say` may draw from a phrase without values, before it tidies spaces."""
    match = _CHOICE.search(phrase)
    if match is None:
        return [phrase]
    head, tail = phrase[: match.start()], phrase[match.end() :]
    return [text for option in match[1].split("|") for text in wordings(head + option + tail)]


_PLACE = {
    place: re.compile(rf"\b(?:{'|'.join(sorted({text.strip() for text in wordings(words)}))})\b")
    for place, words in PLACE_WORDS.items()
}
_CLAIMS = {
    *NAMES,
    *SEVERITY.values(),
    *(word for _, word in VERDICTS),
    *(name for names in NAMES.values() for name in names),
    *(text for phrase in PLACE_WORDS.values() for text in wordings(phrase)),
}
CLAIMS = re.compile(
    r"\b(?:" + "|".join(sorted(_CLAIMS, key=len, reverse=True)) + r")\b"
    r"|Summary: \S+ \S+|\b(?:confirms|reveals|brings out|uncovers|clears)\b"
    r'|\b(?:shows|holds) (?:no|nothing|intact|crisp|only)\b|"severity": \d|"tool": "\w+|"issues": \[\]?'
)
"""The parts of a reply that claim something of the picture: what is wrong, how bad, where, or that nothing is, and
whether to look closer; also where a sentence goes on with a fault or with praise. The rest is wording."""

POSITIVE_WORDS = frozenset(
    (
        "balanced", "bring", "clean", "clear", "complete", "crisp", "depth", "even", "faithful", "firm", "full",
        "gentle", "good", "intact", "keep", "lifelike", "lively", "natural", "neutral", "open", "preserve", "restore",
        "rich", "seamless", "sharp", "smooth", "steady", "true", "well",
    )
)  # fmt: skip
"""Words that may not stand in "Issues to Avoid"."""

NEGATIVE_WORDS = frozenset(
    (
        "artifacts", "avoid", "bad", "banding", "blocked", "blocks", "blur", "blurred", "blurry", "broken", "burnt",
        "cast", "clipped", "compression", "corruption", "damage", "darkness", "dots", "dull", "error", "false", "fault",
        "faults", "flat", "flaw", "flaws", "free", "fringes", "gaudy", "glare", "grain", "grainy", "gray", "halos",
        "hard", "harsh", "haze", "jagged", "lacking", "less", "lost", "low", "misplaced", "missing", "mosquito",
        "motion", "murky", "never", "no", "noise", "none", "not", "overexposure", "oversharpening", "pixelation",
        "poor", "prevent", "reduce", "remove", "ringing", "ripples", "shifted", "smeared", "soft", "softness",
        "speckle", "steps", "streaks", "tinted", "torn", "trails", "underexposure", "unnatural", "washed", "weak",
        "without", "wrong",
    )
)  # fmt: skip
"""Words that may not stand in "Directions for Improvement"."""
