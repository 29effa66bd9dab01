"""The sentence patterns of the procedural writer; see `phrases` for the notation and the vocabulary.

Values: name, thing (with its article), fault (with its severity), maybe, goal, shun and sev of an issue; where (it
is); place (of the crop); proof (measured evidence or what such a fault looks like); good, goods (strengths); trait
(what is weak); verdict; first (the earlier rating).

A place stands last in its clause. It is named in up to five words, and a small decoder looks back no further: behind
"the texture throughout the whole picture" it would go on as if another sentence had led there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from snellen.rationale.lexicon import KIND_WORDS, wordings
from snellen.vocabulary import GONE, KINDS, NAMES, SEVERITIES, STILL_NOTHING, VERDICTS

GLANCE_VISIBLE = (
    "[At first glance|At a glance|At this size], {fault} [shows|is visible|stands out] {where}; {proof}.",
    "{fault} [shows|is visible|stands out|can be seen] {where}: {proof}.",
    "The [main fault|weak point|first thing to notice] is {fault} {where}; {proof}.",
    "[There is|One sees] {fault} {where}: {proof}.",
)
GLANCE_HINTED = (
    "[Perhaps|Maybe|Possibly] there is {thing} {where}; [it is hard to judge at this size|this size hides the proof].",
    "There [may|might] be signs of {thing} {where}, [hard to judge|too small to judge] at this size.",
    "[Detail|Texture] [hints at|suggests] {thing} {where}[, but only faintly|; this size hides the proof].",
)
GLANCE_HINTED_ALL = (
    "[Perhaps|Maybe|Possibly] there is {thing} {where}; it is [hard|too fine] to judge at this size.",
    "There [may|might] be signs of {thing} {where}, [hard to judge|too fine to judge] at this size.",
)
GLANCE_HIDDEN = (
    "[No fault|Nothing wrong|No flaw] [stands out|shows|is obvious] at this size[, and {good}|: {goods}|].",
    "[At a glance|At first glance|Seen whole] [no fault|nothing wrong] [stands out|shows][; {good}|: {goods}|].",
)
GLANCE_CLEAN = (
    "[No fault|Nothing wrong|No flaw] [stands out|shows|is visible]: {goods}.",
    "[At first glance|At a glance|Seen whole], {goods}[, with no fault in sight||].",
    "{goods}; [no fault|nothing wrong|no flaw] [shows|is visible|stands out].",
    "{goods}, [with|and] no [fault|flaw] [in sight|to see].",
)
GLANCE_PLAIN = (
    (
        "[At first glance|At a glance|Seen whole], no single fault [stands out|shows], but [little|nothing] "
        "[shines|impresses]."
    ),
    "No single fault [stands out|shows|is visible], yet [little|nothing] [shines|impresses].",
)
GLANCE_TRAIT = (
    "[At first glance|At a glance|Seen whole], {trait}[, while {good}||].",
    "{trait}[; still, {good}||].",
)
GLANCE_TRAIT_ONLY = (
    "[At first glance|At a glance|Seen whole], {trait}.",
    "{trait}, [seen whole|even at this size].",
)
SECOND_ISSUE = (
    "{fault} [adds to it|shows too] {where}.",
    "There is also {fault} {where}.",
)

VERDICT = (
    "[Overall|On the whole|All in all] [it|the picture] [looks|is] {verdict}.",
    "[The overall impression is|Taken together it looks|As a picture it is] {verdict}.",
)
VERDICT_JOINED = (
    ", and [overall|on the whole|all in all] [it|the picture] [looks|is] {verdict}.",
    "; the overall impression is {verdict}.",
    "; [overall|on the whole|all in all] [it|the picture] [looks|is] {verdict}.",
    "; [taken together it looks|as a picture it is|seen as a whole it is] {verdict}.",
)
VERDICT_EVEN_SO = (
    "[Even so|Still], [overall it|the whole picture|as a whole it] [looks|is] {verdict}.",
    ", [but|yet] [overall it|the whole picture|as a whole it] [looks|is] {verdict}.",
)

DIRECTIONS = (
    "[Aim for|Ask for|Work towards] {goal} {where}[, and keep the {keep}||].",
    "[Give|Lend] the picture {goal} {where}[, and keep the {keep}|; keep the {keep}|].",
    "[Restore|Bring back|Recover] {goal} {where}[, and keep the {keep}||].",
    "The picture would [gain from|be lifted by] {goal} {where}[; keep the {keep}||].",
)
DIRECTIONS_NO_KEEP = (
    "[Aim for|Ask for|Work towards] {goal} {where}.",
    "[Restore|Bring back|Recover] {goal} {where}.",
    "[Give|Lend] the picture {goal} {where}.",
    "The picture would [gain from|be lifted by] {goal} {where}.",
)
DIRECTIONS_CLEAN = (
    "[Keep|Hold|Preserve] the {keeps} [just as now|in this state|as seen here].",
    "[Stay with|Hold on to] the {keeps}[, just as now|, as seen here|].",
    "The {keeps} should stay [as seen here|just as now|in this state].",
)
AVOID = (
    "[Avoid|Prevent|Rule out] {shun} {where}.",
    "No {shun} {where}[, no {shun2}||].",
    "The picture [is spoiled|is harmed|is weakened] by {shun} {where}[; avoid {shun2}||].",
    "[Remove|Reduce] the {name} {where}: no {shun}.",
)
AVOID_CLEAN = (
    "[Nothing to remove|No fault to remove|Nothing to reduce|No fault so far]; avoid [adding||] {shun} or {shun2}.",
    "No fault so far: [avoid|prevent|rule out] [any||] {shun} and {shun2}.",
    "[Avoid|Prevent|Rule out] [any||] {shun} or {shun2}; [no fault|nothing bad] is there yet.",
    "No {shun}, no {shun2}: [no fault|nothing bad] is there yet.",
)

CROP_VISIBLE = (
    (
        "[It is open|It is uncertain|The small view cannot tell] how [strong|far gone] the {name} is, so [crop it|look "
        "in native pixels] {where}."
    ),
    "The {name} is [small|local], and its [strength|extent] is [uncertain|open]: [crop it|look closer] {where}.",
    "[Much depends on|The rating hangs on] how [strong|far gone] the {name} is; [crop it|look closer] {where}.",
)
CROP_HINTED = (
    (
        "[It is uncertain|It is open|The small view cannot tell] whether this is {thing} or {maybe}, so [crop it|look "
        "in native pixels] {where}."
    ),
    "It could be {thing} or {maybe}; [look closer|crop it to decide] {where}.",
)
CROP_HIDDEN = (
    "[A small view|This size] can hide [fine faults|small flaws|slight damage], so look in native pixels {where}.",
    ("[Whether detail is intact|How good detail is] [stays open|remains uncertain] at this size: look closer {where}."),
)
CROP_UNSURE = (
    "The rating is uncertain: [fine detail|texture] [shows|tells] most in native pixels, so look closer {place}.",
    (
        "[How fine detail holds up|How good the texture is] [stays open|remains uncertain] at this size; look closer "
        "{place}."
    ),
    (
        "[Much depends on|The rating hangs on] [fine detail|texture], which [this size hides|the small view hides]: "
        "look closer {place}."
    ),
)
FINAL_FAULT = (
    "[No crop is needed|A crop would add little]: the {name} is [plain|clear] at this size {where}.",
    "The rating is final: the {name} [speaks for itself|is plain] {where}.",
    "{proof}, [and no part looks better|and all parts agree], so [no crop is needed|the rating is final].",
)
FINAL_CLEAN = (
    "[Nothing is left open|Nothing calls for a closer look|No part looks doubtful][: {goods}|: {goods}|],"
    " so the rating is final.",
    "[The view is clear|All parts agree], [no crop is needed|a crop would add little][: {goods}|: {goods}|].",
    "{good}, [nothing is left open|no part looks doubtful|all parts agree]"
    "[, so the rating is final|, so no crop is needed|: a crop would add little].",
    "[No crop is needed|A crop would add little], as {good}[ and no part looks doubtful| and all parts agree|].",
)

CLOSE_CONFIRM = (
    "[Up close|In the crop|In native pixels], {fault} is confirmed {where}; {proof}.",
    "The crop confirms {fault} {where}: {proof}.",
    "[Up close|In native pixels] the {name} [proves|is] {sev} {where}: {proof}.",
)
CLOSE_REVEAL = (
    "The crop [reveals|brings out|uncovers] {fault} {where}: {proof}.",
    "[Up close|In the crop|In native pixels], {fault} [appears|comes out] {where}; {proof}.",
)
CLOSE_CLEAN = (
    "[Up close|In the crop|In native pixels], [no fault appears|nothing is wrong] {place}[; {good}|; {goods}|].",
    "The crop [shows|reveals] [no fault|nothing wrong] {place}[, and {good}|; {goods}|].",
)
CLOSE_CRISP = (
    "[Up close|In the crop|In native pixels], [detail|fine texture] holds up {place}[; {good}|; {goods}|].",
    "The crop [shows|reveals] [intact|crisp] detail {place}[, and {good}|; {goods}|].",
)
CLOSE_ELSEWHERE = (
    "The crop has no part in the {name}: that lies outside it, {where}.",
    "[Up close|In native pixels], nothing is wrong {place}: the {name} is outside this crop.",
)
CLOSE_PARTLY = (
    "The crop [holds|shows] only a part of the {name} {where}: {proof}.",
    "[Up close|In native pixels], the {name} is only [partly|in part] in view {where}; {proof}.",
)
CLOSE_PLAIN = (
    "[Up close|In the crop|In native pixels], [no new fault appears|nothing new comes out] {place}.",
    "The crop [shows|holds] [nothing new|no new fault] {place}.",
)
CLOSE_TRAIT = (
    "[Up close|In the crop|In native pixels], [no new fault appears|nothing new comes out] {place}, but {trait}.",
    "The crop [shows|holds] [nothing new|no new fault] {place}: {trait}.",
)
CLOSE_OPEN = (
    "[Up close|In the crop|In native pixels], the {name} is not [confirmed|borne out] {place}[; {good}||].",
    "The crop does not [confirm|bear out] the {name} {place}[: {good}||].",
)
CLOSE_OPEN_TRAIT = (
    "[Up close|In the crop|In native pixels], the {name} is not [confirmed|borne out] {place}, but {trait}.",
    "The crop does not [confirm|bear out] the {name} {place}: {trait}.",
)
CLOSE_CLEARED = (
    "[Up close|In the crop|In native pixels], there is no {name} after all {place}[; {good}|; {goods}|].",
    "The crop clears the suspicion of {name} {place}[: {good}|: {goods}|].",
)

EARLIER = ("The first look gave {first}", "{first} was the first rating", "At first the rating was {first}")
WHY_CONFIRM = ("the crop confirms {fault}", "the {name} is as {sev} as it looked")
WHY_WEIGHS = ("the crop confirms {fault}", "up close the {name} weighs more")
WHY_REVEAL = ("the crop [reveals|brings out] {fault} [that the small view hid|missed at first]",)
WHY_WORSE = ("the {name} is stronger than it looked", "the crop shows {fault}, more than it looked")
WHY_MILDER = ("the {name} is milder than it looked", "the crop shows {fault}, less than it looked")
WHY_CONFINED = ("the {name} stays within its part", "the {name} is local, and [the rest holds up|the rest is fine]")
WHY_CLEAN = ("the crop shows no fault", "nothing wrong comes out up close", "no fault appears in the crop")
WHY_CRISP = ("[detail|fine texture] holds up in the crop", "detail is [intact|crisp] up close")
WHY_NOTHING = ("the crop [shows|brings] nothing new", "nothing new comes out up close")
WHY_CLEARED = ("the {name} that it saw is not there", "the crop clears the suspicion of {name}")
WHY_OPEN = ("the crop does not confirm the {name}", "the {name} is not borne out up close")
WHY_ELSEWHERE = ("the crop has no part in the {name}", "the {name} is not in this crop")
WHY_PARTLY = ("the crop shows a part of the {name} only", "the {name} is only partly in view")
WHY_TRAIT = ("up close {trait}",)

MOVES: dict[str, tuple[str, ...]] = {
    "same": ("so the rating [stays close|hardly moves]", "so the first rating [holds|stands]"),
    "up a little": ("so the rating [goes|moves] up a little", "which lifts it a little", "so it is a little higher"),
    "up": ("so the rating [goes|moves] up", "which lifts the rating", "so it [is rated|ends] higher"),
    "up far": ("so the rating [rises clearly|climbs far]", "which clearly lifts the rating", "so it ends much higher"),
    "down a little": (
        "so the rating [goes|moves] down a little",
        "which lowers it a little",
        "so it is a little lower",
    ),
    "down": ("so the rating [goes|moves] down", "which lowers the rating", "so it [is rated|ends] lower"),
    "down far": ("so the rating [drops clearly|falls far]", "which clearly lowers the rating", "so it ends much lower"),
}
"""Where a rating goes, by `snellen.vocabulary.direction`."""
OPEN = (
    "and the final rating rests on both looks",
    "and the two looks together give the rating",
    "and both looks decide the rating",
)


COMPARED: dict[str, tuple[str, ...]] = {
    "new": (*CLOSE_REVEAL, *WHY_REVEAL),
    "worse": (*CLOSE_CONFIRM, *WHY_WORSE),
    "milder": (*CLOSE_CONFIRM, *WHY_MILDER),
    "as before": (*CLOSE_CONFIRM, *WHY_CONFIRM, *WHY_WEIGHS, *WHY_CONFINED),
    "in part": (*CLOSE_PARTLY, *WHY_PARTLY),
    "elsewhere": (*CLOSE_ELSEWHERE, *WHY_ELSEWHERE),
    STILL_NOTHING: (*CLOSE_CLEAN, *CLOSE_CRISP, *CLOSE_PLAIN, *CLOSE_TRAIT, *WHY_CLEAN, *WHY_CRISP, *WHY_NOTHING),
}
"""What is said of a fault, by `snellen.vocabulary.RELATIONS` to what the first look listed, and of none."""
NO_MORE = (*CLOSE_OPEN, *CLOSE_OPEN_TRAIT, *WHY_OPEN, *CLOSE_CLEARED, *WHY_CLEARED)
"""What is said of a fault that the first look listed, where nothing is found."""


def clauses() -> tuple[dict[str, list[str]], ...]:
    """All that closes a summary, by the verdict in it; all that says where a rating goes, by the direction; all that
    compares a fault with the first look, by the relation."""
    closing = [text for pattern in (*VERDICT, *VERDICT_JOINED, *VERDICT_EVEN_SO) for text in wordings(pattern)]
    return (
        {word: [text.format(verdict=word) for text in closing] for _, word in VERDICTS},
        {way: [f", {text}." for pattern in patterns for text in wordings(pattern)] for way, patterns in MOVES.items()},
        {how: [text for one in patterns for text in _of_faults(one, KINDS)] for how, patterns in COMPARED.items()}
        | {gone: [text for one in NO_MORE for text in _of_faults(one, [kind])] for kind, gone in GONE.items()},
    )


def _of_faults(pattern: str, kinds: Iterable[str]) -> list[str]:
    """A pattern in all its wordings about faults of some kinds, as far as it says nothing of where they are; as in a
    sentence and as after what was said before."""
    found = []
    for text in wordings(re.split(r" \{(?:where|place)\}", pattern)[0]):
        for kind in kinds:
            article = KIND_WORDS[kind].article
            for name in NAMES[kind]:
                for word in SEVERITIES:
                    said = text.format(name=name, sev=word, fault=f"{article}{word} {name}")
                    found += [f"{said} ,", f"; {said},"]
    return found
