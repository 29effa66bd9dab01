"""`snellen train`: the file that says everything about a run, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from snellen.backends.taught import NOTHING, UNLIKED

from snellen.cli import WRONG_USAGE, main
from snellen.data.sample import Sample, write_manifest
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.train.config import ConfigError, RlConfig, SftConfig, found_in, read_config, real_samples, taught_phrases
from snellen.train.grpo import RlOptions
from snellen.train.sft import SftOptions

RL = 'vision = "v.pt"\nsft = "sft"\nmanifest = "m.jsonl"\nout = "out"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_a_config_is_its_keys_and_the_defaults(tmp_path: Path) -> None:
    found = read_config(
        written(tmp_path, RL + "[options]\nsteps = 5\nrate = 1\n[options.rewards]\nscore = 1\nrank = 0.5\n"), RlConfig
    )
    options = RlOptions(steps=5, rate=1.0, rewards=(("score", 1.0), ("rank", 0.5)))
    assert found == RlConfig(Path("v.pt"), Path("sft"), Path("m.jsonl"), Path("out"), options=options)
    found = read_config(written(tmp_path, 'vectors = "v"\nrationales = "r"\nout = "o"\nstart = "s/d.pt"\n'), SftConfig)
    assert found == SftConfig(Path("v"), Path("r"), Path("o"), Path("s/d.pt"), SftOptions())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("vision = ", "config.toml: Invalid value"),
        (RL.replace("sft", "sfd"), "unknown key 'sfd'"),
        (RL.replace('sft = "sft"\n', ""), "no 'sft'"),
        (RL + "[options]\nstep = 5\n", "unknown key 'step'; the keys are steps"),
        (RL + "[options]\nsteps = 5.5\n", "steps is int, not 5.5"),
        (RL + '[options]\nrate = "fast"\n', "rate is float, not 'fast'"),
        (RL + "[options]\ntoken_credit = 1\n", "token_credit is bool, not 1"),
        (RL + '[options]\nregulariser = "cov"\n', "unknown regulariser 'cov'"),
        (RL + "[options]\nrewards = [1]\n", "rewards is a table of name = weight"),
        (RL.replace('"out"', "3"), "out is a path in quotes, not 3"),
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
    file = written(tmp_path, RL.replace('"out"', f'"{tmp_path / "out"}"'))
    assert main(["train", "rl", "--config", str(file)]) == WRONG_USAGE
    assert "v.pt" in capsys.readouterr().err
    assert (tmp_path / "out" / "config.json").exists(), "saved with the run"


def test_the_test_split_and_its_scenes_are_never_trained_on(tmp_path: Path) -> None:
    samples = [Sample(f"{tmp_path}/{i}.png", 3.0, group=f"g{i}") for i in range(6)]
    samples += [Sample(f"{tmp_path}/t{i}.png", 3.0, split="test", group=f"g{i}") for i in range(2)]
    write_manifest(samples, tmp_path / "m.jsonl")
    train, held = real_samples(tmp_path / "m.jsonl", 1)
    assert {sample.group for sample in train + held} == {"g2", "g3", "g4", "g5"} and len(held) == 1
    assert all(sample.split == "train" for sample in train + held)


LEFT = Region(0.0, 0.0, 0.4, 1.0)


@pytest.mark.parametrize(
    ("issues", "rating", "found"),
    [
        ((), 3.4, (NOTHING,)),
        ((), 3.39, (UNLIKED,)),
        ((Issue("noise", 3, LEFT),), 2.0, ("noise",)),
        ((Issue("noise", 3, LEFT), Issue("noise", 1, FULL)), 2.0, ("noise",)),
        ((Issue("noise", 3, LEFT), Issue("blur", 1, LEFT)), 2.0, ("noise", "blur")),
    ],
)
def test_what_is_found_is_what_is_said(issues: tuple[Issue, ...], rating: float, found: tuple[str, ...]) -> None:
    assert found_in(issues, rating) == found


def test_phrases_are_kept_with_what_they_were_said_of_where_they_are_taught() -> None:
    def line(summary: str, rating: float, *issues: Issue, teaches: str = "reply") -> dict[str, object]:
        words = Rationale(summary, "Keep it.", "No grain.", "It is so.")
        reply = render_reply(words, Answer(None, rating, "final", issues), 1)
        one = {"look": 0, "region": FULL.to_list(), "rating": rating, "issues": len(issues), "reply": reply}
        return {"rounds": [one | {"teaches": teaches}]}

    noise = Issue("noise", 3, FULL)
    found = taught_phrases(
        [
            line("Noise shows; the overall impression is poor.", 2.0, noise),
            line("All is well; the overall impression is good.", 4.0),
            line("Not to be learned.", 4.0, teaches="nothing"),
        ]
    )
    label = "Image Quality Summary"
    assert found[label, "", "", "", "Noise", " shows"] == {"noise"}
    assert found[label, "", "", "", "All", " is"] == {NOTHING}
    assert found[label, " the", " overall", " impression", " is", " poor"] == {"noise", "poor"}
    assert found[label, ";", " the", " overall", " impression", " is"] == {"noise", NOTHING}
    assert (label, "", "", "", "", "Not") not in found
