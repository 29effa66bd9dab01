"""Run again what mended ten faults of vision-language models: python scripts/vlm_faults.py TINY_LLAVA_FOLDER [ROW ...].

The folder is one that recipes/bench/tiny_llava.py wrote. Each row is a fault of 0.14.0, what it did, and what commands
and tests show now. Prints the rows as a table, all or those named by number from 1; exit code 1 where one fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "recipes" / "toy"))
BLOCKED = "import sys; sys.modules['torchvision'] = None; from snellen.cli import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Fault:
    """A row. before, now: what 0.14.0 did, and what holds. tests: files below tests/, with what pytest selects by -k.
    shown: what a real run shows."""

    name: str
    before: str
    now: str
    tests: tuple[tuple[str, str], ...] = ()
    shown: Callable[[Path], str] | None = None


def run(*command: str) -> tuple[int, str]:
    """Return exit code and output of a command of Python."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def without_torchvision(_: Path) -> str:
    """Score a picture with a random Qwen2.5-VL and Qwen3-VL in a process that has no torchvision."""
    from tiny_qwen import make_model

    seen = []
    for family in ("qwen2.5", "qwen3"):
        with tempfile.TemporaryDirectory() as folder:
            model = make_model(Path(folder) / family, family)
            code, said = run("-c", BLOCKED, "assess", "examples/cat_compressed.jpg", "--protocol", "levels",
                             "--model", f"hf:{model}", "--device", "cpu", "--quiet")  # fmt: skip
            assert code == 0, said
        seen.append(family)
    return f"{' and '.join(seen)} open and score"


def passes(model: Path) -> str:
    """Count the passes of a model that assesses 8 pictures in two rounds, as one batch."""
    import torch

    import snellen

    torch.set_num_threads(1)
    assessor = snellen.Assessor(f"hf:{model}", batch_size=8)
    counts = {"all": 0, "pictures": 0}

    def count(name: str) -> Callable[..., None]:
        def one(*_: object) -> None:
            counts[name] += 1

        return one

    model_of: Any = assessor.backend
    model_of.model.register_forward_hook(count("all"))
    model_of.model.model.vision_tower.register_forward_hook(count("pictures"))
    rng = np.random.default_rng(1)
    found = assessor.assess([rng.integers(0, 256, (400, 400, 3), dtype=np.uint8) for _ in range(8)])
    rounds = sum(len(one.steps) for one in found)
    assert all(one.error is None for one in found)
    return f"{counts['all']} passes for {rounds} rounds of 8 pictures, {counts['pictures']} over pictures"


def options(_: Path) -> str:
    """Look for the options in the help, and try what is refused."""
    wanted = ("max-tokens", "temperature", "top-p", "top-k", "seed", "question", "long-side", "min-pixels",
              "max-pixels", "device", "device-map", "dtype", "attention", "revision", "concurrency",
              "timeout")  # fmt: skip
    _, said = run("-m", "snellen", "assess", "--help")
    missing = [name for name in wanted if f"--{name}" not in said]
    assert not missing, missing
    for refused in (("--protocol", "zoom-iqa"), ("--question", "?"), ("--temperature", "1")):
        code, said = run("-m", "snellen", "assess", "examples/cat_compressed.jpg", *refused)
        assert code == 2 and "leave" in said, said
    return f"{len(wanted)} options; snellen-1 refuses --protocol, --question, --temperature"


def parity(_: Path) -> str:
    """Compare with the authors' functions, where their package is there."""
    code, said = run("recipes/bench/parity.py")
    if "No module named 'zoomiqa'" in said:
        return "equal to the record of theirs"
    counts = re.findall(r"(\d+) cases, .*, (\d+) unequal", said)
    assert code == 0 and counts and not any(int(unequal) for _, unequal in counts), said
    return f"{sum(int(cases) for cases, _ in counts)} cases, none unequal to their package"


CHAT, OPENAI, LOGPROBS = "unit/test_chat_server.py", "unit/test_openai.py", "unit/test_rating_logprobs.py"
HF, FAMILIES, OPTIONS = (
    "train/test_transformers_backend.py",
    "train/test_transformers_families.py",
    "unit/test_options.py",
)
FAULTS = (
    Fault("Qwen2.5-VL and Qwen3-VL without torchvision", "traceback", "opened without their part for videos",
          ((HF, "refused"),), without_torchvision),
    Fault("a made-up score from little probability", "3.47 gave 5.00 +-0.00",
          "below 0.8 the written rating counts, and the result says so",
          ((HF, "not_recovered"), ("unit/test_backends.py", "needs_most"), (OPENAI, "below_the_mass"))),
    Fault("one at a time; pictures encoded for every branch", "331 passes, 92 of them for ratings, over pictures",
          "batches by round, branches from the cache", ((FAMILIES, "alone or whole_pass"),), passes),
    Fault("400, no choices, HTML, invalid UTF-8, parts", "the run ended, the batch was lost",
          "an error of that picture, or read; the others have scores",
          ((OPENAI, "pictures_failure or round_two or cannot_be_written"), (CHAT, "no_answer"))),
    Fault("refused parameters; habits of models; schemas", "no score",
          "left out or renamed; repaired, marked so; asked for once more as JSON",
          ((OPENAI, "probe_finds_out or habits or asked_for_as_json or as_told"), ("unit/test_protocol.py", ""))),
    Fault("one seed for a group", "four samples, one reply", "four replies, whatever the batch",
          ((FAMILIES, "rollouts"), (OPENAI, "rollouts"), (OPTIONS, "seeds"))),
    Fault("two BOS; 20 alternatives; tokens as bytes", "3.255 for 3.229; a wrong number",
          "one; exact to 0.001; decoded, ids not used",
          ((FAMILIES, "beginning_of_sequence"), (HF, "exact_rating"), (LOGPROBS, "bytes or half or ids"))),
    Fault("keys, redirects, stalls, sizes", "the key went along or was printed; no end, no limit",
          "the key goes to its address only and is shown nowhere; total timeouts, 64 MiB",
          ((CHAT, ""), (OPENAI, "more_concurrency"))),
    Fault("no options; N copies; snellen-1 with zoom-iqa", "constants; N loads; recorded", "options; refused",
          ((OPTIONS, ""),), options),
    Fault("protocol zoom-iqa is not the authors'", "61 % of boxes differ", "equal to theirs",
          (("unit/test_parity.py", ""),), parity),
)  # fmt: skip


def tested(tests: tuple[tuple[str, str], ...]) -> tuple[bool, str]:
    """Run tests and return whether they pass, and how many."""
    counts: dict[str, int] = {}
    for file, chosen in tests:
        code, said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{file}", "-k", chosen)
        for number, outcome in re.findall(r"(\d+) (passed|failed|error|skipped)", said.splitlines()[-1]):
            counts[outcome] = counts.get(outcome, 0) + int(number)
        if code:
            print(said[-3000:])
    said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
    return counts.keys() <= {"passed", "skipped"} and counts.get("passed", 0) > 0, said


def main() -> int:
    """Print the table."""
    model, whole = Path(sys.argv[1]), True
    rows = [FAULTS[int(number) - 1] for number in sys.argv[2:]] or FAULTS
    print("| fault | 0.14.0 | now | tests |\n| --- | --- | --- | --- |", flush=True)
    for fault in rows:
        fine, count = tested(fault.tests)
        shown = fault.now
        try:
            shown += f": {fault.shown(model)}" if fault.shown else ""
        except AssertionError as error:
            fine, shown = False, str(error)[-300:]
        shown = shown if fine else f"FAILED: {shown}"
        whole &= fine
        print(f"| {fault.name} | {fault.before} | {shown} | {count} |", flush=True)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
