"""`snellen train`: configuration files, and the messages for wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snellen.cli import main
from snellen.data.sample import Sample, write_manifest
from snellen.train.config import ConfigError, RlConfig, SftConfig, open_policy, read_config, real_samples
from snellen.train.grpo import RlOptions
from snellen.train.lora import LoraOptions
from snellen.train.sft import SftOptions
from snellen.usage import WRONG_USAGE

RL = 'model = "snellen-1"\nmanifest = "m.jsonl"\nout = "out"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_a_config_is_its_keys_and_the_defaults(tmp_path: Path) -> None:
    text = RL + "[options]\nsteps = 5\nrate = 1\n[options.rewards]\nscore = 1\nrank = 0.5\n[lora]\nrank = 8\n"
    options = RlOptions(steps=5, rate=1.0, rewards=(("score", 1.0), ("rank", 0.5)))
    wanted = RlConfig("snellen-1", Path("out"), manifest=Path("m.jsonl"), lora=LoraOptions(rank=8), options=options)
    assert read_config(written(tmp_path, text), RlConfig) == wanted
    text = 'model = "hf:models/qwen"\nconversations = "r.jsonl"\nout = "o"\nstart = "s"\n'
    sft = SftConfig("hf:models/qwen", Path("o"), Path("s"), conversations=Path("r.jsonl"), options=SftOptions())
    assert read_config(written(tmp_path, text), SftConfig) == sft


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model = ", "config.toml: Invalid value"),
        (RL.replace("manifest", "manifesto"), "unknown key 'manifesto'"),
        (RL.replace('model = "snellen-1"\n', ""), "no 'model'"),
        (RL + "[options]\nstep = 5\n", "unknown key 'step'; the keys are steps"),
        (RL + "[options]\nsteps = 5.5\n", "steps is int, not 5.5"),
        (RL + '[options]\nrate = "fast"\n', "rate is float, not 'fast'"),
        (RL + "[options]\ncredit = 1\n", "credit is bool, not 1"),
        (RL + "[options]\nsteps = 0\n", "at least 1"),
        (RL + 'regulariser = "cov"\n', "unknown regulariser 'cov'"),
        (RL + 'sampler = "even"\n', "unknown sampler 'even'"),
        (RL + "[options]\nrewards = [1]\n", "rewards is a table of name = weight"),
        (RL.replace('"out"', "3"), "out is a text in quotes, not 3"),
        (RL + "options = 3\n", "options is a table"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config(written(tmp_path, text), RlConfig)
    assert problem in str(raised.value) and "config.toml" in str(raised.value)


def test_the_command_complains_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "rl", "--config", str(tmp_path / "gone.toml")]) == WRONG_USAGE
    assert "gone.toml: No such file or directory; check the path" in capsys.readouterr().err
    out = tmp_path / "out"
    file = written(tmp_path, RL.replace('"out"', f'"{out}"').replace("m.jsonl", str(tmp_path / "gone.jsonl")))
    assert main(["train", "rl", "--config", str(file)]) == WRONG_USAGE
    assert "gone.jsonl" in capsys.readouterr().err
    assert json.loads((out / "run.json").read_text())["model"] == "snellen-1", "saved with the run"


def test_too_few_pictures_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = RL.replace('"out"', f'"{tmp_path / "out"}"').replace('manifest = "m.jsonl"\n', "")
    assert main(["train", "rl", "--config", str(written(tmp_path, text))]) == WRONG_USAGE
    assert "manifest has 0 pictures to train on, but a step draws options.real = 12" in capsys.readouterr().err
    assert main(["train", "sft", "--config", str(written(tmp_path, text))]) == WRONG_USAGE
    assert "no pictures to learn from" in capsys.readouterr().err


def test_a_model_of_no_known_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'qwen' is not snellen-1, a folder with card.json, or hf:PATH"):
        open_policy(RlConfig("qwen", tmp_path))


def test_the_test_split_and_its_scenes_are_never_trained_on(tmp_path: Path) -> None:
    samples = [Sample(f"{tmp_path}/{i}.png", 3.0, group=f"g{i}") for i in range(6)]
    samples += [Sample(f"{tmp_path}/t{i}.png", 3.0, split="test", group=f"g{i}") for i in range(2)]
    write_manifest(samples, tmp_path / "m.jsonl")
    train, held = real_samples(tmp_path / "m.jsonl", 1)
    assert {sample.group for sample in train + held} == {"g2", "g3", "g4", "g5"} and len(held) == 1
    assert all(sample.split == "train" for sample in train + held)
    assert real_samples(None, 1) == ([], [])


def test_the_configurations_of_the_recipes_can_be_read() -> None:
    recipes = Path(__file__).parents[2] / "recipes"
    sft, rl = (sorted([*recipes.glob(f"*/*{stage}*.toml")]) for stage in ("sft", "rl"))
    assert len(sft) == len(rl) == 8
    for file in sft:
        assert read_config(file, SftConfig).options.steps > 0
    for file in rl:
        assert read_config(file, RlConfig).options.steps > 0


def test_the_command_line_replaces_keys_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('model = "hf:a"\nout = "b"\n[options]\nsteps = 7\nbatch = 3\n')
    config = read_config(file, SftConfig, {"out": "c"}, ["options.steps = 5", "lora.rank = 2"])
    assert (config.model, config.out, config.lora.rank) == ("hf:a", Path("c"), 2)
    assert (config.options.steps, config.options.batch) == (5, 3)
    alone = read_config(None, RlConfig, {"model": "hf:a", "out": "c"}, ['sampler = "uniform"'])
    assert alone.sampler == "uniform" and alone.options == RlOptions()
    with pytest.raises(ConfigError, match="the command line: unknown key 'step'"):
        read_config(None, SftConfig, {"model": "hf:a", "out": "c"}, ["options.step = 5"])
