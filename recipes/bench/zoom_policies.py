"""Compare four zoom policies on large photographs with labelled faults.

python recipes/bench/zoom_policies.py ROOT --out rows.jsonl

ROOT holds the photographs of src/snellen/data/labels/large_photographs.csv, each at its repository's path in any
folder below it; files are known by their SHA-256. Every photograph is assessed by snellen-1 under four policies that
share the first view: never a crop, the rule that ships, always a crop of the strongest finding's box (the middle where
the finding is of the whole), and always a crop of half the width and height at a random place. Rows are appended, so
that a run can be continued; then tables are printed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.assessor import Assessor
from snellen.backend import Conversation
from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import FOLDER, MINDED, FaultLabel, labels_of
from snellen.evaluate.modes import SharedFirstRound
from snellen.evaluate.stats.bootstrap import mean_interval
from snellen.evaluate.stats.correlation import srcc
from snellen.evaluate.stats.fault_agreement import Agreement, agreement
from snellen.evaluate.stats.probabilities import auc
from snellen.evaluate.suites.real_faults import CONSTANT, measures
from snellen.image import load
from snellen.region import LOCAL_AREA, Region
from snellen.reply import Issue
from snellen.snellen1.layout import Decision

NEVER, RULE, ALWAYS, RANDOM = "never", "rule", "always, strongest finding", "always, random place"
POLICIES = (NEVER, RULE, ALWAYS, RANDOM)
MIDDLE = Region(0.25, 0.25, 0.75, 0.75)


class PolicyBackend(Snellen1Backend):
    """snellen-1 with another policy in the first round. policy: one of POLICIES."""

    policy = RULE

    def decide(self, conversation: Conversation) -> Decision:
        """See `Snellen1Backend.decide`."""
        view = conversation[0].views[0]
        if self.policy == RULE or len(conversation) > 1:
            return super().decide(conversation)
        if self.policy == NEVER:
            return Decision("final")
        if self.policy == ALWAYS:
            box = self.view_features(view).box
            return Decision("crop", box if 0 < box.area < LOCAL_AREA else MIDDLE)
        x, y = np.random.default_rng(zlib.crc32(view.picture.name.encode())).uniform(0, 0.5, 2)
        return Decision("crop", Region(float(x), float(y), float(x) + 0.5, float(y) + 0.5))


def assess(backend: PolicyBackend, file: Path, name: str) -> dict[str, Any]:
    """Assess one photograph under all policies."""
    picture = load(str(file), name=name)
    shared = SharedFirstRound(backend)
    assessor, policies = Assessor(shared), {}
    for policy in POLICIES:
        backend.policy = policy
        shared.replies.clear()
        found = assessor.assess([picture])[0]
        policies[policy] = {
            "score": found.score,
            "crop": found.steps[1].region.to_list() if len(found.steps) > 1 else None,
            "issues": [[one.kind, one.severity, one.region.to_list()] for one in found.issues],
        }
    return {"picture": name, "policies": policies}


def found_files(root: Path) -> dict[str, Path]:
    """Return the photographs of the table that are below `root`, by name."""
    with (FOLDER / "large_photographs.csv").open(encoding="utf-8", newline="") as file:
        wanted = {row["picture"]: row["sha256"] for row in csv.DictReader(file)}
    candidates = [file for file in sorted(root.rglob("*")) if file.name in wanted and file.is_file()]
    return {
        file.name: file for file in candidates if hashlib.sha256(file.read_bytes()).hexdigest() == wanted[file.name]
    }


def print_tables(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Sequence[FaultLabel]]) -> None:
    """Print the measures of policies and constant list, on all photographs and on those with local faults."""
    local = [row for row in rows if any(map(is_local, labels[row["picture"]][0].faults))]
    for title, some in (("all", rows), ("with a local fault", local)):
        print(f"\n{title}: {len(some)} photographs\n")
        print("| policy | crops | named | named, minus never | borne out, strict | false alarms | SRCC | minus never |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for cells in _lines(some, labels):
            print(f"| {' | '.join(cells)} |")
    areas = [Region(*crop).area for row in rows if (crop := row["policies"][RULE]["crop"]) is not None]
    errors = np.array([abs(row["policies"][NEVER]["score"] - labels[row["picture"]][0].overall) for row in rows])
    large = errors > np.quantile(errors, 0.75)
    zoomed = np.array([row["policies"][RULE]["crop"] is not None for row in rows], float)
    print(f"\nThe rule's crops: median area {np.median(areas):.2f}")
    print(f"Whether it zooms, as a sign of the largest quarter of first-round errors: AUC {auc(zoomed, large):.2f}")


def _lines(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Sequence[FaultLabel]]) -> list[list[str]]:
    """Cells of one table: a line for each policy, and one for the constant list."""
    overall = np.array([labels[row["picture"]][0].overall for row in rows])
    scores = {policy: np.array([row["policies"][policy]["score"] for row in rows]) for policy in POLICIES}
    outcomes = {policy: [_agreement(row, policy, labels) for row in rows] for policy in POLICIES}
    lines = []
    for policy in POLICIES:
        pairs = zip(outcomes[policy], outcomes[NEVER], strict=True)
        gained = mean_interval([float(bool(a.named)) - float(bool(b.named)) for a, b in pairs if a.named is not None])
        found = measures(outcomes[policy])
        crops = np.mean([row["policies"][policy]["crop"] is not None for row in rows])
        shares = [found["named"], gained, found["borne out, strict"], found["false alarms"]]
        rank = f"{srcc(scores[policy], overall):.3f}"
        lines.append(
            [policy, f"{crops:.0%}", *map(_percent, shares), rank, _gain(scores[policy], scores[NEVER], overall)]
        )
    constant = measures([agreement(CONSTANT, labels[row["picture"]]) for row in rows])
    return [
        *lines,
        ["constant list", "", _percent(constant["named"]), "", _percent(constant["borne out, strict"]), "", "", ""],
    ]


def is_local(fault: Issue) -> bool:
    """Return whether a labelled fault counts and is confined to a part of the picture."""
    return fault.severity >= MINDED and fault.region.area < LOCAL_AREA


def _agreement(row: Mapping[str, Any], policy: str, labels: Mapping[str, Sequence[FaultLabel]]) -> Agreement:
    listed = row["policies"][policy]["issues"]
    return agreement([Issue(kind, severity, Region(*box)) for kind, severity, box in listed], labels[row["picture"]])


def _percent(estimate: Sequence[float]) -> str:
    return "" if np.isnan(estimate[0]) else "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * value for value in estimate))


def _gain(scores: Any, never: Any, overall: Any, draws: int = 1000) -> str:
    """Paired bootstrap 95 % interval of the difference in rank correlation."""
    rng = np.random.default_rng(0)
    picks = (rng.integers(0, len(overall), len(overall)) for _ in range(draws))
    gains = [srcc(scores[pick], overall[pick]) - srcc(never[pick], overall[pick]) for pick in picks]
    return "[{:.3f}, {:.3f}]".format(*np.quantile(gains, [0.025, 0.975]))


def main() -> None:
    """Assess the photographs that are not in the file yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder with the photographs")
    parser.add_argument("--out", type=Path, required=True, help="rows, JSON lines; continued where it exists")
    parser.add_argument("--model", type=Path, help="folder of a model of snellen-1's architecture (default: snellen-1)")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    files, backend = found_files(args.root), PolicyBackend(args.model)
    with args.out.open("a", encoding="utf-8") as out:
        for name in sorted(files.keys() - {row["picture"] for row in rows}):
            rows.append(assess(backend, files[name], name))
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()
    print_tables(rows, labels_of("large_photographs"))


if __name__ == "__main__":
    main()
