"""Signs that a picture is no photograph, on pictures made here and on the examples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from snellen.data.distort import distort
from snellen.domain import LIMIT, drawn, looks_drawn, measures
from snellen.image import load

Pixels = npt.NDArray[np.uint8]

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))


def page(width: int = 800, height: int = 1000) -> Image.Image:
    """A page of text, black on white."""
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(20)
    for y in range(40, height - 40, 30):
        draw.text((40, y), "the quick brown fox jumps over the lazy dog and back", fill="black", font=font)
    return picture


def screenshot() -> Image.Image:
    """A window with a title, buttons and a list."""
    picture = Image.new("RGB", (900, 600), (236, 236, 240))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    draw.rectangle((0, 0, 900, 40), fill=(48, 76, 140))
    draw.text((20, 10), "Preferences", fill="white", font=font)
    for row in range(9):
        top = 70 + row * 55
        draw.rectangle((30, top, 600, top + 40), fill="white", outline=(120, 120, 130))
        draw.text((45, top + 10), f"Entry number {row} of the list of settings", fill="black", font=font)
        draw.rectangle((650, top, 850, top + 40), fill=(70, 130, 200))
        draw.text((690, top + 10), "Change", fill="white", font=font)
    return picture


def cartoon() -> Image.Image:
    """A house, a sun and a hill in plain colours with black outlines."""
    picture = Image.new("RGB", (640, 480), (150, 205, 250))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((480, 40, 580, 140), fill=(250, 220, 60), outline="black", width=3)
    draw.ellipse((-200, 300, 840, 900), fill=(90, 180, 70), outline="black", width=3)
    draw.rectangle((180, 220, 380, 380), fill=(220, 120, 90), outline="black", width=3)
    draw.polygon([(160, 220), (400, 220), (280, 120)], fill=(150, 50, 40), outline="black", width=3)
    draw.rectangle((210, 260, 260, 310), fill="white", outline="black", width=3)
    return picture


def scan() -> Image.Image:
    """A page of text on yellowed paper: soft, noisy, brighter on one side."""
    soft = np.asarray(page().filter(ImageFilter.GaussianBlur(0.8)), np.float64)
    paper = np.array([0.9, 0.86, 0.74]) * np.linspace(0.92, 1.0, soft.shape[1])[None, :, None]
    noise = np.random.default_rng(0).normal(0.0, 2.0, (*soft.shape[:2], 1))
    return Image.fromarray(np.clip(soft * paper + 15 + noise, 0, 255).astype(np.uint8))


def as_jpeg(picture: Image.Image, quality: int = 75) -> Pixels:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return load(held.getvalue()).pixels


def noted(pixels: Pixels) -> bool:
    return looks_drawn(load(pixels).view().fragments)


def test_measures_worked_by_hand() -> None:
    # Each tile of 32 x 32 is 100 on the left and 200 on the right: in each row both pixels before the edge have a
    # difference of 100 over two pixels, and a side of one colour; no column has an edge.
    tile = np.repeat([100, 200], 16).astype(np.uint8)
    found = measures(np.tile(tile[None, :, None], (320, 10, 3)))
    assert found.flat_sides == pytest.approx((2 * 32 * 100 + 1) / (2 * 32 * 100 + 20))
    assert found.two_tones == 1.0 and found.bright == pytest.approx(200.0)
    assert found.colours == pytest.approx(np.log10(3)), "pairs: 100 and 100, 100 and 200, 200 and 200"


def test_colours_are_counted_and_in_a_grey_picture_pairs() -> None:
    shades = np.arange(1024).reshape(32, 32)
    coloured = np.stack([shades % 256, shades // 256, np.zeros((32, 32))], axis=2).astype(np.uint8)
    assert measures(np.tile(coloured, (10, 10, 1))).colours == pytest.approx(np.log10(1024))
    grey = np.repeat((shades % 256).astype(np.uint8)[:, :, None], 3, axis=2)
    rows_of_pairs = 8 * 31  # eight different rows of 32 rising values
    assert measures(np.tile(grey, (10, 10, 1))).colours == pytest.approx(np.log10(max(256, rows_of_pairs)))


def test_a_soft_edge_has_no_flat_side() -> None:
    ramp = np.clip(np.linspace(-300, 600, 32), 0, 255).astype(np.uint8)  # 29 levels a pixel, over ten pixels
    found = measures(np.tile(ramp[None, :, None], (320, 10, 3)))
    hard = np.abs(ramp[3:-1].astype(int) - ramp[1:-3]) >= 40
    step = np.abs(np.diff(ramp.astype(int)))
    flat = hard & ((step[:-3] <= 1) | (step[3:] <= 1))
    assert 0 < flat.sum() < hard.sum()
    assert found.flat_sides == pytest.approx((flat.sum() * 3200 + 1) / (hard.sum() * 3200 + 20))


def test_more_flat_sides_and_fewer_colours_are_more_likely_drawn() -> None:
    one = measures(load(EXAMPLES[0]).view().fragments)
    for more in (one._replace(flat_sides=0.9), one._replace(two_tones=0.9)):
        assert drawn(more) > drawn(one)
    assert drawn(one._replace(colours=1.0)) > drawn(one)
    assert drawn(one) < LIMIT


@pytest.mark.parametrize("make", [page, screenshot, cartoon, scan])
def test_what_is_drawn_is_noted(make: type) -> None:
    assert noted(np.asarray(make()))
    if make is not cartoon:  # as a JPEG it has the soft edges and many colours of a photograph
        assert noted(as_jpeg(make()))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_photograph_is_not_noted(file: Path) -> None:
    picture = Image.open(file).convert("RGB")
    half = picture.resize((picture.width // 2, picture.height // 2))
    assert len(EXAMPLES) == 5
    for shown in (picture, half, picture.convert("L").convert("RGB"), picture.filter(ImageFilter.GaussianBlur(6))):
        assert not noted(np.asarray(shown))


@pytest.mark.parametrize("kind", ["pixelate", "sharpen", "saturation_lab", "impulse_noise", "brighten", "banding"])
def test_a_damaged_photograph_is_not_noted(kind: str) -> None:
    for file in EXAMPLES:
        pixels = load(file).pixels
        for level in (2, 4):
            assert not noted(distort(pixels, kind, level, np.random.default_rng(0))), (file.name, level)


def test_a_dark_or_burnt_photograph_is_not_noted() -> None:
    for file in EXAMPLES:
        pixels = load(file).pixels.astype(np.float64)
        for gain in (0.1, 0.3, 1.6, 2.0):
            assert not noted(np.clip(pixels * gain, 0, 255).astype(np.uint8)), (file.name, gain)
