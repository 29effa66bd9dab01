"""Precision and recall of "contradicted" (`snellen.checks`) on replies with planted lies.

    python recipes/bench/lies.py [--pictures FOLDER] [--count N] [--show N]

Each picture of the folder (default: examples) is shown as it is, darkened, brightened, blurred and with noise. Its
issues are the fault that was made and random ones that measurements do not see. The writer and hand-written paraphrases
word them; half of the replies hold one lie: a fault denied or named for another, a wrong place or severity, or a
property that the measurements contradict. A contradiction is right if it is about the fault or the property that the
lie is about. The paraphrases are mixed with remarks that name kinds and properties but claim no fault; those of
`lies_held_out.py` were written before the rules were last changed. Labels of real photographs, in the words of their
rater, are honest texts of a third kind.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import lies_held_out
import numpy as np
from PIL import Image, ImageFilter

from snellen.checks import MEASURED, Check, check_reply
from snellen.features import Features, measure
from snellen.rationale.compose import compose
from snellen.rationale.facts import Facts
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Parsed, Rationale
from snellen.vocabulary import KINDS

LIES = ("none", "denied", "another kind", "place", "severity", "measurement")
UNSEEN = tuple(kind for kind in KINDS if kind not in MEASURED)
"""Kinds that are not measured, so that a random one is no lie."""
BOXES = {
    "upper left": Region(0.05, 0.05, 0.35, 0.35), "lower right": Region(0.6, 0.65, 0.95, 0.95),
    "upper right": Region(0.65, 0.05, 0.95, 0.4), "lower left": Region(0.02, 0.6, 0.35, 0.97),
    "whole picture": FULL,
}  # fmt: skip
OPPOSITE = {
    "upper left": "lower right",
    "lower right": "upper left",
    "upper right": "lower left",
    "lower left": "upper right",
}
FREE = {
    "blur": ("soft focus", "blurriness", "blur"), "noise": ("noise", "digital noise", "graininess"),
    "overexposure": ("overexposure", "blown-out highlights"), "underexposure": ("underexposure", "crushed shadows"),
    "low contrast": ("low contrast", "a lack of contrast"), "compression": ("JPEG artifacts", "blocking artifacts"),
    "color cast": ("a color cast",), "banding": ("banding", "posterization"), "pixelation": ("pixelation",),
    "oversharpening": ("over-sharpening",), "motion blur": ("motion blur", "camera shake"),
    "saturation": ("oversaturation", "a saturation problem"), "corruption": ("corruption",),
}  # fmt: skip
DEGREES = ("faint", "minor", "moderate", "heavy", "severe")
SENTENCES = (
    "The photo suffers from {degree} {name} {where}.",
    "I can see {degree} {name} {where}, which hurts the result.",
    "{where}, {degree} {name} is apparent.",
    "There is {degree} {name} {where}.",
    "Looking at the details, {name} is {degree} {where}.",
    "{degree} {name} degrades the picture {where}.",
    "The main technical flaw is {degree} {name}, found {where}.",
    "Quality is limited by {name} that is {degree} {where}.",
)
PLACES = {
    "upper left": ("in the upper-left corner", "near the top left", "in the top-left area"),
    "lower right": ("in the lower-right corner", "towards the bottom right"),
    "upper right": ("in the upper right", "in the top-right corner"),
    "lower left": ("in the bottom-left corner", "at the lower left"),
    "whole picture": ("across the entire image", "throughout the frame", "over the whole picture"),
}
REMARKS = (
    "A dark coat stands out against the snow.",
    "The bright window on the left draws the eye.",
    "The grain of the wood runs along the table.",
    "A shallow depth of field leaves the background blurred.",
    "Compression of the perspective makes the street look short.",
    "The noise of the street can almost be heard.",
    "With a longer exposure the water would be motion blurred.",
    "Banding birds is what the woman seems to do.",
    "It might show some banding in print.",
    "No severe problem such as corruption would surprise here.",
    "One could ask for less compression.",
    "The scene is dark in the upper part, as evenings are.",
    "Low contrast suits a foggy morning.",
    "The print on the poster is pixelated on purpose.",
    "A man in the center photographs the sharp peaks on the right.",
    "The sky is overexposed in the reflection only.",
    "Posterization is what the artist aims for.",
    "A blurred passer-by adds life to the scene.",
    "The colors of the flags are red, white and blue.",
    "A color cast of sunset lies over the roofs.",
)
"""Honest remarks of the hand-written paraphrases; two in each reply. The rules were adjusted after a run with them."""
LATER_REMARKS = (
    "The strong grain of the oak gives the table character.",
    "Moderate banding of the rock is typical of sandstone.",
    "He suffers from the noise of the engine.",
    "Severe weather darkens the lower half.",
    "The heavy blur of the wheels shows how fast they turn.",
    "Its colors are red and green.",
    "A slight blur of the leaves tells of wind.",
    "The sign on the right is in sharp focus.",
    "The photo looks like a scan of an old print.",
    "The fault line runs across the desert with little saturation.",
    "The scene is lit from the upper left.",
    "It is dark inside the box.",
    "The mild compression of a long lens flatters her.",
    "No corruption of the authorities is proved by it.",
    "The image is very bright in the window only.",
    "The tones of the low contrast side are soft.",
    "The picture of dark clouds fills the wall.",
    "Everything but the moving arm is free of motion blur.",
    "Noise is kept low.",
    "The strong color cast of the neon tubes is real.",
)
"""Honest remarks that were written after the last change of the rules; nothing was adjusted to them."""
DENIALS = (
    "There is no {name}.",
    "The shot is free of {name}.",
    "No visible {name} or other damage was found.",
    "I found no signs of {name}.",
    "{name} is not present.",
    "The image holds up well without any {name}.",
    "One looks in vain for {name}.",
    "{name} is nowhere to be seen.",
)
UNTRUE = {
    "dark": (
        "The image is very dark.",
        "The photo looks too dark.",
        "The lighting is dim.",
        "Night has fallen over it.",
    ),
    "bright": ("The image is very bright.", "It is an overly bright photo.", "Light floods every corner."),
    "sharp": ("The details are crisp.", "The focus is sharp.", "Every hair can be counted."),
    "vivid": ("Colors are vivid.", "The colors are vibrant.", "A riot of color."),
    "clean": ("The picture is noise-free.", "Smooth areas are clean.", "Not a speck disturbs the tones."),
}


@dataclass(frozen=True)
class Wording:
    """Hand-written sentences: of issues, remarks between them, denials of a fault, properties."""

    sentences: Sequence[str]
    remarks: Sequence[str]
    denials: Sequence[str] = DENIALS
    untrue: Mapping[str, Sequence[str]] = field(default_factory=lambda: UNTRUE)


@dataclass(frozen=True)
class Shown:
    """A picture with measured features and the issue that was made in it, if any."""

    measured: Features
    made: Issue | None


def shown_pictures(folder: Path) -> list[Shown]:
    """Return all variants of the pictures of a folder."""
    found = []
    for path in sorted(folder.glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        image.thumbnail((1000, 1000))
        pixels = np.asarray(image).astype(np.float32)
        noise = np.random.default_rng(0).normal(0, 22, pixels.shape)
        soft = np.asarray(image.filter(ImageFilter.GaussianBlur(4)))
        variants = {
            None: pixels, "underexposure": pixels * 0.2, "overexposure": 255 - (255 - pixels) * 0.25, "blur": soft,
            "noise": pixels + noise,
        }  # fmt: skip
        for kind, values in variants.items():
            made = Issue(kind, 4, FULL) if kind else None
            found.append(Shown(measure(np.clip(values, 0, 255).astype(np.uint8)), made))
    return found


def issues_of(shown: Shown, rng: random.Random) -> tuple[Issue, ...]:
    """Return one to three issues of different kinds, true of the picture or not measurable."""
    kinds = rng.sample(UNSEEN, rng.randint(1, 2))
    if {"motion blur"} & set(kinds) and shown.made:
        kinds = [kind for kind in kinds if kind != "motion blur"] or ["banding"]
    random_ones = [Issue(kind, rng.randint(1, 5), BOXES[rng.choice(list(BOXES))]) for kind in kinds]
    return tuple(([shown.made] if shown.made else []) + random_ones)


def lied_about(issues: Sequence[Issue], lie: str, rng: random.Random) -> tuple[list[Issue], list[str]]:
    """Return the issues that the text words, and the kinds that the lie is about: the true one first."""
    told = list(issues)
    usable = [i for i, one in enumerate(told) if lie != "place" or one.region.place in OPPOSITE]
    if not usable:
        told[-1] = replace(told[-1], region=BOXES["upper left"])
        usable = [len(told) - 1]
    at = rng.choice(usable)
    one = told[at]
    if lie == "place":
        told[at] = replace(one, region=BOXES[OPPOSITE[one.region.place]])
    elif lie == "severity":
        told[at] = replace(one, severity=rng.choice([s for s in range(1, 6) if abs(s - one.severity) >= 2]))
    elif lie == "another kind":
        listed = {issue.kind for issue in issues} | {"blur", "motion blur"}
        told[at] = replace(one, kind=rng.choice([kind for kind in UNSEEN if kind not in listed]))
    elif lie == "denied":
        del told[at]
    return told, [one.kind] if lie == "denied" else [one.kind, told[at].kind]


def by_writer(told: Sequence[Issue], issues: Sequence[Issue], shown: Shown, rng: random.Random) -> Rationale:
    """Return the four sections that the writer composes, of round 1 or 2; round 1 listed the true issues."""
    rating, before = (round(rng.uniform(1.2, 4.8), 2) for _ in range(2))
    if rng.random() < 0.5:
        return compose(Facts(1, rating, tuple(told), shown.measured))
    crop = rng.choice((*BOXES.values(), Region(0.25, 0.25, 0.75, 0.75)))
    return compose(Facts(2, rating, tuple(told), shown.measured, crop, None, before, tuple(issues[:2])))


def by_hand(told: Sequence[Issue], wording: Wording, rng: random.Random) -> Rationale:
    """Return a rationale whose summary is in hand-written paraphrases, between two remarks."""
    lines = [
        rng.choice(wording.sentences).format(
            name=rng.choice(FREE[one.kind]),
            degree=DEGREES[one.severity - 1],
            where=rng.choice(PLACES[one.region.place]),
        )
        for one in told
    ]
    remarks = rng.sample(wording.remarks, 2)
    return _rationale(" ".join([remarks[0], *map(_capital, lines), remarks[1]]))


WRITERS = {
    "writer": Wording((), ()),
    "paraphrases": Wording(SENTENCES, REMARKS),
    "paraphrases, later remarks": Wording(SENTENCES, LATER_REMARKS),
    "new paraphrases, usual remarks": Wording(
        lies_held_out.SENTENCES, lies_held_out.USUAL, lies_held_out.DENIALS, lies_held_out.UNTRUE
    ),
    "new paraphrases, traps": Wording(
        lies_held_out.SENTENCES, lies_held_out.TRAPS, lies_held_out.DENIALS, lies_held_out.UNTRUE
    ),
}
"""Wordings of the replies; the writer is `snellen.rationale`, with denials and properties of this file."""


def false_property(shown: Shown) -> list[str]:
    """Return the properties that the picture clearly lacks, by limits looser than those of the checks by a fifth."""
    value = {name: feature.value for name, feature in shown.measured.values.items()}
    return [
        name
        for name, untrue in {
            "dark": value["luminance"] > 0.5, "bright": value["luminance"] < 0.3, "sharp": value["sharpness"] < 0.25,
            "vivid": value["colorfulness"] < 10, "clean": value["noise"] > 4,
        }.items()
        if untrue
    ]  # fmt: skip


def run(pictures: Sequence[Shown], writer: str, count: int, show: int) -> None:
    """Check `count` replies of one writer for each lie, and print a line for each."""
    rng = random.Random(writer)
    right, wrong, seen = Counter[str](), Counter[str](), Counter[str]()
    for lie in LIES:
        replies = 0
        while replies < (count * (len(LIES) - 1) if lie == "none" else count):
            shown = rng.choice(pictures)
            issues = issues_of(shown, rng)
            if lie == "place" and not any(one.region.place in OPPOSITE for one in issues):
                continue
            if (lie == "measurement" and not false_property(shown)) or (lie == "denied" and issues[0].severity < 2):
                continue
            told, kinds = lied_about(issues, lie, rng) if lie not in ("none", "measurement") else (list(issues), [])
            if lie == "denied" and next(one.severity for one in issues if one.kind == kinds[0]) < 2:
                continue
            wording = WRITERS[writer]
            text = by_hand(told, wording, rng) if wording.sentences else by_writer(told, issues, shown, rng)
            if lie == "denied":
                denial = rng.choice(wording.denials).format(name=rng.choice(FREE[kinds[0]]).removeprefix("a "))
                text = replace(text, summary=f"{text.summary} {_capital(denial)}")
            if lie == "measurement":
                kinds = [rng.choice(false_property(shown))]
                text = replace(text, summary=f"{text.summary} {rng.choice(wording.untrue[kinds[0]])}")
            parsed = Parsed(text, Answer(None, 3.0, "final", tuple(issues)))
            checks = check_reply(parsed, issues, shown.measured)
            found = [check for check in checks if check.verdict == "contradicted"]
            hits = [check for check in found if any(kind in check.claim for kind in kinds)]
            replies += 1
            seen[lie] += 1
            right[lie] += bool(hits)
            wrong[lie] += len(found) - len(hits)
            _print(show, lie, text, found, bool(hits))
    true, false = sum(right.values()), sum(wrong.values())
    print(f"{writer}: {sum(seen.values())} replies, precision {true / (true + false):.3f} ({false} false)")
    for lie in LIES[1:]:
        print(f"  {lie}: found in {right[lie]} of {seen[lie]} ({right[lie] / seen[lie]:.2f})")
    print(
        f"  false contradictions: {wrong['none']} in {seen['none']} honest replies, {false - wrong['none']} in others"
    )


rng_show = random.Random(0)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _print(show: int, lie: str, text: Rationale, found: Sequence[Check], hit: bool) -> None:
    if show and (lie == "none" and found or lie != "none" and not hit) and rng_show.random() < show / 100:
        print(
            f"  [{lie}] {' / '.join(text.sections)}\n    "
            f" {[(check.about, check.claim, check.reason) for check in found]}"
        )


def _rationale(summary: str) -> Rationale:
    return Rationale(" ".join(summary.split()), "Crisp detail.", "Loss of detail.", "The rating is final.")


def raters_texts() -> None:
    """Print the verdicts on the texts of the rater who labelled real photographs, against the rater's own labels."""
    text = resources.files("snellen.data.labels").joinpath("biq2021.jsonl").read_text(encoding="utf-8")
    verdicts, replies = Counter[str](), 0
    for line in text.splitlines():
        row = json.loads(line)
        boxes = [FULL if fault["box"] == "whole" else Region(*fault["box"]) for fault in row["faults"]]
        issues = [Issue(one["kind"], one["severity"], box) for one, box in zip(row["faults"], boxes, strict=True)]
        parsed = Parsed(_rationale(row["why"]), Answer(None, 3.0, "final", tuple(issues)))
        found = check_reply(parsed, (), None)
        verdicts.update(check.verdict for check in found)
        replies += bool(found)
    print(f"rater's texts of real photographs: {replies} with claims, {dict(verdicts)}")


def main() -> None:
    """Print the results of both writers and of the rater's texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, default=Path("examples"))
    parser.add_argument("--count", metavar="N", type=int, default=400, help="replies for each lie (400)")
    parser.add_argument("--show", metavar="N", type=int, default=0, help="print N of a hundred mistakes")
    args = parser.parse_args()
    pictures = shown_pictures(args.pictures)
    for writer in WRITERS:
        run(pictures, writer, args.count, args.show)
    raters_texts()


if __name__ == "__main__":
    main()
