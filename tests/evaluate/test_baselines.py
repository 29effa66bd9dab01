from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from snellen.evaluate.baselines import (
    BASELINES,
    Baseline,
    BaselineError,
    has_own_unit,
    is_external,
    open_baseline,
)
from snellen.image import Picture

PACKAGES = {"brisque": "brisque", "piqe": "pypiqe", "image-quality-ai": "image_quality_ai"}
MODULES = (*PACKAGES.values(), "pyiqa")


def textured(side: int = 128) -> Picture:
    """Smooth shapes with a little grain: sharp enough to be blurred."""
    y, x = np.mgrid[:side, :side]
    base = 128 + 60 * np.sign(np.sin(x / 9.0) * np.sin(y / 7.0)) + np.random.default_rng(0).normal(0, 3, (side, side))
    return Picture(np.repeat(np.clip(base, 0, 255).astype(np.uint8)[..., None], 3, axis=2), "textured")


def package(folder: Path, name: str, distribution: str, text: str) -> None:
    """An installed distribution of one module, laid out as pip does."""
    (folder / f"{name}.py").write_text(text)
    info = folder / f"{distribution}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is searched first for packages; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in MODULES}
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in MODULES]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize("name", BASELINES)
def test_the_published_package_scores_and_orders(name: str) -> None:
    try:
        baseline: Baseline = open_baseline(name)
    except BaselineError as error:
        pytest.skip(str(error))
    clean = textured()
    noise = np.random.default_rng(1).normal(0, 40, clean.pixels.shape)
    noisy = Picture(np.clip(clean.pixels + noise, 0, 255).astype(np.uint8), "noisy")
    assert baseline.name == name
    assert baseline.version[0].isdigit()
    assert baseline.score(clean) == baseline.score(clean)
    assert baseline.score(clean) > baseline.score(noisy)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_that_does_not_import_says_what_to_do(name: str, installed: Path) -> None:
    (installed / f"{PACKAGES[name]}.py").write_text("raise AttributeError('numpy has no attribute float')\n")
    with pytest.raises(BaselineError, match=r'AttributeError.*no attribute float.*pip install "snellen\[baselines\]"'):
        open_baseline(name)


def test_brisque_gets_scalars_and_its_sign_is_turned(installed: Path) -> None:
    package(
        installed,
        "brisque",
        "brisque",
        "import numpy as np\n"
        "class BRISQUE:\n"
        "    def __init__(self, url): assert url is False\n"
        "    def score(self, pixels): return sum(self.scale_features([np.array([12.0]), np.float64(3.0)]))\n"
        "    def scale_features(self, features): return [f if type(f) is float else None for f in features]\n",
    )
    baseline = open_baseline("brisque")
    assert baseline.score(textured()) == -15.0
    assert baseline.version == "1.5" == metadata.version("brisque")


def test_a_score_that_is_no_number_is_refused(installed: Path) -> None:
    package(installed, "pypiqe", "pypiqe", "def piqe(pixels): return float('nan'), None, None, None\n")
    with pytest.raises(BaselineError, match=r"piqe gave nan for textured \(128x128 px\)"):
        open_baseline("piqe").score(textured())


def test_piqe_is_given_blue_first(installed: Path) -> None:
    package(installed, "pypiqe", "pypiqe", "def piqe(pixels): return float(pixels[0, 0, 0]), None, None, None\n")
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 2] = 200
    assert open_baseline("piqe").score(Picture(pixels, "blue")) == -200.0


PYIQA = """
class Metric:
    def __init__(self, lower_better): self.lower_better = lower_better
    def __call__(self, values):
        assert tuple(values.shape[:2]) == (1, 3)
        return values.max()
def create_metric(name, device):
    if name == "absent": raise FileNotFoundError("no weights")
    return Metric(name == "niqe")
"""


def test_pyiqa_is_turned_as_it_says_of_itself(installed: Path) -> None:
    pytest.importorskip("torch")
    package(installed, "pyiqa", "pyiqa", PYIQA)
    white = Picture(np.full((16, 16, 3), 255, np.uint8), "white")
    assert open_baseline("pyiqa:niqe").score(white) == -1.0
    assert open_baseline("pyiqa:musiq").score(white) == 1.0
    assert "non-commercial" in open_baseline("pyiqa:musiq").unit
    with pytest.raises(BaselineError, match=r"pyiqa cannot open 'absent' \(FileNotFoundError: no weights\)"):
        open_baseline("pyiqa:absent")


def test_unknown_baselines_are_named() -> None:
    for name in ("niqe", "pyiqa:"):
        with pytest.raises(ValueError, match="unknown baseline"):
            open_baseline(name)


def test_another_model_gives_the_score_of_its_assessment(tmp_path: Path) -> None:
    answer = '{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final", "issues": []}'
    replies = tmp_path / "replies.jsonl"
    replies.write_text(json.dumps({"text": f"<think></think><answer>{answer}</answer>"}) + "\n")
    baseline = open_baseline(f"model:scripted:{replies}")
    assert baseline.score(textured()) == 2.5
    assert is_external(baseline.name) and not has_own_unit(baseline.name), "it is on the MOS scale"
    assert has_own_unit("piqe") and not is_external("model:")
    replies.write_text(json.dumps({"text": "no idea"}) + "\n")
    with pytest.raises(BaselineError, match="gives no score"):
        open_baseline(f"model:scripted:{replies}").score(textured())
    with pytest.raises(BaselineError, match="model:nowhere"):
        open_baseline("model:nowhere")
