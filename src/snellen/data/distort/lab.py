"""sRGB to CIE Lab (D65) and back, by lookup tables, fast enough to run inside a data loader."""

from __future__ import annotations

import numpy as np

from snellen.data.distort.array import Floats, Pixels

_TO_XYZ = np.array(  # linear sRGB to XYZ / white (D65)
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
_FROM_XYZ = np.linalg.inv(_TO_XYZ)

_CODES = np.arange(256) / 255.0
SRGB_TO_LINEAR: Floats = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)

_STEPS = 1 << 15
_UNIT = np.arange(_STEPS + 1) / _STEPS
_EPSILON = (6 / 29) ** 3
_ROOT: Floats = np.where(_UNIT > _EPSILON, np.cbrt(_UNIT), _UNIT / (3 * (6 / 29) ** 2) + 4 / 29).astype(np.float32)
_LINEAR_TO_SRGB: Pixels = np.rint(
    255 * np.where(_UNIT <= 0.0031308, 12.92 * _UNIT, 1.055 * _UNIT ** (1 / 2.4) - 0.055)
).astype(np.uint8)

_MATRIX_IN = np.ascontiguousarray(_TO_XYZ.T, dtype=np.float32)
_MATRIX_OUT = np.ascontiguousarray(_FROM_XYZ.T, dtype=np.float32)


def rgb_to_lab(pixels: Pixels) -> Floats:
    """`(..., 3)` uint8 sRGB to float32 Lab: L 0..100, a and b about -110..110."""
    xyz = SRGB_TO_LINEAR[pixels] @ _MATRIX_IN
    root: Floats = _ROOT[np.minimum(xyz * _STEPS + 0.5, _STEPS).astype(np.int32)]
    lab = np.empty_like(root)
    lab[..., 0] = 116 * root[..., 1] - 16
    lab[..., 1] = 500 * (root[..., 0] - root[..., 1])
    lab[..., 2] = 200 * (root[..., 1] - root[..., 2])
    return lab


def lab_to_rgb(lab: Floats) -> Pixels:
    """Float32 Lab `(..., 3)` to uint8 sRGB; colors outside the sRGB gamut are clipped per channel."""
    root = np.empty_like(lab)
    root[..., 1] = (lab[..., 0] + 16) / 116
    root[..., 0] = root[..., 1] + lab[..., 1] / 500
    root[..., 2] = root[..., 1] - lab[..., 2] / 200
    xyz = np.where(root > 6 / 29, root * root * root, (3 * (6 / 29) ** 2) * (root - np.float32(4 / 29)))
    return linear_to_srgb(xyz @ _MATRIX_OUT)


def linear_to_srgb(linear: Floats) -> Pixels:
    """Linear light 0..1 (clipped) to uint8 sRGB code values."""
    codes: Pixels = _LINEAR_TO_SRGB[np.clip(linear * _STEPS + 0.5, 0, _STEPS).astype(np.int32)]
    return codes
