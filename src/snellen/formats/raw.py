"""Camera RAW, through the extra `raw`: developed, never the preview inside the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from snellen.reading import Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray


def raw_pixels(file: BinaryIO, reading: Reading) -> NDArray[np.uint8]:
    """Return the developed pixels, sRGB (H, W, 3) uint8 and read-only.

    Raises:
        ImageError: the extra is not installed, or the picture cannot be used.
    """
    try:
        import rawpy  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        reading.refuse("needs_extra", "camera RAW needs an extra", 'pip install "snellen[raw]"')
    try:
        with reading.printed(), rawpy.imread(file) as raw:
            reading.check_size(raw.sizes.width, raw.sizes.height)
            pixels: NDArray[np.uint8] = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    except rawpy.LibRawError:
        problem = "the RAW data is cut off, damaged or from an unsupported camera"
        reading.refuse("truncated", problem, "copy the file again or export it as TIFF")
    reading.note("developed from RAW with the camera's white balance")
    pixels.setflags(write=False)
    return pixels
