"""The page of `snellen serve` and `snellen browse` in a real Chromium: what it shows, where, and how fast.

usage: python scripts/browser.py PYTHON [CHROMIUM [PART ...]]
PYTHON is an interpreter with snellen[serve]; this one has playwright. Parts: uploads, folder, scroll, cards.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser_pictures import make_many, make_shoot
from browser_probes import CONTRAST, DROP_AND_PASTE, SCROLL
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
CARDS, STEPS = 500, 60
DONE = ".card:not([hidden]) .verdict:not(:empty)"


@contextmanager
def server(python: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run a command of snellen; give its address and process id."""
    process = subprocess.Popen([python, "-m", "snellen", *arguments, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if " at http://" in line:
                yield line.rpartition(" at ")[2].strip(), process.pid
                return
        raise SystemExit(f"{arguments} ended with code {process.wait()}")
    finally:
        process.terminate()
        process.wait()


def resident(process: int) -> float:
    """Return the resident memory of a process, MB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000


def check(what: str, holds: bool, seen: object = "") -> None:
    """Print a line; end where it does not hold."""
    print(f"{'ok  ' if holds else 'FAIL'}  {what}{f': {seen}' if seen != '' else ''}", flush=True)
    if not holds:
        raise SystemExit(1)


def new_page(browser: Browser, address: str, width: int = 1280, height: int = 860, dark: bool = False) -> Page:
    """Return a page that fails on errors of the script, on the console, and on requests to elsewhere."""
    page = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    ).new_page()
    page.context.set_default_timeout(300_000)
    page.on("pageerror", lambda error: check("no error in the script", False, error))
    page.on("console", lambda message: check("no error on the console", message.type != "error", message.text))

    def requested(request: Any) -> None:
        if not request.url.startswith((address, "blob:", "data:")):
            check("no request to elsewhere", False, request.url)

    page.on("request", requested)
    page.goto(address)
    return page


def shoot(page: Page, name: str, quality: int = 72) -> None:
    """Write a screenshot to docs/images as WebP."""
    with tempfile.TemporaryDirectory() as folder:
        page.screenshot(path=f"{folder}/a.png")
        Image.open(f"{folder}/a.png").convert("RGB").save(IMAGES / f"{name}.webp", quality=quality, method=6)


def uploads(browser: Browser, address: str, python: str) -> None:
    """Examples: from upload to result, boxes, keys, comparison, downloads, names and contrast."""
    page = new_page(browser, address)
    began = time.monotonic()
    page.set_input_files("#first", sorted(str(file) for file in (ROOT / "examples").glob("*.jpg")))
    page.locator(DONE).nth(4).wait_for(timeout=300_000)
    check("5 examples from upload to result", True, f"{time.monotonic() - began:.1f} s")
    page.focus("#grid")
    shoot(page, "page")
    print(f"      least contrast, light: {least_contrast(page)}")

    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#detail .round").nth(1).wait_for()
    page.locator("#detail .photo img").evaluate("image => image.decode()")
    boxes_at_the_right_pixels(page, python)
    page.keyboard.press("z")
    wide = page.evaluate("document.querySelector('#detail .plate').offsetWidth")
    check("key z: pixels one to one", wide == 1600, f"{wide} px wide")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.locator("#detail .round").nth(1).wait_for()
    check("the arrows keep it", page.locator("#detail .photo.close").count() == 1)
    page.keyboard.press("z")
    page.locator("#detail .photo:not(.close) img").evaluate("image => image.decode()")
    check("rounds with whole and crop", page.locator("#detail .round .cut img").count() == 2)
    check("rating distributions", page.locator("#detail .plot .bars").count() == 2)
    page.wait_for_timeout(300)
    shoot(page, "page_detail")
    print(f"      least contrast, one picture: {least_contrast(page)}")
    page.keyboard.press("4")
    page.keyboard.press("p")
    check("keys 4 and p", page.locator("#detail .own").inner_text() == "✓ ★★★★ accepted, 4 stars")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    check("key x", page.locator("#detail .own").inner_text() == "✕ rejected")
    page.keyboard.press("Escape")
    check("Esc leads back to the pictures", page.evaluate("document.activeElement.id") == "grid")

    page.keyboard.press("Home")
    page.keyboard.press("c")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.locator("#compare .sides img").nth(1).wait_for()
    check("comparison", "better" in page.locator(".difference p").first.inner_text())
    page.wait_for_timeout(400)
    shoot(page, "page_compare")
    page.keyboard.press("Escape")

    sorting_and_filters(page)
    downloads(page)
    names_for_screen_readers(page)
    dropped_and_pasted(page)
    page.close()


def dropped_and_pasted(page: Page) -> None:
    """Drop one picture on the page, and paste another."""
    page.evaluate(DROP_AND_PASTE)
    page.locator(DONE).nth(6).wait_for(timeout=300_000)
    names = page.locator(".card:not([hidden]) .name").all_inner_texts()
    check("pictures that are dropped and pasted", {"dropped.png", "pasted.png"} <= set(names), len(names))


def sorting_and_filters(page: Page) -> None:
    """Sort by score, filter by decision, and clear both."""
    page.select_option("[name=sort]", "best")
    scores = [float(text) for text in page.locator(".card:not([hidden])").evaluate_all(
        "cards => cards.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        ".map(card => card.querySelector('.number').textContent)"
    )]  # fmt: skip
    check("sorted, best first", scores == sorted(scores, reverse=True), scores)
    page.select_option("[name=decision]", "reject")
    check("filtered by decision", page.locator(".card:not([hidden])").count() == 1)
    page.click("button[type=reset]")


def phone(browser: Browser, address: str) -> None:
    """The width of a phone, in the dark."""
    page = new_page(browser, address, 390, 844, dark=True)
    page.set_input_files(
        "#first", [str(ROOT / "examples" / name) for name in ("fig_local_compression.jpg", "dandelion.jpg")]
    )
    page.locator(DONE).nth(1).wait_for(timeout=300_000)
    print(f"      least contrast, dark: {least_contrast(page)}")
    check("phone: nothing is wider than the screen", page.evaluate("document.documentElement.scrollWidth") <= 390)
    page.locator(".card:not([hidden])[aria-label^='fig_local']").click()  # the one with two rounds
    page.locator("#detail .round").nth(1).wait_for()
    page.wait_for_timeout(400)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.getElementById('detail').scrollWidth]")
    check("phone: one picture fits too", max(wide) <= 390, wide)
    shoot(page, "page_phone_detail")
    page.close()


def boxes_at_the_right_pixels(page: Page, python: str) -> None:
    """Compare each box on the screen with the region that the command line gives for the same picture."""
    code = (
        "import json, snellen; one = snellen.assess('examples/fig_local_compression.jpg').to_dict(); "
        "print(json.dumps([part['region'] for part in one['issues'] + one['steps'][1:]]))"
    )
    regions = json.loads(
        subprocess.run([python, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    )
    shown = page.evaluate(
        """() => { const image = document.querySelector("#detail .photo img").getBoundingClientRect();
        return [...document.querySelectorAll("#detail .photo .over, #detail .photo .crop")].map((box) => {
          const at = box.getBoundingClientRect();
          return [at.left - image.left, at.top - image.top, at.right - image.left, at.bottom - image.top,
                  image.width, image.height]; }); }"""
    )
    check("as many boxes as issues and crops", len(shown) == len(regions), len(shown))
    worst = 0.0
    for region, (left, top, right, bottom, width, height) in zip(regions, shown, strict=True):
        wanted = (region[0] * width, region[1] * height, region[2] * width, region[3] * height)
        worst = max(worst, *(abs(a - b) for a, b in zip(wanted, (left, top, right, bottom), strict=True)))
    check(
        "boxes lie at the right pixels",
        worst <= 1.0,
        f"at most {worst:.2f} px off, a picture of {width:.0f} x {height:.0f}",
    )


def least_contrast(page: Page) -> str:
    """Return the least contrast of the page; at least 4.5 : 1 is asked for."""
    ratio, text = page.evaluate(CONTRAST)[0]
    check("contrast of all text is 4.5 : 1 or more", ratio >= 4.5, f"{ratio:.2f} at {text!r}")
    return f"{ratio:.2f} : 1"


def names_for_screen_readers(page: Page) -> None:
    """Ask Chromium for its accessibility tree: every control has a name, every card says its result."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "textbox", "combobox", "spinbutton", "searchbox", "listbox", "option", "Date")
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    nameless = [role for role, name in named if role in roles and not name]
    check("every control has a name", not nameless, sum(role in roles for role, _ in named))
    card = next(name for role, name in named if role == "option" and ".jpg" in name)
    check("a card says its result", "score" in card, repr(card))
    order = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.textContent.trim()"
            )
        )
    check("Tab goes from the head over the filters to the pictures", "grid" in order, order[: order.index("grid") + 1])


def downloads(page: Page) -> None:
    """Download all files; the report opens by itself, without a server."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("csv", "json", "html", "rejected"):
            page.click("#export summary")
            with page.expect_download() as got:
                page.click(f"[data-export={kind}]")
            path = Path(folder) / got.value.suggested_filename
            got.value.save_as(path)
            sizes[path.name] = path.stat().st_size
            if kind == "json":
                check("JSON", [len(one["steps"]) for one in json.loads(path.read_text())].count(2) >= 1)
            if kind == "csv":
                lines = path.read_text().splitlines()
                check("CSV", len(lines) == 6 and lines[0].startswith("path,score,low,high"), lines[0])
            if kind == "html":
                other = page.context.new_page()
                other.on(
                    "request", lambda one: check("the report loads nothing", one.url.startswith(("file:", "data:")))
                )
                other.goto(path.as_uri())
                check(
                    "report",
                    other.locator("article .photo img").count() == 5 and other.locator("article .bars").count() >= 6,
                )
                other.close()
        check("downloads", sizes["rejected.txt"] > 0, sizes)


def many_cards(browser: Browser, address: str, folder: Path) -> None:
    """500 uploads at once: all come back, the grid stays small."""
    page = new_page(browser, address)
    began = time.monotonic()
    page.set_input_files("#first", sorted(str(file) for file in folder.iterdir())[:CARDS])
    # until all have a score, their number stands before the model
    while not page.locator("#facts").inner_text().startswith(f"{CARDS} pictures · snellen-1"):
        page.wait_for_timeout(1000)
        if time.monotonic() - began > 1800:
            check("500 cards", False, page.locator("#facts").inner_text())
    check("500 cards", True, f"{time.monotonic() - began:.0f} s; {page.locator('.card').count()} elements for them")
    page.close()


def busy(session: Any) -> float:
    """Return the processor time that the main thread of the page has used, ms."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(one["value"]) for one in metrics if one["name"] == "ThreadTime")


def many_thumbnails(browser: Browser, address: str, process: int) -> None:
    """20,000 pictures: scroll steps, memory, groups."""
    began = time.monotonic()
    page = new_page(browser, address)
    page.locator(".card:not([hidden])").first.wait_for(timeout=120_000)
    check("20,000 pictures: first cards", True, f"{time.monotonic() - began:.1f} s after the address was opened")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for name, by in (("a row", 0.25), ("a screen", 1.0), ("ten screens", 10.0)):
        page.evaluate("document.getElementById('grid').scrollTop = 0")
        page.wait_for_timeout(500)
        before = busy(session)
        times = sorted(page.evaluate(SCROLL, [STEPS, by]))
        work = (busy(session) - before) / STEPS
        p95 = times[int(0.95 * STEPS)]
        clock = f"on the clock p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms"
        what = f"20,000 pictures: scroll steps of {name}, processor time of the page"
        check(what, work < 50, f"{work:.1f} ms; {clock}; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores")
    page.wait_for_timeout(1500)
    loaded = page.evaluate(
        "[...document.querySelectorAll('.card:not([hidden]) img')].filter(i => i.complete && i.naturalWidth).length"
    )
    check("20,000 pictures: thumbnails in sight are there", loaded > 0, loaded)
    check("20,000 pictures: elements", True, page.locator(".card").count())
    while page.locator("#note").is_visible() and time.monotonic() - began < 900:
        page.wait_for_timeout(2000)
    said = page.locator("#note").inner_text()
    check("20,000 pictures: grouped", not said and page.locator(".badge:not(:empty)").count() > 0, said)
    check(
        "20,000 pictures: time and memory", True, f"{time.monotonic() - began:.0f} s, server {resident(process):.0f} MB"
    )
    page.close()


def folder_page(browser: Browser, address: str, folder: Path) -> None:
    """A folder with a burst: groups, the proposal, decisions, sidecars."""
    page = new_page(browser, address)
    page.locator(".badge:not(:empty)").first.wait_for(timeout=300_000)
    page.locator(DONE).nth(6).wait_for(timeout=300_000)
    page.select_option("[name=sort]", "best")
    page.focus("#grid")
    page.keyboard.press("Home")
    for key in ("5", "ArrowRight", "p", "ArrowRight", "x"):
        page.keyboard.press(key)
    page.wait_for_timeout(800)
    shoot(page, "browse")
    page.click("#save")
    page.locator("#dialog table").wait_for()
    check("a dry run first", not list(folder.rglob("*.xmp")), page.locator("#dialog p").first.inner_text())
    shoot(page, "browse_save")
    page.click("#dialog button.main")
    page.get_by_text("Saved", exact=True).wait_for()
    check("sidecars", len(list(folder.rglob("*.xmp"))) == 3, sorted(path.name for path in folder.rglob("*.xmp")))
    page.click("#dialog .above button")
    page.select_option("[name=groups]", "only")
    page.focus("#grid")
    page.keyboard.press("g")
    check(
        "the group and its reason",
        "Proposed:" in page.locator("#note").inner_text(),
        page.locator("#note").inner_text(),
    )
    page.close()


def main() -> None:
    """Run all parts; write screenshots to docs/images."""
    python = sys.argv[1]
    chromium = sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/chromium"
    parts = sys.argv[3:] or ["uploads", "folder", "scroll", "cards"]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as base:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        print(f"Chromium {browser.version}")
        if "uploads" in parts:
            with server(python, "serve") as (address, _):
                uploads(browser, address, python)
                phone(browser, address)
        if "folder" in parts:
            shoot_folder = Path(base, "shoot")
            shoot_folder.mkdir()
            make_shoot(shoot_folder)
            with server(python, "browse", str(shoot_folder)) as (address, _):
                folder_page(browser, address, shoot_folder)
        many = Path(base, "many")
        many.mkdir()
        if "scroll" in parts or "cards" in parts:
            table = make_many(many)
        if "scroll" in parts:
            with server(python, "browse", str(many), "--scores", str(table), "--no-scoring") as (address, process):
                many_thumbnails(browser, address, process)
        if "cards" in parts:
            with server(python, "serve", "--score-only") as (address, _):
                many_cards(browser, address, many)
        browser.close()


if __name__ == "__main__":
    main()
