"""FFDNet for noise (K. Zhang, W. Zuo, L. Zhang, IEEE TIP 2018): the noise's deviation is an input of the network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from snellen.restoration.learned.network import Network, Values, convolution, packed
from snellen.restoration.learned.torch_file import read_tensors
from snellen.restoration.noise import noise_map
from snellen.restoration.tool import Floats, Job, Pixels, to_pixels

WEIGHTS = "ffdnet_color.pth"
_LAYERS = 12
_MOST = 75 / 255  # largest deviation that it was trained on


@cache
def _network(folder: Path) -> Network:
    tensors = read_tensors(folder / WEIGHTS)
    kernels = [(tensors[f"model.{2 * n}.weight"], tensors[f"model.{2 * n}.bias"]) for n in range(_LAYERS)]
    lines = [
        convolution(f"conv{n}", f"blob{n}", f"blob{n + 1}", kernel, relu=n < _LAYERS - 1)
        for n, (kernel, _) in enumerate(kernels)
    ]
    graph = f"7767517\n{_LAYERS + 1} {_LAYERS + 1}\nInput data 0 1 blob0\n{''.join(lines)}"
    return Network(graph, packed(kernels), border=_LAYERS)


def apply(folder: Path, job: Job, strength: float) -> Pixels:
    """Denoise a job. folder: of the package. strength: deviation assumed, in units of that estimated at each pixel."""
    return denoise(folder, job.pixels, np.minimum(_MOST, strength * noise_map(job.pixels) / 255))


def apply_fixed(folder: Path, job: Job, deviation: float) -> Pixels:
    """Denoise a job against blocks and ringing, which are no noise to be estimated. deviation: in 8-bit levels."""
    return denoise(folder, job.pixels, np.full(job.pixels.shape[:2], deviation / 255))


def denoise(folder: Path, pixels: Pixels, deviation: Floats) -> Pixels:
    """Remove noise of a deviation at each pixel, (h, w), 0..1, from (h, w, 3) pixels."""
    height, width, _ = pixels.shape
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") / np.float32(255)
    quarters = halved(even.astype(np.float32))
    told = np.pad(deviation, ((0, height % 2), (0, width % 2)), mode="edge")[None, ::2, ::2]
    done = doubled(_network(folder).run(np.concatenate([quarters, told.astype(np.float32)])))
    return to_pixels(255 * done[:height, :width])


def halved(values: Values) -> Values:
    """Return (2 h, 2 w, 3) as (12, h, w): channel 4 c + 2 y + x holds colour c of the pixels at row y, column x of each
    2 x 2 block."""
    rows, columns = values.shape[0] // 2, values.shape[1] // 2
    return np.asarray(values.reshape(rows, 2, columns, 2, 3).transpose(4, 1, 3, 0, 2).reshape(12, rows, columns))


def doubled(values: Values) -> Values:
    """Return (12, h, w) as (2 h, 2 w, 3), the inverse of `halved`."""
    _, rows, columns = values.shape
    blocks = values.reshape(3, 2, 2, rows, columns).transpose(3, 1, 4, 2, 0)
    return np.asarray(blocks.reshape(2 * rows, 2 * columns, 3))
