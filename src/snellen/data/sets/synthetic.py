"""Pristine pictures with one known distortion each: KADID-10k, TID2013, CSIQ, LIVE.

The fault of a sample is the published distortion if `snellen.vocabulary.KINDS` names it. Its region is the whole
picture (also for distortions of patches), its level the published one, 1 (least) to 5 (most). All pictures of one
reference share a group and a split.
"""

from __future__ import annotations

import re

from snellen.data.distort import DISTORTIONS
from snellen.data.levels import KADID_NAMES
from snellen.data.sample import Fault, Sample
from snellen.data.sets.split import split_by_group
from snellen.data.sets.tree import LabelRow, Scale, SourceError, Tree
from snellen.region import FULL

KADID = Scale(1, 5)
TID2013 = Scale(0, 9)
CSIQ = Scale(1, 0)
LIVE = Scale(112, -3)

KADID_RATERS = 30  # for each picture

_NUMBERED = re.compile(r"(i\d\d)_(\d\d)_0?([1-5])\.(?:png|bmp)", re.IGNORECASE)

# KADID-10k numbers its distortions from 1, in this order.
_KADID = tuple(DISTORTIONS[name] for name in KADID_NAMES)

# TID2013's number: our name (or its own) and the kind. Left out are those whose levels are no severity (15 blocks: the
# first is rated worst; 16 mean shift and 17 contrast: they alternate in direction) and those that the vocabulary does
# not name: 20 comfort noise, 22 dithered color quantization, 23 chromatic aberrations, 24 sparse sampling.
_TID2013 = {
    1: ("white_noise", "noise"),
    2: ("white_noise_ycbcr", "noise"),
    3: ("correlated_noise", "noise"),
    4: ("masked_noise", "noise"),
    5: ("high_frequency_noise", "noise"),
    6: ("impulse_noise", "noise"),
    7: ("quantization", "banding"),
    8: ("gaussian_blur", "blur"),
    9: ("denoise", "blur"),
    10: ("jpeg", "compression"),
    11: ("jpeg2000", "compression"),
    12: ("jpeg_transmission_errors", "corruption"),
    13: ("jpeg2000_transmission_errors", "corruption"),
    14: ("patch_displacement", "corruption"),
    18: ("saturation", "saturation"),
    19: ("multiplicative_noise", "noise"),
    21: ("compressed_noise", "compression"),
}

# CSIQ's dst_type: its folder, the middle of its file names, our name, the kind.
_CSIQ = {
    "noise": ("awgn", "AWGN", "white_noise", "noise"),
    "jpeg": ("jpeg", "JPEG", "jpeg", "compression"),
    "jpeg 2000": ("jpeg2000", "jpeg2000", "jpeg2000", "compression"),
    "fnoise": ("fnoise", "fnoise", "pink_noise", "noise"),
    "blur": ("blur", "BLUR", "gaussian_blur", "blur"),
    "contrast": ("contrast", "contrast", "contrast", "low contrast"),
}

# LIVE's folders in the order of its arrays, each with how many pictures it holds (its readme).
_LIVE = (("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174))


def kadid10k(tree: Tree) -> list[Sample]:
    """KADID-10k (Lin, Hosu, Saupe, QoMEX 2019): `images/`, `dmos.csv`.

    The column dmos is a mean of 30 opinions 1..5 where 5 is imperceptible, so it is a MOS, despite its name. The column
    var is their standard deviation (4.57 with 0.496 is 17 fives and 13 fours). subset is the distortion.
    """
    pictures = tree.pictures("images")
    samples = []
    for row in tree.table("dmos.csv", columns=["dist_img", "ref_img", "dmos", "var"]):
        reference, number, level = _numbers(row, "dist_img", len(_KADID))
        distortion = _KADID[number - 1]
        kind = distortion.kind_at(level)
        samples.append(
            Sample(
                pictures.find(row.text("dist_img"), row.place),
                row.mos("dmos", KADID),
                row.std("var", KADID),
                KADID_RATERS,
                group=reference,
                reference=pictures.find(row.text("ref_img"), row.place),
                faults=_faults(distortion.name, kind, level),
                subset=distortion.name,
            )
        )
    return split_by_group(samples)


def tid2013(tree: Tree) -> list[Sample]:
    """TID2013 (Ponomarenko et al., Signal Processing: Image Communication 2015): `mos_with_names.txt` and the folders
    `distorted_images/` and `reference_images/`.

    MOS 0..9, the wins in nine comparisons. `mos_std.txt` is not read: at about 0.13 it is the standard error of the
    mean, not the spread of the opinions. subset is the number of the distortion, 01 to 24.
    """
    distorted, pristine = tree.pictures("distorted_images"), tree.pictures("reference_images")
    samples = []
    for row in tree.table("mos_with_names.txt", columns=["MOS", "name"], header=False, delimiter=" "):
        reference, number, level = _numbers(row, "name", 24)
        name, kind = _TID2013.get(number, ("", None))
        samples.append(
            Sample(
                distorted.find(row.text("name"), row.place),
                row.mos("MOS", TID2013),
                group=reference,
                reference=pristine.find(f"{reference}.bmp", row.place),
                faults=_faults(name, kind, level),
                subset=f"{number:02d}",
            )
        )
    return split_by_group(samples)


def csiq(tree: Tree) -> list[Sample]:
    """CSIQ (Larson and Chandler, Journal of Electronic Imaging 2010): `src_imgs/`, `dst_imgs/`, `csiq.DMOS.xlsx`.

    dmos 0..1 of the sheet "all_by_image" is a difference: 0 is best, so it is inverted. subset is dst_type.
    """
    pristine = tree.pictures("src_imgs")
    distorted = {type: tree.pictures(f"dst_imgs/{names[0]}", f"dst_imgs/{names[1]}") for type, names in _CSIQ.items()}
    samples = []
    columns = ["image", "dst_type", "dst_lev", "dmos_std", "dmos"]
    for row in tree.table("csiq.DMOS.xlsx", columns=columns, sheet="all_by_image"):
        if row.cells["image"] in (None, ""):  # the sheet has sums below and beside
            continue
        reference, level = row.text("image"), row.whole("dst_lev")
        _, middle, name, kind = row.choice("dst_type", _CSIQ)
        samples.append(
            Sample(
                distorted[row.text("dst_type")].find(f"{reference}.{middle}.{level}.png", row.place),
                row.mos("dmos", CSIQ),
                row.std("dmos_std", CSIQ),
                group=reference.lower(),
                reference=pristine.find(f"{reference}.png", row.place),
                faults=_faults(name, kind, level),
                subset=row.text("dst_type"),
            )
        )
    return split_by_group(samples)


def live(tree: Tree) -> list[Sample]:
    """LIVE, release 2 (Sheikh, Sabir, Bovik, IEEE TIP 2006), the folder databaserelease2 with `dmos_realigned.mat`.

    dmos_new is a difference, 0 for the reference and 100 for the worst, but runs from -2.6 to 111.8: -3..112 is
    mapped, inverted. The unchanged references among the pictures (orgs) are left out. subset is the distortion; as
    LIVE publishes bit rates and filter widths but no levels, there are no faults.
    """
    places = [(folder, f"img{number}.bmp") for folder, count in _LIVE for number in range(1, count + 1)]
    columns = {
        "dmos_new": ("dmos_realigned.mat", "dmos_new"),
        "dmos_std": ("dmos_realigned.mat", "dmos_std"),
        "orgs": ("dmos_realigned.mat", "orgs"),
        "refnames_all": ("refnames_all.mat", "refnames_all"),
    }
    pristine = tree.pictures("refimgs")
    distorted = {folder: tree.pictures(folder) for folder, _ in _LIVE}
    rows = list(tree.arrays(columns))
    if len(rows) != len(places):
        raise SourceError(f"{tree.root / 'dmos_realigned.mat'}: {len(rows)} entries, expected {len(places)}")
    samples = []
    for (folder, name), row in zip(places, rows, strict=True):
        if row.number("orgs"):
            continue
        reference = row.text("refnames_all")
        samples.append(
            Sample(
                distorted[folder].find(name, row.place),
                row.mos("dmos_new", LIVE),
                row.std("dmos_std", LIVE),
                group=reference.lower(),
                reference=pristine.find(reference, row.place),
                subset=folder,
            )
        )
    return split_by_group(samples)


def _numbers(row: LabelRow, column: str, distortions: int) -> tuple[str, int, int]:
    """Parse a file name such as I01_02_3.bmp or I01_02_03.png into reference ("i01"), distortion number and level."""
    match = _NUMBERED.fullmatch(row.text(column))
    if match is None or not 1 <= int(match[2]) <= distortions:
        raise SourceError(f"{row.place}: {column} {row.text(column)!r} names no reference, distortion and level")
    return match[1].lower(), int(match[2]), int(match[3])


def _faults(name: str, kind: str | None, level: int) -> tuple[Fault, ...]:
    return (Fault(name, kind, level, FULL),) if kind is not None else ()
