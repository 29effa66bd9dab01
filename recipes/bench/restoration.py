"""Proof of `snellen restore` on photographs with made faults: what the reference says of what judge and check accept.

    python recipes/bench/restoration.py FOLDER --out restoration.jsonl
    python recipes/bench/restoration.py --summary restoration.jsonl

FOLDER holds clean photographs. Twelve faults, two photographs each: one with the fault everywhere, one with it in a
box; two photographs for each of three cameras (`camera.py`); then four photographs as they are. Compared with all tools
in a row, each tool alone on every picture, and an oracle that knows kind and box and chooses tool and setting by the
reference. --classical leaves the learned tools out. A picture has 256 px a side or more, for SSIMULACRA 2.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from camera import CAMERAS, photograph
from skimage.metrics import structural_similarity

from snellen import Assessor, Picture, Region, load
from snellen.comparison.measures import ssimulacra2
from snellen.data.distort import DISTORTIONS, distort
from snellen.region import FULL
from snellen.restoration.learned.packages import learned_tools
from snellen.restoration.loop import restore
from snellen.restoration.tool import Pixels, Tool, repair
from snellen.restoration.toolbox import TOOLS, tools_for

FAULTS = (
    ("white_noise", 4), ("impulse_noise", 3), ("multiplicative_noise", 4), ("gaussian_blur", 3), ("lens_blur", 3),
    ("motion_blur", 3), ("jpeg", 4), ("webp", 4), ("darken", 4), ("low_light", 3), ("brighten", 3), ("contrast", 5),
)  # fmt: skip
BOX = Region(0.2, 0.2, 0.7, 0.75)
CLEAN = 4


def mse(one: Pixels, other: Pixels, region: Region = FULL) -> float:
    """Mean squared difference inside a region, in squared 8-bit levels."""
    left, top, right, bottom = region.to_pixels(one.shape[1], one.shape[0])
    difference = one[top:bottom, left:right].astype(np.float64) - other[top:bottom, left:right]
    return float((difference**2).mean())


def gain(before: Pixels, after: Pixels, original: Pixels, region: Region = FULL) -> float:
    """Gain in PSNR inside a region, dB; infinities are avoided by a floor of 0.1 squared levels."""
    return float(10 * np.log10(max(0.1, mse(before, original, region)) / max(0.1, mse(after, original, region))))


def ssim(one: Pixels, other: Pixels) -> float:
    """Structural similarity of RGB pictures."""
    return float(structural_similarity(one, other, channel_axis=2))  # type: ignore[no-untyped-call]


def ssim_inside(one: Pixels, other: Pixels, region: Region) -> float:
    """Structural similarity inside a region."""
    left, top, right, bottom = region.to_pixels(one.shape[1], one.shape[0])
    return ssim(one[top:bottom, left:right], other[top:bottom, left:right])


def apply_all(pixels: Pixels, tools: Sequence[Tool]) -> Pixels:
    """All tools in a row on the whole picture, each with its first setting."""
    for tool in tools:
        pixels = repair(pixels, FULL, tool, tool.settings[0])
    return pixels


def oracle(
    pixels: Pixels, original: Pixels, kinds: Sequence[str], box: Region, whole: dict[str, Pixels], tools: Sequence[Tool]
) -> Pixels:
    """The tool and setting for the true kinds in the true box that the reference likes best, or no change.

    whole: results of all tools on the whole picture.
    """
    named = {tool.name: tool for kind in kinds for tool in tools_for(kind, tools)}
    fitting = [(tool, n) for tool in named.values() for n in range(len(tool.settings))]
    if box == FULL:
        made = [whole[name(tool, n)] for tool, n in fitting]
    else:
        made = [repair(pixels, box, tool, tool.settings[n]) for tool, n in fitting]
    return min([pixels, *made], key=lambda result: mse(result, original))


def faulty(original: Pixels, fault: tuple[str, int], box: Region) -> tuple[Pixels, tuple[str, ...]]:
    """Return the picture with the fault in the box, and the kinds of issue that it shows."""
    rng = np.random.default_rng(0)
    if fault[0] in CAMERAS:
        return photograph(original, CAMERAS[fault[0]], rng), CAMERAS[fault[0]].kinds
    kind = DISTORTIONS[fault[0]].kind_at(fault[1])
    assert kind is not None
    return distort(original, *fault, rng, None if box == FULL else box), (kind,)


def measure(
    path: Path,
    fault: tuple[str, int] | None,
    box: Region,
    assessor: Assessor,
    tools: Sequence[Tool],
    compare: bool,
    side: int | None = None,
) -> dict[str, Any]:
    """Run the loop and, if asked to, the comparisons on one picture, or its upper left corner of `side` px."""
    original = load(path).pixels[:side, :side]
    row: dict[str, Any] = {"picture": path.name, "fault": fault, "box": box.to_list()}
    pixels, kinds = (original, ()) if fault is None else faulty(original, fault, box)
    result = restore(Picture(pixels, path.name), assessor, tools)
    last = result.last.score
    assert result.first.score is not None and last is not None
    row |= {"judge": last - result.first.score, "steps": steps(pixels, original, result.attempts)}
    row["issues"] = [(issue.kind, issue.severity, issue.region.to_list()) for issue in result.first.issues]
    row["mse_change"] = mse(result.picture.pixels, original)
    if fault is None:
        return row
    results = {"loop": result.picture.pixels}
    perceived = ssimulacra2(original, pixels)
    singles: dict[str, Pixels] = {}
    if compare:
        singles = {name(tool, n): one for tool in tools for n, one in enumerate(all_settings(pixels, tool))}
        results["blind"] = apply_all(pixels, tools)
        results["oracle"] = oracle(pixels, original, kinds, box, singles, tools)
    for method, after in (results | singles).items():
        row[method] = {"psnr": gain(pixels, after, original), "inside": gain(pixels, after, original, box)}
        if method in results:
            row[method]["ssim"] = ssim(after, original) - ssim(pixels, original)
            row[method]["ssim inside"] = ssim_inside(after, original, box) - ssim_inside(pixels, original, box)
            row[method]["ssimulacra2"] = ssimulacra2(original, after) - perceived
    return row


def name(tool: Tool, setting: int) -> str:
    """Name of a tool with one of its settings."""
    return f"{tool.name} {setting}"


def all_settings(pixels: Pixels, tool: Tool) -> list[Pixels]:
    """A tool on the whole picture, once with each of its settings."""
    return [repair(pixels, FULL, tool, setting) for setting in tool.settings]


def steps(pixels: Pixels, original: Pixels, attempts: Any) -> list[dict[str, Any]]:
    """Each attempt with the reference's opinion of it: gain in PSNR inside its box, dB."""
    rows = []
    for attempt in attempts:
        left, top, right, bottom = attempt.issue.region.to_pixels(pixels.shape[1], pixels.shape[0])
        truth = original[top:bottom, left:right]
        known = attempt.to_dict()
        known.pop("prompts")
        known["gain"] = None if attempt.after is None else gain(attempt.before, attempt.after, truth)
        rows.append(known)
    return rows


def plan(paths: list[Path]) -> list[tuple[Path, tuple[str, int] | None, Region]]:
    """Pictures with their fault and box: for each fault one whole, one in a box; clean ones; two for each camera."""
    chosen = iter(paths[:: max(1, len(paths) // (2 * len(FAULTS) + CLEAN + 2 * len(CAMERAS)))])
    made = [(next(chosen), fault, box) for fault in FAULTS for box in (FULL, BOX)]
    cameras = [(next(chosen), (camera, 0), FULL) for camera in CAMERAS for _ in range(2)]
    return made + cameras + [(next(chosen), None, FULL) for _ in range(CLEAN)]


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the numbers as text."""
    bad = [row for row in rows if row["fault"]]
    kept = [step for row in bad for step in row["steps"] if step["accepted"]]
    passed = [step for row in bad for step in row["steps"] if step["check"] and step["check"]["passed"]]
    tried = [step for row in bad for step in row["steps"] if step["gain"] is not None]
    clean = [row for row in rows if not row["fault"]]
    lines = [
        f"{len(bad)} faulty pictures, {len(clean)} clean",
        f"with an accepted step: {_share([accepted(row) for row in bad])}",
        f"clean with an accepted step: {_share([accepted(row) for row in clean])}",
    ]
    for title, group in (("tried", tried), ("passed the check", passed), ("kept by both", kept)):
        gains = [step["gain"] for step in group]
        if gains:
            worse = _share([value < 0 for value in gains])
            lines.append(
                f"candidates {title}: {len(gains)}, worse by the reference {worse}, mean {np.mean(gains):+.2f} dB"
            )
    compared = [row for row in bad if "oracle" in row]
    if compared:
        names = [key for key, value in compared[0].items() if isinstance(value, dict) and "psnr" in value]
        singles = [name for name in names if name not in ("loop", "blind", "oracle")]
        best = max(singles, key=lambda name: float(np.mean([row[name]["psnr"] for row in compared])))
        lines += [means(title, compared) for title in ("loop", "blind", best, "oracle")]
    lines.append(means("loop", bad))
    lines.append(best_of(bad))
    lines.append(f"judge's gain: {np.mean([row['judge'] for row in bad]):+.3f} MOS")
    for fault in (*dict(FAULTS), *CAMERAS):
        group = [row for row in bad if row["fault"][0] == fault]
        if group:
            top = [row.get("oracle", {"inside": np.nan})["inside"] for row in group]
            numbers = " ".join(f"{row['loop']['inside']:+.2f}({b:+.2f})" for row, b in zip(group, top, strict=True))
            lines.append(f"  {fault}: loop (oracle) inside, dB: {numbers}")
    return "\n".join(lines)


def best_of(bad: list[dict[str, Any]]) -> str:
    """Return what the judge's choice among the candidates of an issue gains over a random one, by the reference, dB."""
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for number, row in enumerate(bad):
        for step in row["steps"]:
            if step["score"][1] is not None:
                issue = step["issue"]
                groups.setdefault((number, issue["kind"], str(issue["region"])), []).append(step)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        return "best of N: no issue has two candidates that pass the check"

    def rise(step: dict[str, Any]) -> float:
        before, after = step["crop_score"] or step["score"]
        return float(after - before)

    mean = np.mean([np.mean([step["gain"] for step in group]) for group in several])
    chosen = np.mean([max(group, key=rise)["gain"] for group in several])
    best = np.mean([max(step["gain"] for step in group) for group in several])
    size = np.mean([len(group) for group in several])
    return (
        f"best of {size:.1f} candidates on {len(several)} issues: mean or random {mean:+.2f} dB, "
        f"the judge's choice {chosen:+.2f} dB, the reference's {best:+.2f} dB"
    )


def means(title: str, rows: list[dict[str, Any]]) -> str:
    """Return the mean gains of a method as a line."""
    values = {key: float(np.mean([row[title][key] for row in rows])) for key in rows[0][title]}
    similarity = ""
    if "ssim" in values:
        similarity = f", SSIM {values['ssim']:+.4f}, inside {values['ssim inside']:+.4f}"
        similarity += f", SSIMULACRA 2 {values['ssimulacra2']:+.1f}"
    psnr = f"PSNR {values['psnr']:+.2f} dB, inside the box {values['inside']:+.2f} dB"
    return f"{title} on {len(rows)}: {psnr}{similarity}"


def accepted(row: dict[str, Any]) -> bool:
    """Return True where a step was kept."""
    return any(step["accepted"] for step in row["steps"])


def _share(flags: list[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"


def main() -> None:
    """Run the proof, or summarise a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="clean photographs")
    parser.add_argument("--out", type=Path, default=Path("restoration.jsonl"))
    parser.add_argument("--model", default="snellen-1")
    parser.add_argument("--classical", action="store_true", help="without learned tools")
    parser.add_argument("--compare", type=int, default=1, help="the comparisons on every n-th picture; 0: on none")
    parser.add_argument("--side", type=int, help="only the upper left corner of each picture, px a side")
    parser.add_argument("--only", nargs="+", type=int, help="these pictures of the plan only")
    parser.add_argument("--summary", type=Path, help="only summarise this file")
    args = parser.parse_args()
    if args.summary is None:
        if args.folder is None:
            parser.error("name a folder of clean photographs, or --summary FILE")
        assessor = Assessor(args.model)
        tools = TOOLS if args.classical else (*learned_tools(), *TOOLS)
        done = len(args.out.read_text(encoding="utf-8").splitlines()) if args.out.exists() else 0
        jobs = enumerate(plan(sorted(args.folder.glob("*.png"))))
        chosen = [job for job in jobs if args.only is None or job[0] in args.only]
        with args.out.open("a", encoding="utf-8") as file:  # a run that was stopped goes on
            for number, (path, fault, box) in chosen[done:]:
                compare = args.compare > 0 and number % args.compare == 0
                row = measure(path, fault, box, assessor, tools, compare, args.side)
                print(json.dumps(row), file=file, flush=True)
    rows = [json.loads(line) for line in (args.summary or args.out).read_text(encoding="utf-8").splitlines()]
    print(summary(rows))


if __name__ == "__main__":
    main()
