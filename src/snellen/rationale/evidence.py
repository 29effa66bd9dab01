"""What measured features let a writer say: every claim about a picture is checked against its maps first.

The thresholds are quantiles of the features over 1,000 training pictures of BIQ2021, given beside each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snellen.features import CELLS, Features, hue_name
from snellen.region import FULL, Region
from snellen.reply import Issue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Map = NDArray[np.floating[Any]]

SOFT, SHARP = 0.40, 0.50  # sharpness: 18th and 51st percentile
CALM, GRAIN_SEEN, GRAINY = 0.5, 0.8, 1.9  # noise, levels: 66th, 82nd and 94th
BLOCKY = 0.8  # blockiness: 86th
CLIPPED_LITTLE, CLIPPED, CLIPPED_MUCH = 0.01, 0.03, 0.05  # share of pixels: 90th, 93rd, 95th
DARK, DIM, BRIGHT = 0.13, 0.20, 0.78  # luminance: 4th, 10th, 96th
FLAT, RANGE = 0.10, 0.18  # contrast: 7th and 34th
GRAY, DULL, VIVID, GAUDY = 10.0, 13.0, 45.0, 93.0  # colourfulness: 4th, 8th, 63rd, 96th
NO_CAST, CAST = 5.0, 29.0  # colour cast, levels: 78th and 94th
LOW_MOS = 3.0
"""Pictures as found get issues from their measurements only below this MOS, the lowest fifth of BIQ2021."""

_WHOLE = 0.6  # a region of this area counts as the whole picture, as in Region.place
_CELL_CLIPPED = 0.2
_SMALLEST_CLUSTER = 6  # cells; fewer bad ones are content, not a fault

_SPOILS = {
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


def inside(cells: Map, region: Region) -> Map:
    """The values of the cells of a (CELLS, CELLS) map whose middle lies in `region`; of the nearest cell if none."""
    chosen = _mask(region)
    return cells[chosen]


def outside(cells: Map, region: Region) -> Map:
    """The values of the other cells; may be empty."""
    return cells[~_mask(region)]


def _mask(region: Region) -> NDArray[np.bool_]:
    middles = (np.arange(CELLS) + 0.5) / CELLS
    columns = (middles >= region.x0) & (middles < region.x1)
    rows = (middles >= region.y0) & (middles < region.y1)
    x, y = region.center
    columns[min(CELLS - 1, int(x * CELLS))] = True
    rows[min(CELLS - 1, int(y * CELLS))] = True
    return rows[:, None] & columns[None, :]


def evidence(kind: str, region: Region, measured: Features) -> list[str]:
    """Keys of `phrases.EVIDENCE` that the maps bear out for a fault of `kind` in `region`; may be empty."""
    local = region.area < _WHOLE

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
    """The hue that `region` leans to, as `features.hue_name`; "" where no cast is measured."""
    return _tint(region, measured) or ""


def _tint(region: Region, measured: Features) -> str | None:
    if region.area >= _WHOLE:
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
    """Keys of `phrases.STRENGTHS` that are measured in `region` and that faults of `kinds` do not spoil.

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
    spoilt = {key for kind in kinds for key in _SPOILS[kind]}
    return [key for key, true in claims.items() if true and key not in spoilt]


def traits(measured: Features, region: Region = FULL) -> list[str]:
    """Keys of `phrases.TRAITS` that are measured in `region`: what is weak there, by the same thresholds."""
    value = _values(measured, region)
    whole = region == FULL
    claims = {
        "soft": value["sharpness"] < SOFT,
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


def derived_issues(measured: Features, mos: float) -> tuple[Issue, ...]:
    """Issues of a picture as found, from its measurements: at most two, the worst first; none at MOS >= LOW_MOS.

    A feature must be beyond its corpus threshold; cells beyond it give the box. People said how bad it is, so the
    severity is (4.2 - mos) / 0.7 to the nearest, 1..5, and one less for the second.
    """
    if mos >= LOW_MOS:
        return ()
    value = {name: feature.value for name, feature in measured.values.items()}
    maps = measured.maps
    candidates = [
        ("blur", (SOFT - value["sharpness"]) / 0.1, maps["sharpness"] < SOFT),
        ("noise", (value["noise"] - GRAINY) / 4.0, maps["noise"] > GRAINY),
        ("compression", (value["blockiness"] - BLOCKY) / 0.3, maps["blockiness"] > BLOCKY),
        (
            "overexposure", (value["clipped_highlights"] - CLIPPED_MUCH) / 0.3,
            maps["clipped_highlights"] > _CELL_CLIPPED,
        ),
        ("underexposure", (DARK - value["luminance"]) / 0.03, maps["luminance"] < DARK),
        ("low contrast", (FLAT - value["contrast"]) / 0.05, None),
        ("color cast", (value["color_cast"] - CAST) / 30.0, None),
    ]  # fmt: skip
    found = sorted(((excess, kind, bad) for kind, excess, bad in candidates if excess > 0), key=lambda one: -one[0])
    severity = int(np.clip(round((4.2 - mos) / 0.7), 1, 5))
    issues = []
    for rank, (_, kind, bad) in enumerate(found[:2]):
        region = FULL if bad is None else cluster(bad)
        issues.append(Issue(kind, max(1, severity - rank), region))
    return tuple(issues)


def cluster(bad: NDArray[np.bool_]) -> Region:
    """The box around the largest group of touching bad cells; FULL when it is most of the picture, or too small."""
    left = bad.copy()
    best: list[tuple[int, int]] = []
    while left.any():
        row, column = (int(v) for v in np.argwhere(left)[0])
        left[row, column] = False
        group, edge = [(row, column)], [(row, column)]
        while edge:
            y, x = edge.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= near[0] < CELLS and 0 <= near[1] < CELLS and left[near]:
                    left[near] = False
                    group.append(near)
                    edge.append(near)
        if len(group) > len(best):
            best = group
    if len(best) < _SMALLEST_CLUSTER:
        return FULL
    rows, columns = [y for y, _ in best], [x for _, x in best]
    box = Region(min(columns) / CELLS, min(rows) / CELLS, (max(columns) + 1) / CELLS, (max(rows) + 1) / CELLS)
    return FULL if box.area >= _WHOLE else box


def informative_region(measured: Features, rng: np.random.Generator) -> Region:
    """Where a closer look shows most: the window of 35 to 60 % of the sides with the highest mean contrast of cells."""
    width, height = (float(side) for side in rng.uniform(0.35, 0.6, 2))
    shape = round(height * CELLS), round(width * CELLS)
    means = sliding_window_view(measured.maps["contrast"], shape).mean(axis=(2, 3))
    top, left = (int(v) for v in np.unravel_index(means.argmax(), means.shape))
    x0 = min(max(0.0, (left + shape[1] / 2) / CELLS - width / 2), 1.0 - width)
    y0 = min(max(0.0, (top + shape[0] / 2) / CELLS - height / 2), 1.0 - height)
    return Region(x0, y0, min(1.0, x0 + width), min(1.0, y0 + height))
