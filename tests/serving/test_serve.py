"""`alpr serve` as a process of its own, with the shipped model: under too much load, with bad clients, in a browser."""

import asyncio
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipeline.images import encode_jpeg
from pipeline.rendering.scenes import render_scene

from .bad_images import bad_images

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
JPEG = {"Content-Type": "image/jpeg"}
SERVE = """
import os, sys
from pipeline.recognizer import Recognizer
from pipeline.serving.http import Settings, run, version_of
from pipeline.serving.models import SHIPPED

def watch(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print("opened to write:", arguments[0], file=sys.stderr, flush=True)

recognizer = Recognizer.load(SHIPPED, threads=1)
sys.addaudithook(watch)
run(recognizer, Settings(port=0, version=version_of(SHIPPED), {settings}))
"""


@contextmanager
def started(log, settings=""):
    """A server and its address, as soon as it listens; it is asked to end afterwards, and must."""
    scratch = log.with_name("scratch")
    scratch.mkdir()
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, "-B", "-c", SERVE.format(settings=settings)],
            cwd=ROOT,
            stderr=errors,
            env=os.environ | {"TMPDIR": str(scratch)},
        )
    try:
        wait(lambda: "http://" in log.read_text() or server.poll() is not None)
        yield server, re.search(r"http://127\.0\.0\.1:\d+", log.read_text())[0]
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in log.read_text()
    assert "opened to write" not in log.read_text()
    assert not list(scratch.iterdir())


@contextmanager
def serving(log, settings=""):
    """The address of a server that is ready, and goes on until the end."""
    with started(log, settings) as (server, address):
        wait(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        yield address
        assert server.poll() is None, log.read_text()


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("serve") / "log", "upload_seconds=2.0") as address:
        yield address


@pytest.fixture(scope="module")
def photo(address):
    """A rendered scene on which the model reads a plate, as JPEG."""
    for seed in range(8, 30):
        data = encode_jpeg(render_scene(np.random.default_rng(seed), 640, 480, plates=1).image)
        if any(plate["text"] for plate in post(address, data).json()["plates"]):
            return data
    raise AssertionError("the model reads nothing")


def post(address, data, **options):
    return httpx.post(f"{address}/v1/recognize", content=data, headers=JPEG, timeout=30, **options)


# Too much load


def p99(seconds):
    return sorted(seconds)[int(0.99 * len(seconds))]


class Load:
    """Seconds of requests alone and under four times the load that the server can bear, turn by turn."""

    def __init__(self):
        self.alone, self.loaded, self.refused, self.health = [], [], [], []
        self.bearable, self.borne = [], []  # answers per second, to four clients that wait for theirs and under load

    async def measure(self, address, photo, turns=3, seconds=2.0):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
            for _ in range(turns):  # so that what else the machine does meanwhile slows both
                self.alone += [(await timed(client, photo))[1] for _ in range(20)]
                self.bearable.append(await self._four(client, photo, seconds / 2))
                await self._flood(client, photo, seconds)
            self.alone += [(await timed(client, photo))[1] for _ in range(20)]

    async def _four(self, client, photo, seconds):
        started, done = time.perf_counter(), 0

        async def one():
            nonlocal done
            while time.perf_counter() < started + seconds:
                answer, _ = await timed(client, photo)
                done += answer.status_code == 200
                await asyncio.sleep(0.02 * (answer.status_code == 503))

        await asyncio.gather(*(one() for _ in range(4)))
        return done / (time.perf_counter() - started)

    async def _flood(self, client, photo, seconds):
        probing = asyncio.create_task(self._probe(client))
        rate, started, sent = 4 * self.bearable[-1], time.perf_counter(), []
        while (now := time.perf_counter() - started) < seconds:
            sent += [asyncio.create_task(timed(client, photo)) for _ in range(int(now * rate) + 1 - len(sent))]
            await asyncio.sleep(0.5 / rate)
        answers = await asyncio.gather(*sent)
        accepted = [took for answer, took in answers if answer.status_code == 200]
        self.loaded += accepted
        self.refused += [answer for answer, _ in answers if answer.status_code != 200]
        self.borne.append(len(accepted) / (time.perf_counter() - started))
        probing.cancel()

    async def _probe(self, client):
        while True:
            started = time.perf_counter()
            assert (await client.get("/healthz")).status_code == 200
            self.health.append(time.perf_counter() - started)
            await asyncio.sleep(0.1)

    @property
    def accepted(self):
        """Of the requests under load, the share that was not refused."""
        return len(self.loaded) / (len(self.loaded) + len(self.refused))

    def __str__(self):
        bearable, borne = statistics.mean(self.bearable), statistics.mean(self.borne)
        return (
            f"{bearable:.1f} pictures/s can be borne; at four times that {borne:.1f}/s, {100 * self.accepted:.0f} % of "
            f"the requests, were accepted; p99 {1000 * p99(self.loaded):.0f} ms, alone {1000 * p99(self.alone):.0f} ms;"
            f" /healthz {1000 * statistics.median(self.health):.0f} ms, at most {1000 * max(self.health):.0f} ms"
        )

    @property
    def holds(self):
        """Whether those that were accepted were answered in time, as many as without the rest, and the probes too."""
        return (
            self.accepted <= 0.5
            and p99(self.loaded) <= 2 * p99(self.alone)
            and statistics.median(self.health) <= statistics.median(self.alone)
            and statistics.mean(self.borne) >= 0.5 * statistics.mean(self.bearable)
        )


async def timed(client, photo):
    started = time.perf_counter()
    answer = await client.post("/v1/recognize", content=photo, headers=JPEG)
    return answer, time.perf_counter() - started


def test_four_times_the_load(address, photo):
    for attempt in (1, 2, 3):  # a burst of other work may hit one side only
        load = Load()
        asyncio.run(load.measure(address, photo))
        print(load)
        assert load.refused
        assert {answer.status_code for answer in load.refused} == {503}
        assert all(1 <= int(answer.headers["retry-after"]) <= 30 for answer in load.refused)
        assert all("try again" in answer.json()["error"] for answer in load.refused)
        if load.holds:
            break
        assert attempt < 3, str(load)
    assert "alpr_queue_depth 0.0" in httpx.get(f"{address}/metrics").text


# Clients that are wrong, slow or gone


@contextmanager
def connection(address, *lines):
    """A raw connection on which a request's head was sent."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall("\r\n".join(["POST /v1/recognize HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode())
        yield raw


def received(raw):
    """All that the server sends until it closes."""
    answer = b""
    while part := raw.recv(4096):
        answer += part
    return answer


def test_a_slow_upload_gets_408_and_is_cut_off(address, photo):
    started = time.monotonic()
    with connection(address, "Content-Type: image/jpeg", f"Content-Length: {len(photo)}") as raw:
        raw.sendall(photo[:1000])
        answer = received(raw)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 2 seconds" in answer
    assert time.monotonic() - started > 1.5


@pytest.mark.parametrize(
    ("lines", "sent", "status"),
    [
        (["Content-Length: 1000"], 3000, 400),  # the picture is cut off, and its rest is no request
        ([], 3000, 400),
        (["Content-Length: -5"], 0, 400),
        (["Content-Length: many"], 0, 400),
        (["Content-Length: 5", "Content-Length: 6"], 0, 400),
        (["Content-Length: 99999999999"], 0, 413),
    ],
    ids=["too small", "missing", "negative", "a word", "two", "huge"],
)
def test_a_content_length_that_lies(address, photo, lines, sent, status):
    with connection(address, "Content-Type: image/jpeg", *lines) as raw:
        raw.sendall(photo[:sent])
        assert raw.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_content_length_larger_than_what_comes(address, photo):
    with connection(address, "Content-Type: image/jpeg", f"Content-Length: {len(photo) + 1}") as raw:
        raw.sendall(photo)
        assert received(raw).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body_gets_413(address, chunked):
    body = b"x" * 11 * 1024 * 1024
    assert post(address, iter([body]) if chunked else body).status_code == 413
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_wrong_type_gets_415(address):
    answer = httpx.post(f"{address}/v1/recognize", content=b"<html>", headers={"Content-Type": "text/html"})
    assert answer.status_code == 415


@pytest.mark.parametrize("share", [0.5, 1], ids=["in the middle of its upload", "before its answer"])
def test_a_client_that_goes_away_is_noticed(address, photo, share):
    def gone():
        return sum(map(float, re.findall(r'status="499"} (\S+)', httpx.get(f"{address}/metrics").text)))

    before = gone()
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = form + photo.ljust(3_000_000, b"\0") + b"\r\n--x--\r\n"
    head = ("Content-Type: multipart/form-data; boundary=x", f"Content-Length: {len(body)}")
    with connection(address, *head) as raw:
        raw.sendall(body[: int(share * len(body))])
    wait(lambda: gone() > before, 10)
    assert "alpr_queue_depth 0.0" in httpx.get(f"{address}/metrics").text


def test_bad_pictures_among_good_ones(address, photo):
    bad = [(name, data, says) for name, (data, says) in bad_images().items() if says is not None]
    files = [("a.jpg", photo), *((name, data) for name, data, _ in bad), ("z.jpg", photo)]
    answer = httpx.post(f"{address}/v1/recognize", files=[("image", one) for one in files], timeout=60)
    first, *errors, last = answer.json()["rows"]
    assert answer.status_code == 200
    assert first["plates"] == last["plates"] != []
    for row, (name, _, says) in zip(errors, bad, strict=True):
        assert row["image"] == name
        assert says in row["error"]


def test_what_is_in_work_is_answered_before_the_end(tmp_path, photo):
    with started(tmp_path / "log") as (server, address):
        wait(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        with connection(address, "Content-Type: image/jpeg", f"Content-Length: {len(photo)}") as raw:
            raw.sendall(photo[:-1])
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            raw.sendall(photo[-1:])
            assert received(raw).startswith(b"HTTP/1.1 200 ")
        assert server.wait(20) == 0


def test_it_can_be_ended_while_it_warms_up(tmp_path):
    with started(tmp_path / "log") as (server, address):
        httpx.get(f"{address}/healthz", timeout=60)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


# In a browser


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, address, **options):
    """The page, which must not complain nor ask any other server."""
    context = browser.new_context(**options)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda one: None if one.url.startswith((address, "blob:", "data:")) else wrong.append(one.url))
    page.goto(address)
    yield page
    context.close()
    assert not [one for one in wrong if " 40" not in one], wrong  # a refusal is in the console too


def choose(page, name, data):
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
        {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    ],
    ids=["light", "dark", "phone"],
)
def test_the_page_shows_the_plates_of_a_photo(browser, address, photo, options, tmp_path):
    row = post(address, photo).json()
    with opened(browser, address, **options) as page:
        choose(page, "car.jpg", photo)
        page.wait_for_selector("#plates li")
        assert page.locator("#plates .text").all_text_contents() == [
            plate["text"] or plate["guess"] or "not read" for plate in row["plates"]
        ]
        assert page.locator("polygon.over").count() == len(row["plates"])
        points = page.locator("polygon.over").first.get_attribute("points")
        assert points == " ".join(f"{x:g},{y:g}" for x, y in row["plates"][0]["corners"])
        frame, mark = page.locator("#photo").bounding_box(), page.locator("polygon.over").first.bounding_box()
        scale = frame["width"] / row["width"]
        assert mark["x"] - frame["x"] == pytest.approx(row["plates"][0]["box"][0] * scale, abs=6)
        assert mark["y"] - frame["y"] == pytest.approx(row["plates"][0]["box"][1] * scale, abs=6)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#copy")
        page.wait_for_selector("text=Copied")
        assert '"plates"' in page.evaluate("navigator.clipboard.readText()")
        choose(page, "not.jpg", b"no photo at all")  # the sentence takes the old result's place
        page.wait_for_selector("text=not an image of a known format")
        assert not page.locator("#result").is_visible()


def test_the_page_asks_for_a_key_and_shows_texts_as_text(browser, tmp_path, photo):
    with serving(tmp_path / "log", 'api_keys=("letmein",)') as address:
        hostile = (
            '{"width": 9, "height": 9, "plates": [{"box": [1, 1, 5, 5], "corners": [[1, 1], [5, 1], [5, 5], [1, 5]],'
        )
        hostile += (
            '"score": 1, "text": "<img src=x onerror=alert(1)>", "guess": "", "text_score": 1, "char_scores": []}]}'
        )
        with opened(browser, address) as page:
            choose(page, "car.jpg", photo)
            page.wait_for_selector("text=asks for an API key")
            page.fill("#secret", "wrong")
            page.click("text=Use this key")
            page.wait_for_selector("text=none of the server's API keys")
            page.fill("#secret", "letmein")
            page.click("text=Use this key")
            page.wait_for_selector("#plates li")
            page.route("**/v1/recognize", lambda route: route.fulfill(body=hostile, content_type="application/json"))
            choose(page, "car.jpg", photo)
            page.wait_for_selector("text=<img src=x")
            assert page.locator("#plates img").count() == page.locator(".tag img").count() == 0


def test_the_docs_say_all_without_internet(browser, address):
    page = browser.new_page()
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(f"{address}/docs")
    page.wait_for_selector("text=Too many bytes, pixels or pictures")
    assert "B12ABC" in page.text_content("#example")
    page.close()
