"""Photographs with authentic distortions: BIQ2021, KonIQ-10k, SPAQ, LIVE in the Wild, FLIVE, CID2013, UHD-IQA."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snellen.data.sample import Sample
from snellen.data.sets.duplicates import dhash, near_duplicate_groups
from snellen.data.sets.split import split_by_group
from snellen.data.sets.tree import Pictures, Scale, SourceError, Tree

OPINION = Scale(1, 5)
SHARE = Scale(0, 1)
PERCENT = Scale(0, 100)
CID2013_REALIGNED = Scale(-10, 100)

SPLITS = {"training": "train", "validation": "val", "test": "test"}
ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}
BIQ2021_RATERS = 30  # per picture (its README)
UHD_IQA_RATINGS = 20  # ten experts, twice each


def biq2021(tree: Tree) -> list[Sample]:
    """BIQ2021 (Ahmed and Asif 2022): `Images/`, `Train (Images and MOS).csv`, `Test (Images and MOS).csv`.

    MOS 0..1, official split. group is shared by near-duplicates (`near_duplicate_groups`): some scenes lie in both
    splits, see `leak_free`. subset is ss01, ss02 or ss03. Decodes every picture once, half a minute on one core.
    """
    pictures = tree.pictures("Images")
    samples = []
    for split, table in (("train", "Train (Images and MOS).csv"), ("test", "Test (Images and MOS).csv")):
        for row in tree.table(table, columns=["Image Name", "MOS"]):
            name = row.text("Image Name")
            path, mos = pictures.find(name, row.place), row.mos("MOS", SHARE)
            samples.append(Sample(path, mos, n=BIQ2021_RATERS, split=split, subset=name.split(" ")[0]))
    groups = near_duplicate_groups(np.array([dhash(sample.path) for sample in samples], dtype=np.uint64))
    return [replace(sample, group=f"g{group:05d}") for sample, group in zip(samples, groups.tolist(), strict=True)]


def koniq10k(tree: Tree) -> list[Sample]:
    """KonIQ-10k (Hosu, Lin, Sziranyi, Saupe, IEEE TIP 2020): `1024x768/`, `koniq10k_distributions_sets.csv`.

    The table is from the authors' code repository (folder metadata), which has the official split. MOS is the mean of
    the five answers, 1 c1 + ... + 5 c5, on the scale that people used; not the column MOS, which is rescaled per
    person to 0..100. n is c_total, std is SD.
    """
    shares = [f"c{answer}" for answer in range(1, 6)]
    pictures = tree.pictures("1024x768")
    samples = []
    for row in tree.table("koniq10k_distributions_sets.csv", columns=["image_name", *shares, "c_total", "SD", "set"]):
        mean = sum(answer * row.number(share) for answer, share in enumerate(shares, 1))
        samples.append(
            Sample(
                pictures.find(row.text("image_name"), row.place),
                row.scaled(OPINION, round(mean, 6), "c1..c5"),
                row.std("SD", OPINION),
                row.whole("c_total"),
                row.choice("set", SPLITS),
            )
        )
    return samples


def spaq(tree: Tree) -> list[Sample]:
    """SPAQ (Fang, Zhu, Zeng, Ma, Wang, CVPR 2020): `TestImage/`, `Annotations/MOS and Image attribute scores.xlsx`.

    MOS 0..100. No official split.
    """
    pictures = tree.pictures("TestImage")
    table = tree.table("Annotations", "MOS and Image attribute scores.xlsx", columns=["Image name", "MOS"])
    return split_by_group(
        [Sample(pictures.find(row.text("Image name"), row.place), row.mos("MOS", PERCENT)) for row in table]
    )


def live_challenge(tree: Tree) -> list[Sample]:
    """LIVE in the Wild (Ghadiyaram and Bovik, IEEE TIP 2016), the folder ChallengeDB_release: `Data/`, `Images/`.

    MOS 0..100 with std. The first seven pictures, t1 to t7, trained the raters and are left out, as is usual. No
    official split.
    """
    columns = {
        "name": ("Data/AllImages_release.mat", "AllImages_release"),
        "MOS": ("Data/AllMOS_release.mat", "AllMOS_release"),
        "StdDev": ("Data/AllStdDev_release.mat", "AllStdDev_release"),
    }
    pictures = tree.pictures("Images")
    rated = [row for row in tree.arrays(columns) if not row.text("name").startswith("t")]
    return split_by_group(
        [
            Sample(pictures.find(row.text("name"), row.place), row.mos("MOS", PERCENT), row.std("StdDev", PERCENT))
            for row in rated
        ]
    )


def flive(tree: Tree) -> list[Sample]:
    """FLIVE, the set of PaQ-2-PiQ (Ying et al., CVPR 2020): `database/` with the pictures' folders and the tables.

    MOS 0..100 of the whole pictures in `labels_image.csv`; the patches are left out. Official
    test set: `labels640.csv` (the pictures longer than 640 px); official val set: is_valid in
    `labels=640_padded.csv`; the rest is train. subset is the folder, named after the set that the picture comes from.
    """
    test = {row.text("name_image") for row in tree.table("database", "labels640.csv", columns=["name_image"])}
    padded = tree.table("database", "labels=640_padded.csv", columns=["name_image", "is_valid"])
    val = {row.text("name_image") for row in padded if row.text("is_valid") == "True"}
    folders: dict[str, Pictures] = {}
    samples = []
    for row in tree.table("database", "labels_image.csv", columns=["name", "mos"]):
        folder, _, name = row.text("name").rpartition("/")
        if folder not in folders:
            folders[folder] = tree.pictures(f"database/{folder}")
        split = "test" if row.text("name") in test else "val" if row.text("name") in val else "train"
        path = folders[folder].find(name, row.place)
        samples.append(Sample(path, row.mos("mos", PERCENT), split=split, subset=folder))
    return samples


def cid2013(tree: Tree) -> list[Sample]:
    """CID2013 (Virtanen et al., IEEE TIP 2015): `IS1/co1/IS_I_C01_D01.jpg` and so on, and the workbook of scores.

    MOS is "Realigned MOS" of the sheet "CID2013 MOS", which puts the six image sets on one scale. It runs from -9.5 to
    87.9; -10..100 is mapped. subset is the image set. group is the scene (C01 to C08 are the same eight places in all
    sets). No official split; ours is by scene.
    """
    book = "CID2013 data - version 12112014.xlsx"
    samples = []
    for row in tree.table(book, columns=["Source_ID", "Realigned MOS"], sheet="CID2013 MOS"):
        source = row.text("Source_ID")
        parts = source.split("_")
        if len(parts) != 4 or parts[1] not in ROMAN or not parts[2][1:].isdigit():
            raise SourceError(f"{row.place}: Source_ID {source!r} is not like IS_I_C01_D01")
        subset = f"IS{ROMAN[parts[1]]}"
        pictures = tree.pictures(f"{subset}/co{int(parts[2][1:])}")
        path = pictures.find(f"{source}.jpg", row.place)
        samples.append(Sample(path, row.mos("Realigned MOS", CID2013_REALIGNED), group=parts[2], subset=subset))
    return split_by_group(samples)


def uhd_iqa(tree: Tree) -> list[Sample]:
    """UHD-IQA (Hosu et al., 2024): `training/`, `validation/`, `test/`, `uhd-iqa-metadata.csv`.

    quality_mos 0..1, the mean of 20 ratings. Official split: the column set; subset as published.
    """
    pictures = {split: tree.pictures(folder) for folder, split in SPLITS.items()}
    samples = []
    for row in tree.table("uhd-iqa-metadata.csv", columns=["image_name", "quality_mos", "set", "subset"]):
        split = row.choice("set", SPLITS)
        path = pictures[split].find(row.text("image_name"), row.place)
        subset = str(row.cells["subset"] or "")
        samples.append(Sample(path, row.mos("quality_mos", SHARE), n=UHD_IQA_RATINGS, split=split, subset=subset))
    return samples
