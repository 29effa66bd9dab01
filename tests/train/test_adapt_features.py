"""The proof of adaptation from rated sets to numbers: features, splits, bases and SRCC, on a miniature set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "bench"))

import adapt as proof
import adapt_features
from adapt_features import Pictures, head_without, in_parts, split

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import labels_of
from snellen.data.sample import Sample
from snellen.image import Picture
from snellen.snellen1.imagenet_network import FEATURES
from snellen.train.snellen1.photo_rating import PhotoRatingOptions, RatedFeatures, aligned, fit_photo_rating

NAMES = [name for name in labels_of("live_challenge") if name.endswith(".bmp")][:12]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIVE in the Wild in miniature: twelve labelled names, smooth random pictures with ever more grain, and one of the
    half that is not labelled."""
    root, rng = tmp_path_factory.mktemp("live"), np.random.default_rng(0)
    (root / "Data").mkdir()
    (root / "Images").mkdir()
    names = [*NAMES, "not-labelled.bmp"]
    for number, name in enumerate(names):
        coarse = Image.fromarray(rng.integers(40, 220, (6, 6, 3), dtype=np.uint8)).resize((120, 90))
        grain = rng.normal(0, 3.0 * number, (90, 120, 3))
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(root / "Images" / name)
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    savemat(root / "Data/AllImages_release.mat", {"AllImages_release": cells})
    scores = np.linspace(90.0, 20.0, len(names))[None]
    savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": scores})
    savemat(root / "Data/AllStdDev_release.mat", {"AllStdDev_release": np.full_like(scores, 10.0)})
    return root


def test_from_pictures_to_rank_correlations(live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domains = tmp_path / "domains.json"
    domains.write_text(json.dumps({"domains": {"live_challenge": {}, "ss01": {}}, "sizes": [4, 50], "draws": 2}))
    built, out = tmp_path / "built", tmp_path / "adapt.json"
    given = ["--domains", str(domains), "--out"]
    monkeypatch.setattr(sys, "argv", ["adapt_features.py", "--live", str(live), *given, str(built)])
    adapt_features.main()
    found = np.load(built / "features.npz")
    assert {key.split(".")[0] for key in found.files} == {"live_challenge"}, "ss01's pictures are not given"
    assert len(found["live_challenge.mos"]) == 12 and found["live_challenge.test"].sum() == 6
    monkeypatch.setattr(sys, "argv", ["adapt.py", str(built / "features.npz"), *given, str(out)])
    proof.main()
    measured = json.loads(out.read_text())["live_challenge"]
    assert out.with_suffix(".svg").read_text().count("M") > 1, "a curve is drawn"
    assert measured["to rate"] == measured["test"] == 6 and "50" not in measured
    assert len(measured["4"]["adapted"]) == len(measured["4"]["plain ridge"]) == 2


def test_features_give_the_score_of_the_shipped_model(live: Path, tmp_path: Path) -> None:
    backend, path = Snellen1Backend(), str(live / "Images" / NAMES[3])
    found = adapt_features.read([Sample(path, 3.0)], backend, tmp_path, "features")
    intercept, slope = backend.rating_line
    rated = intercept + slope * backend.photo_rating_head(found.features.astype(np.float64))[0]
    assert Assessor(backend, score_only=True).assess([path])[0].score == pytest.approx(float(rated), abs=0.02)


def test_parts_are_kept_and_those_of_other_pictures_refused(live: Path, tmp_path: Path) -> None:
    paths = [str(live / "Images" / name) for name in NAMES[:2]]

    def width(picture: Picture) -> adapt_features.Arrays:
        return {"width": np.array(picture.width)}

    assert in_parts(paths, width, tmp_path, "a")["width"].tolist() == [120, 120]
    assert in_parts(paths, lambda picture: {}, tmp_path, "a")["width"].tolist() == [120, 120], "nothing is read again"
    with pytest.raises(SystemExit, match="of other pictures"):
        in_parts(paths[::-1], width, tmp_path, "a")


def test_scenes_are_not_split() -> None:
    group = np.repeat(np.arange(10), 3)
    to_rate, test = split(group)
    assert len(to_rate) == 15 and len(test) == 15
    assert not set(group[to_rate]) & set(group[test])


def test_a_base_does_not_see_its_domain_and_has_both_experts_on_one_scale() -> None:
    rng = np.random.default_rng(0)

    def pictures(count: int, subset: str) -> Pictures:
        features = rng.normal(size=(count, FEATURES + 6)).astype(np.float32)
        return Pictures(
            [Sample(f"{i}", 3.0 + float(x) / 3, subset=subset) for i, x in enumerate(features[:, -1])], features
        )

    seen, unseen, live_ones = pictures(40, "ss01"), pictures(20, "ss02"), pictures(30, "")
    both = Pictures([*seen.samples, *unseen.samples], np.concatenate([seen.features, unseen.features]))
    base = head_without("ss02", both, live_ones)
    new = rng.normal(size=(5, FEATURES + 6))
    first = RatedFeatures(seen.features, seen.mos)
    alone = fit_photo_rating(PhotoRatingOptions(), first, RatedFeatures(live_ones.features, live_ones.mos))
    mos = aligned(live_ones.mos, alone.experts(live_ones.features.astype(float))[:, 0])
    wanted = fit_photo_rating(PhotoRatingOptions(), first, RatedFeatures(live_ones.features, mos))
    assert base.experts(new) == pytest.approx(wanted.experts(new), abs=1e-4)
