# mypy: disable-error-code="comparison-overlap"
"""Labels of real photographs, and how listed faults are compared with them: values worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.data.fault_labels import PARTS, SETS, FaultLabel, by_picture, labels_of, read_labels
from snellen.evaluate.stats.fault_agreement import agreement
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.vocabulary import KINDS

PART = Region(0.5, 0.5, 1.0, 1.0)


def label(*faults: tuple[str, int], debatable: tuple[str, ...] = (), region: Region = FULL) -> FaultLabel:
    issues = tuple(Issue(kind, severity, region) for kind, severity in faults)
    return FaultLabel("a.jpg", 1, "dev", 3.0, issues, frozenset(debatable), "")


def listed(*faults: tuple[str, int], region: Region = FULL) -> list[Issue]:
    return [Issue(kind, severity, region) for kind, severity in faults]


def test_the_labels_of_the_package_can_be_read_and_are_as_the_readme_says() -> None:
    counts = {name: (len(labels_of(name)), sum(map(len, labels_of(name).values()))) for name in SETS}
    assert counts == {"biq2021": (2772, 3096), "live_challenge": (580, 580), "large_photographs": (151, 151)}
    dev = labels_of("biq2021", "dev")
    assert len(dev) == 160 and all(len(raters) == 2 for raters in dev.values())
    parts = [labels_of("biq2021", part).keys() for part in PARTS]
    assert [len(part) for part in parts] == [1760, 160, 852] and len(set().union(*parts)) == 2772
    assert sum(len(raters) == 2 for raters in labels_of("biq2021", "check").values()) == 164
    assert labels_of("large_photographs") == labels_of("large_photographs", "check")
    assert all(fault.kind in KINDS for raters in dev.values() for rater in raters for fault in rater.faults)


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text('{"picture": "a.jpg"}\n')
    with pytest.raises(ValueError, match=r"labels\.jsonl, line 1: not a fault label"):
        read_labels(file)


def test_main_fault_named_and_first() -> None:
    raters = [label(("noise", 4), ("blur", 2)), label(("underexposure", 3))]
    found = agreement(listed(("blur", 2), ("noise", 3)), raters)
    assert found.named is True and found.first is False and found.alarm is None
    assert agreement(listed(("underexposure", 2)), raters).first is True
    assert agreement(listed(("blur", 2)), raters).named is False, "it is nobody's main fault"
    assert agreement([], raters).named is False


def test_motion_blur_counts_as_blur_and_once() -> None:
    raters = [label(("motion blur", 4))]
    found = agreement(listed(("blur", 2), ("motion blur", 4), ("noise", 1)), raters)
    assert found.listed_kinds == ("blur", "noise") and found.first is True


def test_only_the_first_three_listed_count() -> None:
    raters = [label(("banding", 3))]
    assert agreement(listed(("blur", 2), ("noise", 2), ("saturation", 2), ("banding", 3)), raters).named is False


def test_borne_out_lenient_and_strict() -> None:
    raters = [label(("noise", 3), ("blur", 1), debatable=("banding", "saturation")), label(debatable=("banding",))]
    found = agreement(listed(("noise", 3), ("blur", 2), ("banding", 2)), raters)
    assert found.lenient == (True, True, True), "listed; listed as just visible; debatable for both"
    assert found.strict == (True, False, False)
    assert agreement(listed(("saturation", 2)), raters).lenient == (False,), "debatable for one only"
    assert found.named is None and found.alarm is None, "one rater minds a fault, one does not"


def test_an_alarm_is_something_listed_where_nobody_minds_a_fault() -> None:
    raters = [label(("noise", 1)), label()]
    assert agreement(listed(("noise", 2)), raters).alarm is True
    assert agreement([], raters).alarm is False


def test_severities_and_boxes_of_kinds_named_rightly() -> None:
    raters = [label(("noise", 4), region=PART), label(("noise", 3), region=PART)]
    found = agreement(listed(("noise", 2), ("blur", 5), region=Region(0.5, 0.5, 1.0, 0.75)), raters)
    assert found.severities == ((2.0, 3.5),)
    assert list(found.ious) == pytest.approx([0.5])
    whole = agreement(listed(("noise", 2)), [label(("noise", 4)), label(("noise", 3), region=PART)])
    assert whole.ious == (), "not local for both"


def test_labels_are_grouped_by_picture() -> None:
    assert {name: len(raters) for name, raters in by_picture([label(), label()]).items()} == {"a.jpg": 2}
