"""A convolutional network that ncnn runs on the CPU, over pictures of any size in bounded memory."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

TILE = 256
"""Side of a tile that runs at once, px, without its border."""


def folder_of(package: str) -> Path | None:
    """Return the folder of an installed package without importing it, None where it is not installed."""
    found = importlib.util.find_spec(package)
    return None if found is None or found.origin is None else Path(found.origin).parent


class Network:
    """One network.

    Args:
        graph: its layers, text in ncnn's format.
        weights: their weights, as ncnn reads them.
        border: px around a tile that its result depends on.
        scale: side of the output over that of the input.
    """

    def __init__(self, graph: str, weights: bytes, border: int, scale: int = 1) -> None:
        import ncnn

        self.border, self.scale = border, scale
        self._array = ncnn.Mat
        self._net = ncnn.Net()
        options = self._net.opt
        options.use_vulkan_compute = False
        options.num_threads = 1  # more would change the order of sums, and so the pixels
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(options, name, False)
        with tempfile.TemporaryDirectory() as folder:  # ncnn keeps what it reads of files, not what it reads of memory
            for name, data in (("graph.param", graph.encode()), ("weights.bin", weights)):
                Path(folder, name).write_bytes(data)
            failed = self._net.load_param(f"{folder}/graph.param") or self._net.load_model(f"{folder}/weights.bin")
        if failed:
            raise ValueError("ncnn cannot read the network")
        self._input, self._output = self._net.input_names()[0], self._net.output_names()[0]

    def run(self, values: Values) -> Values:
        """Return the output, (channels, scale h, scale w), of an input (channels, h, w), tile by tile."""
        _, height, width = values.shape
        padded = np.pad(values, ((0, 0), (self.border, self.border), (self.border, self.border)), mode="symmetric")
        rows = [
            [
                self._tile(padded, top, left, min(TILE, height - top), min(TILE, width - left))
                for left in range(0, width, TILE)
            ]
            for top in range(0, height, TILE)
        ]
        return np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)

    def _tile(self, padded: Values, top: int, left: int, height: int, width: int) -> Values:
        cut = padded[:, top : top + height + 2 * self.border, left : left + width + 2 * self.border]
        extractor = self._net.create_extractor()
        extractor.input(self._input, self._array(np.ascontiguousarray(cut)).clone())
        failed, made = extractor.extract(self._output)
        if failed:
            raise ValueError("ncnn cannot run the network")
        done = np.array(made)
        trim = (done.shape[1] - self.scale * height) // 2, (done.shape[2] - self.scale * width) // 2
        kept: Values = done[:, trim[0] : trim[0] + self.scale * height, trim[1] : trim[1] + self.scale * width]
        return kept


def convolution(name: str, source: str, target: str, kernel: Values, relu: bool) -> str:
    """Return the line of a 3 x 3 convolution with zero padding in ncnn's format. kernel: (out, in, 3, 3)."""
    return f"Convolution {name} 1 1 {source} {target} 0={kernel.shape[0]} 1=3 4=1 5=1 6={kernel.size} 9={int(relu)}\n"


def packed(kernels: Sequence[tuple[Values, Values]]) -> bytes:
    """Return kernels with their biases as ncnn reads them: a zero for 32 bits, the kernel, the bias."""
    return b"".join(
        np.uint32(0).tobytes() + kernel.astype("<f4").tobytes() + bias.astype("<f4").tobytes()
        for kernel, bias in kernels
    )
