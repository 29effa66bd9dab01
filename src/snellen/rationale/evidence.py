"""Claims about a picture that its measured features bear out: signs of a fault, strengths, weaknesses.

The thresholds are quantiles of the features over 1,000 training pictures of BIQ2021, given beside each.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.features import CELLS, Features, hue_name
from snellen.region import FULL, LOCAL_AREA, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Map = NDArray[np.floating[Any]]

SOFT, SHARP = 0.40, 0.50  # sharpness: 18th and 51st percentile
CALM, GRAIN_SEEN, GRAINY = 0.5, 0.8, 1.9  # noise, levels: 66th, 82nd and 94th
BLOCKY = 0.8  # blockiness: 86th
CLIPPED_LITTLE, CLIPPED, CLIPPED_MUCH = 0.01, 0.03, 0.05  # share of pixels: 90th, 93rd, 95th
DARK, DIM, BRIGHT = 0.13, 0.20, 0.78  # luminance: 4th, 10th, 96th
BLANK, FLAT, RANGE = 0.02, 0.10, 0.18  # contrast: of a plain surface, which has no sharpness; 7th and 34th
GRAY, DULL, VIVID, GAUDY = 10.0, 13.0, 45.0, 93.0  # colourfulness: 4th, 8th, 63rd, 96th
NO_CAST, CAST = 5.0, 29.0  # colour cast, levels: 78th and 94th

SPOILS = {
    "blur": ("sharp",),
    "motion blur": ("sharp",),
    "noise": ("calm",),
    "compression": ("sharp", "calm"),
    "pixelation": ("sharp",),
    "banding": ("calm", "neutral"),
    "oversharpening": ("sharp",),
    "overexposure": ("light", "range"),
    "underexposure": ("light", "range"),
    "low contrast": ("light", "range"),
    "color cast": ("neutral", "vivid"),
    "saturation": ("neutral", "vivid"),
    "corruption": (),
}
"""Kind of fault -> strengths that are not claimed beside it, even where they are measured."""


def inside(cells: Map, region: Region) -> Map:
    """Return the values of a (CELLS, CELLS) map whose cell's middle lies in a region; of the nearest cell if none."""
    return cells[_mask(region)]


def outside(cells: Map, region: Region) -> Map:
    """Return the values of the other cells; may be empty."""
    return cells[~_mask(region)]


@functools.lru_cache(maxsize=64)
def _mask(region: Region) -> NDArray[np.bool_]:
    middles = (np.arange(CELLS) + 0.5) / CELLS
    columns = (middles >= region.x0) & (middles < region.x1)
    rows = (middles >= region.y0) & (middles < region.y1)
    x, y = region.center
    columns[min(CELLS - 1, int(x * CELLS))] = True
    rows[min(CELLS - 1, int(y * CELLS))] = True
    return rows[:, None] & columns[None, :]


def evidence(kind: str, region: Region, measured: Features) -> list[str]:
    """Return the keys of `lexicon.EVIDENCE` that the maps bear out for a fault of a kind in a region; may be empty."""
    local = region.area < LOCAL_AREA

    def here(name: str) -> float:
        return float(inside(measured.maps[name], region).mean())

    def there(name: str) -> float:
        rest = outside(measured.maps[name], region)
        return float(rest.mean()) if local and rest.size else float("nan")  # NaN: no comparison holds

    claims: dict[str, bool] = {}
    if kind in ("blur", "motion blur", "pixelation"):
        sharp = here("sharpness")
        claims = {"soft": sharp < SOFT, "softer": sharp < 0.9 * there("sharpness")}
    elif kind == "noise":
        noise = here("noise")
        claims = {"grainy": noise > GRAINY, "grainier": noise > max(1.5 * there("noise"), GRAIN_SEEN)}
    elif kind == "compression":
        claims = {"blocky": here("blockiness") > BLOCKY}
    elif kind == "overexposure":
        light = here("luminance")
        claims = {
            "burnt": here("clipped_highlights") > CLIPPED,
            "bright": light > BRIGHT,
            "brighter": light > there("luminance") + 0.12,
        }
    elif kind == "underexposure":
        light = here("luminance")
        claims = {
            "blocked": here("clipped_shadows") > CLIPPED,
            "dark": light < DARK,
            "darker": light < there("luminance") - 0.12,
        }
    elif kind == "low contrast":
        claims = {"flat": (here("contrast") < FLAT / 2) if local else measured.values["contrast"].value < FLAT}
    elif kind == "color cast":
        claims = {"tinted": _tint(region, measured) is not None}
    elif kind == "saturation":
        color = here("colorfulness")
        claims = {
            "dull": color < 0.6 * there("colorfulness") if local else measured.values["colorfulness"].value < DULL,
            "gaudy": color > 1.6 * there("colorfulness") if local else measured.values["colorfulness"].value > GAUDY,
        }
    return [key for key, true in claims.items() if true]


def tint(region: Region, measured: Features) -> str:
    """Return the hue of a region's color cast, as `features.hue_name`; "" where none is measured."""
    return _tint(region, measured) or ""


def _tint(region: Region, measured: Features) -> str | None:
    if region.area >= LOCAL_AREA:
        cast = measured.values["color_cast"].value
        return hue_name(measured.values["color_cast_hue"].value) if cast > CAST / 2 else None
    strength = inside(measured.maps["color_cast"], region)
    rest = outside(measured.maps["color_cast"], region)
    if not strength.mean() > (rest.mean() if rest.size else 0.0) + CAST:
        return None
    angle = np.radians(inside(measured.maps["color_cast_hue"], region))
    x, y = float((strength * np.cos(angle)).sum()), float((strength * np.sin(angle)).sum())
    return hue_name(float(np.degrees(np.arctan2(y, x))) % 360.0)


def strengths(measured: Features, kinds: tuple[str, ...] = (), region: Region = FULL) -> list[str]:
    """Return the keys of `lexicon.STRENGTHS` that are measured in a region and not spoilt by faults of some kinds.

    Contrast and color are judged on the whole picture only: one surface has little of either, and no fault.
    """
    value = _values(measured, region)
    clipped = max(value["clipped_shadows"], value["clipped_highlights"])
    whole = region == FULL
    claims = {
        "sharp": value["sharpness"] > SHARP,
        "calm": value["noise"] < CALM and value["blockiness"] < BLOCKY and value["luminance"] > DIM,
        "light": clipped < CLIPPED_LITTLE and 0.3 < value["luminance"] < 0.7,
        "range": whole and value["contrast"] > RANGE,
        "vivid": whole and VIVID < value["colorfulness"] < GAUDY,
        "neutral": whole and value["color_cast"] < NO_CAST and value["colorfulness"] > GRAY,
    }
    spoilt = {key for kind in kinds for key in SPOILS[kind]}
    return [key for key, true in claims.items() if true and key not in spoilt]


def traits(measured: Features, region: Region = FULL) -> list[str]:
    """Return the keys of `lexicon.TRAITS` that are measured in a region: its weaknesses, by the same thresholds."""
    value = _values(measured, region)
    whole = region == FULL
    claims = {
        "soft": value["sharpness"] < SOFT and value["contrast"] > BLANK,
        "grainy": value["noise"] > GRAINY,
        "blocky": value["blockiness"] > BLOCKY,
        "burnt": value["clipped_highlights"] > CLIPPED,
        "blocked": value["clipped_shadows"] > CLIPPED,
        "dark": value["luminance"] < DIM,
        "flat": whole and value["contrast"] < FLAT,
        "dull": whole and GRAY / 2 < value["colorfulness"] < DULL,
    }
    return [key for key, true in claims.items() if true]


def _values(measured: Features, region: Region) -> dict[str, float]:
    if region == FULL:
        return {name: feature.value for name, feature in measured.values.items()}
    return {name: float(inside(cells, region).mean()) for name, cells in measured.maps.items()}
