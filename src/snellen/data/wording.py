"""The sentence patterns of the procedural writer; see `phrases` for the notation and the vocabulary.

Values: name, seen, maybe, goal, shun and sev of a fault; where (it is); place (of the crop); proof (measured
evidence or what such a fault looks like); good, good2 (strengths); verdict; first (the earlier rating).
"""

from __future__ import annotations

GLANCE_VISIBLE = (
    "[At first glance|At a glance|At this size|Seen whole], {sev} {name} [shows|is visible|stands out] {where}; {proof}.",
    "{sev} {name} [shows|is visible|stands out|can be seen] {where}: {proof}.",
    "The [main fault|weak point|first thing to notice] is {sev} {name} {where}; {proof}.",
    "[There is|One sees] {sev} {name} {where}: {proof}.",
)
GLANCE_HINTED = (
    "[Detail|Texture|Something] {where} [looks|seems] [slightly off|unlike the rest], [perhaps|maybe|possibly] {name}.",
    "There [may|might] be some {name} {where}, [hard to judge|too small to judge] at this size.",
    "{where}, [detail|texture] [hints at|suggests] {name}, but [only faintly|this size hides the proof].",
)
GLANCE_HINTED_ALL = (
    "[Detail|Texture] [looks|seems] [slightly off|not quite right] {where}, [perhaps|maybe|possibly] {name}.",
    "There [may|might] be some {name} {where}, [hard to judge|too fine to judge] at this size.",
)
GLANCE_HIDDEN = (
    "[No fault|Nothing wrong|No flaw] [stands out|shows|is obvious] at this size[, and {good}||].",
    "[At a glance|At first glance|Seen whole] [no fault|nothing wrong] [stands out|shows][; {good}||].",
)
GLANCE_CLEAN = (
    "[No fault|Nothing wrong|No flaw] [stands out|shows|is visible]: {good}[ and {good2}||].",
    "[At first glance|At a glance|Seen whole], {good} and {good2}[, with no fault in sight||].",
    "{good}[ and {good2}||]; [no fault|nothing wrong|no flaw] [shows|is visible|stands out].",
)
GLANCE_PLAIN = (
    "[At first glance|At a glance|Seen whole], no single fault [stands out|explains it].",
    "[No single fault stands out|Nothing single stands out], the [limits|weak points] are [spread|general].",
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
    "{sev} {name} [adds to it|comes on top|shows too] {where}.",
    "There is also {sev} {name} {where}.",
)

VERDICT = (
    "[Overall|On the whole|All in all] [it|the picture] [looks|is] {verdict}.",
    "[The overall impression is|Taken together it looks|As a picture it is] {verdict}.",
)
VERDICT_EVEN_SO = ("[Even so|Still], [overall it|the whole picture|as a whole it] [looks|is] {verdict}.",)

DIRECTIONS = (
    "[Aim for|Ask for|Work towards] {goal} {where}[, and keep the {keep}||].",
    "[Bring|Give|Return] {goal} to the picture {where}[; keep the {keep}||].",
    "[Restore|Bring back|Recover] {goal} {where}[, and keep the {keep}||].",
    "{goal} {where} would [lift|help|serve] the picture [most||][; keep the {keep}||].",
)
DIRECTIONS_NO_KEEP = (
    "[Aim for|Ask for|Work towards] {goal} {where}.",
    "[Restore|Bring back|Recover] {goal} {where}.",
    "{goal} {where} would [lift|help|serve] the picture [most||].",
)
DIRECTIONS_CLEAN = (
    "[Keep|Hold|Preserve] the {keep}[ and the {keep2}||] [as they are|just as now|in this state].",
    "[Stay with|Hold on to] the {keep}[ and the {keep2}||].",
    "The {keep} [is|makes] [the strength here|the picture]; [keep it|hold it|preserve it].",
)
AVOID = (
    "[Avoid|Shun|Prevent] {shun} {where}.",
    "No {shun} {where}[, no {shun2}||].",
    "{shun} {where} [spoil|harm|weaken] the picture[; avoid {shun2}||].",
    "[Remove|Reduce] the {name} {where}: no {shun}.",
)
AVOID_CLEAN = (
    "[Nothing to remove|No fault to remove|Nothing to reduce]; avoid [adding||] {shun} or {shun2}.",
    "No fault so far: avoid [any||] {shun}[ and {shun2}||].",
    "[Avoid|Shun|Prevent] [any||] {shun}[ or {shun2}||]; [no fault|nothing bad] is there yet.",
)

CROP_VISIBLE = (
    "[It is open|It is unsure|The small view cannot tell] how [strong|far gone] the {name} {where} is, so [crop that part|look there in native pixels].",
    "The {name} {where} is [small|local], and its [strength|extent] is [unsure|open]: [crop it|a crop will tell].",
    "[Much depends on|The rating hangs on] the {name} {where}; [crop it to judge its strength|native pixels will settle its strength].",
)
CROP_HINTED = (
    "[It is unsure|It is open|The small view cannot tell] whether this is {name} or {maybe}, so [crop that part|look there in native pixels].",
    "It could be {name} or {maybe}; [a crop {where} will tell|crop that part to decide].",
)
CROP_HIDDEN = (
    "[A small view|This size] can hide [fine faults|small flaws|slight damage] {where}, so [crop that part|look there in native pixels].",
    "[Whether detail {where} is intact|How good the detail {where} is] [stays open|is unsure] at this size: crop it.",
)
CROP_UNSURE = (
    "The rating is unsure: [fine detail|texture] {place} [shows most|tells most] in native pixels, so crop [it|that part].",
    "[How fine detail holds up|How good the texture is] {place} [stays open|is unsure] at this size; [a crop will tell|crop it to decide].",
    "[Much depends on|The rating hangs on] [fine detail|texture] {place}, which [this size hides|the small view hides]: crop it.",
)
FINAL_FAULT = (
    "The {name} is [plain|clear] at this size, [so a crop would add little|no crop is needed]; the rating is final.",
    "[No crop is needed|A crop would add little]: the {name} [speaks for itself|is plain everywhere].",
)
FINAL_CLEAN = (
    "[Nothing is left open|Nothing calls for a closer look|No part looks doubtful], so the rating is final.",
    "[The view is clear|All parts agree], [no crop is needed|a crop would add little].",
)

CLOSE_CONFIRM = (
    "[Up close|In the crop|In native pixels], {sev} {name} is confirmed {where}; {proof}.",
    "The crop confirms {sev} {name} {where}: {proof}.",
    "[Up close|In native pixels] the {name} {where} [proves|is] {sev}: {proof}.",
)
CLOSE_REVEAL = (
    "The crop [reveals|brings out|uncovers] {sev} {name} {where}: {proof}.",
    "[Up close|In the crop|In native pixels], {sev} {name} [appears|comes out] {where}; {proof}.",
)
CLOSE_CLEAN = (
    "[Up close|In the crop|In native pixels] {place}, [detail holds up|no fault appears|nothing is wrong][; {good}||].",
    "The crop {place} [shows|reveals] [no fault|nothing wrong][, and {good}||].",
)
CLOSE_ELSEWHERE = (
    "The crop {place} [shows|reveals] [no fault|nothing wrong]; the {name} lies {where}, outside it.",
    "[Up close|In native pixels] {place} [detail holds up|nothing is wrong], the {name} {where} is outside this crop.",
)
CLOSE_PLAIN = (
    "[Up close|In the crop|In native pixels] {place}, [no new fault appears|nothing new comes out].",
    "The crop {place} [shows|holds] [nothing new|no new fault].",
)
CLOSE_TRAIT = (
    "[Up close|In the crop|In native pixels] {place}, [no new fault appears|nothing new comes out], but {trait}.",
    "The crop {place} [shows|holds] [nothing new|no new fault]: {trait}.",
)

EARLIER = ("The first look gave {first}", "{first} was the first rating", "At first the rating was {first}")
WHY_CONFIRM = ("the crop confirms {sev} {name}", "the {name} is {sev} as it looked")
WHY_REVEAL = ("the crop reveals {sev} {name} [that the small view hid|missed at first]",)
WHY_WORSE = ("the {name} is stronger than it looked", "up close the {name} weighs more")
WHY_MILDER = ("the {name} is milder than it looked", "up close the {name} weighs less")
WHY_CONFINED = ("the {name} stays within its part", "the {name} is local, [and the rest holds up|the rest is fine]")
WHY_CLEAN = ("the crop shows no fault", "detail holds up in the crop", "nothing wrong comes out up close")
WHY_NOTHING = ("the crop [shows|brings] nothing new", "nothing new comes out up close")
WHY_ELSEWHERE = ("the crop has no part in the {name}", "the {name} is not in this crop")
WHY_TRAIT = ("up close {trait}",)

LOWER = ("so the rating [goes|moves] down{much}", "which lowers the rating{much}", "so it [is rated|ends] lower{much}")
HIGHER = ("so the rating [goes|moves] up{much}", "which lifts the rating{much}", "so it [is rated|ends] higher{much}")
KEEP = ("so the rating [stays close|hardly moves]", "so the first rating [holds|stands]")
OPEN = ("and the final rating rests on both looks", "and this settles the final rating", "and both looks decide the rating")
