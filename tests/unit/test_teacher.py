"""Conversations by a teacher model: prompts, filters, journal, command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripted_server import Answer as Sent
from scripted_server import Asked, chat, refuse, serve

from snellen.backend import Conversation, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.data.page import show
from snellen.data.sample import ManifestError, Sample, write_manifest
from snellen.data.teacher import Counts, Teacher, TeacherOptions, dropped_file, teach
from snellen.data.teacher_filters import Reliance, RelianceLimits, reliance
from snellen.data.teacher_prompts import (
    BEGIN,
    beginning,
    read_verdicts,
    sentences,
    told,
)
from snellen.features import measure
from snellen.protocol import SnellenProtocol
from snellen.region import Region
from snellen.reply import Answer, Rationale, parse_reply, render_reply
from snellen.train.demonstrations import Demonstrations, read_conversations
from snellen.usage import UsageError

BOX = Region(0.1, 0.1, 0.4, 0.5)
TEXT = Rationale("Soft sky. The boat is sharp.", "A crisp sky.", "Soft tones.", "The sky decides; look closer.")
FIRST = render_reply(TEXT, Answer(BOX, 2.6, "crop"), 1)
LAST = render_reply(TEXT, Answer(None, 3.0, "final"), 2)
CENTRE = render_reply(TEXT, Answer(Region(0.6, 0.6, 0.9, 0.9), 2.6, "crop"), 1)
FINE = json.dumps(["supported"] * 10)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    found = []
    for number in range(3):
        pixels = rng.integers(60, 200, (48, 64, 3), dtype=np.uint8)
        file = folder / f"{number}.png"
        Image.fromarray(pixels).resize((512, 384)).save(file)
        found.append(Sample(str(file), mos=3.0, split=("train", "val", "train")[number]))
    return found


class Scripted(ScriptedBackend):
    """A teacher and checker whose three kinds of replies are given: to a lesson, without the picture, to a check."""

    def __init__(self, first: str = FIRST, blind: str = CENTRE, check: str = FINE, last: str = LAST) -> None:
        self.asked: list[Conversation] = []

        def reply(conversation: Conversation) -> str:
            self.asked.append(conversation)
            if not conversation[0].views:
                return blind
            if "Somebody wrote" in conversation[0].text:
                return check
            return first if len(conversation) == 1 else last

        super().__init__(reply)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def run(teacher: ScriptedBackend, samples: list[Sample], out: Path, **options: Any) -> Counts:
    return teach(samples, Teacher(teacher, teacher, TeacherOptions(**options)), out)


def test_a_kept_sample_is_a_conversation_that_sft_and_the_page_read(samples: list[Sample], tmp_path: Path) -> None:
    teacher, out = Scripted(), tmp_path / "out.jsonl"
    counts = run(teacher, samples, out)
    assert (counts.kept, counts.given_up, counts.calls) == (3, 0, 3 * 4), "two rounds, one blind reply, one check"
    kept = rows(out)
    assert [row["mos"] for row in kept] == [3.0] * 3 and dropped_file(out).read_text() == ""
    assert [one["reply"] for one in kept[0]["rounds"]] == [FIRST, LAST]
    assert kept[0]["first"] == 2.6 and kept[0]["rounds"][1]["region"] != [0.0, 0.0, 1.0, 1.0]
    assert kept[0]["teacher"]["verdicts"] == {"supported": 10} and kept[0]["teacher"]["reliance"]["box"] == 1.0
    train, val = read_conversations(out)
    assert (len(train), len(val)) == (2, 1)
    learned = Demonstrations(train, Reply)[1]
    assert learned.reply.text == LAST
    assert "People rated" not in learned.conversation[0].text, "a student is not told the truth"
    assert show(out, 5, tmp_path / "page.html") == 3


def test_the_teacher_is_told_mos_and_hints_and_the_checker_places_too(samples: list[Sample], tmp_path: Path) -> None:
    teacher = Scripted()
    run(teacher, samples[:1], tmp_path / "out.jsonl")
    first, last, blind, check = teacher.asked
    assert "People rated this picture 3.00" in first[0].text and "- sharpness: " in first[0].text
    assert last[-1].text.endswith("If this round is the last, rate 3.00.")
    assert blind[0].views == () and blind[0].text.startswith("This is a whole picture")
    assert "People rated this picture 3.00" in blind[0].text and f"{BEGIN}\n<think>Image Quality" in blind[0].text
    assert len(check[0].views) == 2 and "1. (Image Quality Summary) Soft sky.\n2. " in check[0].text


@pytest.mark.parametrize(
    ("teacher", "reason", "detail"),
    [
        (Scripted(first="I cannot see it."), "unreadable", "no_answer"),
        (Scripted(first=render_reply(None, Answer(None, 3.0, "final"), 1)), "no text", "no think text"),
        (Scripted(last=render_reply(TEXT, Answer(None, 3.4, "final"), 2)), "rating", "is 3.40, people gave 3.00"),
        (Scripted(last=render_reply(TEXT, Answer(BOX, 3.0, "crop"), 2)), "unfinished", "max_rounds is 2"),
        (Scripted(blind=FIRST), "blind", "without the picture"),
        (Scripted(blind=FIRST[FIRST.index("sky. The") :]), "blind", "without the picture"),
        (Scripted(check="[]"), "checker", "0 verdicts on 10 sentences"),
        (Scripted(check=FINE.replace("supported", "contradicted", 1)), "contradicted", "Soft sky."),
    ],
)
def test_a_dropped_sample_has_its_reason(
    teacher: Scripted, reason: str, detail: str, samples: list[Sample], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    counts = run(teacher, samples[:1], out, attempts=2)
    assert (counts.kept, counts.given_up, counts.dropped) == (0, 1, {reason: 2})
    assert out.read_text() == ""
    for attempt, row in enumerate(rows(dropped_file(out)), 1):
        assert row["teacher"]["attempt"] == attempt
        assert row["dropped"]["reason"] == reason and detail in row["dropped"]["detail"]
    page = tmp_path / "page.html"
    assert show(dropped_file(out), 1, page) == 1 and f"dropped: {reason}" in page.read_text()


def test_a_run_goes_on_where_it_was_killed_and_loses_and_doubles_nothing(samples: list[Sample], tmp_path: Path) -> None:
    def killed(after: int) -> ScriptedBackend:
        whole, left = Scripted(), [after]

        def reply(conversation: Conversation) -> str | Reply:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return whole._reply(conversation)

        return ScriptedBackend(reply)

    out = tmp_path / "out.jsonl"
    options = TeacherOptions(attempts=2, batch_size=1)
    for after in (4, 6, 99):
        backend = killed(after)
        try:
            counts = teach(samples, Teacher(backend, backend, options), out, resume=True)
        except KeyboardInterrupt:
            with out.open("a") as file:
                file.write('{"path": "cut off')
    assert [row["path"] for row in rows(out)] == [sample.path for sample in samples]
    assert (counts.kept, counts.calls) == (3, 12)
    other = TeacherOptions(attempts=2, batch_size=1, temperature=0.1)
    with pytest.raises(UsageError, match="another teacher or other settings"):
        teach(samples, Teacher(backend, backend, other), out, resume=True)


@pytest.mark.parametrize("failing", ["first", "blind", "check"])
def test_a_call_that_failed_is_no_difference_and_no_verdict(
    failing: str, samples: list[Sample], tmp_path: Path
) -> None:
    lost: Any = Reply("", failure="status 400")
    teacher = Scripted(**{failing: lost})
    counts = run(teacher, samples[:1], tmp_path / "out.jsonl", attempts=1)
    assert counts.dropped == {"no reply": 1}
    assert rows(dropped_file(tmp_path / "out.jsonl"))[0]["dropped"]["detail"].endswith("status 400")


def test_tokens_and_cost_are_those_that_the_models_count(samples: list[Sample], tmp_path: Path) -> None:
    told: Any = Reply(FIRST, prompt_tokens=1000, reply_tokens=100)
    sampled: Any = Reply(LAST, token_ids=(5, 6, 7))
    counts = run(Scripted(first=told, last=sampled), samples[:2], tmp_path / "out.jsonl")
    assert (counts.prompt_tokens, counts.reply_tokens) == (2000, 206)
    assert counts.line((3.0, 15.0)).endswith("2,000 prompt tokens, 206 reply tokens, cost 0.01")


def test_a_picture_that_cannot_be_read_is_its_own_row_and_test_pictures_are_left_out(
    samples: list[Sample], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    listed = [Sample(str(broken), mos=2.0), Sample(samples[0].path, mos=3.0, split="test"), samples[1]]
    counts = run(Scripted(), listed, tmp_path / "out.jsonl")
    assert (counts.kept, counts.given_up, counts.dropped) == (1, 1, {"picture": 1})
    assert show(dropped_file(tmp_path / "out.jsonl"), 1, tmp_path / "page.html") == 1
    with pytest.raises(ManifestError, match="no mos"):
        run(Scripted(), [Sample(samples[0].path)], tmp_path / "out.jsonl")


def test_reliance_by_hand() -> None:
    def compared(
        text: str, seen: RatingDistribution | None = None, blind: RatingDistribution | None = None
    ) -> Reliance:
        answer, replies = parse_reply(FIRST, 1).answer, (Reply(FIRST, rating=seen), Reply(text, rating=blind))
        return reliance(answer, *replies, "<think>", SnellenProtocol())

    same = compared(FIRST)
    assert same == Reliance() and not same.relies(RelianceLimits())
    half = compared(render_reply(TEXT, Answer(Region(0.1, 0.1, 0.4, 0.3), 2.9, "crop"), 1))
    assert half.box == pytest.approx(0.5) and half.rating == pytest.approx(0.3)
    assert half.relies(RelianceLimits(box=0.49)) and not half.relies(RelianceLimits(0.51, 0.31))
    final = compared(render_reply(TEXT, Answer(None, 2.6, "final"), 1))
    assert final == Reliance(tool=True) and final.relies(RelianceLimits())
    assert compared("I see no picture.").relies(RelianceLimits())
    coin = RatingDistribution(np.array([2.0, 3.0]), np.array([0.5, 0.5]))
    sure = RatingDistribution(np.array([2.6]), np.array([1.0]))
    spread = compared(FIRST, sure, coin)
    assert spread.entropy == pytest.approx(np.log(2)) and spread.relies(RelianceLimits())


def test_the_beginning_of_a_reply_and_its_sentences_by_hand() -> None:
    reply = "<think>Image Quality Summary: One two. Three four.\nfive</think><answer>"
    assert beginning(reply, 0.5) == "<think>Image Quality Summary: One"  # 4 of 8 words
    assert beginning(reply, 0.0) == "<think>Image"
    for wrong in ("<think></think>", "no tags"):
        with pytest.raises(ValueError, match="think text"):
            beginning(wrong, 0.5)
    one = Rationale('At 2.5 px it is soft. "Sharp" it is not!', "A.", "B. C.", "D.")
    assert [text for _, text in sentences([one, TEXT])][:6] == [
        "At 2.5 px it is soft.", '"Sharp" it is not!', "A.", "B.", "C.", "D.",
    ]  # fmt: skip
    assert [label for label, _ in sentences([one, TEXT])][6] == "Crop Inspection Summary"


def test_verdicts_are_the_last_list_of_the_right_words_in_the_right_number() -> None:
    assert read_verdicts('I think [1]:\n```json\n["supported", "unclear"]\n```', 2) == ["supported", "unclear"]
    for text in ("all fine", '["supported"]', '["supported", "yes"]', "[supported, unclear]"):
        with pytest.raises(ValueError):
            read_verdicts(text, 2)


def test_hints_say_in_words_what_is_measured(samples: list[Sample]) -> None:
    pixels = np.full((320, 320, 3), 20, np.uint8)
    pixels[:, ::8] = 28
    dark = told(1.5, measure(pixels))
    assert "luminance: very dark (0.08)" in dark.hints and dark.mos == 1.5
    half = np.concatenate([np.full((320, 160, 3), 120, np.uint8), np.full((320, 160, 3), 255, np.uint8)], axis=1)
    burnt = told(2.0, measure(half))
    at = [line.partition(":")[0] for line in burnt.hints].index("clipped highlights")
    assert burnt.hints[at].startswith("clipped highlights: much (0.50)")
    assert burnt.places[at] == "; most in [0.50, 0.00, 1.00, 1.00]"
    assert burnt.places[at] not in burnt.lines() and burnt.places[at] in burnt.lines(places=True)


def test_the_command_teaches_refuses_and_resumes(
    samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(samples, tmp_path / "m.jsonl")
    script, checks = tmp_path / "script.jsonl", tmp_path / "checks.jsonl"
    script.write_text(json.dumps(FIRST) + "\n" + json.dumps(LAST))
    checks.write_text(json.dumps(FINE))
    out = tmp_path / "out.jsonl"
    command = ["data", "build", str(tmp_path / "m.jsonl"), "--out", str(out), "--teacher", f"scripted:{script}"]
    assert main([*command, "--checker", f"scripted:{checks}", "--price", "1", "2"]) == 0
    err = capsys.readouterr().err
    assert "kept 0, given up 3; dropped attempts: blind 9; 27 calls" in err and "cost 0.00" in err, (
        "it needs no picture"
    )
    assert main(command) == 2
    assert "--resume goes on with it, --overwrite begins anew" in capsys.readouterr().err
    lenient = [*command, "--reliance", "-1", "-1", "-1", "--checker", "none"]
    assert main([*lenient, "--resume"]) == 2, "other settings"
    assert main([*lenient, "--overwrite", "--limit", "2", "--quiet"]) == 0
    assert len(rows(out)) == 2
    assert main([*command, "--overwrite", "--checker", "snellen-1"]) == 2
    assert "reads no prompt" in capsys.readouterr().err


def test_a_server_teaches_and_its_tokens_cost(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def respond(asked: Asked) -> Sent:
        told = json.dumps(asked.body.get("messages", []))
        if "People rated" not in told:
            return chat("fine")  # what the client tries at opening
        if "2.00 on average" in told and "Somebody wrote" not in told:
            return refuse("this picture is not allowed")
        reply = (FIRST if asked.round == 1 else LAST) if asked.images else CENTRE
        text = FINE if "Somebody wrote" in told else reply
        return Sent(chat(text).body | {"usage": {"prompt_tokens": 1000, "completion_tokens": 50}})

    write_manifest([samples[0], Sample(samples[1].path, mos=2.0)], tmp_path / "m.jsonl")
    out = tmp_path / "out.jsonl"
    with serve(respond) as server:
        command = ["data", "build", str(tmp_path / "m.jsonl"), "--out", str(out), "--attempts", "1"]
        assert main([*command, "--teacher", f"openai:{server.address}#eye", "--price", "10", "20"]) == 0
    line = capsys.readouterr().err
    assert "kept 1, given up 1; dropped attempts: no reply 1; 5 calls" in line
    assert "4,000 prompt tokens, 200 reply tokens, cost 0.04" in line
    assert "not allowed" in rows(dropped_file(out))[0]["dropped"]["detail"]
