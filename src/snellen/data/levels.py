"""Mean opinion scores of the levels of distortions, from KADID-10k (Lin, Hosu, Saupe, QoMEX 2019).

`kadid_level_means.csv` holds means over KADID's 81 pictures on its scale 1 (bad) to 5 (excellent). They were rated on
pictures of 512 x 384 and hold for about that size: blur, noise and codecs act on native pixels, and are less visible in
a larger picture that is shown small.
"""

from __future__ import annotations

import csv
import functools
from importlib import resources

LEVELS = (1, 2, 3, 4, 5)

KADID_NAMES = {
    "gaussian_blur": "GBLUR",
    "lens_blur": "Lens_Blur",
    "motion_blur": "Motion_Blur",
    "color_diffusion": "Color_Diffusion",
    "color_shift": "Color_Shift",
    "color_quantization": "Color_Quantization",
    "saturation_hsv": "Saturation_Dist._HSV",
    "saturation_lab": "Saturation_Dist._Lab",
    "jpeg2000": "JP2K",
    "jpeg": "JPEG",
    "white_noise": "AWGN",
    "white_noise_ycbcr": "AWGN_YCbCr",
    "impulse_noise": "Impulse_Noise",
    "multiplicative_noise": "Multiplicative_Noise",
    "denoise": "Denoising",
    "brighten": "Brighten",
    "darken": "Darken",
    "mean_shift": "Mean_Shift",
    "jitter": "Jitter",
    "patch_displacement": "Non-eccentricity_patch",
    "pixelate": "Pixelate",
    "quantization": "Quantization",
    "color_block": "Color_Block",
    "sharpen": "High_Sharpen",
    "contrast": "Contrast Dist.",
}
"""Rows of the table, by the name of the distortion in `snellen.data.distort`."""
NEAREST_KADID = {
    "webp": "JP2K",
    "avif": "JP2K",
    "haze": "Brighten",
    "low_light": "Multiplicative_Noise",
    "banding": "Quantization",
    "ringing": "High_Sharpen",
    "upscale": "Pixelate",
}
"""For distortions that KADID-10k lacks: the row of the one that looks most alike at the same level."""


def level_mos(name: str, level: int) -> tuple[float, float]:
    """Return the MOS (1 bad to 5 excellent) of a distortion's level, and its standard deviation over pictures.

    A distortion that KADID-10k lacks takes the row of NEAREST_KADID. The MOS falls with the level, except for
    `mean_shift` and `contrast` (best in the middle) and a plateau at the end of `color_shift`.
    Raises ValueError for an unknown name or level.
    """
    check_level(level)
    row = KADID_NAMES.get(name) or NEAREST_KADID.get(name)
    if row is None:
        raise ValueError(f"unknown distortion {name!r}; use one of {', '.join((*KADID_NAMES, *NEAREST_KADID))}")
    return _kadid_means()[row, level]


def level_severity(name: str, level: int) -> float:
    """Return the severity of a distortion's level, 1 (hardly visible) to 5 (worst): 6 - its MOS, see `level_mos`.

    Levels are settings of one distortion and cannot be compared between two; severities can.
    """
    return 6.0 - level_mos(name, level)[0]


@functools.cache
def _kadid_means() -> dict[tuple[str, int], tuple[float, float]]:
    text = resources.files("snellen.data").joinpath("kadid_level_means.csv").read_text(encoding="utf-8")
    return {
        (row["distortion"], int(row["level"])): (float(row["mos_mean"]), float(row["mos_std_over_images"]))
        for row in csv.DictReader(text.splitlines())
    }


def check_level(level: int) -> None:
    """Raise ValueError for a level outside 1..5."""
    if level not in LEVELS:
        raise ValueError(f"distortion level {level!r} does not exist; use 1 (least), 2, 3, 4 or 5 (most)")
