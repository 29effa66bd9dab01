from __future__ import annotations

from collections.abc import Iterator

import pytest

from snellen.evaluate.stats import bootstrap
from snellen.evaluate.suites import ladders


@pytest.fixture(autouse=True, scope="session")
def few_resamplings() -> Iterator[None]:
    """Keep the tests of suites fast; tests of the intervals themselves name their number of resamplings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLINGS", 60)
        patch.setattr(ladders, "RESAMPLINGS", 40)
        yield
