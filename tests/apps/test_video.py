"""`snellen video` on generated clips, with scripted scores."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import encode, pan
from PIL import Image

from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.image import ImageError
from snellen.reply import Answer, Rationale, render_reply
from snellen.video.decode import Video

av = pytest.importorskip("av")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """--model whose every rating is 3.0, with a distribution."""
    path = tmp_path / "replies.jsonl"
    text = render_reply(Rationale("Fine.", "Crisp.", "Blur.", "Sure."), Answer(None, 3.0, "final", ()), 1)
    path.write_text(json.dumps({"text": text, "rating": {"values": [2.5, 3.5], "probs": [0.5, 0.5]}}) + "\n")
    return f"scripted:{path}"


def judged(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    """Return exit code, JSON lines by type, and standard error."""
    code = main(["video", *args, "--json"])
    said, problems = capsys.readouterr()
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, said.splitlines()):
        lines.setdefault(line["type"], []).append(line)
    return code, lines, problems


def test_a_clip_gives_scores_a_fault_with_its_span_moments_and_a_report(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = pan(60)
    frames[21:36] = [frames[20]] * 15
    clip = encode(tmp_path / "a b.mp4", frames)
    report = tmp_path / "report.html"
    code, lines, problems = judged([str(clip), "--model", model, "--frames", "4", "--report", str(report)], capsys)
    assert code == 0 and "report: file:" in problems
    assert [line["time"] for line in lines["frame"]] == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert all(line["score"] == 3.0 for line in lines["frame"])
    (fault,) = lines["fault"]
    assert fault["kind"] == "freeze" and (fault["start"], fault["end"]) == pytest.approx((20 / 30, 36 / 30), abs=0.04)
    assert [line["assessment"]["score"] for line in lines["moment"]] == [3.0, 3.0]  # a second or more apart
    (video,) = lines["video"]
    assert (video["codec"], video["frames"], video["score"], video["label"]) == ("h264", 60, 3.0, "fair")
    page = report.read_text(encoding="utf-8")
    assert 'src="a%20b.mp4"' in page and ">freeze</text>" in page and "media-src" in page and "data:image/jpeg" in page


@pytest.mark.parametrize(("codec", "name"), [("libx265", "hevc"), ("libvpx-vp9", "vp9"), ("libsvtav1", "av1")])
def test_hevc_vp9_and_av1_are_read(tmp_path: Path, codec: str, name: str) -> None:
    clip = encode(tmp_path / "clip.mkv", pan(6), codec)
    with Video(str(clip)) as video:
        frames = list(video)
    assert len(frames) == 6 and video.problems == [] and video.info.codec == name
    assert frames[-1].picture().pixels.shape == (96, 128, 3)


def test_variable_frame_rate_keeps_the_times(tmp_path: Path) -> None:
    clip = encode(tmp_path / "vfr.mkv", pan(5), times=[0, 1, 2, 6, 7])
    with Video(str(clip)) as video:
        assert [frame.time for frame in video] == pytest.approx([0, 1 / 30, 2 / 30, 6 / 30, 7 / 30], abs=2e-3)


def test_hdr_is_said_and_tone_mapped(tmp_path: Path) -> None:
    gray = [np.full((64, 96, 3), 200, np.uint8)] * 3
    clip = encode(tmp_path / "hdr.mkv", gray, color_trc=16, color_primaries=9, colorspace=9)
    with Video(str(clip)) as video:
        pictures = [frame.picture() for frame in video]
    assert any("HDR" in note for note in pictures[0].notes) and any("PQ" in note for note in pictures[0].notes)
    assert pictures[0].pixels.min() > 240, "PQ code 200 of 255 is 1,600 cd/m2, far above white"


def test_a_rotation_flag_turns_the_frames(tmp_path: Path) -> None:
    upright = pan(3)[0]
    clip = encode(tmp_path / "flat.mp4", [upright] * 3)
    data = bytearray(clip.read_bytes())
    matrix = bytes.fromhex("00010000000000000000000000000000000100000000000000000000000000004000 0000".replace(" ", ""))
    turned = bytes.fromhex(
        "0000000000010000000000 00ffff0000000000000000000000000000000000004000 0000".replace(" ", "")
    )
    at = data.index(matrix, data.index(b"tkhd"))
    data[at : at + len(matrix)] = turned
    clip.write_bytes(bytes(data))
    with Video(str(clip)) as video:
        frame = list(video)[0]
    pixels = frame.picture().pixels
    assert pixels.shape == (128, 96, 3) and frame.small.shape == (128, 96)
    assert np.abs(pixels.astype(int) - np.rot90(upright, -1).astype(int)).mean() < 25, "a quarter turn clockwise"
    assert video.notes == ("rotated by 270 degrees, as the file says",)


def test_a_cut_off_file_ends_with_what_was_had_and_an_error(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = encode(tmp_path / "cut.mkv", pan(90))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    code, lines, problems = judged([str(clip), "--model", model, "--frames", "6", "--moments", "0"], capsys)
    assert code == 1 and 0 < lines["video"][0]["frames"] < 80 and lines["video"][0]["score"] == 3.0
    assert lines["video"][0]["problems"] and f"{clip}: the data ends at" in problems


def test_what_is_no_video_is_refused_with_a_remedy(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("no video " * 50)
    empty.touch()
    for path, problem in ((text, "cannot be opened"), (empty, "is empty"), (tmp_path / "gone.mp4", "no such file")):
        assert main(["video", str(path), "--model", model]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"snellen: {path}: {problem}") and "; " in said and len(said.splitlines()) == 1


def test_a_pipe_is_read_and_what_cannot_be_piped_says_so(tmp_path: Path, model: str) -> None:
    command = [sys.executable, "-m", "snellen", "video", "-", "--model", model, "--frames", "2", "--moments", "0"]
    clip = encode(tmp_path / "clip.mkv", pan(12))
    done = subprocess.run([*command, "--json"], input=clip.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["frames"] == 12
    refused = subprocess.run(command, input=b"no video", capture_output=True, check=False)
    assert refused.returncode == 1 and b"standard input: " in refused.stderr and b"pipe Matroska" in refused.stderr


def test_a_file_with_sound_only_holds_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ImageError, match="holds no video"):
        Video(str(path))


def test_a_folder_of_views_is_judged_as_a_sequence(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    views = tmp_path / "views"
    views.mkdir()
    for number, pixels in enumerate(pan(20)):
        if number >= 10:
            at = 60 - 2 * number
            pixels[10:40, at : at + 30] = 255 - pixels[10:40, at : at + 30] // 2
        Image.fromarray(pixels).save(views / f"view{number}.png")
    (views / "view5.png").write_bytes(b"")
    code, lines, problems = judged([str(views), "--model", model, "--frames", "4", "--rate", "10"], capsys)
    assert code == 1 and "view5.png" in problems
    assert lines["video"][0]["frames"] == 19
    pops = [fault for fault in lines["fault"] if fault["kind"] == "popping"]
    assert [(pop["start"], pop["end"]) for pop in pops] == [(0.9, 1.0)]


def test_a_score_that_is_missing_is_an_error_and_never_a_number(tmp_path: Path) -> None:
    from snellen.assessor import Assessor
    from snellen.video.judge import Plan, judge

    clip = encode(tmp_path / "clip.mp4", pan(6))
    with Video(str(clip)) as video:
        result = judge(video, Assessor(ScriptedBackend(["no"]), score_only=True), None, Plan(frames=2), lambda *_: None)
    assert result.pooled is None and all(one.score is None and one.error for one in result.scored)
    assert result.problems and result.to_dict()["score"] is None
