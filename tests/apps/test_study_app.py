"""Studies: folders, the order of items, what a rater's browser may see and send. No browser, no real server."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from snellen.apps.study.app import study_app
from snellen.apps.web.options import WebOptions
from snellen.cli import main
from snellen.study.plan import create_study, find_sources
from snellen.study.playlist import Task, apart
from snellen.study.rubric import read_rubric, rubric_of
from snellen.study.session import AnswerError, Study
from snellen.study.store import Store, UsedLink
from snellen.usage import UsageError


def pictures(folder: Path, count: int = 6) -> Path:
    """Write small pictures p0.png, p1.png, ... and return their folder."""
    folder.mkdir()
    for n in range(count):
        Image.new("RGB", (40 + n, 30), (40 * n, 90, 90)).save(folder / f"p{n}.png")
    return folder


def study(tmp_path: Path, count: int = 6, **rubric: Any) -> Study:
    """Return a new study of so many pictures."""
    rubric.setdefault("screen", {"chart": False})
    sources = find_sources([pictures(tmp_path / "pictures", count)])
    create_study(tmp_path / "study", sources, rubric_of(rubric), tmp_path / "pictures")
    Store(tmp_path / "study" / "answers.sqlite").create()
    return Study(tmp_path / "study")


def enter(made: Study, code: str, token: str) -> None:
    made.store.open_link(token, None)
    made.store.note(code, consented=True, screen={})


def reply(position: int, **answers: Any) -> dict[str, Any]:
    return {"position": position, "answers": answers, "seconds": 2.0, "shown": 10.0, "answered": 12.0}


def browser(made: Study) -> TestClient:
    return TestClient(study_app(made, WebOptions(hosts=("testserver",))))


def test_a_rater_goes_from_the_link_to_the_end(tmp_path: Path) -> None:
    made = study(tmp_path, 3)
    [(_, token)] = made.store.invite(1)
    client = browser(made)
    assert client.get("/api/state").status_code == 401
    assert client.post("/api/open", json={"token": token}).json()["state"]["stage"] == "consent"
    assert client.post("/api/answer", json=reply(0, overall=3)).status_code == 409
    assert client.post("/api/consent", json={"agreed": False}).status_code == 422
    assert client.post("/api/consent", json={"agreed": True}).json()["state"]["stage"] == "screen"
    state = client.post("/api/screen", json={"view": {"width": 800, "height": 600}}).json()["state"]
    for position in range(3):
        assert (state["stage"], state["position"], state["total"]) == ("items", position, 3)
        key = state["items"][0]["pictures"][0]["key"]
        assert client.get(f"/picture/{key}").headers["content-type"] == "image/png"
        state = client.post("/api/answer", json=reply(position, overall=position + 1)).json()["state"]
    assert state["stage"] == "done"
    assert sorted(answer.answers["overall"] for answer in made.store.answers()) == [1, 2, 3]


def test_a_link_opens_in_one_browser_only_and_can_be_renewed(tmp_path: Path) -> None:
    made = study(tmp_path)
    [(code, token)] = made.store.invite(1)
    first, second = browser(made), browser(made)
    assert first.post("/api/open", json={"token": token}).status_code == 200
    refused = second.post("/api/open", json={"token": token})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "used_link")
    assert first.post("/api/open", json={"token": token}).status_code == 200  # the same browser comes back
    new = made.store.renew(code)
    assert second.post("/api/open", json={"token": new}).status_code == 200
    assert first.get("/api/state").status_code == 401
    assert second.post("/api/open", json={"token": "x"}).status_code == 404


def test_two_browsers_at_once_on_one_link_are_told_apart(tmp_path: Path) -> None:
    made = study(tmp_path)
    [(_, token)] = made.store.invite(1)
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def open_it() -> None:
        barrier.wait()
        try:
            outcomes.append(made.store.open_link(token, None)[1])
        except UsedLink:
            outcomes.append("")

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, outcomes)) == [False, False, False, True]


def test_a_second_answer_to_an_item_counts_nothing_and_a_later_item_is_refused(tmp_path: Path) -> None:
    made = study(tmp_path)
    [(code, token)] = made.store.invite(1)
    enter(made, code, token)
    made.state(code)
    assert made.answer(code, reply(0, overall=5))["stored"]
    assert not made.answer(code, reply(0, overall=1))["stored"]
    with pytest.raises(AnswerError, match="comes after item 1"):
        made.answer(code, reply(3, overall=1))
    assert [answer.answers for answer in made.store.answers()] == [{"overall": 5}]


def test_a_browser_learns_no_file_name_no_known_answer_and_nothing_of_other_raters(tmp_path: Path) -> None:
    made = study(tmp_path, golden=[{"image": "p0.png", "low": 4.25, "high": 4.75}], training=[{"image": "p1.png"}])
    invited = made.store.invite(2)
    said = []
    for code, token in invited:
        client = browser(made)
        said.append(client.post("/api/open", json={"token": token}).text)
        made.store.note(code, consented=True, screen={})
        said.append(client.get("/api/state").text)
        said.append(client.post("/api/answer", json=reply(0, overall=2)).text)
    for text in said:
        assert not any(
            word in text for word in ("p0.png", "pictures/", "4.25", "golden", *(code for code, _ in invited))
        )
    stored = (tmp_path / "study" / "answers.sqlite").read_bytes()
    assert not any(token.encode() in stored for _, token in invited)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"position": 0}, reply(0), reply(0, overall=6), reply(0, overall=True), reply(0, overall=3, other=1),
        reply(-1, overall=3), reply(True, overall=3), {**reply(0, overall=3), "seconds": -1},
        {**reply(0, overall=3), "boxes": [{"kind": "blur", "severity": 2, "box": [0.5, 0, 0.2, 1]}]},
        {**reply(0, overall=3), "boxes": [{"kind": "dirt", "severity": 2, "box": [0, 0, 1, 1]}]},
    ],
)  # fmt: skip
def test_answers_out_of_form_are_refused_and_not_stored(tmp_path: Path, body: dict[str, Any]) -> None:
    made = study(tmp_path, boxes=True)
    [(code, token)] = made.store.invite(1)
    enter(made, code, token)
    made.state(code)
    with pytest.raises(AnswerError):
        made.answer(code, body)
    assert made.store.answers() == []


def test_items_are_shuffled_repeated_later_and_cut_into_blocks(tmp_path: Path) -> None:
    made = study(tmp_path, 9, repeats=2, block=4, golden=[{"image": "p0.png", "low": 1, "high": 2}])
    orders = []
    for code, token in made.store.invite(3):
        enter(made, code, token)
        made.state(code)
        tasks = made.store.tasks(code)
        rated = [task.picture for task in tasks if task.kind == "rated"]
        assert len(set(rated)) == 9 and [task.kind for task in tasks].count("golden") == 1
        for repeat in (task for task in tasks if task.kind == "repeat"):
            both = [at for at, task in enumerate(tasks) if task.picture == repeat.picture and task.kind != "golden"]
            assert both[1] - both[0] >= 3
        assert [task.block for task in tasks] == [1 + at // 4 for at in range(12)]
        orders.append(tuple(rated))
    assert len(set(orders)) == 3


def test_a_share_of_the_pictures_goes_to_each_rater_so_that_all_are_rated_equally_often(tmp_path: Path) -> None:
    made = study(tmp_path, 6, items=2)
    for code, token in made.store.invite(6):
        enter(made, code, token)
        made.state(code)
    assert sorted(made.store.assigned().values()) == [2] * 6


def test_pictures_of_one_scene_are_kept_apart() -> None:
    order = [Task("rated", name) for name in ("a1", "a2", "b1", "a3", "b2")]
    groups = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b"}
    assert [task.picture for task in apart(order, groups)] == ["a1", "b1", "a2", "b2", "a3"]


def test_pairs_come_block_by_block_and_never_twice(tmp_path: Path) -> None:
    made = study(tmp_path, 5, method="pairs", items=10, block=4, ties=True)
    [(code, token)] = made.store.invite(1)
    enter(made, code, token)
    count = 0
    while (state := made.state(code))["stage"] == "items":
        assert state["total"] == 10
        made.answer(code, reply(state["position"], preferred=("first", "second", "tie")[count % 3]))
        count += 1
    pairs = {frozenset((task.picture, task.other)) for task in made.store.tasks(code)}
    assert count == len(pairs) == 10 and made.wins().sum() == 10


def test_a_rater_gets_no_more_pairs_than_there_are_and_repeats_come_last(tmp_path: Path) -> None:
    made = study(tmp_path, 3, method="pairs", block=2, repeats=2)  # items: twice the pictures, but there are 3 pairs
    [(code, token)] = made.store.invite(1)
    enter(made, code, token)
    totals = []
    while (state := made.state(code))["stage"] == "items":
        totals.append(state["total"])
        made.answer(code, reply(state["position"], preferred="first"))
    assert [task.kind for task in made.store.tasks(code)] == ["rated"] * 3 + ["repeat"] * 2
    assert totals == [3, 3, 5, 5, 5]


def test_two_studies_of_one_host_keep_their_raters_apart(tmp_path: Path) -> None:
    studies = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        studies.append(study(tmp_path / name))
    first, second = map(browser, studies)
    second.cookies = first.cookies  # a browser sends the cookies of a host to each of its ports
    for made, client in zip(studies, (first, second), strict=True):
        [(_, token)] = made.store.invite(1)
        assert client.post("/api/open", json={"token": token}).status_code == 200
    assert first.get("/api/state").status_code == second.get("/api/state").status_code == 200


def test_training_gives_a_hint_after_a_wrong_answer(tmp_path: Path) -> None:
    made = study(tmp_path, training=[{"image": "p1.png", "low": 4, "high": 5, "hint": "This one is sharp."}])
    [(code, token)] = made.store.invite(1)
    enter(made, code, token)
    assert made.state(code)["items"][0]["training"]
    assert made.answer(code, reply(0, overall=1))["hint"] == "This one is sharp."
    assert made.state(code)["after_training"]
    made.answer(code, reply(1, overall=1))
    assert not made.state(code)["after_training"], "only the first item that counts"


def test_dcr_shows_the_reference_beside_and_hidden_references_are_rated(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "files", 3)
    table = folder / "list.csv"
    table.write_text("image,reference\np1.png,p0.png\np2.png,p0.png\n")
    for method, rated in (("dcr", 2), ("acr-hr", 3)):
        plan = create_study(tmp_path / method, find_sources([table]), rubric_of({"method": method}), folder)
        assert len(plan.rated) == rated
        Store(tmp_path / method / "answers.sqlite").create()
        made = Study(tmp_path / method)
        [(code, token)] = made.store.invite(1)
        enter(made, code, token)
        assert len(made.state(code)["items"][0]["pictures"]) == (2 if method == "dcr" else 1)
    table.write_text("image\np1.png\np2.png\n")
    with pytest.raises(UsageError, match="references"):
        create_study(tmp_path / "none", find_sources([table]), rubric_of({"method": "dcr"}), folder)


def test_a_picture_that_is_also_a_reference_is_rated_wherever_its_line_stands(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "files", 3)
    table = folder / "list.csv"
    for name, lines in (("first", "p0.png,,b\np1.png,p0.png,a\n"), ("last", "p1.png,p0.png,a\np0.png,p0.png,b\n")):
        table.write_text("image,reference,group\n" + lines)
        plan = create_study(tmp_path / name, find_sources([table]), rubric_of({}), folder)
        by_name = {Path(picture.path).name: picture for picture in plan.rated}
        assert sorted(by_name) == ["p0.png", "p1.png"] and by_name["p0.png"].group == "b"
        assert by_name["p1.png"].reference == by_name["p0.png"].key and not by_name["p0.png"].reference
    table.write_text("image,reference\np0.png,p1.png\np1.png,p0.png\n")
    with pytest.raises(UsageError, match="has a reference itself"):
        create_study(tmp_path / "none", find_sources([table]), rubric_of({}), folder)
    table.write_text("image,reference\np0.png,p1.png\np2.png,p1.png\n")
    dcr = rubric_of({"method": "dcr", "golden": [{"image": "p1.png", "low": 5}]})
    with pytest.raises(UsageError, match=r"p1\.png, a known item, has no reference"):
        create_study(tmp_path / "none", find_sources([table]), dcr, folder)
    assert not (tmp_path / "none").exists()


def test_a_small_window_is_noted_or_refused(tmp_path: Path) -> None:
    for required in (False, True):
        place = tmp_path / str(required)
        place.mkdir()
        made = study(place, screen={"width": 1000, "height": 500, "required": required})
        [(code, token)] = made.store.invite(1)
        client = browser(made)
        client.post("/api/open", json={"token": token})
        client.post("/api/consent", json={"agreed": True})
        done = client.post("/api/screen", json={"view": {"width": 400, "height": 700}})
        assert done.status_code == (422 if required else 200)
        if not required:
            screen = made.store.rater(code).screen
            assert screen is not None and screen["small"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("method = 'mushra'", "mushra"), ("colour = 1", "unknown key 'colour'"), ("block = 0", "at least 1"),
        ("repeats = 'two'", "a number"), ("[[questions]]\nname = 'a'\ntext = 'b'", "called overall"),
        ("[[golden]]\nimage = 'a'\nlow = 4\nhigh = 2", "low first"), ("method = ", "Invalid value"),
    ],
)  # fmt: skip
def test_a_rubric_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "rubric.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=problem) as raised:
        read_rubric(file)
    assert str(file) in str(raised.value)


def test_a_study_is_not_made_of_a_broken_picture_and_leaves_nothing(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "files", 2)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["study", "init", str(tmp_path / "s"), "--pictures", str(folder)]) == 2
    assert not (tmp_path / "s").exists()


def test_pictures_that_no_browser_shows_become_png_of_the_same_pixels(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "files", 1)
    pixels = np.random.default_rng(0).integers(0, 255, (18, 19, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "p1.tif")
    plan = create_study(tmp_path / "s", find_sources([folder]), rubric_of({}), folder)
    [made] = [one for one in plan.pictures if one.path.endswith(".tif")]
    with Image.open(tmp_path / "s" / "pictures" / made.file) as opened:
        assert opened.format == "PNG" and np.array_equal(np.asarray(opened), pixels)


def test_commands_from_init_to_raters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "s")
    assert main(["study", "init", place, "--pictures", str(pictures(tmp_path / "p")), "--method", "rubric"]) == 0
    assert main(["study", "raters", place]) == 0
    assert "nobody is invited yet" in capsys.readouterr().err
    assert main(["study", "invite", place, "2", "--url", "https://example.org/"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("\thttps://example.org/#" in line for line in lines)
    code = lines[0].split("\t")[0]
    assert main(["study", "invite", place, "--renew", code]) == 0
    assert main(["study", "invite", place, "--renew", "nobody"]) == 2
    assert main(["study", "raters", place]) == 0
    assert "not opened" in capsys.readouterr().out
    assert main(["study", "raters", str(tmp_path)]) == 2
    plan = json.loads((tmp_path / "s" / "plan.json").read_text())
    assert [question["name"] for question in plan["rubric"]["questions"]][:2] == ["overall", "sharpness"]
    assert main(["study", "simulate", place, "--raters", "2"]) == 0
    assert main(["study", "serve", place]) == 2  # simulated raters are never mixed with people
