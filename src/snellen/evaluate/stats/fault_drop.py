"""Score drop of a fault: how far a picture's score lies below that of the same photograph without the fault.

The MOS of a picture with a synthetic fault is that of a clean picture minus the expected drop of its fault
(`synthetic_mos` of `snellen.data.synthesize`). The MOS of clean pictures is a convention, not an opinion. A judge with
an offset on clean pictures is wrong by that offset everywhere; its score drops are free of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.arrays import Floats


def score_drops(photographs: Sequence[Hashable], clean: npt.ArrayLike, scores: npt.ArrayLike) -> Floats:
    """Return (N, R): mean score of the clean pictures of the same photograph minus the score, for each round.

    photographs: of each of N pictures. clean: (N,) bool, True for pictures without a fault. scores: (N, R), of R
    rounds; each round is compared with the same round of the clean pictures. Rows of clean pictures, and of
    photographs without a clean picture, are NaN.
    """
    without, table = np.asarray(clean, bool), np.asarray(scores, np.float64)
    drops = np.full(table.shape, np.nan)
    for photograph in set(photographs):
        of = np.array([one == photograph for one in photographs], bool)
        if (of & without).any():
            drops[of & ~without] = table[of & without].mean(axis=0) - table[of & ~without]
    return drops
