"""What the tiny model learns that teaches the filters of `snellen data build --teacher` in recipes/bench."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from tiny_qwen import make_tokenizer

from snellen.backend import Sampling
from snellen.backends.scripted import ScriptedBackend
from snellen.reply import VIEW_MARK, parse_reply

BENCH = Path(__file__).parents[2] / "recipes" / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    import taught_teacher

    return taught_teacher


def test_lessons_are_right_or_believe_flipped_hints_or_have_no_picture(bench: ModuleType, tmp_path: Path) -> None:
    (sample,) = bench.with_faults(tmp_path, 1, 1)
    (fault,) = sample.faults
    taught = bench.lessons(sample)
    rounds = [1, 2, 1, 2, 1, 1, 2]
    answers = [parse_reply(reply, number).answer for number, (_, reply) in zip(rounds, taught, strict=True)]
    assert [one.issues[0].kind == fault.kind for one in answers] == [True, True, False, False, True, True, True]
    assert [one.issues[0].region == fault.region for one in answers] == [True] * 4 + [False] * 3
    assert [one.tool for one in answers] == [("crop", "final")[number - 1] for number in rounds]
    assert {one.rating for one in answers} == {sample.mos}
    assert [sum(len(turn.views) for turn in conversation) for conversation, _ in taught] == [1, 2, 1, 2, 0, 0, 0]
    assert VIEW_MARK not in taught[5][0][0].text
    assert "- noise: strong (" not in taught[5][0][0].text and "- noise: strong (" in taught[2][0][0].text


def test_a_reply_is_six_tokens_that_read_back(bench: ModuleType, tmp_path: Path) -> None:
    taught = bench.lessons(bench.with_faults(tmp_path, 1, 1)[0])
    words = make_tokenizer(bench.parts(taught))
    for conversation, reply in taught:
        ids = words.encode(reply, add_special_tokens=False)
        assert len(ids) == 6 and words.decode(ids) == reply  # before the rating, its three digits and point, behind it
        assert all(len(words.encode(turn.text, add_special_tokens=False)) < 100 for turn in conversation)


def test_a_teacher_without_a_picture_gets_none(bench: ModuleType, tmp_path: Path) -> None:
    shown = ScriptedBackend(lambda conversation: str(sum(len(turn.views) for turn in conversation)))
    conversation = bench.lessons(bench.with_faults(tmp_path, 1, 1)[0])[1][0]
    assert shown.reply([conversation], Sampling())[0].text == "2"
    assert bench.Altered(shown, bench.unseen).reply([conversation], Sampling())[0].text == "0"
