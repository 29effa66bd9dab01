"""Full-reference measures of other packages, one small adapter each; `Measure.higher` states which direction is better.

Not taken: fast-ssim (the SSIM of scikit-image, faster, in a binary without source for each platform), vmaf-torch (needs
torch, is meant for video), psnr-hvsm (a further PSNR), butteraugli (no package for Python), LPIPS and DISTS (torch, and
weights that their packages download).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from snellen.comparison.tone_difference import Pixels


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: its name.
        unit: unit or range, in words.
        decimals: digits after the point that are shown.
        higher: whether higher is better.
        same: its value for two equal pictures.
        least_side: smallest side that it is defined for, px.
        most_megapixels: largest picture that it is computed of, so that its memory is bounded.
        apply: function of reference and picture, both (H, W, 3) uint8 sRGB.
    """

    name: str
    unit: str
    decimals: int
    higher: bool
    same: float
    least_side: int
    most_megapixels: float
    apply: Callable[[Pixels, Pixels], float]

    def fits(self, height: int, width: int) -> bool:
        """Return whether it is computed of pictures of this size, px."""
        return min(height, width) >= self.least_side and height * width <= 1e6 * self.most_megapixels


def psnr(reference: Pixels, picture: Pixels) -> float:
    """Return the peak signal-to-noise ratio of R, G, B in dB; infinite for equal pictures (scikit-image)."""
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(reference, picture):
        return float("inf")
    return float(peak_signal_noise_ratio(reference, picture, data_range=255))  # type: ignore[no-untyped-call]


def ssim(reference: Pixels, picture: Pixels) -> float:
    """Return the structural similarity of luma, -1..1, with the settings of its paper (scikit-image).

    Source: Z. Wang et al., IEEE Transactions on Image Processing 13, 2004.
    """
    from skimage.metrics import structural_similarity

    theirs, ours = (np.asarray(Image.fromarray(pixels).convert("L")) for pixels in (reference, picture))
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            theirs, ours, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
    )


def ssimulacra2(reference: Pixels, picture: Pixels) -> float:
    """Return SSIMULACRA 2: 100 the same, 90 indistinguishable, 70 high, 50 medium, 30 low quality, below 0 ruined.

    Source: J. Sneyers, Cloudinary, 2023 (package ssimulacra2).
    """
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_png(reference), _png(picture)))


def flip(reference: Pixels, picture: Pixels) -> float:
    """Return the mean FLIP error of alternating pictures, 0 the same to 1, at 67 pixels a degree of view.

    Source: P. Andersson et al., High-Performance Graphics 2020 (package flip-evaluator).
    """
    from flip_evaluator import evaluate

    theirs, ours = (pixels.astype(np.float32) / np.float32(255) for pixels in (reference, picture))
    _, mean, _ = evaluate(theirs, ours, "LDR", applyMagma=False)
    return float(mean)


def _png(pixels: Pixels) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=0)
    file.seek(0)
    return file


MEASURES = (
    Measure("PSNR", "dB", 1, True, float("inf"), 1, 100, psnr),
    Measure("SSIM", "-1 to 1", 3, True, 1.0, 11, 100, ssim),
    Measure("SSIMULACRA 2", "below 0 to 100", 1, True, 100.0, 256, 8, ssimulacra2),
    Measure("FLIP", "0 to 1, lower is better", 3, False, 0.0, 8, 40, flip),
)
"""The measures, in the order in which they are shown. Peak memory a megapixel: 0.06, 0.09, 0.47 and 0.1 GB."""


def measure_all(reference: Pixels, picture: Pixels) -> dict[str, float | None]:
    """Return every measure by name; None where it does not fit the size.

    Args:
        reference, picture: (H, W, 3) uint8 of one size, aligned.
    """
    height, width, _ = reference.shape
    return {one.name: one.apply(reference, picture) if one.fits(height, width) else None for one in MEASURES}
