"""Pictures to load a server with, and requests that no server likes."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("PNG", "JPEG", "WEBP")
FORM = "multipart/form-data; boundary=b"


def encoded(side: int, seed: int) -> bytes:
    """Return a picture of smoothed noise, as a file."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (side, side * 3 // 4), Image.Resampling.BICUBIC
    )
    pixels = np.array(small, np.float64) + rng.normal(0, 1 + seed % 12, (side * 3 // 4, side, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, KINDS[seed % 3])
    return file.getvalue()


def hostile(seed: int) -> tuple[str, bytes, dict[str, str]]:
    """Return name, body and headers of a request that no server likes."""
    rng = random.Random(seed)
    data = [path.read_bytes() for path in sorted((ROOT / "tests" / "data").iterdir())]
    bomb = bytearray(encoded(64, 0))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    file = bytearray(rng.choice(data))
    for _ in range(20):
        file[rng.randrange(len(file))] = rng.randrange(256)
    part = b'--b\r\nContent-Disposition: form-data; name="p"; filename="%s"\r\n\r\n%s\r\n--b--\r\n'
    kinds: list[tuple[str, bytes, dict[str, str]]] = [
        ("a damaged file", part % (b"../../../etc/passwd", bytes(file)), {"content-type": FORM}),
        ("a bomb of 3,600 megapixels", part % (b"bomb.png", bytes(bomb)), {"content-type": FORM}),
        ("half a file", part % (b"half", data[seed % len(data)][: rng.randrange(1, 4000)]), {"content-type": FORM}),
        ("a wrong content type", data[-1], {"content-type": "image/jpeg"}),
        ("no form", rng.randbytes(2000), {"content-type": FORM}),
        ("a form without end", (part % (b"a", data[-1]))[:-10], {"content-type": FORM}),
        ("a huge header", b"", {"content-type": FORM, "x-long": "x" * 100_000}),
        ("a strange boundary", b"x", {"content-type": "multipart/form-data; boundary=" + "\xff" * 100}),
        (
            "a wrong option",
            b'--b\r\nContent-Disposition: form-data; name="__class__"\r\n\r\n1\r\n--b--\r\n',
            {"content-type": FORM},
        ),
    ]
    return kinds[seed % len(kinds)]
