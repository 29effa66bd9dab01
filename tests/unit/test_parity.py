"""Protocol zoom-iqa gives what its authors' code gives: by a record of theirs, and by their package where installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from snellen.protocol import ZoomIqaProtocol, open_protocol

ROOT = Path(__file__).parents[2]
RECORD = json.loads((Path(__file__).parent / "golden" / "parity.json").read_text(encoding="utf-8"))
PARTS = ("replies", "boxes", "crops", "layout")
installed = pytest.mark.skipif(importlib.util.find_spec("zoomiqa") is None, reason="the authors' package is absent")


@pytest.fixture(scope="module")
def parity() -> Any:
    """The script that made the record, with its cases."""
    spec = importlib.util.spec_from_file_location("parity", ROOT / "recipes" / "bench" / "parity.py")
    assert spec is not None and spec.loader is not None
    module = ModuleType("parity")
    sys.modules["parity"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def part(parity: Any, name: str) -> Any:
    return next(one for one in parity.PARTS if one.name == name)


def test_the_record_has_ten_thousand_cases() -> None:
    assert sum(RECORD["parts"][name]["cases"] for name in PARTS) == 10_000


@pytest.mark.parametrize("name", PARTS)
def test_results_are_those_of_the_authors_record(parity: Any, name: str) -> None:
    one = part(parity, name)
    results = [one.ours(case) for case in one.cases()]
    assert len(results) == RECORD["parts"][name]["cases"]
    assert parity.hashes(results) == RECORD["parts"][name]["hashes"], f"hashes are of {parity.BLOCK} cases each"


def test_sampling_and_rounds_are_the_authors() -> None:
    drawn, recorded = ZoomIqaProtocol.sampling, RECORD["facts"]["sampling"]
    assert drawn.max_tokens == recorded.pop("max_new_tokens")
    assert {name: getattr(drawn, name) for name in recorded} == recorded
    assert ZoomIqaProtocol.max_rounds == RECORD["facts"]["rounds"]


@installed
@pytest.mark.parametrize("name", PARTS)
def test_results_are_those_of_the_authors_package(parity: Any, name: str) -> None:
    one, module = part(parity, name), parity.authors_module()
    for case in one.cases():
        assert json.dumps(one.ours(case)) == json.dumps(one.theirs(module, case)), case


@installed
def test_the_package_is_the_recorded_one_and_its_prompts_are_used(parity: Any) -> None:
    module, protocol = parity.authors_module(), open_protocol("zoom-iqa")
    assert isinstance(protocol, ZoomIqaProtocol)
    assert parity.facts(module)["texts"] == RECORD["facts"]["texts"]
    assert protocol.questions == module.RANDOM_QUESTIONS
    for case in parity.questions():
        assert parity.layout_ours(case, protocol) == parity.layout_theirs(module, case, None)
