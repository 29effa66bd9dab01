"""Rate a study of each method in real Chromium, on a desktop and a phone: finish, resume, submit twice, share a link.

usage: study.py [FOLDER_FOR_SCREENSHOTS]      needs playwright and /usr/bin/chromium (CHROMIUM names another)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from snellen.study.session import Study

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1}
ACR = """
title = "Phone photographs"
block = 6
repeats = 2
[[training]]
image = "p00.jpg"
low = 1
high = 2
hint = "Strong blocks: most people answer 1 or 2."
[[golden]]
image = "p11.jpg"
low = 4
high = 5
[screen]
width = 320
height = 500
"""
RUBRIC = "title = 'Faults'\nmethod = 'rubric'\nboxes = true\nfit = true\n[screen]\nchart = false"
WITH_REFERENCE = "title = 'Changes'\nmethod = '{method}'\n[screen]\nchart = false"
PAIRS = "title = 'Which is better?'\nmethod = 'pairs'\nitems = 6\nblock = 3\nties = true\n[screen]\nchart = false"
SIZES = """() => [...document.querySelectorAll('.view img')].map(
    (image) => [image.getBoundingClientRect().width * devicePixelRatio, image.naturalWidth])"""
MOVED = """before => !document.getElementById('sheet').hidden ||
    document.getElementById('progress').textContent !== before"""
AHEAD = """() => state.items.length === 4 && state.items.every((item) => item.pictures.every(
    (one) => loaded.get(one.key)?.complete && loaded.get(one.key).naturalWidth === one.width))"""
problems: list[str] = []
sent_elsewhere: list[str] = []


def check(holds: bool, what: str) -> None:
    print(f"{'yes' if holds else 'NO '}  {what}")
    if not holds:
        problems.append(what)


def pictures(folder: Path) -> Path:
    """Write twelve crops of the example photographs at twelve JPEG qualities."""
    folder.mkdir()
    sources = sorted((ROOT / "examples").glob("*.jpg"))
    for n in range(12):
        with Image.open(sources[n % len(sources)]) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((720, 480))
        picture.save(folder / f"p{n:02d}.jpg", quality=4 + 8 * n)
    return folder


def snellen(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "snellen", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def make(
    folder: Path, name: str, rubric: str, files: Path, raters: int, rows: Path | None = None
) -> tuple[Path, list[str]]:
    """Make a study of the pictures in `files`, or of a table `rows`; return its folder and its raters' tokens."""
    (files / f"{name}.toml").write_text(rubric)
    place = folder / name
    snellen("study", "init", str(place), "--pictures", str(rows or files), "--rubric", str(files / f"{name}.toml"))
    lines = snellen("study", "invite", str(place), str(raters)).splitlines()
    return place, [line.partition("#")[2] for line in lines]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a study and give its address."""
    command = [sys.executable, "-m", "snellen", "study", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        try:
            yield line.rpartition(" at ")[2].strip()
        finally:
            server.terminate()


def opened(context: BrowserContext, url: str) -> Page:
    """Open a page that reports errors and requests to other servers."""
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
    page.on("request", lambda request: None if request.url.startswith(url.partition("#")[0]) or
            request.url.startswith(("data:", "blob:")) else sent_elsewhere.append(request.url))  # fmt: skip
    page.goto(url)
    return page


def enter(page: Page, chart: bool) -> None:
    """Go from the link to the first picture."""
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="I agree").click()
    expect(page.get_by_role("heading", name="Before you begin")).to_be_visible()
    if chart:
        page.get_by_label("all twelve").check()
    page.get_by_role("button", name="Begin").click()
    page.locator("#item").wait_for()


def ready(page: Page) -> str:
    """Wait until an item, a break, a hint or the end is shown; return the progress shown, or the heading."""
    page.wait_for_function(
        "() => current && current.ready && !document.getElementById('item').hidden"
        " || !document.getElementById('sheet').hidden"
    )
    item = page.locator("#item")
    return page.locator("#progress").inner_text() if item.is_visible() else page.locator("#title").inner_text()


def rate(page: Page, tap: bool, most: int = 100) -> int:
    """Answer items until the end, or `most` of them; return how many."""
    done = 0
    while done < most:
        shown = ready(page)
        if shown == "Thank you":
            return done
        if "/" not in shown:  # a break or a hint
            page.locator("#go").click()
            continue
        value = 1 + done % 5
        if tap:
            if page.locator("#tabs").is_visible():
                page.locator("#tabs button[aria-pressed=false]").tap()
            page.locator(f".scale button[data-value='{value}']").tap()
            page.locator("#next").tap()
        else:
            if page.locator("#tabs").is_visible():
                page.keyboard.press("Space")
            page.keyboard.press(str(value))
            page.keyboard.press("Enter")
        page.wait_for_function(MOVED, arg=shown)
        done += 1
    return done


def resumed(context: BrowserContext, url: str, token: str) -> None:
    """A rater closes the tab in the middle and comes back, sends answers again, and has a key that bounces."""
    page = opened(context, f"{url}/#{token}")
    enter(page, True)
    rate(page, False, most=7)
    page.close()
    page = opened(context, f"{url}/")
    shown = ready(page)
    check(shown == "Time for a break" or shown.startswith("8 /"), f"rater 3 closed the tab and resumes at: {shown}")
    again = page.evaluate("""async () => {
        const body = JSON.stringify({position: 3, answers: {overall: 1}, seconds: 1, shown: 1, answered: 2});
        const all = await Promise.all([1, 2, 3].map(() => fetch("/api/answer", {method: "POST", body,
            headers: {"Content-Type": "application/json"}}).then((r) => r.json())));
        return all.map((one) => one.stored); }""")
    check(again == [False] * 3, "answers to an answered item are not stored")
    if "/" not in shown:
        page.locator("#go").click()
    ready(page)
    page.keyboard.press("4")
    for _ in range(4):  # a key that bounces
        page.keyboard.press("Enter")
    check(rate(page, False) == 8, "rater 3 finishes the other 8 items")


def shared(browser: Browser, url: str, token: str) -> None:
    """Two browsers open one link at once."""
    contexts = [browser.new_context(**DESKTOP) for _ in range(2)]
    pages = [opened(context, f"{url}/#{token}") for context in contexts]
    for page in pages:
        page.evaluate("() => document.getElementById('go').click()")
    for page in pages:
        page.wait_for_function("() => document.getElementById('problem').textContent || state")
    told = [page.locator("#problem").inner_text() for page in pages]
    check(sorted(map(bool, told)) == [False, True] and "another browser" in "".join(told),
          f"two at once on one link: one enters, the other reads {max(told)!r}")  # fmt: skip


def acr(browser: Browser, folder: Path, files: Path, shots: Path) -> None:
    """Three raters, a phone among them; a closed tab, a second submission, a shared link."""
    place, tokens = make(folder, "acr", ACR, files, 4)
    study = Study(place)
    with served(place) as url:
        desk, phone, third = (browser.new_context(**options) for options in (DESKTOP, PHONE, DESKTOP))
        page = opened(desk, f"{url}/#{tokens[0]}")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("button", name="I agree")).to_be_visible()
        page.screenshot(path=shots / "consent.png")
        page.get_by_role("button", name="I agree").click()
        expect(page.get_by_role("heading", name="Before you begin")).to_be_visible()
        page.screenshot(path=shots / "screen.png")
        page.get_by_label("all twelve").check()
        page.get_by_role("button", name="Begin").click()
        page.locator("#item").wait_for()
        check("practice" in ready(page), "the first item is practice")
        page.screenshot(path=shots / "acr.png")
        sizes = page.evaluate(SIZES)
        check(
            all(abs(shown - real) < 0.6 for shown, real in sizes), f"one picture px is one screen px (desktop): {sizes}"
        )
        page.wait_for_function(AHEAD)
        check(True, "the pictures of the next three items are loaded while the rater looks at the first")
        rate(page, False, most=1)
        check(ready(page) == "Practice is over", "after the practice the page says that answers count from now on")
        check(rate(page, False) == 15, "rater 1, desktop and keyboard: the other 15 items to the end")
        page.screenshot(path=shots / "done.png")

        page = opened(phone, f"{url}/#{tokens[1]}")
        enter(page, True)
        ready(page)
        page.screenshot(path=shots / "acr-phone.png")
        sizes = page.evaluate(SIZES)
        check(
            all(abs(shown - real) < 0.6 for shown, real in sizes), f"one picture px is one screen px (phone): {sizes}"
        )
        wide = page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        check(wide, "the phone page does not scroll sideways")
        check(rate(page, True) == 16, "rater 2, phone and taps: 16 items to the end")

        resumed(third, url, tokens[2])
        shared(browser, url, tokens[3])
    answers = study.store.answers()
    counts = {rater.code: sum(a.rater == rater.code for a in answers) for rater in study.store.raters()}
    check(sorted(counts.values()) == [0, 16, 16, 16], f"answers stored: {sorted(counts.values())}")
    check(sum(rater.finished is not None for rater in study.store.raters()) == 3, "three raters are finished")
    check(all(a.view["ratio"] in (1, 3) and a.view["scale"] == [1] and a.seconds > 0 for a in answers),
          "viewport, pixel ratio, scale and time are stored with each answer")  # fmt: skip


def large(browser: Browser, folder: Path) -> None:
    """A picture larger than the window follows the mouse that drags it."""
    (folder / "large").mkdir()
    for n in range(2):
        Image.new("RGB", (2400, 1600), (90, 120 + n, 60)).save(folder / "large" / f"{n}.png")
    place, tokens = make(folder, "dragged", "title = 'Large'\n[screen]\nchart = false", folder / "large", 1)
    with served(place) as url:
        page = opened(browser.new_context(**DESKTOP), f"{url}/#{tokens[0]}")
        enter(page, False)
        ready(page)
        page.mouse.move(700, 400)
        page.mouse.down()
        page.mouse.move(500, 300, steps=4)
        page.mouse.up()
        page.mouse.move(300, 200)
        at = page.evaluate("() => [stage.scrollLeft, stage.scrollTop]")
        check(at == [200, 100], f"a mouse drags a large picture: {at}")


def rubric(browser: Browser, folder: Path, files: Path, shots: Path) -> None:
    """Several questions, and a box drawn around a fault, on desktop and phone."""
    place, tokens = make(folder, "rubric", RUBRIC, files, 2)
    with served(place) as url:
        for token, options, name in ((tokens[0], DESKTOP, "rubric"), (tokens[1], PHONE, "rubric-phone")):
            page = opened(browser.new_context(**options), f"{url}/#{token}")
            enter(page, False)
            ready(page)
            page.locator("#mark").click()
            frame = page.locator(".view").bounding_box()
            assert frame is not None
            page.mouse.move(frame["x"] + 0.1 * frame["width"], frame["y"] + 0.2 * frame["height"])
            page.mouse.down()
            page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.8 * frame["height"], steps=4)
            page.mouse.up()
            page.get_by_label("kind of fault").select_option("compression")
            page.get_by_label("severity").select_option("4")
            if name == "rubric":
                page.locator("#stage").focus()
                for digit in "233445":
                    page.keyboard.press(digit)
            else:
                for at, value in enumerate((2, 3, 3, 4, 4, 5)):
                    page.locator("#questions fieldset").nth(at).locator(f"[data-value='{value}']").tap()
            page.get_by_role("textbox").fill("Blocks in the sky.")
            page.screenshot(path=shots / f"{name}.png")
            page.locator("#next").click()
            page.wait_for_function("() => document.getElementById('progress').textContent.startsWith('2 /')")
    for answer in Study(place).store.answers():
        check(list(answer.answers.values()) == [2, 3, 3, 4, 4, 5, "Blocks in the sky."], f"rubric: {answer.answers}")
        box = answer.boxes[0]
        near = all(abs(a - b) < 0.02 for a, b in zip(box["box"], (0.1, 0.2, 0.5, 0.8), strict=True))
        check(near and (box["kind"], box["severity"]) == ("compression", 4), f"box: {box}")


def pairs(browser: Browser, folder: Path, files: Path, shots: Path) -> None:
    """Pairs side by side on a wide window, one after the other on a phone."""
    place, tokens = make(folder, "pairs", PAIRS, files, 2)
    with served(place) as url:
        wide = {**DESKTOP, "viewport": {"width": 1600, "height": 900}}
        for token, options, name in ((tokens[0], wide, "pairs"), (tokens[1], PHONE, "pairs-phone")):
            page = opened(browser.new_context(**options), f"{url}/#{token}")
            enter(page, False)
            for n in range(6):
                if "/" not in ready(page):
                    page.locator("#go").click()
                    ready(page)
                shown = page.locator("#progress").inner_text()
                if page.locator("#tabs").is_visible():
                    page.keyboard.press("Space")
                page.keyboard.press(("ArrowLeft", "ArrowRight", "0")[n % 3])
                if n == 0:
                    page.screenshot(path=shots / f"{name}.png")
                page.keyboard.press("Enter")
                page.wait_for_function(MOVED, arg=shown)
            check(ready(page) == "Thank you", f"{name}: six pairs to the end")
    found = [answer.answers["preferred"] for answer in Study(place).store.answers()]
    check(found == ["first", "second", "tie"] * 4, "pairs: choices stored as made")


def with_reference(browser: Browser, folder: Path, files: Path, shots: Path) -> None:
    """ACR with hidden references, and DCR: six pictures of two photographs, on desktop and phone."""
    rows = ["image,reference,group"]
    for n in (0, 1):
        with Image.open(sorted((ROOT / "examples").glob("*.jpg"))[n]) as opened_file:
            pristine = opened_file.convert("RGB")
        pristine.thumbnail((720, 480))
        (folder / "pristine").mkdir(exist_ok=True)
        pristine.save(folder / "pristine" / f"r{n}.png")
        rows += [f"pictures/p{one:02d}.jpg,pristine/r{n}.png,{n}" for one in (n, n + 5, n + 10)]
    (folder / "rows.csv").write_text("\n".join(rows))
    for method, items in (("acr-hr", 8), ("dcr", 6)):
        place, tokens = make(folder, method, WITH_REFERENCE.format(method=method), files, 2, folder / "rows.csv")
        with served(place) as url:
            for token, options, name in ((tokens[0], DESKTOP, method), (tokens[1], PHONE, f"{method}-phone")):
                page = opened(browser.new_context(**options), f"{url}/#{token}")
                enter(page, False)
                if method == "dcr":
                    switched(page, name)
                page.screenshot(path=shots / f"{name}.png")
                check(rate(page, name.endswith("phone")) == items, f"{name}: {items} items to the end")
        study = Study(place)
        check(len(study.plan.pictures) == 8, f"{method}: 8 pictures in the study, the two references among them")
        answered = {answer.task.picture for answer in study.store.answers()}
        check(answered == {one.key for one in study.plan.rated}, f"{method}: {items} of them are rated")


def switched(page: Page, name: str) -> None:
    """The picture and its reference take turns in one place, and both must be looked at before the answer counts."""
    ready(page)
    shown = "() => [...document.querySelectorAll('.view')].map((one) => one.hidden)"
    place = "() => { const box = document.querySelector('.view:not([hidden])').getBoundingClientRect();"
    place += " return [box.x, box.y, box.width, box.height]; }"
    before, where = page.evaluate(shown), page.evaluate(place)
    page.keyboard.press("3")
    check(page.locator("#next").is_disabled(), f"{name}: no answer before both were looked at")
    page.locator("#tabs button[aria-pressed=false]").click()
    check(page.evaluate(shown) == [not one for one in before], f"{name}: the button shows the other of the two")
    check(page.evaluate(place) == where, f"{name}: in the same place and size")
    check(page.locator("#next").is_enabled(), f"{name}: then the answer may be sent")


def main() -> int:
    """Run all; return the exit code."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shots = Path(sys.argv[1]) if len(sys.argv) > 1 else folder
        shots.mkdir(parents=True, exist_ok=True)
        files = pictures(folder / "pictures")
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        print(f"Chromium {browser.version}")
        for proof in (acr, with_reference, rubric, pairs):
            proof(browser, folder, files, shots)
        large(browser, folder)
        browser.close()
    check(not sent_elsewhere, f"no request to another server ({len(sent_elsewhere)})")
    check(not [one for one in problems if one.startswith("page error")], "no error of the page's script")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
