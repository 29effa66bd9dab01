"""Sentence patterns of the writer, in the notation of `snellen.rationale.lexicon`.

Values about an issue: name, fault (article, severity and name), sev, where, look (how it shows), shows (a verb for its
severity). Others: good, goods (clauses on strengths), keeps (strengths as nouns), trait (clause on a weakness), goals,
shuns (lists with their places), protect (what to leave alone), crop (noun phrase of a crop), verdict, earlier.
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

# Round 1: Image Quality Summary
FAULT = (
    "{fault} {shows} {where}: {look}.",
    "{where}, {fault} {shows}: {look}.",
    "The [main fault|weak point|first thing to notice] is {fault} {where}; {look}.",
    "There is {fault} {where}: {look}.",
)
FAULT_DOUBTED = (
    "There [seems|appears] to be {fault} {where}, [though this size makes it hard to be sure|hard to confirm here].",
    "{fault} [seems to show|may be present] {where}; [at this size it is hard to tell|a larger view would tell].",
)
FAULT_MORE = (
    "There is also {fault} {where}.",
    "{fault} {shows} {where} as well.",
    "[Added to this is|Next comes] {fault} {where}.",
)
STRENGTH = ("[On the plus side|At least|As for the rest], {good}.", "[To its credit|In its favour], {good}.")
CLEAN = (
    "{goods}; no fault [stands out|shows|is visible].",
    "[No fault|Nothing wrong] [stands out|shows|is visible]: {goods}.",
    "[At first glance|At this size|Seen as a whole], {goods}, and no fault [shows|stands out].",
)
CLEAN_BARE = (
    "No fault [stands out|shows|is visible] [at this size|in the picture as a whole].",
    "[At this size|At first glance] the picture shows no fault.",
)
PLAIN_TRAIT = (
    "No single fault stands out, but {trait}.",
    "[At first glance|Seen as a whole], {trait}, though no single fault stands out.",
)
PLAIN = (
    "No single fault [stands out|can be pinned down][| at this size].",
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
    "[Aim for|Work towards] {goals}{keeping}.",
    "[Restore|Bring back|Recover] {goals}{keeping}.",
    "The picture would [gain|benefit|profit] from {goals}{keeping}.",
)
KEEPING = "[, and keep the {keeps}|; keep the {keeps}|; the {keeps} should stay]"
DIRECTIONS_KEEP = (
    "Keep the {keeps} [as seen here|just as now].",
    "[Preserve|Hold on to] the {keeps}[| as seen here].",
    "The {keeps} should stay [as seen here|just as now].",
)
DIRECTIONS_BARE = (
    "[Keep|Preserve] the picture [as it is|in its present state].",
    "The picture can stay [as it is|in its present state].",
)
DIRECTIONS_PLAIN = (
    "[Lift|Improve] the picture as a whole: {goals} would [both help|help most].",
    "[Aim for|Work towards] {goals} [across the picture|in the picture as a whole].",
)

# Issues to Avoid: negative words only
AVOID = (
    "Avoid {shuns}.",
    "Get rid of {shuns}.",
    "The picture is [weakened|held back|harmed] by {shuns}.",
)
AVOID_CLEAN = (
    "[Nothing needs removing|There is nothing to remove|No fault needs removing]; {protect}.",
    "There is no fault to remove: {protect}.",
    "Nothing has to be removed; {protect}.",
)
AVOID_PLAIN = (
    "There is no single fault to remove; [avoid any further loss of detail|lose no more detail].",
    "No single fault needs removing, but avoid [further|any more] damage to the detail.",
)
LEAVE = "do not [overwork|over-process] the picture"

# Round 1: Decision & Rationale
FINAL_FAULT = (
    "The {name} is [plain to see|clear enough] at this size, so [no crop is needed|the rating is final].",
    "A crop would add little: the {name} can be judged at this size.",
    "[The {name} leaves no doubt|Nothing about the {name} is left open], so the rating is final.",
)
FINAL_CLEAN = (
    "[Nothing|No part] calls for a closer look, so the rating is final.",
    "No crop is needed: [no part looks doubtful|nothing is left in doubt].",
    "[No part looks doubtful|Nothing is left in doubt], so [no crop is needed|the rating is final].",
)
FINAL_PLAIN = (
    "A crop would [hardly change the impression|add little], so the rating is final.",
    "No crop is needed: the [impression|result] would hardly change.",
)
CROP_FAULT = (
    "[The strength of the {name}|The extent of the {name}] is [uncertain|hard to judge] at this size, so {zoom}.",
    "{zoom} to [judge|check] how strong the {name} [is|really is].",
    "The {name} [should be checked|needs checking] at full resolution: {zoom}.",
)
CROP_UNSURE = (
    "The rating is still uncertain, so {zoom} to check the [fine detail|texture].",
    "[Fine detail|Texture] is hard to judge at this size: {zoom}.",
    "{zoom} before settling the rating, [as fine detail decides it|since this size hides fine detail].",
)
CROP_CHECK = (
    "[Fine detail|Texture] is hard to judge at this size: {zoom}.",
    "{zoom} to [check|judge] the [fine detail|texture] at full resolution.",
)
ZOOM = "[zoom in on|look closer at] {crop}"

# Later rounds: Crop Inspection Summary, by what became of a fault
SEEN: dict[str, tuple[str, ...]] = {
    "confirmed": (
        "[Up close|At full resolution], {fault} is confirmed {where}: {look}.",
        "The crop confirms {fault} {where}: {look}.",
        "{fault} {where} is confirmed [up close|in the crop]; {look}.",
    ),
    "worse": (
        "The crop shows {fault} {where}, [worse|stronger] than it looked at first: {look}.",
        "[Up close|At full resolution], {fault} shows {where}, [worse|stronger] than it first looked; {look}.",
    ),
    "milder": (
        "The crop shows {fault} {where}, [milder|weaker] than it looked at first: {look}.",
        "[Up close|At full resolution], {fault} shows {where}, [milder|weaker] than it first looked; {look}.",
    ),
    "new": (
        "The crop [reveals|uncovers|brings out] {fault} {where}: {look}.",
        "[Up close|At full resolution], {fault} [appears|comes to light] {where}: {look}.",
    ),
    "partly": (
        "{fault} {where} is only partly in view: {look}.",
        "Only a part of {fault} {where} is in view; {look}.",
    ),
    "outside": (
        "{fault} {where} lies outside this crop.",
        "{fault} {where} is not part of this crop.",
    ),
}
SEEN_MORE: dict[str, tuple[str, ...]] = {
    "confirmed": ("{fault} {where} is confirmed as well.", "There is again {fault} {where}, as at first."),
    "worse": ("{fault} {where} is [worse|stronger] than it looked.", "Also [worse|stronger] now is {fault} {where}."),
    "milder": ("{fault} {where} is [milder|weaker] than it looked.", "[Milder|Weaker] now is {fault} {where}."),
    "new": ("Newly found is {fault} {where}.", "{fault} {where} [appears too|comes to light as well]."),
    "partly": ("{fault} {where} is partly in view.", "A part of {fault} {where} is in view."),
    "outside": ("{fault} {where} lies outside the crop.", "{fault} {where} is not in the crop."),
}
WITHDRAWN = (
    "[Up close|At full resolution], the {name} suspected {where} is not confirmed.",
    "The crop does not confirm the {name} suspected {where}.",
)
WITHDRAWN_MORE = (
    "The {name} suspected {where} is not confirmed.",
    "The earlier suspicion of {name} {where} is not borne out.",
)
CLOSE_CLEAN = (
    "[Up close|At full resolution], no fault appears {where}: {goods}.",
    "The crop shows no fault {where}: {goods}.",
    "[Up close|At full resolution], {goods} {where}, and no fault appears.",
)
CLOSE_CLEAN_BARE = (
    "[Up close|At full resolution], no fault appears {where}.",
    "The crop shows no fault {where}.",
)
CLOSE_TRAIT = (
    "[Up close|At full resolution], no new fault appears {where}, but {trait}.",
    "The crop [shows|brings] nothing new {where}: {trait}.",
)
CLOSE_PLAIN = (
    "[Up close|At full resolution], no new fault appears {where}.",
    "The crop [shows|brings] nothing new {where}.",
)

# Later rounds: Final Decision & Rationale
EARLIER_FIRST = ("The first rating was {earlier}", "The first view was rated {earlier}")
EARLIER = ("The rating before was {earlier}", "The previous view was rated {earlier}")
REASON: dict[str, tuple[str, ...]] = {
    "confirmed": ("the crop confirms the {name}", "the {name} is as {sev} as it looked"),
    "worse": ("the {name} is [worse|stronger] than it looked",),
    "milder": ("the {name} is [milder|weaker] than it looked",),
    "new": ("the crop reveals {fault}", "{fault} comes to light"),
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
SETTLED = ("[The rating is now final|No further crop is needed|This settles the rating].",)
AGAIN = ("{zoom} next.", "One more crop is needed: {zoom}.")
