"""The page of the ablation; each setting differs from the complete run in what its name says."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "bench"))

from ablation import SETTINGS, configured, read_log, train  # noqa: E402
from ablation_page import (  # noqa: E402
    BASE,
    FULL,
    LOGGED,
    UNIFORM,
    VALIDATED,
    WITHOUT_KL,
    Comparison,
    Run,
    bias_table,
    cell,
    curve,
    expectations,
    gain,
    tenth,
    verdict,
    write_page,
)

from snellen.evaluate.report.tables import Table  # noqa: E402
from snellen.train.config import ConfigError, RlConfig  # noqa: E402
from snellen.train.grpo import RlOptions  # noqa: E402

MOS = [1.0, 2.0, 3.0, 4.0, 5.0]


def run(setting: str, seed: int = 0, end: float = 1.0, srcc: float = 0.8, bias: float = 0.1) -> Run:
    """Twenty steps in which all that is logged goes from 2 to `end`."""
    log = {name: np.linspace(2.0, end, 20).tolist() for _, name, _ in LOGGED} | {"seconds": [3.0] * 20}
    numbers = {name: 0.5 for _, name, _ in VALIDATED} | {f"bias_{i}": bias * (3 - i) / 2 for i in range(1, 6)}
    numbers |= {"srcc": srcc}
    return Run(setting, seed, numbers, MOS, MOS, {} if setting == BASE else log)


def test_settings_leave_out_what_they_name() -> None:
    whole = RlConfig("snellen-1", Path("out"))
    made = {name: configured(whole, changes) for name, changes in SETTINGS.items()}
    assert made[FULL] == whole and len(set(made.values())) == len(made)
    assert made[WITHOUT_KL].regulariser == "none" and made[UNIFORM].sampler == "uniform"
    assert dict(made["without rank"].options.rewards)["rank"] == 0.0
    assert dict(made["without rank"].options.rewards)["score"] == dict(RlOptions().rewards)["score"]


def test_cells_and_tenths_by_hand() -> None:
    assert cell([0.5], 2) == "0.50" and cell([0.5, 0.7, float("nan")], 2) == "0.60 ± 0.10" and cell([], 2) == "-"
    one = run(FULL, end=21.0)  # 2, 3, ... 21
    assert tenth(one, "reward", last=False) == 2.5 and tenth(one, "reward", last=True) == 20.5
    x, y = curve([one, run(FULL, 1, end=2.0)], "reward")
    assert x[:2].tolist() == [1.0, 2.0] and y[:2] == pytest.approx([2.0, 2.25])


def test_a_log_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1.0, "kl": null}\n{"step": 2.0, "kl": 0.5}\n')
    found = read_log(tmp_path / "log.jsonl")
    assert found["step"] == [1.0, 2.0] and np.isnan(found["kl"][0]) and found["kl"][1] == 0.5


def test_a_run_with_another_configuration_is_not_continued(tmp_path: Path) -> None:
    config = RlConfig("no such model", tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(asdict(config), default=str))
    with pytest.raises(ConfigError, match="no such model"):
        train(config)  # the same: it goes on, as far as it can
    with pytest.raises(ValueError, match="holds a run with other options; remove it"):
        train(replace(config, options=RlOptions(seed=1)))


def test_a_verdict_needs_ranges_that_do_not_meet() -> None:
    assert verdict([0.9, 0.8], [0.7, 0.6]) == "confirmed"
    assert verdict([0.7, 0.6], [0.9, 0.8]) == "refuted"
    assert verdict([0.9, 0.7], [0.8, 0.6]) == "undecided"
    assert verdict([0.9], [0.8]) == "undecided", "one run against one"
    assert verdict([0.9, float("nan")], [0.8, 0.7]) == "undecided"


def test_gain_over_the_start_by_hand() -> None:
    """Scores in order and scores in reverse: SRCC 1 and -1, on average 0, against 1 of the start."""
    reverse = replace(run(FULL, 1), scores=MOS[::-1])
    value, low, high = gain([run(FULL), reverse], run(BASE), n=50)
    assert value == pytest.approx(-1.0) and low <= value <= high
    some = replace(run(FULL), scores=[float("nan"), *MOS[1:]])
    assert gain([some], run(BASE), n=50)[0] == pytest.approx(0.0), "on the four that both scored"


def test_bias_by_fifth_is_a_row_per_setting() -> None:
    groups = {BASE: [run(BASE, bias=0.3)], FULL: [run(FULL, bias=0.2), run(FULL, 1, bias=0.4)]}
    assert bias_table(groups).rows == [
        [BASE, "0.30", "0.15", "0.00", "-0.15", "-0.30"],
        [FULL, "0.30 ± 0.10", "0.15 ± 0.05", "0.00 ± 0.00", "-0.15 ± 0.05", "-0.30 ± 0.10"],
    ]


def test_what_was_found_beside_what_was_expected() -> None:
    groups = {
        BASE: [run(BASE, srcc=0.7)],
        FULL: [run(FULL, seed, end=2.0 + 0.1 * seed, srcc=0.8, bias=0.1) for seed in (0, 1)],
        WITHOUT_KL: [run(WITHOUT_KL, seed, end=1.0 + 0.1 * seed) for seed in (0, 1)],
        UNIFORM: [run(UNIFORM, seed, bias=0.05 + 0.1 * seed) for seed in (0, 1)],
    }
    found = {row[0]: row[1:] for row in expectations(groups).rows}
    assert found["without KL-Coverage, action entropy falls"][1] == "confirmed"
    assert found["with KL-Coverage, action entropy does not fall"][1] == "undecided"  # one seed stays where it was
    assert found["action entropy ends higher with KL-Coverage than without"][1] == "confirmed"
    assert found["re-sampling lowers the bias in the highest fifth, absolute"] == [
        "0.10 ± 0.05 without, with it 0.10 ± 0.00",
        "undecided",
    ]
    assert found["RL raises SRCC over SFT"] == ["0.800 ± 0.000 against 0.700", "confirmed"]


def test_the_page_shows_every_figure_that_it_writes(tmp_path: Path) -> None:
    runs = [run(BASE), *(run(name, seed, bias=0.2) for name in SETTINGS for seed in (0, 1))]
    page = tmp_path / "ablation.md"
    write_page(page, runs, "python recipes/bench/ablation.py --steps 20", 3)
    text = page.read_text()
    drawn = sorted(file.name for file in (tmp_path / "ablation").glob("*.svg"))
    assert len(drawn) == 12 and all(text.count(f"(ablation/{name})") == 1 for name in drawn)
    assert (
        "--steps 20" in text and "5 rated and 3 synthetic" in text and "16 runs of 20 steps, 1.0 ± 0.0 minutes" in text
    )
    assert "| without rank | 2 | 0.800 ± 0.000 | 0.000 [0.000, 0.000] |" in text and "nan" not in text
    assert "<svg xmlns" in (tmp_path / "ablation" / drawn[0]).read_text()
    assert "On the test split" not in text, "nothing was evaluated on it"


def test_what_the_chosen_model_reaches_on_the_test_split_stands_on_the_page(tmp_path: Path) -> None:
    tested = Comparison(
        ["snellen evaluate --out a", "snellen evaluate --out b"], [Table("a against b", ["n"], [["2000"]])]
    )
    write_page(tmp_path / "ablation.md", [run(BASE), run(FULL)], "python recipes/bench/ablation.py", 3, [tested])
    text = (tmp_path / "ablation.md").read_text()
    assert "\n## On the test split, once\n" in text and "snellen evaluate --out a\nsnellen evaluate --out b" in text
    assert text.index("\n### a against b\n") < text.index("| 2000 |") < text.index("\n## Over training\n")
