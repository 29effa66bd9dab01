"""A study's folder: its plan (rubric and pictures), copies of the pictures under opaque names, the answers."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from snellen.data.sample import ManifestError
from snellen.data.sets.csv_table import csv_rows
from snellen.fileformat import PICTURE_SUFFIXES
from snellen.image import ImageError, load
from snellen.output import replacing
from snellen.study.rubric import Known, Rubric, rubric_of
from snellen.usage import UsageError

PLAN, ANSWERS, PICTURES = "plan.json", "answers.sqlite", "pictures"
SHOWN = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}
"""Formats, as Pillow calls them, that browsers show; other files are converted to PNG."""


@dataclass(frozen=True)
class StudyPicture:
    """One picture.

    Attributes:
        key: random; the only name of it that raters' browsers receive.
        path: the original file.
        file: name of the copy.
        width, height: px, upright.
        reference: key of its pristine picture, "" for none.
        group: scene, "" where unknown; two of one scene do not follow each other.
        rated: False for pictures of known items and references of DCR only: they have no MOS.
    """

    key: str
    path: str
    file: str
    width: int
    height: int
    reference: str = ""
    group: str = ""
    rated: bool = True


@dataclass(frozen=True)
class Plan:
    """A study: its rubric, with keys for files in known items, and its pictures."""

    rubric: Rubric
    pictures: tuple[StudyPicture, ...]
    id: str

    @cached_property
    def rated(self) -> tuple[StudyPicture, ...]:
        """The pictures that get a MOS, in order."""
        return tuple(picture for picture in self.pictures if picture.rated)

    @cached_property
    def by_key(self) -> dict[str, StudyPicture]:
        """All pictures by key."""
        return {picture.key: picture for picture in self.pictures}

    @cached_property
    def rows(self) -> dict[str, int]:
        """Places in `rated` by key: the rows of all tables of ratings."""
        return {picture.key: at for at, picture in enumerate(self.rated)}

    @property
    def pairs_of_rater(self) -> int:
        """Number of different pairs that one rater gets; no more than there are."""
        count = len(self.rated)
        return min(self.rubric.items or 2 * count, count * (count - 1) // 2)


@dataclass(frozen=True)
class Source:
    """A file that becomes a picture of a study. reference: its pristine file, None for none."""

    path: Path
    reference: Path | None = None
    group: str = ""


def find_sources(names: Sequence[Path]) -> list[Source]:
    """Return the pictures that --pictures names: files, folders (not below), CSV tables `image[,reference][,group]`.

    Raises UsageError for a name that is not there, an empty folder, and a line that cannot be used.
    """
    found: list[Source] = []
    for name in names:
        if name.is_dir():
            inside = [
                Source(one)
                for one in sorted(name.iterdir())
                if one.suffix.lower() in PICTURE_SUFFIXES and not one.name.startswith(".")
            ]
            if not inside:
                raise UsageError(f"{name}: no pictures in this folder; name files, another folder or a table")
            found += inside
        elif name.suffix.lower() == ".csv":
            found += _table(name)
        elif name.is_file():
            found.append(Source(name))
        else:
            raise UsageError(f"{name} is not there; check the path")
    seen: set[Path] = set()
    for path in (source.path.resolve() for source in found):
        if path in seen:
            raise UsageError(f"{path} is named twice; remove one")
        seen.add(path)
    return found


def _table(file: Path) -> list[Source]:
    rows = csv_rows(file)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    if "image" not in header:
        raise ManifestError(f"{file}: line 1: no column image; the columns are image, reference, group")
    found = []
    for line, cells in rows:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if not any(row.values()):
            continue
        path = file.parent / row["image"]
        reference = file.parent / row["reference"] if row.get("reference") else None
        for one in (path, reference):
            if one is not None and not one.is_file():
                raise ManifestError(f"{file}: line {line}: {one} is not there; correct or remove the line")
        if reference is not None and reference.resolve() == path.resolve():
            reference = None  # a pristine picture
        found.append(Source(path, reference, row.get("group", "")))
    return found


def create_study(folder: Path, sources: Sequence[Source], rubric: Rubric, base: Path) -> Plan:
    """Create a study's folder and return its plan. base: folder that files of known items are relative to.

    Raises UsageError: the folder holds something, there are too few pictures, a picture cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder")
    named = {source.path.resolve(): source for source in sources}
    _check_sources(named, rubric.method)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    made: dict[Path, StudyPicture] = {}

    def add(path: Path, rated: bool, group: str = "") -> str:
        full = path.resolve()
        if full not in made:
            source = named.get(full) or Source(full, None, group)
            key = add(source.reference, rubric.method == "acr-hr", source.group) if source.reference else ""
            made[full] = _copy(folder, full, key, source.group or group, rated or full in named)
        return made[full].key

    try:
        for source in sources:
            add(source.path, True)
        known = [[_keyed(one, base, add) for one in those] for those in (rubric.training, rubric.golden)]
        pictures = {picture.key: picture for picture in made.values()}
        alone = [one.image for those in known for one in those if not pictures[one.image].reference]
        if rubric.method == "dcr" and alone:
            file = pictures[alone[0]].path
            raise UsageError(f"{file}, a known item, has no reference, which dcr needs; add it to the table")
    except (ImageError, OSError) as error:
        shutil.rmtree(folder)
        raise UsageError(f"{error}; leave the picture out") from error
    except UsageError:
        shutil.rmtree(folder)
        raise
    rubric = replace(rubric, training=tuple(known[0]), golden=tuple(known[1]))
    plan = Plan(rubric, tuple(made.values()), secrets.token_hex(8))
    with replacing(folder / PLAN) as unfinished:
        unfinished.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8", errors="surrogateescape")
    return plan


def _check_sources(named: Mapping[Path, Source], method: str) -> None:
    """Raise UsageError for sources, by resolved path, that are too few or lack the references of the method."""
    if len(named) < 2:
        raise UsageError("a study needs two pictures or more")
    if method in ("acr-hr", "dcr") and not any(source.reference for source in named.values()):
        raise UsageError(f"{method} needs references: name a table with the columns image,reference")
    for source in named.values():
        if source.reference is None:
            if method == "dcr":
                problem = f"{source.path} has no reference other than itself, which dcr needs for each picture"
                raise UsageError(f"{problem}; add one, or leave the picture out")
            continue
        pristine = named.get(source.reference.resolve())
        if pristine is not None and pristine.reference is not None:
            raise UsageError(f"{pristine.path}, a reference, has a reference itself; name pristine files")


def _keyed(known: Known, base: Path, add: Callable[[Path, bool], str]) -> Known:
    files = [base / known.image, *([base / known.worse] if known.worse else [])]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file}, a known item of the rubric, is not there; correct the rubric")
    keys = [add(file, False) for file in files]
    return replace(known, image=keys[0], worse=keys[1] if known.worse else "")


def _copy(folder: Path, path: Path, reference: str, group: str, rated: bool) -> StudyPicture:
    picture = load(path)
    key = secrets.token_hex(8)
    try:
        with Image.open(path) as opened:
            suffix = SHOWN.get(opened.format or "")
    except OSError:
        suffix = None
    file = folder / PICTURES / f"{key}{suffix or '.png'}"
    if suffix:
        shutil.copyfile(path, file)
    else:
        Image.fromarray(picture.pixels).save(file)
    return StudyPicture(key, str(path), file.name, picture.width, picture.height, reference, group, rated)


def read_plan(folder: Path) -> Plan:
    """Read the plan of a study's folder. Raises UsageError."""
    try:
        values = json.loads((folder / PLAN).read_text(encoding="utf-8", errors="surrogateescape"))
        pictures = tuple(StudyPicture(**row) for row in values["pictures"])
        return Plan(rubric_of(values["rubric"]), pictures, values["id"])
    except OSError as error:
        raise UsageError(f"{folder} is no study ({error.strerror}); make one with: snellen study init") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / PLAN} cannot be read ({error!r}); restore it from a copy") from error


def order_seed(plan: Plan, code: str) -> int:
    """Return the seed of a rater's order: the same for the same study, seed and code."""
    text = f"{plan.id} {plan.rubric.seed} {code}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
