"""The files of a model folder: its card, its weights, and an adaptation to somebody's ratings. No torch here.

A folder either holds all weights, or it is adapted: it holds an adaptation and the card fields that it changes, and the
weights are those of the bundled model, which the card names by their checksums.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.backend import SNELLEN_1, BackendError
from snellen.snellen1.adaptation import Adaptation

GRAPHS = ("encoder", "imagenet_network", "heads", "rating_head")
PHOTO_RATING = "photo_rating.npz"
"""The photo rating head's file."""
PHOTO_FAULTS = "photo_faults.npz"
"""The photo fault head's file; a model folder may lack it."""
ADAPTATION = "adaptation.npz"
"""The adaptation's file, in an adapted folder."""
ADAPTED_FIELDS = ("name", "version", "calibration", "score_calibration", "photo_thresholds")
"""Fields of the card that an adapted folder may change."""


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """card: its fields. weights: folder of the weights. adaptation: None where there is none."""

    card: dict[str, Any]
    weights: Path
    adaptation: Adaptation | None = None

    @staticmethod
    def open(folder: Path) -> ModelFiles:
        """Read a model folder.

        Raises BackendError where the files are not those that the card names, or where it adapts other weights than the
        bundled ones.
        """
        card = read_card(folder)
        if "adapts" not in card:
            _check_weights(folder, card)
            return ModelFiles(card, folder)
        base = ModelFiles.open(SNELLEN_1).card
        if card["adapts"] != mark(base):
            raise BackendError(f"{folder}: adapts other weights than {base['version']}; run snellen adapt again")
        _check(folder, card["sha256"])
        changed = {field: card[field] for field in ADAPTED_FIELDS if field in card}
        return ModelFiles(base | changed, SNELLEN_1, Adaptation.open(folder / ADAPTATION))


def mark(card: dict[str, Any]) -> str:
    """Return one SHA-256 over the checksums that a card names."""
    return hashlib.sha256(json.dumps(card["sha256"], sort_keys=True).encode()).hexdigest()


def save_adapted(folder: Path, adaptation: Adaptation, changed: dict[str, Any]) -> None:
    """Write an adapted folder over the bundled model. changed: the fields of ADAPTED_FIELDS that are not the base's."""
    folder.mkdir(parents=True, exist_ok=True)
    adaptation.save(folder / ADAPTATION)
    checksum = hashlib.sha256((folder / ADAPTATION).read_bytes()).hexdigest()
    write_card(folder, changed | {"adapts": mark(read_card(SNELLEN_1)), "sha256": {ADAPTATION: checksum}})


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a model folder as it is in the file. Raises BackendError where there is none."""
    if not (folder / "card.json").is_file():
        raise BackendError(f"{folder} holds no model (no card.json); reinstall snellen, or export a model there")
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf8"))
    return card


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the card of a model folder."""
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _check_weights(folder: Path, card: dict[str, Any]) -> None:
    files = [*(f"{graph}.onnx" for graph in GRAPHS), PHOTO_RATING]
    files += [PHOTO_FAULTS] if PHOTO_FAULTS in card["sha256"] else []
    missing = [name for name in files if name not in card["sha256"]]
    if missing:
        raise BackendError(f"{folder}: version {card['version']} has no {missing[0]}; export it again")
    _check(folder, {name: card["sha256"][name] for name in files})


def _check(folder: Path, checksums: dict[str, str]) -> None:
    for name, wanted in checksums.items():
        if not (folder / name).is_file():
            raise BackendError(f"{folder}: {name} is missing; reinstall snellen, or export the model again")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
            raise BackendError(f"{folder}: {name} is not the file that the model card names; reinstall snellen")
