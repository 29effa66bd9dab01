"""What words call a fault, read from text."""

from __future__ import annotations

import pytest

from snellen.vocabulary import called, named


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("There is mild blur, and the noise proves strong.", {"blur": 2, "noise": 4}),
        ("What spoils it is moderate grain in the centre.", {"noise": 3}),
        ("The weak point is strong motion blur.", {"motion blur": 4}),
        ("Banding is as mild as it looked.", {"banding": 2}),
        ("The severe softness is slight here.", {"blur": 5}),  # what it calls it first
        ("It is strong.", {}),
        ("Noise can be seen.", {}),
    ],
)
def test_how_severe_a_text_calls_what_it_names(text: str, how: dict[str, int]) -> None:
    assert called(text) == how


def test_motion_blur_is_not_blur() -> None:
    assert named("Motion blur, and compression damage.") == {"motion blur", "compression"}
