from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from snellen.data.distort import distort
from snellen.features import CELLS, Feature, Features, measure
from snellen.rationale.evidence import (
    evidence,
    inside,
    outside,
    strengths,
    tint,
    traits,
)
from snellen.region import FULL, Region

PART = Region(0.3, 0.3, 0.7, 0.7)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """650 x 650 px with edges off the 8-px grid everywhere, hardly any noise and balanced light."""
    rng = np.random.default_rng(5)
    squares = Image.fromarray(rng.integers(70, 190, (50, 50, 3), dtype=np.uint8)).resize((650, 650), 0)
    return np.clip(np.asarray(squares) + rng.normal(0, 0.3, (650, 650, 3)), 0, 255).astype(np.uint8)


def measured(**maps: float | np.ndarray) -> Features:
    names = (
        "sharpness", "noise", "blockiness", "clipped_shadows", "clipped_highlights", "luminance", "contrast",
        "colorfulness", "color_cast", "color_cast_hue",
    )  # fmt: skip
    cells = {name: np.broadcast_to(np.float32(maps.get(name, 0.0)), (CELLS, CELLS)) for name in names}
    return Features({name: Feature(float(c.mean()), "", (0.0, None)) for name, c in cells.items()}, cells)


def test_cells_are_counted_by_their_middle() -> None:
    cells = np.arange(CELLS * CELLS, dtype=np.float32).reshape(CELLS, CELLS)
    assert inside(cells, Region(0.0, 0.0, 0.2, 0.1)).tolist() == [0.0, 1.0]
    assert inside(cells, Region(0.52, 0.31, 0.54, 0.32)).tolist() == [35.0]  # thinner than a cell: the one it lies in
    assert inside(cells, FULL).size == 100
    assert outside(cells, FULL).size == 0
    assert inside(cells, PART).size + outside(cells, PART).size == 100


@pytest.mark.parametrize(
    ("name", "kind", "claim"),
    [
        ("gaussian_blur", "blur", "softer"),
        ("white_noise", "noise", "grainier"),
        ("jpeg", "compression", "blocky"),
        ("brighten", "overexposure", "brighter"),
        ("darken", "underexposure", "darker"),
    ],
)
def test_a_strong_fault_in_a_part_is_measured_there_and_not_elsewhere(
    clean: np.ndarray, name: str, kind: str, claim: str
) -> None:
    faulty = measure(distort(clean, name, 5, np.random.default_rng(0), PART))
    assert claim in evidence(kind, PART, faulty)
    elsewhere = Region(0.0, 0.0, 0.25, 0.25)
    assert claim not in evidence(kind, elsewhere, faulty)
    assert claim not in evidence(kind, PART, measure(clean))


def test_comparisons_with_the_rest_need_a_rest() -> None:
    half = np.ones((CELLS, CELLS), np.float32)
    half[:, :5] = 3.0
    split = measured(noise=half)
    assert evidence("noise", Region(0.0, 0.0, 0.5, 1.0), split) == ["grainy", "grainier"]
    assert evidence("noise", FULL, split) == ["grainy"]
    assert evidence("noise", Region(0.5, 0.0, 1.0, 1.0), split) == []


@pytest.mark.parametrize(
    ("kind", "claims", "values"),
    [
        ("blur", ["soft"], {"sharpness": 0.3}),
        ("blur", [], {"sharpness": 0.6}),
        ("compression", ["blocky"], {"blockiness": 0.9}),
        ("compression", [], {"blockiness": 0.7}),
        ("overexposure", ["burnt"], {"clipped_highlights": 0.05}),
        ("overexposure", ["bright"], {"luminance": 0.9}),
        ("underexposure", ["blocked"], {"clipped_shadows": 0.05, "luminance": 0.5}),
        ("underexposure", ["dark"], {"luminance": 0.1}),
        ("low contrast", ["flat"], {"contrast": 0.05}),
        ("color cast", ["tinted"], {"color_cast": 40.0}),
        ("color cast", [], {"color_cast": 4.0}),
        ("saturation", ["dull"], {"colorfulness": 8.0}),
        ("saturation", ["gaudy"], {"colorfulness": 120.0}),
        ("saturation", [], {"colorfulness": 40.0}),
        ("corruption", [], {}),
        ("banding", [], {}),
    ],
)
def test_claims_about_the_whole_picture(kind: str, claims: list[str], values: dict[str, float]) -> None:
    assert evidence(kind, FULL, measured(**values)) == claims


def test_a_tint_is_named_by_its_hue() -> None:
    assert tint(FULL, measured(color_cast=40.0, color_cast_hue=118.0)) == "green"
    assert tint(FULL, measured(color_cast=2.0, color_cast_hue=118.0)) == ""
    local = np.zeros((CELLS, CELLS), np.float32)
    local[3:7, 3:7] = 60.0
    hues = np.where(np.indices((CELLS, CELLS))[0] % 2, 350.0, 10.0)  # around red, on both sides of the turn
    assert tint(PART, measured(color_cast=local, color_cast_hue=hues)) == "red"


def test_strengths_and_traits_are_the_two_ends_of_the_same_measures() -> None:
    good = measured(
        sharpness=0.6, noise=0.3, blockiness=0.3, luminance=0.5, contrast=0.22, colorfulness=60.0, color_cast=0.0
    )
    assert strengths(good) == ["sharp", "calm", "light", "range", "vivid", "neutral"]
    assert traits(good) == []
    assert strengths(good, ("blur",)) == ["calm", "light", "range", "vivid", "neutral"]
    assert strengths(good, (), PART) == ["sharp", "calm", "light"]  # a part has no contrast or color of its own
    bad = measured(
        sharpness=0.3, noise=4.0, blockiness=1.0, clipped_highlights=0.1, clipped_shadows=0.1, luminance=0.1,
        contrast=0.05, colorfulness=8.0,
    )  # fmt: skip
    assert strengths(bad) == []
    assert traits(bad) == ["soft", "grainy", "blocky", "burnt", "blocked", "dark", "flat", "dull"]
    assert traits(bad, PART) == ["soft", "grainy", "blocky", "burnt", "blocked", "dark"]
