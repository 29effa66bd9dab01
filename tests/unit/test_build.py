from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.data.build import build
from snellen.data.distort import distort
from snellen.data.levels import level_mos
from snellen.data.page import show
from snellen.data.sample import Fault, ManifestError, Sample, write_manifest
from snellen.image import ImageError
from snellen.region import Region
from snellen.reply import parse_reply


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(40, 220, (24, 32, 3), dtype=np.uint8))
    return np.asarray(small.resize((128, 96), Image.Resampling.BICUBIC))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four pictures: three as found, better ones sharper, and one with a known fault in a part."""
    samples = []
    for number in range(3):
        path = tmp_path / f"real <{number}>.png"
        Image.fromarray(distort(picture(number), "lens_blur", 1 + number % 5, np.random.default_rng(0))).save(path)
        samples.append(Sample(str(path), mos=4.5 - 0.6 * (number % 5), group=f"g{number}"))
    part = Region(0.5, 0.5, 0.9, 0.9)
    path = tmp_path / "noisy.png"
    Image.fromarray(distort(picture(3), "white_noise", 4, np.random.default_rng(0), part)).save(path)
    samples.append(Sample(str(path), mos=2.8, faults=(Fault("white_noise", "noise", 4, part),)))
    write_manifest(samples, tmp_path / "manifest.jsonl")
    return tmp_path / "manifest.jsonl"


def test_build_writes_a_readable_conversation_for_every_picture(manifest: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "out" / "rationales.jsonl"
    count = build([manifest], out, score_only_share=0.0, on_progress=lambda done, total: seen.append((done, total)))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert count == len(lines) == 4
    assert seen == [(i, 4) for i in range(1, 5)]
    for line in lines:
        assert line["size"] == [128, 96]
        shown = [0.0, 0.0, 1.0, 1.0]
        for number, one in enumerate(line["rounds"], 1):
            answer = parse_reply(one["reply"], number).answer
            assert answer.rating == pytest.approx(one["rating"], abs=0.0051)
            assert len(answer.issues) == one["issues"]
            assert one["region"] == shown
            shown = answer.region.to_list() if answer.region else shown
        assert answer.tool == "final"
        assert line["rounds"][-1]["rating"] == pytest.approx(line["mos"])
    noisy = lines[-1]
    assert not noisy["real"]
    assert len(noisy["rounds"]) == 2
    severity = int(6 - level_mos("white_noise", 4)[0] + 0.5)
    assert f'"kind": "noise", "severity": {severity}' in noisy["rounds"][1]["reply"]


def test_build_repeats_by_seed_and_adds_answers_without_text(manifest: Path, tmp_path: Path) -> None:
    def text(name: str, seed: int, score_only_share: float) -> str:
        build([manifest], tmp_path / name, seed=seed, score_only_share=score_only_share)
        return (tmp_path / name).read_text()

    assert text("a", 1, 0.5) == text("b", 1, 0.5)
    assert text("a", 1, 0.5) != text("b", 2, 0.5)
    lines = text("c", 1, 1.0).splitlines()
    assert len(lines) == 8
    assert sum("<think></think>" in line for line in lines) == 4


def test_first_ratings_can_be_given(manifest: Path, tmp_path: Path) -> None:
    paths = [json.loads(line)["path"] for line in manifest.read_text().splitlines()]
    first = tmp_path / "first.jsonl"
    given = [{"path": str(tmp_path / path), "rating": 3.33, "std": 0.6} for path in paths]
    first.write_text("\n".join(json.dumps(row) for row in given))
    build([manifest], tmp_path / "out.jsonl", first=first, score_only_share=0.0)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all((line["first"], line["first_std"]) == (3.33, 0.6) for line in lines)
    assert all(line["rounds"][0]["rating"] == 3.33 for line in lines)
    first.write_text(json.dumps(given[0]))
    with pytest.raises(ManifestError, match="real <1>.png: no first rating"):
        build([manifest], tmp_path / "out.jsonl", first=first)
    first.write_text('{"path": "a"}')
    with pytest.raises(ManifestError, match="line 1: needs path, rating and std"):
        build([manifest], tmp_path / "out.jsonl", first=first)


def test_build_refuses_pictures_that_nobody_rated_or_nobody_can_read(tmp_path: Path) -> None:
    write_manifest([Sample(str(tmp_path / "a.png"))], tmp_path / "m.jsonl")
    with pytest.raises(ManifestError, match=r"a\.png: no mos"):
        build([tmp_path / "m.jsonl"], tmp_path / "out.jsonl")
    write_manifest([Sample(str(tmp_path / "a.png"), mos=3.0)], tmp_path / "m.jsonl")
    with pytest.raises(ImageError, match=r"a\.png"):
        build([tmp_path / "m.jsonl"], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_show_renders_pictures_boxes_and_text(manifest: Path, tmp_path: Path) -> None:
    build([manifest], tmp_path / "out.jsonl", score_only_share=0.0)
    page = tmp_path / "page.html"
    assert show(tmp_path / "out.jsonl", 100, page) == 4
    text = page.read_text()
    rounds = sum(len(json.loads(line)["rounds"]) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert text.count("data:image/jpeg;base64,") == rounds
    assert "real &lt;0&gt;.png" in text
    assert "<b>Issues to Avoid:</b>" in text
    assert show(tmp_path / "out.jsonl", 3, page) == 3
