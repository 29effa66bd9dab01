"""Zero-DCE++ for low light (C. Li, C. Guo, C. C. Loy, IEEE TPAMI 2021): eight curves for each pixel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.restoration.learned.network import Network, Values, convolution, packed
from snellen.restoration.learned.torch_file import read_tensors
from snellen.restoration.tool import Job, Pixels, to_pixels

WEIGHTS = "weights/best_model.pth"
_CURVES = 8
_SIDE = 256  # curves are smooth: they are estimated on at most this many px a side, as Zero-DCE++ does


@cache
def _network(folder: Path) -> Network:
    tensors = read_tensors(folder / WEIGHTS)["model_state_dict"]
    kernels = [(tensors[f"dce_net.conv{n}.weight"], tensors[f"dce_net.conv{n}.bias"]) for n in range(1, 8)]

    def conv(n: int, source: str) -> str:
        return convolution(f"conv{n}", source, f"x{n}", kernels[n - 1][0], relu=n < 7)

    graph = "".join([
        "7767517\n15 18\nInput data 0 1 x0\n",
        conv(1, "x0"), "Split split1 1 2 x1 x1a x1b\n",
        conv(2, "x1a"), "Split split2 1 2 x2 x2a x2b\n",
        conv(3, "x2a"), "Split split3 1 2 x3 x3a x3b\n",
        conv(4, "x3a"), "Concat join5 2 1 x4 x3b j5\n",
        conv(5, "j5"), "Concat join6 2 1 x5 x2b j6\n",
        conv(6, "j6"), "Concat join7 2 1 x6 x1b j7\n",
        conv(7, "j7"), "TanH curves 1 1 x7 curves\n",
    ])  # fmt: skip
    return Network(graph, packed(kernels), border=7)


def apply(folder: Path, job: Job, share: float) -> Pixels:
    """Brighten a job. folder: of the package. share: of the way from the picture to the network's result."""
    values = (job.pixels / np.float32(255)).transpose(2, 0, 1)
    curves = _curves(folder, job.pixels)
    bright = values
    for n in range(_CURVES):
        bright = np.clip(bright - curves[3 * n : 3 * n + 3] * bright * (1 - bright), 0, 1)
    return to_pixels(255 * (values + share * (bright - values)).transpose(1, 2, 0))


def _curves(folder: Path, pixels: Pixels) -> Values:
    """Return the parameters of the curves, (24, h, w), -1..1."""
    height, width, _ = pixels.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)) / np.float32(255)
    curves = _network(folder).run(np.ascontiguousarray(small.transpose(2, 0, 1)))
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BILINEAR)) for one in curves]
    )
