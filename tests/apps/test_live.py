"""`snellen live`: pace, dropping, alarms. Scores follow the brightness of the frames, by a scripted model."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import encode, pan

from snellen.assessor import Assessor
from snellen.backend import Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.image import load
from snellen.video.frame import Frame, small_gray

pytest.importorskip("av")

from snellen.video.live import Alarm, LiveCounts, Newest, Pace, looped, watch_live  # noqa: E402


def frame(time: float, gray: int = 100) -> Frame:
    picture = load(np.full((32, 32, 3), gray, np.uint8))
    return Frame(time, small_gray(picture), lambda: picture)


def by_brightness(conversation: Conversation) -> str:
    views = [view for turn in conversation for view in turn.views]
    return "1.5" if views[0].picture.pixels.mean() < 50 else "4.0"


def test_an_alarm_needs_its_time_below_the_line_and_clears_after_as_long_above() -> None:
    alarm = Alarm(2.5, 1.0)
    scores = [3.0, 2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 2.0, 3.0, 2.0, 3.0, 3.0, 3.0]
    events = [alarm.update(0.5 * i, score) for i, score in enumerate(scores)]
    assert {i: event for i, event in enumerate(events) if event} == {6: "alarm", 12: "clear"}


def test_a_score_on_the_line_is_not_below_it() -> None:
    assert Alarm(2.5, 0.0).update(0.0, 2.5) is None
    assert Alarm(2.5, 0.0).update(0.0, 2.49) == "alarm"


def test_a_frame_that_nobody_took_is_dropped_and_counted() -> None:
    newest = Newest()
    for time in (0.0, 1.0, 2.0):
        newest.put(frame(time), time)
    taken = newest.take()
    assert taken is not None and taken[0].time == 2.0
    assert (newest.arrived, newest.dropped) == (3, 2)
    newest.end()
    assert newest.take() is None


def test_the_earliest_frame_sets_the_pace() -> None:
    pace = Pace()
    assert pace.due(0.0, 100.0) == 100.0
    assert pace.due(1.0, 101.4) == 101.0, "0.4 s late"
    assert pace.due(2.0, 101.9) == pytest.approx(101.9), "the first was 0.1 s late itself"
    assert pace.due(3.0, 103.0) == pytest.approx(102.9)


def test_a_loop_goes_on_in_time() -> None:
    def source() -> Iterator[Frame]:
        return iter([frame(0.0), frame(0.5)])

    times = [one.time for one in looped(source, 3, threading.Event())]
    assert times == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_every_frame_is_scored_or_counted_as_dropped_and_an_error_of_the_source_is_raised() -> None:
    counts, stop = LiveCounts(), threading.Event()

    def source() -> Iterator[Frame]:
        yield from (frame(i / 100) for i in range(20))
        raise OSError("the line is dead")

    seen = []
    with pytest.raises(OSError, match="the line is dead"):
        for one in watch_live(
            source(), Assessor(ScriptedBackend(by_brightness), score_only=True), counts, paced=True, stop=stop
        ):
            seen.append(one.scored.time)
    assert counts.arrived == 20 and counts.scored == len(seen) >= 1
    assert counts.scored + counts.dropped == 20
    assert seen == sorted(seen)


def test_a_frame_that_is_late_is_not_scored() -> None:
    counts, stop = LiveCounts(), threading.Event()
    late = iter([frame(-10.0), frame(0.0)])  # the first was due ten seconds ago
    seen = list(
        watch_live(late, Assessor(ScriptedBackend(by_brightness), score_only=True), counts, paced=True, stop=stop)
    )
    assert [one.scored.time for one in seen] == [0.0]
    assert (counts.arrived, counts.dropped) == (2, 1)


def test_the_command_prints_json_and_counts_every_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "replies.jsonl"
    script.write_text(json.dumps("1.5") + "\n")
    clip = encode(tmp_path / "clip.mp4", pan(15))
    args = ["live", str(clip), "--loop", "2", "--model", f"scripted:{script}", "--seconds", "0", "--json"]
    assert main(args) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines[:2]] == ["frame", "alarm"] and lines[0]["score"] == 1.5
    end = lines[-1]
    assert end["type"] == "end" and end["arrived"] == 30 and end["scored"] + end["dropped"] == 30


def test_a_missing_source_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "replies.jsonl"
    script.write_text(json.dumps("1.5") + "\n")
    assert main(["live", "gone.mp4", "--model", f"scripted:{script}"]) == 1
    assert capsys.readouterr().err == "snellen: gone.mp4: no such file; check the path\n"
    assert main(["live", "-", "--loop", "2", "--model", f"scripted:{script}"]) == 2


def test_an_address_that_nobody_answers_is_refused_with_a_remedy_for_addresses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        assert main(["live", address]) == 1
    assert f"{address}: cannot be opened as a video" in (error := capsys.readouterr().err)
    assert "check the address" in error and error.count("\n") == 1
