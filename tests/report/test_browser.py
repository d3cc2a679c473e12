"""The page in a real browser: in light and dark and on a phone it fits, and shows all it has without asking anybody.

REPORT_SHOTS names a folder that keeps the screenshots; without it they go where pytest puts what a test leaves.
"""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from pipeline.images import encode_jpeg
from pipeline.report import comparison
from pipeline.report.profile import drift, profile

from .conftest import CASES, case, found, plate, sample, write
from .test_comparison import COMPARISON
from .test_page import CURATION, SECTIONS, VALIDATION

pytestmark = pytest.mark.integration

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCREENS = {"light": (1280, 900), "dark": (1280, 900), "phone": (390, 844), "phone in the dark": (390, 844)}
FIGURES = {"precision_recall", "heights", "scores", "readers", "slices", "attribution", "confusions"}
FIGURES |= {"reliability", "coverage"}


@pytest.fixture(scope="module")
def browser():
    """A browser; without one these tests are skipped, but in CI, where they fail."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        reason = f"none of {', '.join(BROWSERS)} is here: install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page_file(tmp_path, images):
    """A page with every section full: twelve more plates of each kind, and a champion beside them."""
    cases = list(CASES)
    for number in range(7, 43):
        text = "KL01CA2555" if number % 3 else "AB12"
        read = text if number % 4 else text.replace("2", "Z")
        one = sample(number, plate(40, 60, text, region="IN", rows=1), image=f"a folder with a long name/{number}.jpg")
        cases.append(case(one, [found(40, 60, 0.5 + number / 100)], [read], [read], [text]))
        picture = np.full((240, 320, 3), 90, np.uint8)
        cv2.putText(picture, text, (42, 76), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (250, 250, 250), 1)
        path = images / one.image
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_jpeg(picture))
    command = "python -m pipeline.stages.evaluate " + "--an-option with-its-value " * 12
    write(
        tmp_path / "report", cases, images, command=command, upstream={"validation": VALIDATION, "curation": CURATION}
    )
    path = tmp_path / "report" / "index.html"
    drifted = drift(profile(cases), profile(CASES))
    path.write_text(comparison.beside(path.read_text("utf-8"), {**COMPARISON, "drift": drifted}), "utf-8")
    return path


@pytest.fixture
def shots(tmp_path):
    folder = Path(os.environ.get("REPORT_SHOTS", tmp_path / "shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_fits_and_is_whole(browser, page_file, shots, screen):
    width, height = SCREENS[screen]
    scheme = "dark" if "dark" in screen else "light"
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda one: None if one.url.startswith(("data:", page_file.as_uri())) else wrong.append(one.url))
    page.goto(page_file.as_uri())
    page.screenshot(path=shots / f"{screen}.png", full_page=True)

    assert not wrong
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for section in SECTIONS:
        assert page.locator(f"#{section}").is_visible(), section
    drawn = {one.removeprefix("figure-") for one in page.eval_on_selector_all("figure", "all => all.map(f => f.id)")}
    assert drawn == FIGURES
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    for text in page.locator("figure svg").all():
        box = text.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (paper, ink) == (
        ("rgb(21, 24, 28)", "rgb(227, 230, 234)") if scheme == "dark" else ("rgb(255, 255, 255)", "rgb(29, 34, 40)")
    )
    colours = page.eval_on_selector_all(
        "figure svg text", "all => [...new Set(all.map(t => getComputedStyle(t).fill))]"
    )
    assert set(colours) == {ink}, "figures are written in the page's own colour"
    sizes = page.eval_on_selector_all("figure svg text", "all => all.map(t => t.getBoundingClientRect().height)")
    assert min(sizes) >= 9, "the smallest writing of a figure, in pixels"
    context.close()


def test_links_lead_to_sections_and_the_rest_of_a_gallery_unfolds(browser, page_file):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(page_file.as_uri())
    page.click("nav a[href='#slices']")
    page.wait_for_function("Math.abs(document.querySelector('#slices').getBoundingClientRect().top) < 5")
    folded = page.locator("details:has(summary:has-text('alike'))")
    assert not folded.locator("table").is_visible()
    folded.locator("summary").click()
    assert folded.locator("table").is_visible()
    page.close()
