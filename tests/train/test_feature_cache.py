"""Features of views are computed once, also by the next run, and come back as they were."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from tiny_snellen1 import picture, random_features

from snellen.image import View
from snellen.region import FULL, Region
from snellen.snellen1.layout import ViewFeatures
from snellen.train.snellen1.feature_cache import FeatureCache

CROP = Region(0.1, 0.2, 0.5, 0.7)


def test_features_are_computed_once_and_come_back_as_they_were(tmp_path: Path) -> None:
    computed: list[Region] = []

    def compute(view: View) -> ViewFeatures:
        computed.append(view.region)
        return random_features(view)

    file = tmp_path / "new" / "features.db"
    for cache in (FeatureCache(compute, "a model", file), FeatureCache(compute, "a model", file)):
        for region in (FULL, CROP, FULL):
            found, wanted = cache.get(picture(0).view(region)), random_features(picture(0).view(region))
            for one in fields(ViewFeatures):
                if one.name in ("region", "box"):
                    values = [getattr(features, one.name).to_list() for features in (found, wanted)]
                else:
                    values = [getattr(features, one.name) for features in (found, wanted)]
                assert np.allclose(values[0], values[1], rtol=1e-6), one.name
    assert computed == [FULL, CROP]
    FeatureCache(compute, "another model", file).get(picture(0).view())
    FeatureCache(compute, "a model").get(picture(0).view())
    assert computed == [FULL, CROP, FULL, FULL]
