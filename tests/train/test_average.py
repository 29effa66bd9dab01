from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from snellen.snellen1.perception import Vision

SCRIPT = Path(__file__).parents[2] / "runs" / "average.py"


def test_the_mean_of_two_encoders_opens_and_lies_between_them(tmp_path: Path) -> None:
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.pt")
        Vision().save(files[-1])
    subprocess.run(
        [sys.executable, str(SCRIPT), "--vision", *map(str, files), "--out", str(tmp_path / "mean")], check=True
    )
    one, two, mean = (Vision.open(file, whole=False).state_dict() for file in (*files, tmp_path / "mean" / "vision.pt"))
    for name, value in mean.items():
        torch.testing.assert_close(value, (one[name] + two[name]) / 2 if value.is_floating_point() else two[name])
