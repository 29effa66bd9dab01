from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from snellen.data.known import (
    LOW_MOS,
    Known,
    cluster,
    conversation,
    crop_region,
    derived_issues,
    informative_region,
    score_only_answer,
    second_round,
    shows_at_first,
)
from snellen.data.sample import Fault
from snellen.features import CELLS, Feature, Features
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, Answer, Issue, Rationale, render_reply, to_grid
from snellen.vocabulary import KINDS

TYPICAL = {
    "sharpness": 0.55, "noise": 0.4, "blockiness": 0.4, "clipped_shadows": 0.0, "clipped_highlights": 0.0,
    "luminance": 0.45, "contrast": 0.21, "colorfulness": 36.0, "color_cast": 0.0, "color_cast_hue": 60.0,
}  # fmt: skip
CORNER = Region(0.1, 0.1, 0.4, 0.4)


def measured(**maps: float | np.ndarray) -> Features:
    """Features of a typical picture, with values or maps of your choice."""
    table = TYPICAL | maps
    cells = {name: np.array(np.broadcast_to(np.float32(value), (CELLS, CELLS))) for name, value in table.items()}
    return Features({name: Feature(float(c.mean()), "", (0.0, None)) for name, c in cells.items()}, cells)


def known(**changes: object) -> Known:
    return replace(Known(4.4, 4.3, measured()), **changes)  # type: ignore[arg-type]


def faulty(kind: str = "blur", level: int = 4, region: Region = CORNER, **changes: object) -> Known:
    return known(**{"label": 3.0, "first_rating": 3.1, "faults": (Fault("x", kind, level, region),)} | changes)


def rounds(one: Known, seed: int = 0) -> list[tuple[Rationale, Answer]]:
    return conversation(one, np.random.default_rng(seed))


def random_known(seed: int) -> Known:
    """Any picture: as found or made, clean or with any kind of fault, anywhere."""
    rng = np.random.default_rng(seed)
    label = float(rng.uniform(1, 5))
    first = float(np.clip(label + rng.normal(0, 0.5), 1, 5))
    real = bool(rng.random() < 0.4)
    faults = []
    for _ in range(0 if real else int(rng.integers(3))):
        (width, height), place = rng.uniform(0.15, 0.5, 2), rng.uniform(0, 1, 2)
        x, y = (float(v) for v in place * (1 - np.array([width, height])))
        region = FULL if rng.random() < 0.3 else Region(x, y, x + float(width), y + float(height))
        faults.append(Fault("x", KINDS[int(rng.integers(len(KINDS)))], int(rng.integers(1, 6)), region))
    weak = measured(sharpness=float(rng.uniform(0.25, 0.7)), noise=float(rng.gamma(1.0, 1.0)))
    return Known(label, first, weak, float(rng.uniform(0.2, 0.5)), tuple(faults), real)


def test_a_crop_is_asked_for_where_a_fault_is_local_or_the_first_view_unsure() -> None:
    assert len(rounds(known())) == 1
    assert len(rounds(faulty(region=FULL))) == 1
    assert len(rounds(faulty(region=CORNER))) == 2
    assert len(rounds(known(first_rating=4.0))) == 2
    assert len(rounds(known(first_std=0.6))) == 2


def test_ratings_go_from_the_prediction_to_the_label() -> None:
    (_, first), (text, last) = rounds(faulty(label=2.5, first_rating=3.4))
    assert (first.rating, last.rating) == (3.4, 2.5)
    assert (first.tool, last.tool) == ("crop", "final")
    assert "3.40" in text.decision
    only = rounds(known(label=4.4, first_rating=4.2))[0][1]
    assert (only.rating, only.tool) == (4.4, "final")


def test_the_last_round_lists_the_truth_and_the_first_is_at_most_one_severity_off() -> None:
    for seed in range(100):
        one = random_known(seed)
        written = rounds(one, seed)
        if len(written) == 2:
            assert written[1][1].issues == one.issues
        for listed in written[0][1].issues:
            off = [abs(true.severity - listed.severity) for true in one.issues if true.kind == listed.kind]
            assert min(off) <= (1 if one.unsure else 0)
        severities = [issue.severity for issue in written[0][1].issues]
        assert severities == sorted(severities, reverse=True)


def test_a_slight_fault_is_listed_in_the_second_round_only() -> None:
    assert not shows_at_first(Issue("blur", 1, FULL))
    assert shows_at_first(Issue("blur", 2, CORNER))
    (text, first), (later, last) = rounds(faulty("noise", 1))
    assert first.issues == () and not re.search("noise|grain", " ".join(text.sections))
    assert [issue.kind for issue in last.issues] == ["noise"]
    assert re.search("slight (noise|grain)", later.summary.lower())


def test_the_same_generator_writes_the_same_conversation() -> None:
    one = faulty(first_rating=3.6)
    assert rounds(one, 1) == rounds(one, 1)
    assert rounds(one, 1) != rounds(one, 2)


def test_the_crop_holds_the_fault_with_a_margin() -> None:
    for seed in range(20):
        crop = crop_region(faulty(), np.random.default_rng(seed))
        assert crop.covers(CORNER) == pytest.approx(1.0)
        assert 0.32 <= crop.width <= 0.40


def test_without_a_local_fault_the_crop_goes_where_there_is_detail() -> None:
    cells = np.full((CELLS, CELLS), 0.2)
    cells[6:9, 1:4] = 0.4
    crop = crop_region(known(measured=measured(contrast=cells), first_rating=3.5), np.random.default_rng(0))
    assert crop.covers(Region(0.1, 0.6, 0.4, 0.9)) > 0.9
    assert 0.34 <= crop.width <= 0.61


def test_a_second_round_withdraws_a_fault_that_is_not_there() -> None:
    first = Answer(CORNER, 3.2, "crop", (Issue("noise", 3, CORNER),))
    text, answer = second_round(known(label=4.5), first)
    assert answer == Answer(None, 4.5, "final")
    assert re.search("noise|grain", text.summary.lower()) and "confirm" in text.summary
    assert "3.20" in text.decision and re.search("goes up clearly|rises clearly|much higher", text.decision)


def test_a_second_round_reveals_a_fault_that_the_first_missed() -> None:
    text, answer = second_round(faulty(level=4), Answer(CORNER, 4.4, "crop"))
    assert [issue.kind for issue in answer.issues] == ["blur"]
    assert re.search("reveals|uncovers|brings out|appears|comes to light", text.summary)


def test_a_second_round_needs_a_crop() -> None:
    with pytest.raises(ValueError, match="asks for a crop"):
        second_round(faulty(), Answer(None, 3.0, "final"))


def test_a_score_only_answer_is_final_and_lists_what_is_plain() -> None:
    answer = score_only_answer(faulty(level=4, label=2.7))
    assert (answer.rating, answer.tool, answer.region) == (2.7, "final", None)
    assert [(issue.kind, issue.severity) for issue in answer.issues] == [("blur", 4)]
    assert render_reply(None, answer, 1).startswith(RATING_PREFIX)
    assert score_only_answer(faulty(level=2)).issues == ()
    assert len(score_only_answer(faulty(level=2, region=FULL)).issues) == 1


def test_boxes_are_on_the_grid_of_two_decimals() -> None:
    for seed in range(20):
        one = random_known(seed)
        assert all(issue.region == to_grid(issue.region) for issue in one.issues)
        assert all(answer.region in (None, to_grid(answer.region or FULL)) for _, answer in rounds(one, seed))


def test_pictures_as_found_get_issues_from_measurements_only_where_rated_low() -> None:
    soft = measured(sharpness=0.3)
    assert [issue.kind for issue in known(real=True, label=2.0, measured=soft).issues] == ["blur"]
    assert known(real=True, label=4.0, measured=soft).issues == ()
    assert known(real=True, label=2.0).issues == ()
    assert faulty(real=True, label=4.0).issues == ()


def test_what_is_known_is_checked() -> None:
    with pytest.raises(ValueError, match="label 5.5"):
        known(label=5.5)
    with pytest.raises(ValueError, match="first_rating 0.5"):
        known(first_rating=0.5)


def test_derived_issues_follow_measurement_and_mos() -> None:
    soft = measured(sharpness=0.3, blockiness=0.86, contrast=0.2, luminance=0.5)
    found = derived_issues(soft, 2.1)
    # Blur is further beyond its threshold than compression; (4.2 - 2.1) / 0.7 = 3, one less for the second.
    assert found == (Issue("blur", 3, FULL), Issue("compression", 2, FULL))
    assert derived_issues(soft, 1.0)[0].severity == 5
    assert derived_issues(soft, LOW_MOS) == ()
    assert derived_issues(measured(sharpness=0.6, contrast=0.2, luminance=0.5), 1.5) == ()


def test_a_cluster_of_bad_cells_gives_the_box() -> None:
    bad = np.zeros((CELLS, CELLS), dtype=bool)
    bad[1:4, 2:5] = True
    bad[8, 8] = True
    assert cluster(bad) == Region(0.2, 0.1, 0.5, 0.4)
    bad[:, :] = False
    bad[0, :5] = True
    assert cluster(bad) == FULL  # five cells are content, not a place
    bad[:8] = True
    assert cluster(bad) == FULL  # most of the picture


def test_the_informative_region_has_the_highest_contrast() -> None:
    cells = np.full((CELLS, CELLS), 0.05, np.float32)
    cells[7:, :3] = 0.3
    region = informative_region(measured(contrast=cells), np.random.default_rng(1))
    assert region.covers(Region(0.0, 0.7, 0.3, 1.0)) > 0.9
