"""Checks of a free text: each claim against the reply's own issues and boxes, and against measurements of the picture.

A check never alters a score or a text. "contradicted" is said only where a claim is clear (`Claim.clear`) and the two
clearly disagree; what lies between, and what nothing can be compared with, is "not checkable".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from snellen.claims import PLACES, PROPERTIES, Claim, claims_in
from snellen.features import Features
from snellen.rationale.evidence import inside
from snellen.region import FULL, LOCAL_AREA, Region
from snellen.reply import Issue, Parsed
from snellen.vocabulary import SEVERITIES, merged

Verdict = Literal["supported", "contradicted", "not checkable"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "not checkable")
SUBJECTS = ("kind", "severity", "place", "crop", "measurement")
"""Values of `Check.about`."""
FAR_SEVERITY = 2
"""Steps of severity from which a stated one contradicts the listed one; no word has a meaning to the step."""
OUTSIDE, INSIDE = 0.15, 0.5
"""Share of a box in a place, or of a place in a box: below and from which the place is wrong and right."""
SMALL_AREA = 0.25
"""Share of the picture below which an issue is not "across the whole picture"."""

LIMITS: dict[str, tuple[str, float, float]] = {
    "dark": ("luminance", 0.25, 0.55),
    "bright": ("luminance", 0.62, 0.30),
    "soft": ("sharpness", 0.42, 0.70),
    "sharp": ("sharpness", 0.45, 0.25),
    "noisy": ("noise", 1.2, 0.05),
    "clean": ("noise", 0.8, 4.0),
    "flat": ("contrast", 0.12, 0.28),
    "contrasty": ("contrast", 0.18, 0.08),
    "vivid": ("colorfulness", 40.0, 8.0),
    "dull": ("colorfulness", 15.0, 60.0),
}
"""Property -> its feature, and the values from which the feature supports and contradicts it, in units of the feature.

Further apart than the limits in `snellen.rationale.evidence`: a measurement cannot consider subject and intent."""
MEASURED = {
    "blur": "soft", "noise": "noisy", "overexposure": "bright", "underexposure": "dark", "low contrast": "flat",
}  # fmt: skip
"""Kind of fault -> the property that it shows as. Other kinds are not measured."""
USED = frozenset(feature for feature, _, _ in LIMITS.values())
"""Names of the features that claims are compared with."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        section: "summary", "avoid" or "decision".
        text: the clause of the reply.
        about: one of `SUBJECTS`.
        claim: the claim in short, such as "no noise" or "severe blur".
        verdict: "supported", "contradicted" or "not checkable".
        reason: what it was compared with.
    """

    section: str
    text: str
    about: str
    claim: str
    verdict: Verdict
    reason: str


def check_reply(parsed: Parsed, earlier: Sequence[Issue], measured: Features | None) -> tuple[Check, ...]:
    """Return the checks of a reply's rationale; empty without one.

    The section Directions holds wishes, not claims.

    Args:
        parsed: the reply.
        earlier: issues of the rounds before, which the last section may name.
        measured: features of the whole picture, those in `USED`; None: nothing is compared with measurements.
    """
    if parsed.rationale is None:
        return ()
    found: list[Check] = []
    issues = parsed.answer.issues
    for section in ("summary", "avoid", "decision"):
        for claim in claims_in(getattr(parsed.rationale, section)):
            known = (*issues, *earlier) if section == "decision" and claim.present else issues
            for about, text, verdict, reason in _compared(claim, known, parsed, measured, section):
                if verdict == "contradicted" and not claim.clear:
                    verdict, reason = "not checkable", f"{reason}, but it may be said of something else"
                found.append(Check(section, claim.text, about, text, verdict, reason))
    return tuple(dict.fromkeys(found))


_Result = tuple[str, str, Verdict, str]


def _compared(
    claim: Claim, issues: Sequence[Issue], parsed: Parsed, measured: Features | None, section: str
) -> list[_Result]:
    if claim.what == "crop":
        return [_crop(claim, parsed.answer.region)]
    if claim.what in PROPERTIES:
        return [] if measured is None else [_measurement(claim.what, claim.what, FULL, measured)]
    same = [issue for issue in issues if issue.kind == claim.what]
    near = [issue for issue in issues if merged(issue.kind) == merged(claim.what)]
    results = [_kind(claim, same, near, parsed.listed)]
    if claim.present and near:
        if claim.severity is not None:
            results.append(_severity(claim, same or near))
        if claim.places and section != "decision":
            results.append(_place(claim, near))
    if claim.present and measured is not None and claim.what in MEASURED and (near or claim.plain):
        region = _measured_region(claim, same)
        if region is not None:
            results.append(_measurement(claim.what, MEASURED[claim.what], region, measured))
    return results


def _kind(claim: Claim, same: Sequence[Issue], near: Sequence[Issue], listed: bool) -> _Result:
    name = claim.what
    if not listed:
        return "kind", name if claim.present else f"no {name}", "not checkable", "the reply lists no issues"
    if claim.present:
        if near:
            return "kind", name, "supported", f"{near[0].kind} is listed"
        if not claim.plain:
            return "kind", name, "not checkable", f"{name} is not listed, but may be meant otherwise"
        return "kind", name, "contradicted", f"{name} is not listed"
    if not near:
        return "kind", f"no {name}", "supported", f"{name} is not listed"
    worst = max(issue.severity for issue in near)
    elsewhere = bool(claim.places) and not any(
        _overlap(place, i.region) >= INSIDE for place in claim.places for i in near
    )
    if not same or worst < 2 or elsewhere:
        return (
            "kind",
            f"no {name}",
            "not checkable",
            f"{near[0].kind} is listed, but slight, elsewhere or of another kind",
        )
    return "kind", f"no {name}", "contradicted", f"{name} is listed with severity {worst}"


def _severity(claim: Claim, issues: Sequence[Issue]) -> _Result:
    assert claim.severity is not None
    low, high = claim.severity
    gap = min(max(low - issue.severity, issue.severity - high, 0) for issue in issues)
    text = f"{SEVERITIES[low - 1]} {claim.what}" if low == high else f"{claim.what} of severity {low} to {high}"
    verdict: Verdict = "contradicted" if gap >= FAR_SEVERITY else "supported"
    return "severity", text, verdict, f"listed with severity {', '.join(str(issue.severity) for issue in issues)}"


def _place(claim: Claim, issues: Sequence[Issue]) -> _Result:
    best = max(_overlap(place, issue.region) for place in claim.places for issue in issues)
    verdict: Verdict = "supported" if best >= INSIDE else "contradicted" if best < OUTSIDE else "not checkable"
    where = ", ".join(issue.region.place for issue in issues)
    return "place", f"{claim.what}: {', '.join(claim.places)}", verdict, f"its box: {where}"


def _overlap(place: str, box: Region) -> float:
    """Return how well a box fits a named place, 0..1: the larger of both shares that lie in the other."""
    rectangle = PLACES[place][1]
    if place == "whole picture":
        return 1.0 if box.area >= LOCAL_AREA else 0.0 if box.area < SMALL_AREA else OUTSIDE
    return max(rectangle.covers(box), box.covers(rectangle))


def _crop(claim: Claim, asked: Region | None) -> _Result:
    text = f"zooms into: {claim.places[0]}"
    if asked is None:
        return "crop", text, "not checkable", "the answer asks for no crop"
    best = _overlap(claim.places[0], asked)
    verdict: Verdict = "supported" if best >= INSIDE else "contradicted" if best < OUTSIDE else "not checkable"
    return "crop", text, verdict, f"the box asked for: {asked.place}"


def _measured_region(claim: Claim, issues: Sequence[Issue]) -> Region | None:
    """Return where a claimed fault is measured: its one box, else the whole picture; None where that is not known."""
    if len(issues) == 1:
        return issues[0].region
    local = claim.places and "whole picture" not in claim.places
    return None if issues or local else FULL


def _measurement(name: str, shown: str, region: Region, measured: Features) -> _Result:
    feature, supports, contradicts = LIMITS[shown]
    whole = region.area >= LOCAL_AREA
    if feature in ("contrast", "colorfulness", "noise") and not whole:
        return "measurement", name, "not checkable", f"{feature} of a part says little"
    value = measured.values[feature].value if whole else float(inside(measured.maps[feature], region).mean())
    above = supports > contradicts
    verdict: Verdict = "not checkable"
    if value >= supports if above else value <= supports:
        verdict = "supported"
    elif value <= contradicts if above else value >= contradicts:
        verdict = "contradicted"
    return "measurement", name, verdict, f"{feature} {value:.2f} {'of the picture' if whole else 'in its box'}"
