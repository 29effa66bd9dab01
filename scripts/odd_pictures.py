"""Assess damaged and odd pictures of all formats, made by a seeded generator: no traceback, no hang, no wrong pixels.

Each picture is a small file of one format after one to three changes: cut off, bits flipped, bytes removed, repeated,
inserted or overwritten, parts of its structure (PNG chunks, JPEG segments, boxes) removed, repeated or changed, another
file behind it. A child process loads it, with damage allowed and without, and snellen-1 scores it (score-only; each is
a score or the error of loading); one process does all, and the parent stops it where it takes too long. Nothing may be
printed on standard error. Where OpenCV decodes the picture too, and no conversion was noted, pixels are compared.

usage: odd_pictures.py [COUNT] [SEED] [MINUTES]   (default: 10000 0, no limit)
"""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL
from PIL import Image

from snellen.assessor import Assessor
from snellen.image import ImageError, load

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 20.0
"""Seconds of processor time for one picture."""
BLOCKED = 600.0
"""Seconds after which a child that uses no processor hangs too, and for its start, on a loaded machine."""
MOST_MEMORY = 2000.0
"""Peak of the child, in MB: twice what a picture of 100 megapixels needs."""
ROUNDING = {"JPEG": 1.0, "AVIF": 1.5, "WEBP": 1.0, "JPEG2000": 1.0}
"""Mean difference, of 255, that two decoders of a lossy format may have; 0 for the others."""
TURNED = "EXIF orientation applied"

Change = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Outcome:
    """Result for one picture.

    Attributes:
        code: "read", "read with notes", or the code of an ImageError.
        score: of snellen-1, 1..5; None where there is an error.
        fault: traceback or difference that should not be, or "".
        compared: whether OpenCV decoded it too.
    """

    code: str
    fault: str = ""
    compared: bool = False
    score: float | None = None


def originals() -> dict[str, bytes]:
    """Return intact files by name; the part of the name before the first space is their format."""
    photo = Image.open(ROOT / "examples" / "mountains.jpg").convert("RGB").resize((160, 112))
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    frames = [photo.transpose(Image.Transpose.ROTATE_180)]
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    kinds: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("JPEG baseline", photo, {"quality": 90}),
        ("JPEG progressive", photo, {"quality": 90, "progressive": True}),
        ("JPEG restart", photo, {"quality": 90, "restart_marker_rows": 1}),
        ("JPEG gray", photo.convert("L"), {}),
        ("JPEG cmyk", photo.convert("CMYK"), {}),
        ("JPEG turned", photo, {"exif": exif}),
        ("PNG rgb", photo, {}),
        ("PNG gray", photo.convert("L"), {}),
        ("PNG palette", photo.quantize(64), {}),
        ("PNG alpha", alpha, {}),
        ("PNG deep", deep, {}),
        ("PNG animated", photo, {"save_all": True, "append_images": frames}),
        ("WEBP lossy", photo, {}),
        ("WEBP lossless", photo, {"lossless": True}),
        ("WEBP alpha", alpha, {}),
        ("WEBP animated", photo, {"save_all": True, "append_images": frames}),
        ("AVIF plain", photo, {}),
        ("AVIF turned", photo, {"exif": exif}),
        ("TIFF raw", photo, {}),
        ("TIFF lzw", photo, {"compression": "tiff_lzw"}),
        ("TIFF deflate", photo, {"compression": "tiff_adobe_deflate"}),
        ("TIFF jpeg", photo, {"compression": "jpeg"}),
        ("TIFF fax", photo.convert("1"), {"compression": "group4"}),
        ("TIFF deep", deep, {}),
        ("GIF still", photo, {}),
        ("GIF animated", photo, {"save_all": True, "append_images": frames}),
        ("BMP rgb", photo, {}),
        ("BMP alpha", alpha, {}),
        ("JPEG2000 plain", photo, {}),
        ("PPM rgb", photo, {}),
    ]
    files = {}
    for name, image, options in kinds:
        file = io.BytesIO()
        image.save(file, name.split()[0], **options)
        files[name] = file.getvalue()
    data = ROOT / "tests" / "data"
    others = {
        "HEIC": "exif_only_o6.heic",
        "RAW": "thumb_first.dng",
        "TIFF planes": "planar16.tif",
        "PNG text": "long_text.png",
    }
    return files | {name: (data / path).read_bytes() for name, path in others.items()}


def cut_off(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def cut_and_end(data: bytes, random: Random) -> bytes:
    """Cut off, with the last bytes put back (end markers and chunks)."""
    return cut_off(data, random) + data[-random.choice((2, 4, 12)) :]


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5, 20, 100))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def flip_in_head(data: bytes, random: Random) -> bytes:
    """Change bytes where headers are."""
    return flip_bits(data[:200], random) + data[200:]


def remove(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 7, 100, 3000)) :]


def repeat(data: bytes, random: Random) -> bytes:
    at, size = random.randrange(len(data) + 1), random.choice((1, 7, 100, 3000))
    return data[: at + size] + data[at:]


def insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 7, 100, 3000))) + data[at:]


def overwrite(data: bytes, random: Random) -> bytes:
    at, size = random.randrange(len(data) + 1), random.choice((4, 100, 3000))
    filler = random.choice((b"\0", b"\xff", b"\x80")) * size
    return (data[:at] + filler + data[at + size :])[: len(data)]


def append(data: bytes, random: Random) -> bytes:
    return data + random.choice((data, bytes(100), random.randbytes(1000)))


def parts(data: bytes) -> list[bytes]:
    """Return the parts of a file's structure: PNG chunks, JPEG segments, boxes or RIFF chunks; else equal pieces."""
    if data.startswith(b"\x89PNG"):
        return _sized(data, 8, 4, ">I", 12)
    if data[4:8] == b"ftyp" or data.startswith(b"\0\0\0\x0cjP  "):
        return _sized(data, 0, 0, ">I", 0)
    if data.startswith(b"RIFF"):
        return _sized(data, 12, 4, "<I", 8)
    if data.startswith(b"\xff\xd8"):
        found = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)]
        edges = [*found, len(data)]
        return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    step = max(1, len(data) // 20)
    return [data[at : at + step] for at in range(0, len(data), step)]


def _sized(data: bytes, start: int, name: int, order: str, extra: int) -> list[bytes]:
    """Return the head of a file, then its parts with a length each: the length field lies before or behind a name."""
    found, at = [data[:start]], start
    while at + 8 <= len(data):
        field = at + name if order == "<I" else at
        size = max(8, struct.unpack(order, data[field : field + 4])[0] + extra)
        found.append(data[at : at + size])
        at += size
    return [part for part in found if part]


def surgery(data: bytes, random: Random) -> bytes:
    """Remove, repeat, move or change a part; checksums of PNG chunks are made right again half of the time."""
    found = parts(data)
    if len(found) < 3:
        return flip_bits(data, random)
    at = random.randrange(1, len(found))
    action = random.randrange(4)
    if action == 0:
        del found[at]
    elif action == 1:
        found.insert(at, found[at])
    elif action == 2:
        found.insert(random.randrange(1, len(found)), found.pop(at))
    else:
        part = found[at][:8] + flip_bits(found[at][8:], random)
        if data.startswith(b"\x89PNG") and random.random() < 0.5 and len(part) >= 12:
            part = part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4]))
        found[at] = part
    return b"".join(found)


CHANGES: tuple[Change, ...] = (
    cut_off, cut_and_end, flip_bits, flip_in_head, remove, repeat, insert, overwrite, append, surgery, surgery, surgery
)  # fmt: skip


def odd_picture(index: int, seed: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """Return name and bytes of picture number `index`: the same for the same seed and versions of the encoders."""
    random = Random(f"{seed}/{index}")
    name = random.choice(sorted(files))
    data = files[name]
    for change in random.choices(CHANGES, k=random.choice((1, 1, 1, 2, 3))):
        data = change(data, random)
        name += f" {change.__name__}"
    return name, data


def check(name: str, data: bytes, cv2: Any, assessor: Assessor) -> Outcome:
    """Assess one picture as `snellen assess --score-only` does; compare its pixels with OpenCV's."""
    outcome = read(name, data, cv2)
    if outcome.fault:
        return outcome
    try:
        (assessment,) = assessor.assess([data])
    except Exception as error:  # the fault that is looked for
        return Outcome("traceback", repr(error))
    code = "read" if assessment.error is None else assessment.error.code
    if code != outcome.code.removesuffix(" with notes"):
        return Outcome(outcome.code, f"loading gives {outcome.code}, assessing {code}")
    if assessment.error is None and not (assessment.score is not None and 1 <= assessment.score <= 5):
        return Outcome(outcome.code, f"score {assessment.score}")
    return replace(outcome, score=assessment.score)


def read(name: str, data: bytes, cv2: Any) -> Outcome:
    """Load one picture as it is and with damage allowed; compare it with OpenCV's."""
    picture = None
    code = ""
    for allow in (True, False):
        try:
            picture = load(data, allow_damaged=allow)
            code = "read with notes" if picture.notes else "read"
            if picture.pixels.dtype != np.uint8 or picture.pixels.shape != (picture.height, picture.width, 3):
                return Outcome(code, f"pixels {picture.pixels.dtype} {picture.pixels.shape}")
        except ImageError as error:
            picture, code = None, error.code
            if "\n" in str(error) or not error.remedy:
                return Outcome(code, f"error without a remedy, or of several lines: {error!r}")
        except Exception as error:  # the fault that is looked for
            return Outcome("traceback", repr(error))
    turned = {TURNED} if not name.startswith("AVIF") else set()  # OpenCV does not turn AVIF
    if picture is None or cv2 is None or set(picture.notes) - turned:
        return Outcome(code)
    other = second_decoder(data, cv2)
    if other is None:
        return Outcome(code)
    if other.shape != picture.pixels.shape:
        return Outcome(code, f"size {picture.pixels.shape}, OpenCV {other.shape}", True)
    difference = float(np.abs(other[:, :, ::-1].astype(int) - picture.pixels).mean())
    limit = ROUNDING.get(name.split()[0], 0.0)
    return Outcome(code, f"mean difference {difference:.2f} from OpenCV" if difference > limit else "", True)


def second_decoder(data: bytes, cv2: Any) -> Any:
    """Return OpenCV's pixels, BGR, or None; what its decoders print is dropped."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def serve(pipe: Connection, seed: int) -> None:
    """Check the pictures whose numbers come through the pipe; send (outcome, memory and its peak in MB)."""
    files = originals()
    assessor = Assessor(score_only=True)
    assessor.assess([files["PNG rgb"]])  # opens the model
    printed = tempfile.TemporaryFile()  # noqa: SIM115 - for the life of the process
    os.dup2(printed.fileno(), 2)
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    try:
        import cv2  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        cv2 = None
    pipe.send("ready")
    while (index := pipe.recv()) is not None:
        name, data = odd_picture(index, seed, files)
        outcome = check(name, data, cv2, assessor)
        if printed.seek(0, os.SEEK_END):
            printed.seek(0)
            outcome = replace(outcome, fault=outcome.fault or f"printed {printed.read()!r}")
            printed.truncate(0)
            printed.seek(0)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        pipe.send((outcome, resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def start(seed: int) -> tuple[Any, Connection]:
    """Start a child; return it and the pipe to it."""
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there, seed), daemon=True)
    child.start()
    there.close()
    if not here.poll(BLOCKED) or here.recv() != "ready":
        raise TimeoutError("the child does not start")
    return child, here


def answers(child: Any, pipe: Connection) -> bool:
    """Wait for the child's answer; return False where it hangs."""
    began, used = time.monotonic(), processor_seconds(child.pid)
    while not pipe.poll(1.0):
        if processor_seconds(child.pid) - used > LONGEST or time.monotonic() - began > BLOCKED:
            return False
    return True


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used, 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: list[str]) -> int:
    """Run the check; print a table and every fault; return the exit code."""
    count, seed, minutes = (int(text) for text in (*arguments, *("10000", "0", "0")[len(arguments) :]))
    files = originals()
    table: dict[str, Counter[str]] = {}
    faults = []
    compared, scored, slowest, memory = 0, 0, 0.0, 0.0
    resident: list[float] = []
    child, pipe = start(seed)
    ends = time.monotonic() + 60 * minutes if minutes else float("inf")
    for index in range(count):
        if time.monotonic() > ends:
            count = index
            break
        name, _ = odd_picture(index, seed, files)
        began = time.monotonic()
        pipe.send(index)
        try:
            if not answers(child, pipe):
                raise TimeoutError
            outcome, now, peak = pipe.recv()
            resident.append(now)
            memory = max(memory, peak)
            slowest = max(slowest, time.monotonic() - began)
        except (TimeoutError, EOFError, ConnectionError) as error:
            outcome = Outcome(
                "hang" if isinstance(error, TimeoutError) else "crash", "the process had to be started again"
            )
            child.kill()
            child, pipe = start(seed)
        table.setdefault(name.split()[0], Counter())[outcome.code] += 1
        compared += outcome.compared
        scored += outcome.score is not None
        if outcome.fault:
            faults.append(f"{index} {name}: {outcome.code}, {outcome.fault}")
    pipe.send(None)
    codes = sorted({code for row in table.values() for code in row})
    print(f"{count} pictures, seed {seed}, Pillow {PIL.__version__}")
    for kind, row in sorted(table.items()):
        print(f"{kind:9}", ", ".join(f"{row[code]} {code}" for code in codes if row[code]))
    print(f"scored by snellen-1: {scored}, the others refused; compared with OpenCV: {compared}")
    middle = resident[len(resident) // 2]
    print(f"slowest {slowest:.1f} s; memory {middle:.0f} MB half-way, {resident[-1]:.0f} at the end, peak {memory:.0f}")
    print(*faults, f"{len(faults)} faults", sep="\n")
    return 1 if faults or memory > MOST_MEMORY or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
