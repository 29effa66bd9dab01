"""Names of files by the rules of Windows, which Python's pure paths follow on every system."""

from __future__ import annotations

from pathlib import PurePath, PureWindowsPath

import pytest

from snellen.evaluate.datasets import open_data
from snellen.folder import path_inside
from snellen.usage import UsageError

FOLDER = PureWindowsPath(r"C:\Users\me\photos")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        (r"C:\Users\me\photos\a.jpg", "a.jpg"),
        (r"C:\Users\me\photos\2024\b c.jpg", "2024/b c.jpg"),
        (r"c:\users\ME\Photos\2024\B.JPG", "2024/B.JPG"),
        (r"C:/Users/me/photos/2024/b.jpg", "2024/b.jpg"),
    ],
)
def test_paths_of_a_table_have_forward_slashes(path: str, inside: str) -> None:
    assert path_inside(PureWindowsPath(path), FOLDER) == inside
    assert FOLDER / inside == PureWindowsPath(path), "the row leads back to the file"


def test_shares_and_the_current_folder() -> None:
    share = PureWindowsPath(r"\\server\share\photos")
    assert path_inside(share / "a" / "b.jpg", share) == "a/b.jpg"
    assert path_inside(PureWindowsPath("a/b.jpg"), PureWindowsPath(".")) == "a/b.jpg"
    assert path_inside(PurePath("a/b.jpg"), PurePath("./")) == "a/b.jpg"


def test_a_drive_is_not_the_kind_of_a_model_or_of_a_data_set() -> None:
    from snellen.backend import BackendError
    from snellen.backends import open_backend

    with pytest.raises(ValueError, match=r"unknown model 'C:\\\\models\\\\mine'"):
        open_backend(r"C:\models\mine")
    with pytest.raises(BackendError, match=r"C:\\replies\.jsonl"):
        open_backend(r"scripted:C:\replies.jsonl")
    with pytest.raises(UsageError, match=r"D:\\sets\\BIQ2021"):
        open_data(r"biq2021=D:\sets\BIQ2021")
