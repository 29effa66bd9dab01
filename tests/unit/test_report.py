from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pictures import noise
from PIL import Image

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Calibration, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.draw import tag_corners
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply
from snellen.report import Report

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> & so on'
VOID = {"meta", "img", "rect", "path", "circle", "br"}


def spread(mean: float) -> RatingDistribution:
    return RatingDistribution(np.array([mean - 0.5, mean, mean + 0.5]), np.array([0.25, 0.5, 0.25]))


def reply(round: int, rating: float, crop: Region | None, issues: Sequence[Issue] = (), text: str = "Well.") -> Reply:
    rationale = Rationale(f"{text} Seen.", "Crisp.", "Blur.", f"Decided in {round}.")
    answer = Answer(crop, rating, "final" if crop is None else "crop", tuple(issues))
    return Reply(render_reply(rationale, answer, round), rating=spread(rating))


BLUR = Issue("blur", 4, Region(0.5, 0.5, 0.75, 0.75))
NOISE = Issue("noise", 1, FULL)


def assess(script: Sequence[str | Reply], *names: str) -> list[Assessment]:
    backend = ScriptedBackend(script)
    backend.calibration = Calibration(1.5, 0.1)
    pixels = noise(800, 640)
    return Assessor(backend).assess([Picture(pixels, name, ("alpha composited on white",)) for name in names])


def zoomed(*names: str, text: str = "Well.") -> list[Assessment]:
    """Two rounds: 3.50 at a glance, 2.50 after a closer look at the lower right."""
    first = reply(1, 3.5, Region(0.5, 0.5, 1.0, 1.0), [NOISE], text)
    return assess([first, reply(2, 2.5, None, [BLUR, NOISE], text)], *names)


class Reader(HTMLParser):
    """The page as a browser would take it apart; every element must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data + " "

    def classes(self, tag: str) -> Counter[str]:
        names = [attrs.get("class") or "" for found, attrs in self.tags if found == tag]
        return Counter(" ".join(names).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def read(*assessments: Assessment) -> Reader:
    report = Report()
    for assessment in assessments:
        report.add(assessment)
    return Reader(report.html())


def test_a_picture_is_told_whole() -> None:
    page = read(*zoomed("park.png"))
    text = " ".join(page.text.split())
    for part in ("park.png", "800 × 640 px", "alpha composited on white", "2.50 poor", "90 % interval: 1.97 to 3.03"):
        assert part in text
    assert "1 blur centre" in text
    assert "2 noise whole picture" in text
    assert text.index("Round 1") < text.index("Image Quality Summary Well. Seen.") < text.index("Decided in 1.")
    assert "Zooms in: lower right [0.50, 0.50, 1.00, 1.00]" in text
    assert text.index("Round 2") < text.index("Crop Inspection Summary") < text.index("Decided in 2.")
    assert "2.50 -1.00" in text, "how the rating moved"
    assert "Crisp." in text.split("Prompts for restoration")[1]
    assert "scripted 1" in text, "which model"


def test_boxes_lie_where_the_issues_and_the_crop_are() -> None:
    page = read(*zoomed("park.png"))
    boxes: dict[str, list[list[float]]] = {"over": [], "crop": []}
    for tag, attrs in page.tags:
        for kind in boxes:
            if tag == "rect" and attrs.get("class") == kind:
                boxes[kind].append([float(attrs[side] or 0) for side in ("x", "y", "width", "height")])
    assert boxes["over"] == [[400, 320, 200, 160]], "none around the whole picture"
    assert page.classes("rect")["tag"] == 2, "but a number"
    assert boxes["crop"] == [[400, 320, 400, 320]]


def test_each_round_shows_what_was_seen_and_its_distribution() -> None:
    (assessment,) = zoomed("park.png")
    page = read(assessment)
    images = [source for source in page.attributes("src") if source.startswith("data:image/jpeg;base64,")]
    sizes = [Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).size for source in images]
    assert sizes == [(800, 640), (320, 256), (320, 320), (320, 256), (320, 320)]
    assert page.classes("path")["bars"] == 2
    assert page.classes("path")["before"] == 1, "the first rating, in the second plot"
    assert page.classes("path")["interval"] == 1, "in the last plot only"
    bars = next(attrs["d"] or "" for tag, attrs in page.tags if attrs.get("class") == "bars")
    heights = [float(height) for height in re.findall(r"v-([\d.]+)", bars)]
    assert len(heights) == 3 and heights[1] == pytest.approx(2 * heights[0], rel=0.01) == pytest.approx(2 * heights[2])


def test_ratings_outside_the_middle_are_drawn_inside_the_plot() -> None:
    for rating in (1.5, 4.5):  # with probability at 1 and at 5
        page = read(*assess([reply(1, rating, None)], "edge.png"))
        (bars,) = (attrs["d"] or "" for tag, attrs in page.tags if attrs.get("class") == "bars")
        lefts = [float(left) for left in re.findall(r"M([\d.]+)", bars)]
        widths = [float(width) for width in re.findall(r"h([\d.]+)v", bars)]
        assert len(lefts) == 3 and min(lefts) >= 14.0 and lefts[-1] + widths[-1] <= 406.0


def test_nothing_is_loaded_from_elsewhere() -> None:
    report = Report()
    for assessment in zoomed("a.png", "b.png"):
        report.add(assessment)
    html = report.html()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[\w+/=]+", "", html))
    page = Reader(html)
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert all(link.startswith("#") for link in page.attributes("href"))
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; img-src data:;")


def test_no_text_of_a_model_or_a_file_name_becomes_markup() -> None:
    unread = assess(["<b>bold</b>" + HOSTILE], "c.png")
    page = read(*zoomed(HOSTILE, "b.png", text=HOSTILE), *unread, *Assessor(ScriptedBackend([""])).assess([HOSTILE]))
    assert Counter(tag for tag, _ in page.tags)["script"] == 1 and Counter(tag for tag, _ in page.tags)["b"] < 20
    assert not page.attributes("onerror")
    assert page.text.count(HOSTILE) >= 6


def test_failures_are_listed_and_what_was_said_is_kept() -> None:
    missing = Assessor(ScriptedBackend([""])).assess(["gone.png"])
    unread = assess([reply(1, 3.5, Region(0.5, 0.5, 1.0, 1.0)), "no answer at all"], "odd.png")
    page = read(*zoomed("park.png"), *missing, *unread)
    text = " ".join(page.text.split())
    assert "1 picture scored · 2 failed" in text
    failures = text.split("Not scored")[1].split("park.png")[0]
    assert "gone.png no such file; check the path missing" in failures
    assert "odd.png the model's reply in round 2 cannot be read" in failures and "unparsable_reply" in failures
    article = text.split("odd.png")[-1]
    assert "no score" in article and "3.50" in article and "no answer at all" in article


def test_the_summary_sorts_by_what_its_cells_say() -> None:
    page = read(*zoomed("a.png"), *assess([reply(1, 4.5, None)], "b.png"))
    keys = page.attributes("data-key")
    assert keys == ["a.png", "2.5000", "2.5000", "4 blur 4, noise 1", "b.png", "4.5000", "4.5000", "0 "]
    assert page.attributes("aria-sort") == ["none"] * 4
    targets = set(page.attributes("id"))
    assert {link.removeprefix("#") for link in page.attributes("href")} <= targets
    assert "mean 3.50" in page.text
    assert "summary" not in read(*zoomed("a.png")).attributes("id"), "one picture needs no table"


def test_score_only_and_uncalibrated_pictures_have_a_page_too() -> None:
    backend = ScriptedBackend([Reply("3.25")])
    pixels = np.full((100, 160, 3), 90, np.uint8)
    page = read(*Assessor(backend, score_only=True).assess([Picture(pixels, "fast.png")]))
    text = " ".join(page.text.split())
    assert "3.25 fair" in text and "interval" not in text and "Issues" not in text
    assert page.classes("path")["bars"] == 0 and page.classes("path")["mark"] == 1


def test_writing_replaces_the_file_at_once(tmp_path: Path) -> None:
    report = Report()
    (tmp_path / "report.html").write_text("before")
    for assessment in zoomed("caf\udce9.png"):
        report.add(assessment)
    report.write(tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert r"caf\udce9.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_numbers_of_boxes_do_not_cover_one_another() -> None:
    boxes = [(0, 0, 100, 100), (0, 0, 100, 100), (5, 3, 60, 60), (200, 0, 300, 90)]
    assert tag_corners(boxes, 20, 10) == [(0, 0), (20, 0), (45, 3), (200, 0)]
