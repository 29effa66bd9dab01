"""Which pictures the suites without ratings take: the clean photographs of a run, and a few of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snellen.data.sample import Sample
from snellen.evaluate.predict import DataSet

PRISTINE = "pristine"
"""Name of the data set that holds clean photographs: faults are put into these, and nothing is wrong with them."""


def pristine(sets: Sequence[DataSet], most: int | None = None) -> dict[str, Sample]:
    """The clean photographs by key, at most `most` of them, evenly spaced; empty where the run has none."""
    return _spaced({key: s for known in sets if known.name == PRISTINE for key, s in known.counted.items()}, most)


def some(sets: Sequence[DataSet], most: int) -> dict[str, Sample]:
    """At most `most` pictures of all sets together by key, evenly spaced."""
    return _spaced({key: sample for known in sets for key, sample in known.counted.items()}, most)


def _spaced(samples: Mapping[str, Sample], most: int | None) -> dict[str, Sample]:
    keys = list(samples)
    if most is not None and len(keys) > most:
        keys = [keys[i * len(keys) // most] for i in range(most)]
    return {key: samples[key] for key in keys}
