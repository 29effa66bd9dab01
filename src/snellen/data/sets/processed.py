"""Pictures that algorithms restored or generated: PIPAL, AGIQA-3K."""

from __future__ import annotations

import os

from snellen.data.sample import Sample
from snellen.data.sets.split import split_by_group
from snellen.data.sets.tree import Scale, SourceError, Tree

PIPAL_ELO = Scale(900, 1850)
AGIQA3K = Scale(0, 5)

AGIQA3K_RATERS = 21  # for each picture

# PIPAL's two digits; the names are of the paper's table of distortions, matched by how many variants each one has.
_PIPAL = {
    "00": "traditional super-resolution",
    "01": "PSNR-oriented super-resolution",
    "02": "super-resolution with kernel mismatch",
    "03": "GAN-based super-resolution",
    "04": "denoising",
    "05": "super-resolution and denoising",
    "06": "traditional distortions",
}


def pipal(tree: Tree) -> list[Sample]:
    """PIPAL (Gu et al., ECCV 2020), its rated training part: `Train_Label/A0001.txt` and so on, `Train_Ref/`,
    `Distortion_1/` to `Distortion_4/`.

    The score is an Elo rating without natural ends. It runs from 917 to 1836; 900..1850 is mapped. So this MOS orders
    the pictures of PIPAL, but is not comparable to that of other sets. subset is the kind of algorithm.
    """
    labels = tree.pictures("Train_Label")
    pristine = tree.pictures("Train_Ref")
    distorted = tree.pictures(*(f"Distortion_{part}" for part in range(1, 5)))
    samples = []
    for name in sorted(labels.files):
        if not name.endswith(".txt"):
            continue
        file = os.path.basename(labels.files[name])
        reference = file.removesuffix(".txt")
        for row in tree.table("Train_Label", file, columns=["name", "Elo"], header=False):
            parts = row.text("name").split("_")
            if len(parts) != 3 or parts[1] not in _PIPAL:
                raise SourceError(f"{row.place}: {row.text('name')!r} is not like A0001_00_00.bmp")
            samples.append(
                Sample(
                    distorted.find(row.text("name"), row.place),
                    row.mos("Elo", PIPAL_ELO),
                    group=reference,
                    reference=pristine.find(f"{reference}.bmp", row.place),
                    subset=_PIPAL[parts[1]],
                )
            )
    return split_by_group(samples)


def agiqa3k(tree: Tree) -> list[Sample]:
    """AGIQA-3K (Li et al., IEEE TCSVT 2023): `data.csv` and the pictures, beside it or in `images/`.

    mos_quality 0..5 with std_quality, of 21 people. mos_align rates how well the picture fits the prompt; it is not
    read. subset is the generator, group the prompt. No official split; ours is by prompt.
    """
    pictures = tree.pictures("", "images", "Images")
    samples = []
    for row in tree.table("data.csv", columns=["name", "prompt", "mos_quality", "std_quality"]):
        name = row.text("name")
        samples.append(
            Sample(
                pictures.find(name, row.place),
                row.mos("mos_quality", AGIQA3K),
                row.std("std_quality", AGIQA3K),
                AGIQA3K_RATERS,
                group=row.text("prompt"),
                subset=name.split("_")[0],
            )
        )
    return split_by_group(samples)
