"""Sentence patterns of the writer, in the notation of `snellen.rationale.lexicon`.

Values about one issue: name, fault (article, severity and name), sev, where, look (how it shows), shows (a verb for its
severity); about several: faults (a list with places), be and s (the verb's number). Others: good, goods (clauses on
strengths), keeps (strengths as nouns), trait (clause on a weakness), goals, shuns (lists with their places), harmed (a
participle), spoil (what not to do), zoom (a request for a crop), verdict, article, earlier (rating), move.
"""

from __future__ import annotations

SHOWS = {
    1: "[is just visible|can just be made out|shows faintly]",
    2: "[shows|is visible|can be seen]",
    3: "[shows clearly|is easy to see|stands out]",
    4: "[stands out|is hard to miss|catches the eye]",
    5: "[stands out at once|is impossible to miss]",
}
"""Severity -> a verb for it."""
HARMED = {
    1: "[slightly weakened|held back a little]",
    2: "[slightly weakened|held back a little]",
    3: "[weakened|held back]",
    4: "[harmed|held back]",
    5: "[spoiled|badly harmed]",
}
"""Severity -> a participle for it."""

# Round 1: Image Quality Summary
FAULT = (
    "{fault} {shows} {where}: {look}.",
    "{where}, {fault} {shows}: {look}.",
    "The [main fault|weak point|first thing to notice] is {fault} {where}; {look}.",
    "There is {fault} {where}: {look}.",
    "The picture suffers from {fault} {where}; {look}.",
)
FAULT_DOUBTED = (
    "There [seems|appears] to be {fault} {where}, [though|but] it is hard to be sure at this size.",
    "{fault} [seems to show|may be present] {where}; it is hard to [tell|be sure] at this size.",
)
FAULT_MORE = ("There is also {faults}.", "{faults} [{be} visible|can be seen] as well.", "{faults} add{s} to it.")
STRENGTH = "[On the plus side|Otherwise|To its credit], {good}."
CLEAN = (
    "{goods}; no fault [stands out|shows|is visible].",
    "[No fault|Nothing wrong] [stands out|shows|is visible]: {goods}.",
    "[At first glance|At this size|Seen as a whole], {goods}, and no fault [shows|stands out].",
)
CLEAN_BARE = (
    "No fault [stands out|shows|is visible][| at this size| at first glance].",
    "[At this size|At first glance], the picture shows no fault.",
)
PLAIN_TRAIT = (
    "No single fault stands out, but {trait}.",
    "[At first glance|Seen as a whole], {trait}, though no single fault stands out.",
)
PLAIN = (
    "No single fault [stands out|can be pinned down][| at this size| at first glance].",
    "[At first glance|Seen as a whole], no single fault [stands out|can be named].",
)

VERDICT = (
    "[Overall|On the whole|All in all], [the picture|it] [looks|is] {verdict}.",
    "[Overall|All in all], this is {article}{verdict} picture.",
    "The overall impression is {verdict}.",
)
VERDICT_STILL = (
    "[Even so|Still], the picture [as a whole|overall] [looks|is] {verdict}.",
    "[Even so|Still], the overall impression is {verdict}.",
)

# Directions for Improvement: positive words only
DIRECTIONS = (
    "[Aim for|Work towards] {goals}[, and|;] keep the {keeps}.",
    "[Restore|Bring back|Recover] {goals}[, and|;] keep the {keeps}.",
    "The picture would [gain|benefit] from {goals}; keep the {keeps}.",
    "Keep the {keeps}, and [aim for|work towards|restore|bring back] {goals}.",
)
DIRECTIONS_ALONE = (
    "[Aim for|Work towards] {goals}.",
    "[Restore|Bring back|Recover] {goals}.",
    "The picture would [gain|benefit] from {goals}.",
)
DIRECTIONS_KEEP_ONE = ("[Keep|Preserve|Hold on to] the {keeps}.", "The {keeps} should stay.")
DIRECTIONS_KEEP = (
    "[Keep|Preserve] the {keeps} [as they are|just as they are].",
    "[Preserve|Hold on to] the {keeps}.",
    "The {keeps} [should stay as they are|deserve to be kept].",
)
DIRECTIONS_BARE = ("[Keep|Preserve|Leave] the picture as it is.", "The picture can stay as it is.")
DIRECTIONS_PLAIN = (
    "[Lift|Improve] the picture as a whole: {goals} would [help|help most].",
    "[Aim for|Work towards] {goals} in the picture as a whole.",
)

# Issues to Avoid: negative words only
AVOID = ("[Avoid|Get rid of|Watch out for] {shuns}.", "The picture is {harmed} by {shuns}.")
AVOID_CLEAN = (
    "[Nothing needs removing|There is nothing to remove|No fault needs removing]; do not {spoil}.",
    "There is no fault to remove: do not {spoil}.",
    "Nothing has to be removed, but do not {spoil}.",
)
AVOID_PLAIN = (
    "There is no single fault to remove; [avoid any further loss of detail|lose no more detail].",
    "No single fault needs removing, but avoid [further|any more] loss of detail.",
)
OVERWORK = "[overwork|over-process] the picture"

# Round 1: Decision & Rationale
FINAL_FAULT = (
    "The {name} is [plain to see|clear enough|easy to judge] at this size, so [no crop is needed|the rating is final].",
    "A crop would add little, as the {name} can be judged at this size.",
    "The {name} leaves no doubt, so [no crop is needed|the rating is final].",
)
FINAL_CLEAN = (
    "[Nothing|No part] calls for a closer look, so the rating is final.",
    "No crop is needed, as [no part looks doubtful|nothing is in doubt].",
    "[No part looks doubtful|Nothing is in doubt], so [no crop is needed|the rating is final].",
)
FINAL_PLAIN = (
    "A crop would [hardly change the impression|add little], so the rating is final.",
    "No crop is needed, as it would hardly change the impression.",
)
CROP_FAULT = (
    "The [strength|extent] of the {name} is [uncertain|hard to judge] at this size, so {zoom}.",
    "{zoom} to [judge|check] how strong the {name} [is|really is].",
    "The {name} [should be checked|needs checking] up close: {zoom}.",
)
CROP_FAULT_UNSURE = (
    "The rating depends on how strong the {name} really is, so {zoom}.",
    "How much the {name} matters is still uncertain: {zoom}.",
)
CROP_UNSURE = (
    "The rating is still uncertain, so {zoom} to check the [fine detail|texture].",
    "{zoom} before settling on a rating, as [fine detail decides it|this size hides fine detail].",
)
CROP_CHECK = (
    "[Fine detail|Texture] is hard to judge at this size: {zoom}.",
    "{zoom} to [check|judge] the [fine detail|texture].",
)
ZOOM = "[zoom in on|look closer at] {crop}"

# Later rounds: Crop Inspection Summary, by what became of a fault
CHANGED: dict[str, tuple[str, ...]] = {
    "confirmed": (
        "[Up close|Seen closer], {fault} is confirmed {where}: {look}.",
        "The crop confirms {fault} {where}: {look}.",
        "{fault} {where} is confirmed [up close|in the crop]; {look}.",
    ),
    "worse": (
        "The crop shows {fault} {where}, [worse|stronger] than it looked at first: {look}.",
        "[Up close|Seen closer], {fault} shows {where}, [worse|stronger] than it first looked; {look}.",
    ),
    "milder": (
        "The crop shows {fault} {where}, [milder|weaker] than it looked at first: {look}.",
        "[Up close|Seen closer], {fault} shows {where}, [milder|weaker] than it first looked; {look}.",
    ),
    "new": (
        "The crop [reveals|uncovers|brings out] {fault} {where}: {look}.",
        "[Up close|Seen closer], {fault} [appears|comes to light] {where}: {look}.",
    ),
    "partly": ("{fault} {where} is only partly in view: {look}.", "{fault} {where} reaches beyond this crop: {look}."),
    "outside": ("{fault} {where} lies outside this crop.", "This crop does not reach {fault} {where}."),
    "withdrawn": (
        "[Up close|Seen closer], the {name} suspected {where} is not confirmed.",
        "The crop does not confirm the {name} suspected {where}.",
    ),
}
CHANGED_MORE: dict[str, tuple[str, ...]] = {
    "confirmed": ("{faults} {be} confirmed as well.", "The crop also confirms {faults}."),
    "worse": ("{faults} also look{s} [worse|stronger] than before.", "{faults} now look{s} [worse|stronger]."),
    "milder": ("{faults} also look{s} [milder|weaker] than before.", "{faults} now look{s} [milder|weaker]."),
    "new": ("The crop also [reveals|uncovers] {faults}.", "{faults} come{s} to light as well."),
    "partly": ("{faults} {be} partly in view.", "The crop shows a part of {faults}."),
    "outside": ("{faults} lie{s} outside the crop.", "The crop does not reach {faults}."),
    "withdrawn": ("{faults} {be} not confirmed.", "The crop does not bear out {faults}."),
}
LEFT_TRAIT = "[Still|All the same], {trait}."
LEFT_PLAIN = "No other fault [stands out|appears]."
WITHIN = "[Within the crop|In the crop itself], {goods}."
CLOSE_CLEAN = (
    "[Up close|Seen closer], no fault appears {where}: {goods}.",
    "The crop shows no fault {where}: {goods}.",
    "[Up close|Seen closer], {goods} {where}, and no fault appears.",
)
CLOSE_CLEAN_BARE = ("[Up close|Seen closer], no fault appears {where}.", "The crop shows no fault {where}.")
CLOSE_TRAIT = (
    "[Up close|Seen closer], no new fault appears {where}, but {trait}.",
    "The crop [shows|brings] nothing new {where}, but {trait}.",
)
CLOSE_PLAIN = ("[Up close|Seen closer], no new fault appears {where}.", "The crop [shows|brings] nothing new {where}.")

# Later rounds: Final Decision & Rationale
EARLIER_FIRST = ("The first rating was {earlier}", "The first view was rated {earlier}")
EARLIER = ("The rating before was {earlier}", "The previous view was rated {earlier}")
REASON: dict[str, tuple[str, ...]] = {
    "confirmed": ("the crop confirms the {name}", "the {name} is confirmed up close"),
    "worse": ("the {name} is [worse|stronger] than it looked",),
    "milder": ("the {name} is [milder|weaker] than it looked",),
    "new": ("the crop adds {fault}", "{fault} has come to light"),
    "partly": ("the crop shows only a part of the {name}",),
    "outside": ("the {name} lies outside the crop",),
    "withdrawn": ("the {name} is not confirmed", "the crop does not bear out the {name}"),
    "clean": ("no fault shows up close", "the crop shows no fault"),
    "trait": ("up close {trait}",),
    "nothing": ("nothing new shows up close", "the crop brings nothing new"),
}
EXPLAINED = "so {move}"
WEIGHED = "[and|yet] with both views weighed, {move}"
MOVES = {
    "same": "the rating [hardly changes|stays about the same]",
    "up a little": "the rating [goes up a little|rises a little]",
    "up": "the rating [goes up|rises]",
    "up far": "the rating [goes up clearly|rises clearly|is much higher]",
    "down a little": "the rating [goes down a little|drops a little]",
    "down": "the rating [goes down|drops]",
    "down far": "the rating [goes down clearly|drops clearly|is much lower]",
}
"""`snellen.vocabulary.direction` of the move -> its clause."""
SETTLED = "[The rating is now final|No further crop is needed|This settles the rating]."
AGAIN = ("{zoom} next.", "One more crop is needed, so {zoom}.")
