"""Rated data sets, read from the folders that their authors publish. No picture of them is part of Snellen.

A set becomes samples with MOS 1 (bad) to 5 (excellent): published scales are mapped linearly (`tree.Scale`), difference
scores are inverted, standard deviations are scaled alike. Splits are the official ones where they exist, otherwise by
reference (`split.split_by_group`).

To add a set: 1. write a function from `Tree` to samples in the file of its family (`authentic`, `synthetic`,
`processed`); 2. add a row to `SETS`; 3. add a miniature folder of it to tests/unit/test_sets.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snellen.data.sample import Sample, read_manifest
from snellen.data.sets import authentic, processed, synthetic
from snellen.data.sets.csv_table import read_csv
from snellen.data.sets.tree import SourceError, Tree

__all__ = ["SETS", "RatedSet", "SourceError", "open_set", "parse_data_option", "read_csv"]


@dataclass(frozen=True)
class RatedSet:
    """A data set that can be read. where: the address that it is published at."""

    read: Callable[[Tree], list[Sample]]
    where: str


SETS = {
    "BIQ2021": RatedSet(authentic.biq2021, "https://github.com/nisarahmedrana/BIQ2021"),
    "KonIQ-10k": RatedSet(
        authentic.koniq10k,
        "https://database.mmsp-kn.de/koniq-10k-database.html (its table: https://github.com/subpic/koniq)",
    ),
    "SPAQ": RatedSet(authentic.spaq, "https://github.com/h4nwei/SPAQ"),
    "KADID-10k": RatedSet(synthetic.kadid10k, "https://database.mmsp-kn.de/kadid-10k-database.html"),
    "TID2013": RatedSet(synthetic.tid2013, "https://www.ponomarenko.info/tid2013.htm"),
    "CSIQ": RatedSet(synthetic.csiq, "https://s2.smu.edu/~eclarson/csiq.html"),
    "LIVE": RatedSet(synthetic.live, "https://live.ece.utexas.edu/research/Quality/subjective.htm"),
    "LIVE-Challenge": RatedSet(authentic.live_challenge, "https://live.ece.utexas.edu/research/ChallengeDB/index.html"),
    "PIPAL": RatedSet(processed.pipal, "https://github.com/HaomingCai/PIPAL-dataset"),
    "AGIQA-3K": RatedSet(processed.agiqa3k, "https://github.com/lcysyzxdxc/AGIQA-3k-Database"),
    "FLIVE": RatedSet(authentic.flive, "https://github.com/baidut/PaQ-2-PiQ"),
    "CID2013": RatedSet(authentic.cid2013, "https://zenodo.org/record/2647033"),
    "UHD-IQA": RatedSet(authentic.uhd_iqa, "https://database.mmsp-kn.de/uhd-iqa-benchmark-database.html"),
}
"""The sets by name."""


def open_set(name: str, root: str | Path) -> list[Sample]:
    """Return the rated pictures of the set `name` (a key of SETS; case and hyphens are ignored) in the folder `root`.

    SourceError for an unknown name, and for what is missing or cannot be read: it names the file, the row, and the
    address that the set is published at.
    """
    known = _known(name)
    if known is None:
        raise SourceError(f"unknown data set {name!r}; use one of {', '.join(SETS)}")
    rated = SETS[known]
    return rated.read(Tree(known, rated.where, Path(os.path.abspath(root))))


def parse_data_option(text: str) -> list[Sample]:
    """Return the samples of `NAME=ROOT` (a set and its folder), of `manifest.jsonl` or of `table.csv`.

    The files of a manifest or table must exist. SourceError for text of none of the three forms; ManifestError for a
    row that cannot be used; OSError for a file that cannot be opened.
    """
    name, equals, root = text.partition("=")
    if equals and _known(name) is not None:
        return open_set(name, root)
    suffix = Path(text).suffix.lower()
    if suffix == ".jsonl":
        return read_manifest(text, check_files=True)
    if suffix == ".csv":
        return read_csv(text)
    raise SourceError(f"{text!r} is no data: give NAME=ROOT with one of {', '.join(SETS)}, or a .jsonl or .csv file")


def _known(name: str) -> str | None:
    """Return the key of SETS that equals `name` but for case, hyphens, underscores and spaces; None without one."""
    return {_bare(known): known for known in SETS}.get(_bare(name))


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
