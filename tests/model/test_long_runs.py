"""A process that assesses for a long time, or from many threads."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pictures import noise, save_noise

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.backends.scripted import ScriptedBackend
from snellen.image import load

EXAMPLES = Path(__file__).parents[2] / "examples"
CROP = '<think></think><answer>{"bbox_2d": [0.1, 0.1, 0.5, 0.5], "rating": 3, "tool": "crop", "issues": []}</answer>'
FINAL = '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final", "issues": []}</answer>'
MOST_GROWTH = 24.0
"""MB. One picture of these tests that is kept for each assessment would come to more than twice as much."""


@pytest.fixture(scope="module")
def model() -> Snellen1Backend:
    return Snellen1Backend()


def usage() -> tuple[float, int]:
    """Return resident memory in MB and the number of open descriptors of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_600_assessments_of_two_rounds_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in (CROP, FINAL)))
    assessor = Assessor(ScriptedBackend(tmp_path / "replies.jsonl"))
    names = [save_noise(tmp_path / kind, 340, 330) for kind in ("a.png", "a.jpg", "a.tif")]
    before = (0.0, 0)
    for number in range(640):
        (one,) = assessor.assess([names[number % 3]])
        assert one.score == 2.5 and len(one.steps) == 2, one.error
        if number == 40:  # caches are full
            before = usage()
    memory, descriptors = usage()
    assert descriptors == before[1] and memory - before[0] < MOST_GROWTH


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize(("score_only", "count"), [(True, 40), (False, 6)])
def test_snellen_1_leaves_nothing_behind(model: Snellen1Backend, score_only: bool, count: int) -> None:
    assessor = Assessor(model, score_only=score_only)
    photo = load(EXAMPLES / "fig_local_compression.jpg").pixels
    before = (0.0, 0)
    for number in range(count + 5):
        (one,) = assessor.assess([np.roll(photo, number, axis=1)])
        assert one.score is not None and len(one.steps) == (1 if score_only else 2)
        if number == 4:
            before = usage()
    memory, descriptors = usage()
    assert descriptors == before[1] and memory - before[0] < MOST_GROWTH < 2 * count * photo.nbytes / 1e6


def _sources() -> Iterator[npt.NDArray[np.uint8]]:
    for number in range(8):
        yield noise(64 + 16 * number, 80, number) // (number + 1)


@pytest.mark.parametrize("score_only", [True, False])
def test_eight_threads_on_one_assessor_give_equal_results(model: Snellen1Backend, score_only: bool) -> None:
    assessor = Assessor(model, score_only=score_only)
    sources = list(_sources())[: 8 if score_only else 4]
    alone = [json.dumps(assessor.assess([source])[0].to_dict()) for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda source: json.dumps(assessor.assess([source])[0].to_dict()), 2 * sources)
        assert list(together) == 2 * alone
