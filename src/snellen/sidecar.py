"""Decisions about pictures (accept, reject, stars) in XMP sidecars, which photo managers share.

| decision | written | read by |
| --- | --- | --- |
| stars 1 to 5 | xmp:Rating | Lightroom, darktable, digiKam, Capture One |
| reject | xmp:Rating = -1, xmpDM:pick = -1, xmpDM:good = false, digiKam:PickLabel = 1 | Lightroom, darktable, digiKam |
| accept | xmpDM:pick = 1, xmpDM:good = true, digiKam:PickLabel = 3 | Lightroom, digiKam; darktable has no such flag |

xmp:Rating: "-1 or in the range 0 to 5, where -1 indicates rejected and 0 indicates unrated" (ISO 16684-1).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snellen.formats.xmp import Name, XmpError, new_packet, read_properties, with_properties
from snellen.output import OutputError, replacing, writing
from snellen.usage import UsageError

RATING: Name = ("http://ns.adobe.com/xap/1.0/", "Rating")
PICK: Name = ("http://ns.adobe.com/xmp/1.0/DynamicMedia/", "pick")
GOOD: Name = ("http://ns.adobe.com/xmp/1.0/DynamicMedia/", "good")
PICK_LABEL: Name = ("http://www.digikam.org/ns/1.0/", "PickLabel")

Pick = Literal["accept", "reject"]
Naming = Literal["base", "full"]
"""Names of sidecars: "base" is IMG.xmp (Lightroom, Capture One), "full" is IMG.CR2.xmp (darktable, digiKam)."""

_FLAGS: dict[Pick, dict[Name, str]] = {
    "accept": {PICK: "1", GOOD: "true", PICK_LABEL: "3"},
    "reject": {PICK: "-1", GOOD: "false", PICK_LABEL: "1"},
}


@dataclass(frozen=True)
class Decision:
    """Decision about a picture. pick: None for neither; stars: 1..5, 0 for none, and of a rejected picture."""

    pick: Pick | None = None
    stars: int = 0

    def __post_init__(self) -> None:
        if self.pick not in ("accept", "reject", None):
            raise ValueError(f"pick is accept, reject or nothing, not {self.pick}")
        if not 0 <= self.stars <= 5:
            raise ValueError(f"stars are 0 to 5, not {self.stars}")
        if self.pick == "reject" and self.stars:
            raise ValueError("a rejected picture has no stars: both are one number in XMP")

    def __bool__(self) -> bool:
        return self.pick is not None or self.stars > 0

    def __str__(self) -> str:
        stars = f"{self.stars} star{'s' * (self.stars > 1)}" if self.stars else ""
        return ", ".join(part for part in (self.pick, stars) if part) or "no decision"


@dataclass(frozen=True)
class Change:
    """Planned, or made, change of the sidecar of one picture.

    Attributes:
        picture, sidecar: the files.
        what: "create", "update", "same" or "refused".
        before: the decision in the sidecar; no decision where there is none, or none that can be read.
        after: the decision to write.
        problem: why it is refused, with the remedy.
        data: the whole sidecar to write, b"" where nothing is written.
        old: the sidecar as it was read, b"" where there was none.
    """

    picture: Path
    sidecar: Path
    what: Literal["create", "update", "same", "refused"]
    before: Decision
    after: Decision
    problem: str = ""
    data: bytes = b""
    old: bytes = b""


def sidecar_path(picture: Path, naming: Naming) -> Path:
    """Return the path of a picture's sidecar: the one that exists, in whatever case of .xmp, or the one to create."""
    stem = picture.stem if naming == "base" else picture.name
    paths = [picture.with_name(stem + suffix) for suffix in (".xmp", ".XMP")]
    return next((path for path in paths if path.exists()), paths[0])


def read_decision(picture: Path, naming: Naming = "full") -> Decision:
    """Return the decision in the sidecar of a picture; where it has none of that naming, of the other.

    Raises:
        UsageError: the sidecar cannot be read.
    """
    other: Naming = "base" if naming == "full" else "full"
    for one in (naming, other):
        path = sidecar_path(picture, one)
        if path.exists():
            return _decision(path, path.read_bytes())
    return Decision()


def decision_of(properties: Mapping[Name, str]) -> Decision:
    """Return the decision that properties state. Where they disagree, a reject counts more than an accept.

    Raises XmpError for a rating that is none.
    """
    written = properties.get(RATING, "") or "0"
    try:
        rating = float(written)
    except ValueError:
        rating = float("nan")
    if not -1 <= rating <= 5:
        raise XmpError(f"xmp:Rating is {written}, not -1 to 5")
    flags = {
        pick
        for pick, values in _FLAGS.items()
        if any(properties.get(name, "").lower() == value for name, value in values.items())
    }
    if rating < 0 or "reject" in flags:
        return Decision("reject")
    return Decision("accept" if flags else None, int(rating))


def plan(decisions: Mapping[Path, Decision], naming: Naming) -> list[Change]:
    """Return what `write` would do, one change for each picture, in order. Writes nothing.

    Two pictures that share a sidecar (IMG.CR2 and IMG.JPG with naming "base") are refused unless they agree.
    """
    shared: dict[Path, list[Path]] = {}
    for picture in decisions:
        shared.setdefault(sidecar_path(picture, naming), []).append(picture)
    changes = []
    for sidecar, pictures in shared.items():
        found = {decisions[picture] for picture in pictures}
        if len(found) > 1:
            names = " and ".join(picture.name for picture in pictures)
            problem = f"{names} share {sidecar.name} and differ; decide alike, or name sidecars in full"
            changes += [
                Change(picture, sidecar, "refused", Decision(), decisions[picture], problem) for picture in pictures
            ]
        else:
            changes.append(_change(pictures[0], sidecar, found.pop()))
    return changes


def write(changes: Iterable[Change]) -> list[Change]:
    """Write the planned sidecars, each at once or not at all; return the changes, those that failed as "refused"."""
    return [_write(change) for change in changes]


def _decision(path: Path, data: bytes) -> Decision:
    try:
        return decision_of(read_properties(data))
    except XmpError as error:
        raise UsageError(f"{path}: {error}; repair or delete this sidecar") from error


def _change(picture: Path, sidecar: Path, after: Decision) -> Change:
    if not sidecar.exists():
        if not after:
            return Change(picture, sidecar, "same", after, after)
        values = {name: value for name, value in _properties(after, {}).items() if value is not None}
        return Change(picture, sidecar, "create", Decision(), after, data=new_packet(values))
    try:
        old = sidecar.read_bytes()
        before = _decision(sidecar, old)
        if before == after:
            return Change(picture, sidecar, "same", before, after)
        new = with_properties(old, _properties(after, read_properties(old)))
    except XmpError as error:
        problem = f"{sidecar}: {error}; repair or delete this sidecar"
        return Change(picture, sidecar, "refused", Decision(), after, problem)
    except UsageError as error:
        return Change(picture, sidecar, "refused", Decision(), after, str(error))
    except OSError as error:
        problem = f"{sidecar} cannot be read ({error.strerror}); change its permissions"
        return Change(picture, sidecar, "refused", Decision(), after, problem)
    return Change(picture, sidecar, "update", before, after, data=new, old=old)


def _properties(decision: Decision, found: Mapping[Name, str]) -> dict[Name, str | None]:
    """Return the properties to set, None for one to remove. found: those that the sidecar has."""
    values: dict[Name, str | None] = {}
    rejected = decision.pick == "reject"
    if rejected or decision.stars or RATING in found:
        values[RATING] = "-1" if rejected else str(decision.stars)
    if decision.pick is not None:
        values |= _FLAGS[decision.pick]
    else:
        values |= {name: "0" for name in (PICK, PICK_LABEL) if name in found}
        values |= {GOOD: None} if GOOD in found else {}
    return values


def _write(change: Change) -> Change:
    if not change.data:
        return change
    target = Path(os.path.realpath(change.sidecar))
    try:
        with writing(target), replacing(target) as unfinished:
            unfinished.write_bytes(change.data)
            now = target.read_bytes() if target.exists() else b""
            if now != change.old:
                raise UsageError(f"{change.sidecar} was changed by another program; save once more")
    except (OutputError, UsageError) as error:
        return Change(change.picture, change.sidecar, "refused", change.before, change.after, str(error))
    return change
