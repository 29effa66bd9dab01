"""Options of vision-language models: from the command line to the model and into the record."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import pytest
from pictures import noise_picture

from snellen.assessor import Assessor
from snellen.backend import Conversation, Reply, Sampling, Turn, seeds
from snellen.backends import open_backend
from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.options import ModelOptions, add_vlm_options, assessor_options
from snellen.reply import Answer, render_reply
from snellen.table import LATER, ScoreRow, read_table, write_table

FINAL = render_reply(None, Answer(None, 3.5, "final"), 1)


def parsed(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_vlm_options(parser)
    return assessor_options(parser.parse_args(words))


def test_nothing_given_leaves_every_choice_to_protocol_and_model() -> None:
    assert parsed() == {"question": None, "sampling": None, "options": ModelOptions()}
    assert ModelOptions().given() == {}


def test_flags_become_sampling_and_options() -> None:
    words = "--temperature 0.5 --top-k 50 --seed 3 --max-tokens 99 --long-side 640 --dtype bfloat16 --question Sharp?"
    given = parsed(*words.split())
    assert given["sampling"] == {"temperature": 0.5, "top_k": 50, "seed": 3, "max_tokens": 99}
    assert given["options"] == ModelOptions(long_side=640, dtype="bfloat16")
    assert given["question"] == "Sharp?"


@pytest.mark.parametrize(
    "wrong",
    [
        {"long_side": 0}, {"timeout": -1.0}, {"concurrency": 0}, {"min_pixels": 9, "max_pixels": 4},
        {"device": "cpu", "device_map": "auto"},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelOptions(**wrong)  # type: ignore[arg-type]


def test_an_option_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hf:nowhere has no option timeout .* leave --timeout out"):
        open_backend("hf:nowhere", options=ModelOptions(timeout=3.0))
    with pytest.raises(ValueError, match="snellen-1 has no option long_side"):
        open_backend("snellen-1", options=ModelOptions(long_side=512))


def test_sampling_by_name_changes_only_what_it_names() -> None:
    assessor = Assessor(ScriptedBackend([FINAL]), sampling={"seed": 3, "max_tokens": 40}, question="Sharp?")
    assert assessor.sampling == Sampling(seed=3, max_tokens=40)
    record = assessor.assess([noise_picture()])[0].provenance
    assert record is not None
    assert record["options"] == {"seed": 3, "max_tokens": 40, "question": "Sharp?"}
    assert record["question"] == "Sharp?"
    with pytest.raises(ValueError, match="unknown fields"):
        Assessor(ScriptedBackend([FINAL]), sampling={"heat": 1.0})


class Viewer(ScriptedBackend):
    """A model that reads no prompt, as snellen-1."""

    reads_prompts = False


def test_a_model_that_reads_no_prompt_takes_no_setting_of_a_prompt() -> None:
    viewer = Viewer([FINAL])
    with pytest.raises(ValueError, match="reads no prompt, so protocol zoom-iqa has no effect.*leave --protocol out"):
        Assessor(viewer, protocol="zoom-iqa")
    with pytest.raises(ValueError, match="reads no prompt, so a question has no effect.*leave --question out"):
        Assessor(viewer, question="Sharp?")
    with pytest.raises(ValueError, match="leave --temperature, --seed out"):
        Assessor(viewer, sampling={"temperature": 1.0, "seed": 2})
    record = Assessor(viewer).assess([noise_picture()])[0].provenance
    assert record is not None and record["question"] is None


def test_several_processes_do_not_each_load_a_large_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", str(tmp_path), "--out", str(tmp_path / "t.csv"), "--model", "hf:models/x", "--workers", "2"]
    assert main(words) == 2
    assert "would load 2 copies of hf:models/x; leave it out and use --batch-size" in capsys.readouterr().err


def turns(text: str) -> Conversation:
    return (Turn("user", text, (noise_picture().view(),)),)


def test_equal_conversations_get_different_seeds_and_the_batch_does_not_matter() -> None:
    one, other = turns("one"), turns("other")
    group = seeds([one] * 4, 5)
    assert len(set(group)) == 4
    assert seeds([other, one, one], 5) == [seeds([other], 5)[0], *group[:2]]
    assert seeds([one], 6) != group[:1]


def test_the_table_records_what_was_set_and_a_table_with_other_settings_is_not_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(noise_picture().pixels).save(folder / "a.png")
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps(FINAL))
    out = tmp_path / "t.csv"
    words = ["score", str(folder), "--out", str(out), "--model", f"scripted:{script}", "--quiet"]
    assert main([*words, "--seed", "7"]) == 0
    assert [row.options for row in read_table(out)] == ['{"seed": 7}']
    assert main([*words, "--resume"]) == 2
    assert "was begun with options" in capsys.readouterr().err
    assert main([*words, "--seed", "7", "--resume"]) == 0
    assert main([*words, "--overwrite", "--top-p", "7"]) == 2
    assert "top_p is above 0" in capsys.readouterr().err


def test_a_table_without_the_later_columns_is_read(tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    write_table([ScoreRow("a.png", 3.0, issues=[], model="m", protocol="snellen", max_rounds=2)], out)
    with out.open(newline="") as file:
        rows = [{name: cell for name, cell in row.items() if name not in LATER} for row in csv.DictReader(file)]
    with out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    read = read_table(out)[0]
    assert "options" in LATER and (read.score, read.options) == (3.0, None)


def test_a_scripted_reply_may_be_cut_off() -> None:
    backend = ScriptedBackend([Reply(FINAL[:30], finish="length")])
    (found,) = Assessor(backend, sampling={"max_tokens": 9}).assess([noise_picture()])
    assert found.error is not None and "cut off at 9 tokens" in found.error.problem
