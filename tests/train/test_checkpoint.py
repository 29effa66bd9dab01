from __future__ import annotations

from pathlib import Path

import pytest
import torch

from snellen.train.checkpoint import rate_at, save


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    # step 0 of 100, 10 of warmup: a tenth of the peak; half way the cosine is 0: 0.5 * 0.98 + 0.02
    assert rate_at(0, 100, 10) == pytest.approx(0.1)
    assert rate_at(50, 100, 10) == pytest.approx(0.51)
    assert rate_at(100, 100, 10) == pytest.approx(0.02)


def test_a_save_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save({"step": 1}, path)
    with pytest.raises(Exception):  # noqa: B017 - whatever cannot be pickled
        save({"step": lambda: 0}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
