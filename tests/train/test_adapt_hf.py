"""`snellen adapt --model hf:FOLDER` on a tiny vision-language model that was taught to rate brightness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft")

from vlm_base import pretrain
from vlm_pictures import PLAIN, make, picture, write_conversations

from snellen.cli import main
from snellen.data.sample import Sample
from snellen.evaluate.adapt_hf import compared

TINY = ("lora.long_side=56", "options.batch=8", "options.microbatch=8", "options.warmup=1", "options.steps=20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that rates grey pictures by brightness, and the ratings of an owner who likes them dark."""
    place = tmp_path_factory.mktemp("hf")
    write_conversations(make(place / "others", 24, 0), place / "conversations.jsonl", 1_000, 0.3, 8)
    pretrain(place / "model", "qwen2.5", place / "conversations.jsonl", 60)
    rng, rows = np.random.default_rng(1), ["image,mos"]
    for i, mos in enumerate(rng.uniform(1.2, 4.8, 60)):
        pixels = picture(PLAIN, float(mos), rng)[:112, : 100 + 8 * (i % 9)]
        Image.fromarray(pixels).save(place / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,{6.0 - mos:.2f}")
    (place / "dark.csv").write_text("\n".join(rows))
    return place


def adapt(folder: Path, out: Path, rate: float) -> int:
    settings = [part for one in (*TINY, f"options.rate={rate}") for part in ("--set", one)]
    model = f"hf:{folder / 'model'}"
    return main(["adapt", str(folder / "dark.csv"), "--model", model, "--out", str(out), "--quiet", *settings])


def test_an_adapter_that_helps_is_kept_and_opened(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    assert adapt(folder, own, 2e-3) == 0
    printed = capsys.readouterr().out
    assert "48 pictures learned from in 20 steps, 12 of other scenes held out" in printed and "written:" in printed
    rows = [json.loads(line) for line in (own / "conversations.jsonl").read_text().splitlines()]
    assert sum(row["split"] == "val" for row in rows) == 12
    dark, bright = (str(folder / f"{i:02d}.png") for i in brightness(folder))
    assert main(["assess", dark, bright, "--score-only", "--model", f"hf:{own}", "--json"]) == 0
    low, high = (json.loads(line)["score"] for line in capsys.readouterr().out.splitlines())
    assert low > high, "as its owner rates them"
    assert adapt(folder, own, 2e-3) == 2
    assert "holds a model already" in capsys.readouterr().err


def brightness(folder: Path) -> tuple[int, int]:
    """Numbers of the darkest and of the brightest picture."""
    means = [np.asarray(Image.open(folder / f"{i:02d}.png")).mean() for i in range(60)]
    return int(np.argmin(means)), int(np.argmax(means))


def test_an_adapter_that_does_not_help_is_taken_away(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(folder, tmp_path / "own", 1e-12) == 1
    printed = capsys.readouterr()
    assert "squared error +0.000" in printed.out and "taken away" in printed.err
    assert not (tmp_path / "own" / "adapter_config.json").exists()
    assert main(["adapt", "x.csv", "--out", str(tmp_path / "none"), "--set", "options.steps=2"]) == 2
    assert main(["adapt", "x.csv", "--out", str(tmp_path / "none"), "--model", "hf:x", "--labels", "y.jsonl"]) == 2


def test_scores_are_compared_where_both_are() -> None:
    samples = [Sample(f"{i}.png", 1.0 + 0.25 * i) for i in range(12)]
    mos = np.array([sample.mos for sample in samples], np.float64)
    off, near = mos[::-1].copy(), mos + 0.1
    helped, lines = compared(samples, off, near)
    assert helped and "SRCC -1.000" in lines[0] and "SRCC 1.000  root mean square error 0.100" in lines[1]
    lost = near.copy()
    lost[3] = np.nan
    helped, lines = compared(samples, off, lost)
    assert not helped, "nearer, but a picture lost its score"
    assert lines[0] == "  the adapted one gave no score to 1 of 12"
    assert not compared(samples, np.full(12, np.nan), near)[0], "nothing to compare with"
