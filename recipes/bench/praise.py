"""Measure how often replies praise what a rater finds fault with.

python recipes/bench/praise.py FOLDER --part check

FOLDER holds BIQ2021's pictures. snellen-1 assesses those of a part of the fault labels. A strength counts as praised
where the summary of the last round names it, and as contradicted where a rater minds a fault of a kind
that spoils it (`snellen.rationale.evidence.SPOILS`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import PARTS, labels_of
from snellen.evaluate.report.tables import percent
from snellen.evaluate.stats.bootstrap import share
from snellen.rationale.evidence import SPOILS
from snellen.rationale.lexicon import STRENGTHS, wordings
from snellen.reply import Rationale

WORDS = {key: wordings(words.clause) for key, words in STRENGTHS.items()}


def praised(text: Rationale) -> set[str]:
    """Return the strengths that a summary names."""
    told = text.summary.lower()
    return {key for key, words in WORDS.items() if any(" ".join(one.split()) in told for one in words)}


def main() -> None:
    """Assess the photographs of the part and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with BIQ2021's pictures")
    parser.add_argument("--part", choices=PARTS, default="check", help="part of the labels")
    parser.add_argument("--pictures", type=int, help="only so many, the first ones")
    args = parser.parse_args()
    labels = dict(list(labels_of("biq2021", args.part).items())[: args.pictures])
    contradicted: list[bool] = []  # of each praise, whether it is contradicted
    by_strength: dict[str, Counter[bool]] = {key: Counter() for key in STRENGTHS}
    bare: list[bool] = []
    assessor = Assessor(Snellen1Backend())
    for assessment in assessor.stream(args.folder / name for name in labels):
        parsed = assessment.steps[-1].parsed
        assert parsed is not None and parsed.rationale is not None, assessment.error
        raters = labels[Path(assessment.name).name]
        spoilt = {key for rater in raters for fault in rater.minded for key in SPOILS[fault.kind]}
        found = praised(parsed.rationale)
        for key in found:
            contradicted.append(key in spoilt)
            by_strength[key][key in spoilt] += 1
        if not assessment.issues:
            bare.append(not found)
    print(f"{len(labels)} photographs, {len(contradicted)} strengths praised")
    print(f"contradicted by a rater: {percent(share(contradicted))}")
    for key, counts in by_strength.items():
        print(f"  {key}: {counts[True]} of {counts.total()}")
    print(f"{len(bare)} replies without an issue, of them without any praise: {percent(share(bare))}")


if __name__ == "__main__":
    main()
