"""Conversations from fault labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.cli import main
from snellen.data.sample import ManifestError, Sample, write_manifest
from snellen.data.teacher_labels import build_from_labels, fits, unmeasured
from snellen.rationale.evidence import evidence, strengths, traits
from snellen.region import FULL, Region
from snellen.reply import parse_reply
from snellen.vocabulary import KINDS

WHY = "Red boat crisp in the middle, sky washed to white."
LABELS: list[dict[str, Any]] = [
    {
        "picture": "boat.png", "rater": 1, "part": "train", "overall": 2.5, "ok": [], "why": WHY,
        "faults": [{"kind": "overexposure", "severity": 4, "box": [0.0, 0.0, 1.0, 0.4]},
                   {"kind": "noise", "severity": 1, "box": "whole"}],
    },
    {"picture": "wood.png", "rater": 2, "part": "dev", "overall": 4.5, "ok": [], "faults": [],
     "why": "Old door, wood grain crisp."},
]  # fmt: skip


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in LABELS))
    return file


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_label_becomes_a_conversation_of_its_kinds_boxes_severities_and_why(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert build_from_labels(str(labels), out, score_only_share=0.0) == 2
    boat, door = rows(out)
    assert (boat["path"], boat["split"], boat["mos"]) == ("boat.png", "train", 2.5)
    assert door["split"] == "val" and door["teacher"] == {"labels": "labels", "rater": 2}
    first, last = (parse_reply(one["reply"], number) for number, one in enumerate(boat["rounds"], 1))
    for parsed in (first, last):
        assert parsed.answer.rating == 2.5
        assert [(one.kind, one.severity, one.region) for one in parsed.answer.issues] == [
            ("overexposure", 4, Region(0.0, 0.0, 1.0, 0.4))
        ], "severity 1 is not minded"
    assert first.rationale is not None and first.rationale.summary.startswith(WHY + " ")
    assert first.answer.tool == "crop" and boat["rounds"][1]["region"] == first.answer.region.to_list()  # type: ignore[union-attr]
    assert first.answer.region.covers(Region(0.0, 0.0, 1.0, 0.4)) > 0.99  # type: ignore[union-attr]
    only = parse_reply(door["rounds"][0]["reply"], 1)
    assert only.answer.tool == "final" and only.answer.issues == ()
    assert only.rationale is not None and "grain" not in only.rationale.summary, "grain would say noise"


def test_only_a_why_that_names_no_other_kind_opens_a_summary(labels: Path) -> None:
    from snellen.data.fault_labels import read_labels

    boat, door = read_labels(labels)
    assert fits(WHY, boat)
    assert fits("Noise in the sky.", boat), "listed, if only just visible"
    assert not fits("Soft BLUR in the sky.", boat)
    assert not fits("Wood grain crisp.", door)
    assert not fits("No full stop", boat)
    assert not fits("A tag <answer> in it.", boat)


def test_nothing_is_claimed_of_what_nobody_measured() -> None:
    nothing = unmeasured()
    for region in (FULL, Region(0.1, 0.1, 0.4, 0.5)):
        assert strengths(nothing, (), region) == [] and traits(nothing, region) == []
        assert all(evidence(kind, region, nothing) == [] for kind in KINDS)


def test_with_a_manifest_the_mos_is_the_picture_s_and_the_text_measures_it(labels: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("boat", "wood", "other"):
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    samples = [Sample(str(tmp_path / f"{name}.png"), mos=3.3) for name in ("other", "boat", "wood")]
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(samples, manifest)
    out = tmp_path / "out.jsonl"
    code = main(["data", "build", str(manifest), "--teacher", f"labels:{labels}", "--out", str(out), "--quiet"])
    found = rows(out)
    assert code == 0 and {Path(row["path"]).name for row in found} == {"boat.png", "wood.png"}
    assert all(row["rounds"][-1]["rating"] == 3.3 and row["size"] == [128, 96] for row in found)
    page = tmp_path / "page.html"
    assert main(["data", "show", "9", str(out), "--out", str(page)]) == 0
    assert WHY in page.read_text()

    write_manifest([Sample(str(tmp_path / "boat.png"), mos=3.3, split="test")], manifest)
    with pytest.raises(ManifestError, match="test split"):
        build_from_labels(str(labels), out, [manifest])
    write_manifest([Sample(str(tmp_path / "other.png"), mos=3.3)], manifest)
    with pytest.raises(ManifestError, match="no picture of the manifests has a label"):
        build_from_labels(str(labels), out, [manifest])


def test_a_wrong_teacher_or_no_manifest_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.jsonl")
    assert main(["data", "build", "--out", out]) == 2
    assert "name a manifest" in capsys.readouterr().err
    assert main(["data", "build", "--teacher", "labels:", "--out", out]) == 2
    assert main(["data", "build", "--teacher", f"labels:{tmp_path / 'none.jsonl'}", "--out", out]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_the_set_in_the_package_is_as_its_datasheet_counts_it(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert build_from_labels("live_challenge", out) == 580 + 133
    text = [row for row in rows(out) if "<think></think>" not in row["rounds"][0]["reply"]]
    last = [parse_reply(row["rounds"][-1]["reply"], len(row["rounds"])).answer for row in text]
    found = [issue for answer in last for issue in answer.issues]
    assert len(text) == 580 and sum(len(row["rounds"]) == 2 for row in text) == 280
    assert sum(not answer.issues for answer in last) == 129
    assert (len(found), sum(issue.region.area < 0.6 for issue in found)) == (789, 338)
    assert [sum(issue.severity == level for issue in found) for level in (1, 2, 3, 4, 5)] == [0, 501, 208, 67, 13]
