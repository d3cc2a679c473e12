"""A round as an annotator lives it: photos are pushed, corrected with mouse and keys in a real browser, and pulled."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect, sync_playwright

from pipeline import params
from pipeline.labeling import corrections, history
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.history import Annotation
from pipeline.labeling.server import Account
from pipeline.labeling.studio import Studio
from pipeline.labeling.sync import Desk, Folders
from pipeline.manifest import write_jsonl, write_manifest
from pipeline.records import Box, Plate, Point, Quad, Sample

from .conftest import Server

pytestmark = pytest.mark.integration

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000  # milliseconds for what the page does by itself
NEAR = 2.0  # pixels of the photo
QUAD = Quad((120, 300), (260, 322), (256, 358), (118, 334))


@pytest.fixture
def page() -> Iterator[Page]:
    """A browser's page; without a browser these tests are skipped, but in CI, where they fail."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        reason = f"none of {', '.join(BROWSERS)} is here: install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1400, "height": 850})
        opened.set_default_timeout(PATIENCE)
        yield opened
        browser.close()


@dataclass(frozen=True)
class Shown:
    """Where on the page a photo is: its top left, and how many of the page's pixels one of its own takes."""

    x: float
    y: float
    scale: float

    def on_page(self, point: Point) -> Point:
        return self.x + point[0] * self.scale, self.y + point[1] * self.scale


@dataclass(frozen=True)
class Annotator:
    """Somebody at a browser."""

    page: Page

    def log_in(self, url: str, account: Account) -> None:
        self.page.goto(f"{url}/user/login/")
        self.page.fill("input[name=email]", account.email)
        self.page.fill("input[name=password]", account.password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda at: "/user/login" not in at)

    def open(self, project: str, row: int) -> None:
        """Opens a task by its row in the project's list."""
        self.page.goto(project)
        self.page.get_by_test_id("table-row").nth(row).click(position={"x": 80, "y": 30})
        expect(self.page.locator(".konvajs-content canvas").first).to_be_visible()

    def find(self, sample: Sample) -> Shown:
        """Where the photo is, once it has come to rest."""
        rest = self.page.wait_for_function(
            """() => {
                const box = document.querySelector(".lsf-image img")?.getBoundingClientRect();
                const now = box?.width && [box.x, box.y, box.width, box.height];
                const rests = String(now) === window.seen;
                window.seen = String(now);
                return rests && now;
            }""",
            polling=250,
        )
        x, y, width, height = rest.json_value()
        assert (width, height) == pytest.approx(
            (sample.width * width / sample.width, sample.height * width / sample.width)
        )
        return Shown(x, y, width / sample.width)

    def select(self, at: Point) -> None:
        """Selects a plate by a click; what is asked of it can be answered then."""
        self.page.mouse.click(*at)
        expect(self.page.locator(".lsf-choices_hidden")).to_have_count(0)

    def drag(self, start: Point, end: Point) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=8)
        self.page.mouse.up()

    def outline(self, *corners: Point) -> None:
        """Draws a plate by its corners, and closes it by a click on the first."""
        self.page.keyboard.press("c")
        expect(self.page.locator(".lsf-label_selected")).to_have_text("plate by its cornersc")
        for corner in (*corners, corners[0]):
            self.page.mouse.click(*corner)
        expect(self.page.locator(".lsf-tree__node")).to_have_count(1)

    def type_text(self, text: str) -> None:
        """Types the selected plate's text; whatever its letters are hotkeys of stays as it is."""
        field = self.page.get_by_test_id("textarea-region-input")
        before = self.page.locator(".alpr-plates input:checked").count()
        self.page.keyboard.press("Enter")
        expect(field).to_be_focused()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        expect(field).not_to_be_focused()
        expect(field).to_have_value(text)
        expect(self.page.locator(".alpr-plates input:checked")).to_have_count(before)

    def slip(self, keys: str) -> None:
        """Presses keys that are no hotkeys of ours; Label Studio would give them to choices that have none."""
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, choice: str, hotkey: str) -> None:
        self.page.keyboard.press(hotkey)
        expect(self.page.locator(f'.alpr-plates input[name="{choice}"]')).to_be_checked()

    def submit(self) -> None:
        with self.page.expect_response(lambda r: r.request.method == "POST" and "/annotations" in r.url) as answer:
            self.page.get_by_role("button", name="Submit").click()
        assert answer.value.status == 201, answer.value.text()


@dataclass(frozen=True)
class Project:
    """A folder as the stages leave it, with photos that the server sees."""

    server: Server
    folder: Path
    title: str

    @property
    def folders(self) -> Folders:
        own = self.folder
        return Folders(own / "labels", own / "curated", self.server.root / "raw", own / "predictions.jsonl")

    def desk(self, studio: Studio) -> Desk:
        own = {"project": self.title, "root": str(self.server.root)}
        settings = SETTINGS.model_copy(update={"sync_labels": SETTINGS.sync_labels.model_copy(update=own)})
        return Desk(self.folders, settings, studio)

    def photo(self, name: str, width: int, height: int, outline: Quad, *labelled: Plate) -> Sample:
        """A car with a plate."""
        path = self.server.root / "raw" / self.title / name
        path.parent.mkdir(exist_ok=True)
        picture = Image.new("RGB", (width, height), "lightsteelblue")
        pen = ImageDraw.Draw(picture)
        pen.rounded_rectangle((width * 0.1, height * 0.2, width * 0.9, height * 0.85), 40, "maroon")
        pen.polygon(outline.points, "white", "black", 3)
        picture.save(path)
        identity = hashlib.sha256(path.read_bytes()).hexdigest()
        return Sample(identity, f"{self.title}/{name}", width, height, labelled, "made", identity)

    def write(self, reason: str, *samples: Sample) -> None:
        """What curate, evaluate and queue write: the samples are asked about in their order."""
        for name in ("manifest.jsonl", "original.jsonl"):
            write_manifest(self.folders.curated / name, samples)
        write_jsonl(self.folders.curated / "copies.jsonl", [])
        write_jsonl(self.folders.predictions, [])
        reasons = [{"kind": "text", "score": 0.5, "reason": reason}]
        queue = [{"id": one.id, "image": one.image, "priority": 0.5, "reasons": reasons} for one in samples]
        write_jsonl(self.folders.labels / "queue.jsonl", queue)

    def corrected(self, sample: Sample) -> tuple[Correction, CorrectedPlate]:
        """A sample's correction, and its one plate."""
        known = {one.id: one for one in corrections.read(self.folders.labels / corrections.CORRECTIONS)}
        (only,) = known[sample.id].plates
        return known[sample.id], only

    def annotation(self, sample: Sample) -> Annotation:
        (only,) = history.read(self.folders.labels / history.ANNOTATIONS)[sample.id].annotations
        return only


def test_photos_are_corrected_in_a_browser(server: Server, page: Page, tmp_path: Path) -> None:
    project = Project(server, tmp_path, f"browser-{uuid4().hex}")
    box = Box(300, 300, 461, 343)
    boxed = project.photo("boxed.png", 800, 500, Quad.of_box(box), Plate(box))
    bare = project.photo("bare.png", 420, 560, QUAD)
    project.write("two readings: <b>AB12</b> & <i>A812</i>", boxed, bare)
    studio = Studio(server.url, server.admin.token)
    desk = project.desk(studio)
    assert desk.push().sent == 2
    account = server.sign_up("fay@example.org")
    annotator = Annotator(page)
    annotator.log_in(server.url, account)
    tasks = f"{server.url}/projects/{studio.project}"

    annotator.open(tasks, row=0)
    why = page.locator(".alpr-why")
    assert why.text_content() == "Suspicion 0.50, since:\n• two readings: <b>AB12</b> & <i>A812</i>"
    assert why.locator("b, i").count() == 0
    shown = annotator.find(boxed)
    annotator.select(shown.on_page((380, 320)))
    annotator.slip("asdfgtnio1234567890")
    annotator.drag(shown.on_page((box.x2, box.y2)), shown.on_page((box.x2 + 31, box.y2 + 17)))
    annotator.type_text("kxq 417")
    annotator.choose("legible", "q")
    annotator.submit()

    annotator.open(tasks, row=1)
    shown = annotator.find(bare)
    annotator.outline(*(shown.on_page(corner) for corner in (QUAD.br, QUAD.tr, QUAD.tl, QUAD.bl)))
    annotator.select(shown.on_page((190, 328)))
    annotator.type_text("zj?9")
    annotator.choose("partly", "w")
    annotator.submit()

    assert len(desk.pull().corrected) == 2
    correction, said = project.corrected(boxed)
    moved = said.plate.box
    assert (moved.x1, moved.y1) == (box.x1, box.y1)
    assert (moved.x2, moved.y2) == pytest.approx((box.x2 + 31, box.y2 + 17), abs=NEAR)
    assert said == CorrectedPlate(Plate(moved, text="KXQ417"))
    assert (correction.by, project.annotation(boxed).by) == (account.email, account.email)
    assert (project.annotation(boxed).seconds or 0) > 0

    _, said = project.corrected(bare)
    assert said.plate.quad is not None
    for drawn, corner in zip(said.plate.quad.points, QUAD.points, strict=True):
        assert drawn == pytest.approx(corner, abs=NEAR)
    assert (said.plate.text, said.readings, said.certain) == (None, ("ZJ?9",), True)
