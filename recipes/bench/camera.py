"""Three plausible cameras: what a photograph would be had it been taken by them. Known faults, all over the picture."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from snellen.data.distort.lab import SRGB_TO_LINEAR, linear_to_srgb
from snellen.restoration.motion import line_kernel
from snellen.restoration.tool import Pixels


@dataclass(frozen=True)
class Camera:
    """One camera and scene.

    Attributes:
        kinds: faults that it makes, of `snellen.vocabulary.KINDS`.
        exposure: share of the light that reaches the sensor.
        full_well: electrons that make white; the fewer, the more shot noise.
        focus: standard deviation of the defocus, px.
        motion: length of the path of a shaken camera, px.
        quality: of the JPEG file.
    """

    kinds: tuple[str, ...]
    exposure: float = 1.0
    full_well: float = 20_000.0
    focus: float = 0.3
    motion: float = 0.0
    quality: int = 92


CAMERAS = {
    "dim room": Camera(("underexposure", "noise"), exposure=0.3, full_well=1_500),
    "shaken": Camera(("motion blur",), motion=7.0),
    "old phone": Camera(("blur", "compression", "noise"), focus=1.0, full_well=1_200, quality=40),
}


def photograph(pixels: Pixels, camera: Camera, rng: np.random.Generator) -> Pixels:
    """Take the picture again: light, defocus, motion, a Bayer sensor with noise, interpolation, JPEG."""
    light = SRGB_TO_LINEAR[pixels] * camera.exposure
    light = ndimage.gaussian_filter(light, (camera.focus, camera.focus, 0), mode="nearest")
    if camera.motion:
        kernel = line_kernel(camera.motion, rng.uniform(0, np.pi))
        light = np.stack([ndimage.convolve(light[..., c], kernel, mode="nearest") for c in range(3)], axis=2)
    electrons = rng.poisson(light * camera.full_well) + rng.normal(0, 2, light.shape)
    colour = _demosaiced(electrons / camera.full_well)
    file = io.BytesIO()
    Image.fromarray(linear_to_srgb(colour.astype(np.float32))).save(file, "JPEG", quality=camera.quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _demosaiced(light: np.ndarray) -> np.ndarray:
    """Keep one colour a pixel (RGGB) and interpolate the others bilinearly."""
    rows, columns = np.mgrid[0 : light.shape[0], 0 : light.shape[1]] % 2
    masks = [(rows == 0) & (columns == 0), rows != columns, (rows == 1) & (columns == 1)]
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4.0
    planes = []
    for channel, mask in enumerate(masks):
        known = np.where(mask, light[..., channel], 0.0)
        weight = ndimage.convolve(mask.astype(float), kernel, mode="mirror")
        planes.append(np.where(mask, known, ndimage.convolve(known, kernel, mode="mirror") / weight))
    return np.stack(planes, axis=2)
