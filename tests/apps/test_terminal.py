from __future__ import annotations

import io

import numpy as np
import pytest
from pictures import noise
from rich.console import Console, RenderableType

from snellen.apps.assess import GAUGE, assessment_text, brief_text, gauge, model_text
from snellen.apps.features import features_text
from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Calibration, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.features import measure
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.terminal import open_console
from snellen.usage import complain, visible

PIXELS = noise(800, 640)


def printed(content: RenderableType, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False, markup=False).print(content)
    return file.getvalue()


def assess(name: str, *issues: Issue) -> Assessment:
    answer = Answer(None, 2.5, "final", issues)
    text = render_reply(Rationale("Seen [bold]plainly[/bold].", "Crisp.", "Blur.", "Sure."), answer, 1)
    spread = RatingDistribution(np.array([2.0, 3.0]), np.array([0.5, 0.5]))
    backend = ScriptedBackend([Reply(text, rating=spread)])
    backend.calibration = Calibration(1.5, 0.1)
    return Assessor(backend).assess([Picture(PIXELS, name)])[0]


def test_the_gauge_marks_score_and_interval() -> None:
    assert gauge(1.0, None) == "●" + "─" * (GAUGE - 1)
    assert gauge(5.0, (4.5, 5.0)) == "─" * 28 + "━━━━●"
    assert gauge(3.0, (2.0, 4.0), ascii_only=True) == "--------" + "=" * 8 + "|" + "=" * 8 + "--------"


def test_issues_are_listed_worst_first_with_severity_and_place() -> None:
    text = printed(assessment_text(assess("a.png", Issue("noise", 2, FULL), Issue("blur", 5, Region(0, 0, 0.3, 0.3)))))
    blur, noise = (line for line in text.splitlines() if "severity" in line)
    assert " ".join(blur.split()) == "■■■■■ blur severity 5 upper left [0.00, 0.00, 0.30, 0.30]"
    assert " ".join(noise.split()) == "■■□□□ noise severity 2 the whole picture"
    assert "none found" in printed(assessment_text(assess("a.png")))


def test_the_interval_and_the_spread_are_told() -> None:
    text = printed(assessment_text(assess("a.png")))
    assert "1.75 to 3.25" in text and "rating 2.50 ± 0.50" in text
    assert printed(brief_text(assess("a.png"))).split() == ["2.50", "1.75-3.25", "poor", "a.png"]


def test_text_of_a_model_or_a_file_name_is_not_taken_for_markup() -> None:
    text = printed(assessment_text(assess("[red]a[/red].png")))
    assert "[red]a[/red].png" in text and "Seen [bold]plainly[/bold]." in text


def test_control_characters_of_a_name_are_escaped() -> None:
    assert visible("\u061c\u200e\u200fא") == r"\u061c\u200e\u200fא"
    assessment = assess("a\x1b[31m\r\nb\x9b\u202e.png")
    assert printed(brief_text(assessment)).splitlines() == [r"2.50  1.75-3.25  poor       a\x1b[31m\r\nb\x9b\u202e.png"]
    assert r"a\x1b[31m\r\nb\x9b\u202e.png" in printed(assessment_text(assessment)).splitlines()[0]


def test_control_characters_of_a_models_text_are_escaped() -> None:
    answer = Answer(None, 2.5, "final", ())
    sections = Rationale("Seen\x1b]0;title\x07\x1b[2J.", "Crisp\u202e.", "Blur.", "Sure\x9b1m.")
    reply = Reply(render_reply(sections, answer, 1), rating=RatingDistribution(np.array([2.5]), np.array([1.0])))
    backend = ScriptedBackend([reply])
    backend.name, backend.version = "a\x1b[31m", "1"
    assessor = Assessor(backend)
    text = printed(assessment_text(assessor.assess([Picture(PIXELS, "a.png")])[0])) + printed(model_text(assessor))
    assert set(text) & set(map(chr, (*range(10), *range(11, 32), *range(127, 160), 0x202E))) == set()
    assert r"Seen\x1b]0;title\x07\x1b[2J." in text and r"Crisp\u202e." in text and r"Sure\x9b1m." in text
    assert r"a\x1b[31m 1, protocol snellen" in text


def test_a_complaint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\x1b[2J\n\u2028b\x7f.png: café")
    assert capsys.readouterr().err == "snellen: a\\x1b[2J b\\x7f.png: café\n"


def test_nothing_is_wider_than_the_terminal() -> None:
    long = assess("folder/" * 30 + "a.png", Issue("oversharpening", 3, Region(0.1, 0.4, 0.3, 0.9)))
    for width in (80, 60):
        assert max(map(len, printed(assessment_text(long), width).splitlines())) <= width
        assert max(map(len, printed(features_text("b.png", measure(PIXELS)), width).splitlines())) <= width


def test_ascii_is_enough() -> None:
    assessment = assess("a.png", Issue("noise", 2, FULL))
    printed(assessment_text(assessment, ascii_only=True)).encode("ascii")
    printed(features_text("a.png", measure(PIXELS), ascii_only=True)).encode("ascii")


def test_maps_are_shaded_from_lowest_to_highest() -> None:
    ramp = np.repeat(np.linspace(60, 180, 400).astype(np.uint8)[None, :, None], 300, axis=0).repeat(3, axis=2)
    text = printed(features_text("ramp.png", measure(ramp)))
    lines = text[text.index("clipped highlights     luminance") :].splitlines()
    column = next(line for line in text.splitlines() if "clipped highlights     luminance" in line).index("luminance")
    rows = [line[column : column + 20] for line in lines[1:11]]
    assert rows == ["    ░░░░▒▒▒▒▓▓▓▓████"] * 10


def test_the_console_is_at_most_100_wide() -> None:
    assert open_console(io.StringIO()).width <= 100
