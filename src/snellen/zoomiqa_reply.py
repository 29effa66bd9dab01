"""The parser of protocol zoom-iqa: reads what the Zoom-IQA authors' code reads, and with the same result.

Theirs is EthanLiang99/Zoom-IQA, src/zoomiqa/inference/protocol.py; nothing of it is copied, and
`recipes/bench/parity.py` compares the two. Each departure from a well-formed reply is listed in `Parsed.repaired`.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from typing import Any

from snellen.region import Region
from snellen.reply import Answer, Issue, Parsed, Rationale, ReplyError, parse_issues
from snellen.reply_form import drop, find_sections

_ANSWER = re.compile(r"<answer>\s*(?P<object>\{.*?\})\s*</answer>", re.DOTALL)
_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)


def parse_zoomiqa(text: str, number: int, size: tuple[int, int] | None = None) -> Parsed:
    """Parse a reply of round `number` (1 or 2) as the authors do.

    The first `<answer>` that holds an object counts. Its JSON may be relaxed where dirtyjson is installed, its rating
    may be quoted and is clipped to 1..5. Round 1 asks for a crop unless the box is all zero or the tool is "final"; an
    answer without box or tool is final. Round 2 needs a rating only.

    Args:
        text: the reply.
        number: number of the round.
        size: (width, height) of the picture, px: a box with a side outside 0..1 is in pixels of it. None: such a box is
            invalid.

    Raises:
        ReplyError: the authors' code would give no score either.
    """
    repaired: list[str] = []
    match = _ANSWER.search(text)
    if match is None:
        raise ReplyError("no_answer", "the reply holds no <answer>{...}</answer>")
    value = _object(match["object"], repaired)
    rationale = _rationale(text[: match.start()] + text[match.end() :], number, repaired)
    rating = _rating(value, repaired)
    issues = _issues(value, repaired)
    if number == 1 and _asks_for_crop(value, repaired):
        region = asked_region(value["bbox_2d"], size)
        repaired += ["invalid box"] * (region is None) + ["unusable rating"] * (rating is None)
        answer = Answer(region, rating, "crop", issues)
    elif rating is None:
        raise ReplyError("bad_rating", f"rating is a finite number, not {value.get('rating')!r:.40}")
    else:
        answer = Answer(None, rating, "final", issues)
    listed = "issues" in value and "issues left out" not in repaired
    return Parsed(rationale, answer, tuple(dict.fromkeys(repaired)), listed)


def _object(payload: str, repaired: list[str]) -> dict[str, Any]:
    """Return the answer's object: strict JSON, in which the last of equal keys counts, or JSON that dirtyjson reads."""
    try:
        value = json.loads(payload)
    except json.JSONDecodeError as error:
        value = _relaxed(payload, error)
        repaired.append("relaxed JSON")
    except (ValueError, RecursionError) as error:  # a number of absurd length, or too deep
        raise ReplyError("bad_json", f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReplyError("not_object", "the answer is JSON, but not an object")
    return value


def _relaxed(payload: str, error: json.JSONDecodeError) -> Any:
    try:
        dirtyjson = importlib.import_module("dirtyjson")
    except ModuleNotFoundError:
        remedy = 'relaxed JSON needs dirtyjson; run: pip install "snellen[zoom-iqa]"'
        raise ReplyError("bad_json", f"the answer is not JSON ({error}); {remedy}") from error
    try:
        return _plain(dirtyjson.loads(payload))
    except Exception as failure:  # noqa: BLE001 - it raises errors of many kinds
        raise ReplyError("bad_json", f"the answer is not even relaxed JSON: {failure}") from failure


def _plain(value: Any) -> Any:
    """Return a value of dirtyjson in plain dicts and lists; its own have other methods."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _rationale(outside: str, number: int, repaired: list[str]) -> Rationale | None:
    """Return the rationale where the think text has the four sections; the authors' parser accepts any."""
    if outside.count("<answer>"):
        repaired.append("first of several answers")
    think = _THINK.search(outside)
    if think is None:
        drop(outside, repaired)
        return None
    drop(outside[: think.start()] + outside[think.end() :], repaired)
    try:
        before, sections = find_sections(think[1], number, repaired)
        return None if before.strip() else Rationale(*sections)
    except ValueError:
        return None


def _rating(value: dict[str, Any], repaired: list[str]) -> float | None:
    """Return the rating, clipped to 1..5; None where it is missing or no finite number."""
    written = value.get("rating")
    try:
        rating = float(written)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(rating):
        return None
    if isinstance(written, (str, bool)):
        repaired.append("quoted rating")
    if not 1.0 <= rating <= 5.0:
        repaired.append("clipped rating")
    return min(5.0, max(1.0, rating))


def _asks_for_crop(value: dict[str, Any], repaired: list[str]) -> bool:
    box = value.get("bbox_2d")
    if not all(key in value for key in ("bbox_2d", "rating", "tool")) or not isinstance(box, (list, dict, str)):
        repaired.append("missing key")
        return False
    if all(side == 0 for side in box) or value["tool"] == "final":
        return False
    if value["tool"] != "crop":
        repaired.append("unknown tool")
    return True


def _issues(value: dict[str, Any], repaired: list[str]) -> tuple[Issue, ...]:
    """Return the issues where there are readable ones; the authors' protocol has none."""
    try:
        return parse_issues(value.get("issues", []), None, repaired)
    except ReplyError:
        repaired.append("issues left out")
        return ()


def asked_region(box: Any, size: tuple[int, int] | None) -> Region | None:
    """Return the box of a crop that is asked for, as the authors read it; None where they show the central crop.

    Sides in any order; all of them in 0..1 are fractions, otherwise pixels, clipped to the picture. Where two sides are
    equal the box is one pixel wide.

    Raises:
        ReplyError: a side is too large for a float.
    """
    if not isinstance(box, list) or len(box) != 4:
        return None
    try:
        x0, y0, x1, y1 = (float(side) for side in box)
    except (TypeError, ValueError):
        return None
    except OverflowError as error:
        raise ReplyError("bad_bbox", f"bbox_2d is out of range: {box!r:.60}") from error
    if x0 == y0 == x1 == y1 == 0:
        return None
    fractions = all(0 <= side <= 1 for side in (x0, y0, x1, y1))
    if size is None:
        ordered = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        return Region(*ordered) if fractions and x0 != x1 and y0 != y1 else None
    left, right = _side(x0, x1, size[0], fractions)
    top, bottom = _side(y0, y1, size[1], fractions)
    return Region(left, top, right, bottom)


def _side(a: float, b: float, size: int, fractions: bool) -> tuple[float, float]:
    """Return both ends of a box along one side of the picture (`size` px), in fractions, the lower first."""
    if fractions and a * size != b * size:
        return min(a, b), max(a, b)
    if fractions:
        a, b = a * size, b * size
    low, high = sorted(0.0 if math.isnan(end) else min(max(end, 0.0), float(size)) for end in (a, b))
    if low == high:
        low, high = (low, high + 1) if high < size else (low - 1, high)
    return _exact(low, size), _exact(high, size)


def _exact(at: float, size: int) -> float:
    """Return the fraction nearest to `at` px whose product with `size` lies in the same pixel as `at`."""
    fraction = min(1.0, at / size)
    while int(fraction * size) < int(at):
        fraction = math.nextafter(fraction, 2.0)
    while int(fraction * size) > int(at):
        fraction = math.nextafter(fraction, 0.0)
    return fraction
