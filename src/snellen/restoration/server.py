"""A text-guided restorer behind HTTP: one request with picture, prompts and mask.

POST to the given URL, JSON in and out:

    {"image": PNG, "mask": PNG, "prompt": text, "negative_prompt": text}   ->   {"image": PNG}

PNG files are in base64. image: the region with its surroundings, RGB. mask: the same size, one channel, 255 where the
result counts fully, 0 where it is dropped. The answer has the same size.
"""

from __future__ import annotations

import base64
import io
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

from snellen.restoration.tool import Job, Pixels, Tool, ToolError
from snellen.usage import UsageError
from snellen.vocabulary import KINDS

MOST_BYTES = 256_000_000
"""Most bytes of an answer that are read."""


def server_tool(url: str, timeout: float = 300.0) -> Tool:
    """Return the tool that asks the server at `url`, for all kinds of issue. timeout: seconds for one request.

    Raises:
        UsageError: the URL is not http or https.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"--server {url} is not an http or https address; give one such as http://localhost:9000/restore"
        )
    host = f"{parts.scheme}://{parts.hostname}"

    def apply(job: Job, **parameters: float) -> Pixels:
        body = {
            "image": _png(job.pixels),
            "mask": _png(np.rint(255 * job.mask).astype(np.uint8)),
            "prompt": job.positive,
            "negative_prompt": job.negative,
        }
        try:
            with httpx.stream("POST", url, json=body, timeout=timeout) as response:
                response.raise_for_status()
                data = bytearray()
                for part in response.iter_bytes():
                    data += part
                    if len(data) > MOST_BYTES:
                        raise ToolError(f"the server at {host} sends more than {MOST_BYTES} bytes; check its answer")
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            raise ToolError(f"the server at {host} answers with status {code}; see its own log") from error
        except httpx.HTTPError as error:
            problem = f"the server at {host} does not answer ({type(error).__name__})"
            raise ToolError(f"{problem}; start it, or check --server") from error
        return _answer(bytes(data), host, (job.pixels.shape[1], job.pixels.shape[0]))

    return Tool("server", KINDS, apply, "free", context=64, does="redraws the part after the prompts")


def _png(pixels: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _answer(data: bytes, host: str, size: tuple[int, int]) -> Pixels:
    try:
        encoded = httpx.Response(200, content=data).json()["image"]
        image = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
        if image.size != size:
            raise ValueError(f"{image.size[0]}x{image.size[1]} px instead of {size[0]}x{size[1]}")
        return np.array(image.convert("RGB"))
    except Exception as error:  # a foreign server may send anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ToolError(f'the answer of {host} holds no usable "image" ({reason}); see docs/restore.md') from error
