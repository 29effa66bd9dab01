"""Rated data sets of others, read from the folders that their authors publish. None is part of Snellen.

Every set comes as samples with MOS 1 (bad) to 5 (excellent): a published scale is mapped linearly (`tree.Scale`),
difference scores are inverted, standard deviations are scaled alike. Splits are the official ones where there are
any, otherwise by reference (`split.split_by_group`). Importers say what they take in their docstrings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from snellen.data.sample import Sample, read_manifest
from snellen.data.sets import authentic, processed, synthetic
from snellen.data.sets.plain import read_csv
from snellen.data.sets.tree import Tree
from snellen.data.sources import SourceError, import_biq2021

__all__ = ["OFFICIAL_SPLITS", "SETS", "SourceError", "open_set", "parse_data_option", "read_csv"]


def _biq2021(tree: Tree) -> list[Sample]:
    return import_biq2021(tree.root)


SETS: dict[str, tuple[Callable[[Tree], list[Sample]], str]] = {
    "BIQ2021": (_biq2021, "https://github.com/nisarahmedrana/BIQ2021"),
    "KonIQ-10k": (
        authentic.koniq10k,
        "https://database.mmsp-kn.de/koniq-10k-database.html (the table of sets: https://github.com/subpic/koniq)",
    ),
    "SPAQ": (authentic.spaq, "https://github.com/h4nwei/SPAQ"),
    "KADID-10k": (synthetic.kadid10k, "https://database.mmsp-kn.de/kadid-10k-database.html"),
    "TID2013": (synthetic.tid2013, "https://www.ponomarenko.info/tid2013.htm"),
    "CSIQ": (synthetic.csiq, "https://s2.smu.edu/~eclarson/csiq.html"),
    "LIVE": (synthetic.live, "https://live.ece.utexas.edu/research/Quality/subjective.htm"),
    "LIVE-Challenge": (authentic.live_challenge, "https://live.ece.utexas.edu/research/ChallengeDB/index.html"),
    "PIPAL": (processed.pipal, "https://github.com/HaomingCai/PIPAL-dataset"),
    "AGIQA-3K": (processed.agiqa3k, "https://github.com/lcysyzxdxc/AGIQA-3k-Database"),
    "FLIVE": (authentic.flive, "https://github.com/baidut/PaQ-2-PiQ"),
    "CID2013": (authentic.cid2013, "https://zenodo.org/record/2647033"),
    "UHD-IQA": (authentic.uhd_iqa, "https://database.mmsp-kn.de/uhd-iqa-benchmark-database.html"),
}
"""The sets by name: the importer, and where the set is had."""

OFFICIAL_SPLITS = frozenset({"BIQ2021", "KonIQ-10k", "FLIVE", "UHD-IQA"})
"""The sets whose split is their authors'; that of the others is ours, by reference."""


def open_set(name: str, root: str | Path) -> list[Sample]:
    """The rated pictures of the set called `name` (see SETS; case and hyphens do not matter) in the folder `root`.

    SourceError for an unknown name, and for what is missing or cannot be read: it names the file and the row, and
    where the set is had.
    """
    known = _known(name)
    if known is None:
        raise SourceError(f"unknown data set {name!r}; use one of {', '.join(SETS)}")
    importer, where = SETS[known]
    return importer(Tree(known, where, Path(os.path.abspath(root))))


def parse_data_option(text: str) -> list[Sample]:
    """The samples that `NAME=ROOT` (a set and its folder), `manifest.jsonl` or `table.csv` stands for.

    The files of a manifest or table must be there. SourceError for text that is none of the three; ManifestError for
    a row that cannot be used; OSError for a file that cannot be opened.
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
    """The name in SETS that is the same but for case and hyphens."""
    return {_bare(known): known for known in SETS}.get(_bare(name))


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
