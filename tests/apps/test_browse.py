"""`snellen browse`: the album, its routes, sidecars and decisions on disk. The page itself is tested in a browser."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from PIL import Image
from starlette.testclient import TestClient

from snellen.apps.browse.album import Album
from snellen.apps.browse.decisions import read_decisions, write_decisions
from snellen.apps.browse.server import Browser, browse_app, changes
from snellen.apps.browse.thumbnail import Thumbnail
from snellen.apps.browse.thumbnails import Thumbnails
from snellen.apps.browse.work import NICENESS, Judge, Work, row_of
from snellen.apps.web import viewer
from snellen.apps.web.events import Event
from snellen.apps.web.options import WebOptions
from snellen.assessor import Assessor
from snellen.backend import BackendError
from snellen.backends.scripted import ScriptedBackend
from snellen.cli import main
from snellen.comparison.preference import NORMAL_95, SURE
from snellen.draw import CROP_COLOR, SEVERITY_COLORS
from snellen.sidecar import Decision, plan, read_decision, write
from snellen.table import ScoreRow, write_table
from snellen.usage import UsageError
from snellen.vocabulary import VERDICTS

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["a/cat.jpg", "a/cat2.jpg", "coffee.jpg", "note.jpg"]
ANSWER = (
    "<think>Image Quality Summary: fair.\nDirections for Improvement: keep it.\nIssues to Avoid: blur.\n"
    'Decision & Rationale: done.</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.5, "tool": "final", "issues": []}'
    "</answer>"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two near-duplicates in a subfolder, another picture, and one that is text."""
    root = tmp_path / "pictures"
    (root / "a").mkdir(parents=True)
    for name, example, width in (
        (NAMES[0], "cat_compressed", 360), (NAMES[1], "cat_compressed", 300), (NAMES[2], "coffee_dark", 360)
    ):  # fmt: skip
        with Image.open(EXAMPLES / f"{example}.jpg") as image:
            image.draft("RGB", (width, width))
            image.resize((width, width * 2 // 3)).save(root / name)
    (root / NAMES[3]).write_text("text")
    return root


BLUR = {"kind": "blur", "severity": 3, "region": [0, 0, 1, 1]}


def rows() -> dict[str, ScoreRow]:
    return {
        "a/cat.jpg": ScoreRow("a/cat.jpg", 3.5, 3.4, 3.6, "good", issues=[], width=600, height=400),
        "a/cat2.jpg": ScoreRow("a/cat2.jpg", 2.0, 1.9, 2.1, "poor", issues=[BLUR], width=480, height=320),
        "note.jpg": ScoreRow("note.jpg", error="unreadable", problem="contains text"),
    }


def open_album(folder: Path, **options: Any) -> tuple[Album, Browser]:
    album = Album(folder, NAMES, rows(), {"coffee.jpg": Decision("accept", 4)}, **options)
    thumbnails = Thumbnails(album.files, 10**6)
    judge = Judge(lambda: Assessor(ScriptedBackend([ANSWER] * 4), max_rounds=1))
    work = Work(album, thumbnails, judge)
    return album, Browser(album, thumbnails, judge, work, "full", "scripted")


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    """A client of the folder after the work in the background has ended."""
    _, browser = open_album(folder)
    with TestClient(browse_app(browser, WebOptions()), base_url="http://127.0.0.1") as client:
        browser.work.join()
        yield client


def test_the_album_has_scores_groups_with_their_best_and_decisions(client: TestClient) -> None:
    album = client.get("/api/album").json()
    assert [picture["path"] for picture in album["pictures"]] == NAMES
    assert [picture["state"] for picture in album["pictures"]] == ["done", "done", "done", "failed"]
    assert album["pictures"][1]["issues"][0] == {**BLUR, "place": "whole picture"}
    assert album["pictures"][2]["score"] == 2.5, "it had no row, and was scored"
    assert (album["pictures"][2]["pick"], album["pictures"][2]["stars"]) == ("accept", 4)
    assert album["pictures"][3]["error"]["problem"] == "contains text"
    (group,) = album["groups"]
    assert (group["pictures"], group["best"]) == ([0, 1], 0)
    assert group["why"].startswith("the highest score, 3.50")


def test_an_album_tells_no_faults_from_faults_that_were_not_looked_for(folder: Path) -> None:
    scored = ScoreRow("a/cat.jpg", 3.5, 3.4, 3.6, "good", issues=[], score_only=True)
    album = Album(folder, NAMES[:2], {**rows(), "a/cat.jpg": scored}, {})
    assert [album.picture(place)["listed"] for place in (0, 1)] == [False, True]
    assessor = Assessor(ScriptedBackend([ANSWER]), score_only=True)
    (one,) = assessor.assess([folder / "coffee.jpg"])
    assert (
        row_of(one).score_only
        and not row_of(Assessor(ScriptedBackend([ANSWER])).assess([folder / "coffee.jpg"])[0]).score_only
    )


def test_listeners_hear_of_scores_and_of_a_new_best_of_a_group(folder: Path) -> None:
    album, browser = open_album(folder)
    heard: list[tuple[str, Any]] = []
    browser.work.start()
    browser.work.join()
    end = album.listen(lambda name, data: heard.append((name, data)))
    before = album.version
    album.set_rows({1: ScoreRow("a/cat2.jpg", 4.5, 4.4, 4.6, "excellent", issues=[], width=300, height=200)})
    assert [name for name, _ in heard] == ["rows", "groups"]
    assert (heard[0][1][0]["id"], heard[0][1][0]["score"], heard[1][1][0]["best"]) == (1, 4.5, 1)
    assert album.version == before + 2
    end()
    album.tell("progress", {})
    assert len(heard) == 2


def test_a_page_that_is_opened_later_hears_why_there_are_no_scores(folder: Path) -> None:
    def refuse() -> Assessor:
        raise BackendError("the model does not answer")

    album, browser = open_album(folder)
    work = Work(album, browser.thumbnails, Judge(refuse))
    work.start()
    work.join()

    async def first_event() -> Event | None:
        return await anext(changes(album, str(album.version)))

    assert asyncio.run(first_event()) == Event("progress", {"text": "No more scores: the model does not answer"})


def test_pictures_come_as_jpeg_of_the_size_that_is_asked_for(client: TestClient) -> None:
    for address, long_side in (("/api/thumbnail/2", 320), ("/api/picture/2?side=200", 200)):
        response = client.get(address)
        with Image.open(io.BytesIO(response.content)) as image:
            assert (image.format, max(image.size)) == ("JPEG", long_side)
        assert response.headers["cache-control"] == "no-store", "nothing stays on the disk of the browser"


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/api/thumbnail/4", 404, "not_found"),
        ("/api/thumbnail/3", 404, "unreadable"),
        ("/api/picture/0?side=x", 422, "bad_option"),
        ("/api/picture/../../etc/passwd", 404, "not_found"),
    ],
)
def test_what_is_no_picture_is_an_error_with_a_code(client: TestClient, address: str, status: int, code: str) -> None:
    response = client.get(address)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_picture_is_assessed_round_by_round(client: TestClient) -> None:
    text = client.post("/api/assess/0").text
    events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    assert [name for name, _ in events] == ["round", "assessment"]
    assert json.loads(events[1][1])["assessment"]["score"] == 2.5
    assert client.get("/api/album").json()["pictures"][0]["score"] == 2.5


def test_decisions_and_sidecars_first_a_dry_run_then_written(client: TestClient, folder: Path) -> None:
    assert client.put("/api/decisions", json=[{"id": 0, "pick": "reject", "stars": 0}]).json() == {"decided": 1}
    before = sorted(folder.rglob("*"))
    planned = client.post("/api/sidecars", json={"naming": "full", "write": False}).json()
    assert sorted(folder.rglob("*")) == before
    assert [(one["sidecar"], one["what"], one["after"]) for one in planned if one["what"] != "same"] == [
        ("a/cat.jpg.xmp", "create", "reject"),
        ("coffee.jpg.xmp", "create", "accept, 4 stars"),
    ]
    client.post("/api/sidecars", json={"naming": "full", "write": True})
    assert read_decision(folder / "a" / "cat.jpg") == Decision("reject")
    assert read_decision(folder / "coffee.jpg") == Decision("accept", 4)
    again = client.post("/api/sidecars", json={"naming": "full", "write": True}).json()
    assert {one["what"] for one in again} == {"same"}
    assert all(path in sorted(folder.rglob("*")) for path in before), "no picture is moved"


def test_a_rating_that_another_program_made_in_the_meantime_stays(client: TestClient, folder: Path) -> None:
    write(plan({folder / NAMES[0]: Decision("accept", 5)}, "full"))  # after the folder was opened
    client.post("/api/sidecars", json={"naming": "full", "write": True})
    assert read_decision(folder / NAMES[0]) == Decision("accept", 5)
    client.put("/api/decisions", json=[{"id": 0, "pick": None, "stars": 0}])
    client.post("/api/sidecars", json={"naming": "full", "write": True})
    assert read_decision(folder / NAMES[0]) == Decision(), "a decision that is undone here is undone there"


@pytest.mark.parametrize(
    "body",
    [
        "{", "[1]", '[{"id": 0, "pick": "maybe", "stars": 0}]', '[{"id": 0, "pick": null}]',
        '[{"id": 0.5, "pick": "accept", "stars": 0}]', '[{"id": 0, "pick": "accept", "stars": 2.5}]',
    ],
)  # fmt: skip
def test_what_is_no_decision_changes_nothing(client: TestClient, body: str) -> None:
    response = client.put("/api/decisions", content=body)
    assert response.json()["error"]["code"] == "bad_decision"
    assert client.get("/api/album").json()["pictures"][0]["pick"] is None


def test_a_page_of_another_site_cannot_decide(client: TestClient) -> None:
    response = client.put("/api/decisions", json=[], headers={"Origin": "http://elsewhere.example"})
    assert response.status_code == 403
    assert client.get("/api/album", headers={"Host": "elsewhere.example"}).status_code == 421


def test_the_page_loads_nothing_from_elsewhere_and_names_its_source(client: TestClient) -> None:
    page = client.get("/")
    assert 'data-source="folder"' in page.text
    for name in re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text):
        assert client.get(name).status_code == 200, name
    folder = Path(viewer.__file__).parent
    for file in folder.glob("*.*s"):
        outside = re.findall(r"https?://[^\"' ]+", file.read_text(encoding="utf-8"))
        assert set(outside) <= {"http://www.w3.org/2000/svg"}, file.name
        for module in re.findall(r'from "\./([\w.]+)"', file.read_text(encoding="utf-8")):
            assert (folder / module).is_file(), module
        assert len(file.read_text(encoding="utf-8").splitlines()) < 400, file.name


def test_the_page_has_the_colours_of_drawn_pictures() -> None:
    styles = (Path(viewer.__file__).parent / "page.css").read_text(encoding="utf-8")
    found = [re.search(rf"--{name}: (#\w+)", styles) for name in ("s1", "s2", "s3", "s4", "s5", "crop")]
    assert [one[1] for one in found if one] == [*SEVERITY_COLORS, CROP_COLOR]


def test_the_page_has_the_limits_of_verdicts_and_ties() -> None:
    folder = Path(viewer.__file__).parent
    limits = re.findall(r"\[([\d.]+|Infinity), \"(\w+)\"\]", (folder / "element.js").read_text(encoding="utf-8"))
    assert [(float(limit), word) for limit, word in limits] == list(VERDICTS)
    assert f"const SURE = {SURE};" in (folder / "compare.js").read_text(encoding="utf-8")
    assert f"/ {NORMAL_95};" in (folder / "items.js").read_text(encoding="utf-8")


def test_decisions_go_to_their_file_at_once(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    album, _ = open_album(folder, file=file)
    album.decide({1: Decision(None, 2)})
    assert read_decisions(file) == {"a/cat2.jpg": Decision(None, 2), "coffee.jpg": Decision("accept", 4)}
    album.decide({1: Decision()})
    assert read_decisions(file) == {"coffee.jpg": Decision("accept", 4)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("path,stars\na,1\n", "has no column pick"),
        ("path,pick,stars\na,accept,6\n", "line 2: stars are 0 to 5"),
        ("path,pick,stars\na,,\nb,perhaps,\n", "line 3: pick is accept, reject or nothing"),
    ],
)
def test_a_damaged_file_of_decisions_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(UsageError, match=problem):
        read_decisions(tmp_path / "d.csv")


def test_thumbnails_stay_within_their_bytes_and_on_disk_only_where_asked(folder: Path, tmp_path: Path) -> None:
    files = [folder / name for name in NAMES[:3]]
    in_memory = Thumbnails(files, 1)
    sizes = [len(in_memory.jpeg(place)) for place in range(3)]
    assert in_memory.bytes_kept == sizes[2], "the newest is kept, whatever its size"
    (tmp_path / "kept").mkdir()
    stored = Thumbnails(files, 10**6, tmp_path / "kept")
    first = stored.make(0)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    again = Thumbnails(files, 10**6, tmp_path / "kept").make(0)
    assert (again.jpeg, again.bits, again.taken) == (first.jpeg, first.bits, first.taken)
    (kept,) = (tmp_path / "kept").iterdir()
    for damaged in (b"damaged", kept.read_bytes()[:-30]):
        kept.write_bytes(damaged)
        assert Thumbnails(files, 10**6, tmp_path / "kept").make(0).jpeg == first.jpeg


def test_without_a_folder_that_can_be_written_thumbnails_stay_in_memory(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thumbnails = Thumbnails([folder / name for name in NAMES[:3]], 10**6, tmp_path / "gone")
    assert len({thumbnails.jpeg(place) for place in range(3)}) == 3
    assert capsys.readouterr().err.count("kept in memory only") == 1


def test_apply_writes_sidecars_without_a_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "decisions.csv"
    write_decisions({"coffee.jpg": Decision(None, 3), "gone.jpg": Decision("accept")}, file)
    command = ["browse", str(folder), "--decisions", str(file), "--apply", "--sidecars", "base"]
    assert main([*command, "--dry-run"]) == 1
    assert not list(folder.rglob("*.xmp"))
    assert main(command) == 1
    shown = capsys.readouterr()
    assert "gone.jpg is not in" in shown.err
    assert f"create {folder / 'coffee.xmp'}: no decision -> 3 stars" in shown.out
    assert [path.name for path in folder.rglob("*.xmp")] == ["coffee.xmp"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--dry-run"], "--dry-run is for --apply"),
        (["--apply"], "name it with --decisions"),
        (["--timeout", "-1"], "timeout is more than 0"),
        (["--scores", "SCORES"], "has no picture of this folder"),
    ],
)
def test_wrong_usage_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    write_table([ScoreRow("other.jpg", 3.0)], tmp_path / "scores.csv")
    given = [str(tmp_path / "scores.csv") if one == "SCORES" else one for one in options]
    assert main(["browse", str(folder), *given]) == 2
    assert problem in capsys.readouterr().err


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["browse", ".", "--port", "70000"])
    assert ended.value.code == 2 and "--port: from 0 to 65535, not 70000" in capsys.readouterr().err


def test_help_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["browse", "--help"])
    assert "--sidecars" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows the priority of a thread")
def test_work_in_the_background_steps_back(folder: Path) -> None:
    seen: dict[str, int] = {}

    def note(name: str) -> None:
        seen[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    class Noting(Thumbnails):
        def make(self, place: int) -> Thumbnail:
            note("survey")
            return super().make(place)

    def opened() -> Assessor:
        note("score")
        return Assessor(ScriptedBackend([ANSWER] * 4), max_rounds=1)

    album, _ = open_album(folder)
    work = Work(album, Noting(album.files, 10**6), Judge(opened))
    note("here")
    work.start()
    work.join()
    wanted = max(seen["here"], NICENESS)
    assert seen == {"here": seen["here"], "survey": wanted, "score": wanted}
