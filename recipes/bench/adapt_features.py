"""Features for adapt.py: what snellen-1 computes of rated pictures, and photo rating heads that saw none of a domain.

python recipes/bench/adapt_features.py --biq2021 DATA/BIQ2021 --live DATA/ChallengeDB_release --large DATA/large \\
    --domains recipes/bench/adapt_domains.json --out build/adapt

--large: the photographs of src/snellen/data/labels/large_photographs.csv in any folder below it, known by their
SHA-256. Sets that are not given, and their domains, are left out; BIQ2021's need LIVE in the Wild too. Everything that
is computed lies in OUT in parts of 100 pictures, so that a killed run goes on. Writes OUT/features.npz, the arrays that
adapt.py describes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from zoom_policies import found_files

from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import labels_of
from snellen.data.sample import Sample
from snellen.data.sets import open_set
from snellen.data.sets.duplicates import dhash, near_duplicate_groups
from snellen.features import measure
from snellen.image import Picture, load
from snellen.snellen1.photo_features import colour_numbers, measured_numbers, rating_features
from snellen.snellen1.photo_rating import PhotoRatingHead
from snellen.train.snellen1.photo_rating import PhotoRatingOptions, RatedFeatures, aligned, fit_photo_rating
from snellen.train.snellen1.views import training_pictures

PART = 100
MOST = 1000
"""Pictures to rate, and to test on, at most."""

Floats = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Pictures:
    """N rated pictures: samples, with groups; features (N, D) of the photo rating head, of a view not mirrored."""

    samples: list[Sample]
    features: npt.NDArray[np.float32]

    @property
    def mos(self) -> Floats:
        """(N,), 1..5."""
        return np.array([sample.mos for sample in self.samples], np.float64)

    def take(self, some: npt.NDArray[np.int64]) -> Pictures:
        """The pictures at some indices."""
        return Pictures([self.samples[i] for i in some], self.features[some])


def in_parts(paths: Sequence[str], compute: Callable[[Picture], Arrays], out: Path, name: str) -> Arrays:
    """Compute arrays of every picture, stacked; parts that `out` holds already are read. name: of the parts' files."""
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(paths), PART):
        file, those = out / f"{name}-{start:05d}.npz", list(paths[start : start + PART])
        if not file.exists():
            rows = [compute(load(path)) for path in those]
            part = file.with_suffix(".part.npz")
            columns = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
            np.savez(part, paths=np.array(those), **columns)  # type: ignore[arg-type]
            os.replace(part, file)
            print(f"{file}: {start + len(those)} of {len(paths)}", flush=True)
        with np.load(file) as found:
            if found["paths"].tolist() != those:
                raise SystemExit(f"{file} is of other pictures; give another --out")
            parts.append({key: found[key] for key in found.files if key != "paths"})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def read(samples: Sequence[Sample], backend: Snellen1Backend, out: Path, name: str) -> Pictures:
    """Read rated pictures by the shipped encoders."""

    def encoded(picture: Picture) -> Arrays:
        return {"features": np.concatenate(rating_features(*backend.rating_read(picture.view()))).astype(np.float32)}

    found = in_parts([sample.path for sample in samples], encoded, out, name)
    return Pictures(list(samples), found["features"].astype(np.float32))


def grouped(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with groups of near-duplicates, which LIVE in the Wild does not name."""
    groups = near_duplicate_groups(np.array([dhash(sample.path) for sample in samples], np.uint64))
    return [replace(sample, group=str(group)) for sample, group in zip(samples, groups.tolist(), strict=True)]


def plain_numbers(picture: Picture) -> Arrays:
    """Plain measurements of a picture."""
    return {"plain": np.concatenate([measured_numbers(measure(picture)), colour_numbers(picture.pixels)])}


def split(group: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the pictures to rate and of those to test on: groups, numbered from 0, in an order drawn with seed 0,
    until half of the pictures, or MOST, are to be rated; of the rest at most MOST."""
    members = [np.flatnonzero(group == one) for one in np.random.default_rng(0).permutation(group.max() + 1)]
    half, to_rate, test = min(len(group) // 2, MOST), list[int](), list[int]()
    for those in members:
        (to_rate if len(to_rate) < half else test).extend(those.tolist())
    return np.array(to_rate), np.array(test[:MOST])


def head_without(subset: str, train: Pictures, live: Pictures) -> PhotoRatingHead:
    """Fit the photo rating head to the training pictures of all other subsets and to LIVE in the Wild, as stage 6 of
    the recipe does, but without degraded photographs, which say nothing of real ones."""
    others = train.take(np.flatnonzero([sample.subset != subset for sample in train.samples]))
    first = RatedFeatures(others.features, others.mos)
    head = fit_photo_rating(PhotoRatingOptions(), first, RatedFeatures(live.features, live.mos))
    # the second expert is linear in the MOS it learns: put them on BIQ2021's scale, and so its ratings
    low, high = aligned(live.mos, head.experts(live.features.astype(np.float64))[:, 0])[np.argsort(live.mos)[[0, -1]]]
    slope = float(high - low) / float(np.ptp(live.mos))
    return replace(head, slope=slope * head.slope, intercept=low + slope * (head.intercept - live.mos.min()))


def domain_arrays(domain: Pictures, rating: Callable[[Floats], Floats], head: PhotoRatingHead, parts: Path) -> Arrays:
    """Return the arrays of adapt.py for one domain. rating: of features (N, D), by the base, whose head is `head`.
    parts: folder of the plain measurements."""
    group = np.unique([sample.group for sample in domain.samples], return_inverse=True)[1].astype(np.int64)
    to_rate, test = split(group)
    chosen = np.concatenate([to_rate, test])
    taken, features = domain.take(chosen), domain.features[chosen].astype(np.float64)
    plain = in_parts([sample.path for sample in taken.samples], plain_numbers, parts, "plain")
    return {
        "rating": rating(features),
        "components": head.kernel.project(features),
        "mos": taken.mos,
        "group": group[chosen],
        "test": np.arange(len(chosen)) >= len(to_rate),
        **plain,
    }


@cache
def biq2021(root: Path) -> list[Sample]:
    """The pictures of BIQ2021, which `open_set` decodes once each to find near-duplicates."""
    return open_set("BIQ2021", root)


def arrays_of(domain: str, args: argparse.Namespace, backend: Snellen1Backend) -> Arrays | None:
    """Return the arrays of a domain, None where its set is not given."""
    head, parts = backend.photo_rating_head, args.out / domain
    if domain == "large_photographs":
        if args.large is None:
            return None
        files, labels = found_files(args.large), labels_of("large_photographs")
        samples = [Sample(str(files[name]), labels[name][0].overall) for name in sorted(files)]
        return domain_arrays(read(grouped(samples), backend, parts, "features"), head, head, parts)
    if args.live is None:
        return None
    labelled = labels_of("live_challenge")
    samples = [one for one in open_set("LIVE-Challenge", args.live) if Path(one.path).name in labelled]
    live = read(grouped(samples), backend, args.out / "live_challenge", "features")
    if domain == "live_challenge":
        return domain_arrays(live, lambda features: head.experts(features)[:, 0], head, parts)
    if args.biq2021 is None:
        return None
    train, held = training_pictures(biq2021(args.biq2021))
    known = read([*train, *held], backend, args.out / "biq2021", "features")
    base = head_without(domain, known.take(np.arange(len(train))), live)
    own = known.take(np.flatnonzero([sample.subset == domain for sample in known.samples]))
    return domain_arrays(own, base, base, parts)


def main() -> None:
    """Compute the arrays of every domain and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq2021", type=Path, help="clone of nisarahmedrana/BIQ2021")
    parser.add_argument("--live", type=Path, help="LIVE in the Wild")
    parser.add_argument("--large", type=Path, help="folder with the large photographs")
    parser.add_argument("--domains", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    backend, arrays = Snellen1Backend(), Arrays()
    for domain in json.loads(args.domains.read_text(encoding="utf-8"))["domains"]:
        file = args.out / f"{domain}.npz"
        if not file.exists():
            found = arrays_of(domain, args, backend)
            if found is None:
                print(f"{domain}: its pictures are not given")
                continue
            np.savez(file.with_suffix(".part.npz"), **found)  # type: ignore[arg-type]
            os.replace(file.with_suffix(".part.npz"), file)
        with np.load(file) as done:
            arrays |= {f"{domain}.{key}": done[key] for key in done.files}
    np.savez(args.out / "features.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
