from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from hatchling.builders.sdist import SdistBuilder

import snellen

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "snellen"


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that are loaded after a statement in a fresh process."""
    command = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "transformers", "scipy", "onnxruntime", "tokenizers", "rich", "pyarrow"}


def test_importing_the_package_loads_nothing() -> None:
    assert loaded_by("import snellen").isdisjoint(HEAVY | {"numpy", "PIL"})


@pytest.mark.parametrize(
    "statement",
    [
        "import snellen.assessor",
        "import snellen\nsnellen.Assessor, snellen.Region, snellen.load, snellen.measure",
        "import snellen.backends.scripted",
    ],
)
def test_the_light_path_needs_numpy_and_pillow_only(statement: str) -> None:
    loaded = loaded_by(statement)
    assert loaded.isdisjoint(HEAVY) and "numpy" in loaded


def test_the_command_never_loads_torch() -> None:
    apps = "import snellen.cli, snellen.report, snellen.apps.folder, snellen.apps.assess, snellen.apps.features"
    assert loaded_by(apps).isdisjoint({"torch", "transformers", "scipy", "onnxruntime", "pyarrow"})


def test_every_public_name_is_there() -> None:
    for name in snellen.__all__:
        assert getattr(snellen, name) is not None and name in dir(snellen)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        snellen.nonsense  # noqa: B018


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script of one reply, which rates 2.0."""
    path = tmp_path / "script.jsonl"
    answer = '{"bbox_2d": [0, 0, 0, 0], "rating": 2, "tool": "final"}'
    path.write_text(json.dumps(f"<think></think><answer>{answer}</answer>"))
    return path


def test_threads_and_options_share_one_model(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snellen.backends.scripted import ScriptedBackend

    opened: list[ScriptedBackend] = []

    class Counted(ScriptedBackend):
        def __init__(self, script: Path) -> None:
            time.sleep(0.05)  # gives the other threads time to ask for it too
            super().__init__(script)
            opened.append(self)

    monkeypatch.setattr("snellen.backends.scripted.ScriptedBackend", Counted)
    pixels = np.full((64, 64, 3), 90, np.uint8)

    def score(number: int) -> float | None:
        options = ({}, {"max_rounds": 1}, {"score_only": True})[number % 3]
        return snellen.assess(pixels, model=f"scripted:{script}", **options).score

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(score, range(12))) == [2.0] * 12
    assert len(opened) == 1


def test_no_public_function_has_the_name_of_a_module() -> None:
    """Importing the module would put it in the place of the function."""
    modules = {path.stem for path in SOURCES.iterdir()}
    assert modules.isdisjoint(snellen.__all__)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_a_model_opens_does_not_hang(script: Path) -> None:
    pixels = np.full((64, 64, 3), 90, np.uint8)
    with snellen._opening:  # as when a thread of the parent opens a model
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                os._exit(0 if snellen.assess(pixels, model=f"scripted:{script}").score == 2.0 else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
    assert status == 0


def test_score_and_assess_take_any_backend(tmp_path: Path) -> None:
    from snellen.backends.scripted import ScriptedBackend

    backend = ScriptedBackend(
        ['<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final"}</answer>']
    )
    pixels = np.full((64, 64, 3), 90, np.uint8)
    assert snellen.assess(pixels, model=backend).score == 2.5
    with pytest.warns(UserWarning, match=r"no score for gone\.png: no such file; check the path"):
        assert snellen.score([pixels, "gone.png", pixels], model=backend) == [2.5, None, 2.5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert snellen.assess("gone.png", model=backend).error is not None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = "import sys, hatchling.build as build; print(build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return zipfile.ZipFile(folder / done.stdout.split()[-1])


def test_the_wheel_holds_everything_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for path in SOURCES.rglob("*.py"):
        assert path.relative_to(SOURCES.parent).as_posix() in names
    wanted = {"py.typed", "report.css", "report.js", "data/kadid_level_means.csv"}
    card = json.loads(wheel.read("snellen/snellen1/weights/card.json"))
    assert len(card["sha256"]) >= 3
    wanted |= {f"snellen1/weights/{name}" for name in card["sha256"]}
    assert {f"snellen/{name}" for name in wanted} <= names
    assert {name.split("/")[0] for name in names} == {"snellen", f"snellen-{snellen.__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pt", ".partial"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.read("snellen/snellen1/weights/MODEL_CARD.md") == (ROOT / "docs" / "model-card.md").read_bytes()


def test_the_source_distribution_holds_recipes_without_the_list_of_photographs() -> None:
    builder = SdistBuilder(str(ROOT))
    names = {str(file.distribution_path).replace("\\", "/") for file in builder.recurse_included_files()}
    for needed in ("recipes/snellen-1/recipe.sh", "docs/model-card.md", "tests/conftest.py", "constraints.txt"):
        assert needed in names
    assert not [name for name in names if name.endswith(("photographs.txt", ".pt", ".pyc")) or "/.git" in name]


def test_the_wheel_is_small_and_needs_no_torch(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename and Path(wheel.filename).stat().st_size <= 46e6
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    message = Parser().parsestr(wheel.read(metadata).decode())
    needed = [line for line in message.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted(line.split(">")[0].strip() for line in needed)
    assert names == ["numpy", "onnxruntime", "pillow", "rich"]
    (entry,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "snellen = snellen.cli:main" in wheel.read(entry).decode()


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    modules = {path.stem for path in Path(snellen.__file__).parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(snellen.__all__)
