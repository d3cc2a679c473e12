"""The HTTP service: what is answered, what is refused and how, and what the log and the metrics tell of it."""

import asyncio
import json
import logging
import socket
import threading
import time
import warnings
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from pipeline.images import encode_jpeg, encode_png
from pipeline.recognizer import Recognizer
from pipeline.records import Box, Detection, Quad, Reading, Recognition
from pipeline.serving import http, rows
from pipeline.serving.http import Picture, Pictures, Settings, create_app, is_loopback, keys_of, run, version_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have httpx2
    from fastapi.testclient import TestClient

WHITE = np.full((40, 60, 3), 255, np.uint8)
PHOTO = encode_jpeg(WHITE)
CUT = encode_png(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))[:-900]
OCTETS = {"Content-Type": "application/octet-stream"}
BOX = Box(4, 5, 24, 15)
SURE = Recognition(Detection(BOX, Quad.of_box(BOX), 0.9), Reading("AB123", 0.97, (0.9,) * 5, "DE"))
UNSURE = Recognition(Detection(BOX, Quad.of_box(BOX), 0.5), Reading("", 0.3, (0.5,) * 3, None, "X1O"))


class FakeRecognizer:
    """A sure and an unsure plate on white pictures, none on black ones, an error on red ones; waits at the gate."""

    def __init__(self):
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def recognize(self, images, min_score=0.4):
        self.calls += 1
        assert self.gate.wait(10)
        if any(image[0, 0].tolist() == [255, 0, 0] for image in images):
            raise RuntimeError("secret path /srv/model")
        return [
            [one for one in (SURE, UNSURE) if image[0, 0, 1] > 200 and one.detection.score >= min_score]
            for image in images
        ]


def until(condition):
    """Waits until it is true, ten seconds at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def serving(recognizer=None, **settings):
    """A client of an app that is ready."""
    app = create_app(recognizer or FakeRecognizer(), Settings(**settings))
    with TestClient(app, raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def client():
    with serving(version="abc") as client:
        yield client


def post(client, data=PHOTO, kind="image/jpeg", **more):
    return client.post("/v1/recognize", content=data, headers={"Content-Type": kind, **more.pop("headers", {})}, **more)


def refusal(answer, status):
    """The sentence of an error, which is all that its JSON holds."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def form(*files):
    return {"files": [("image", (name, data, "image/jpeg")) for name, data in files]}


# Answers


def test_a_picture_as_the_body_gets_its_row_and_the_model(client):
    answer = post(client)
    expected = rows.of_recognitions("body", WHITE, [SURE, UNSURE]) | {"model": {"name": "alpr", "version": "abc"}}
    assert answer.status_code == 200
    assert answer.json() == expected
    assert Picture.model_validate(answer.json(), extra="forbid")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", ["image/png", "image/whatever", "application/octet-stream", None])
def test_any_picture_type_or_none_is_taken(client, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    assert client.post("/v1/recognize", content=encode_png(WHITE), headers=headers).status_code == 200


def test_two_pictures_in_a_form_get_a_row_each_in_order(client):
    answer = client.post("/v1/recognize", **form(("a.jpg", PHOTO), ("b.png", encode_png(0 * WHITE))))
    assert answer.status_code == 200
    assert [(row["image"], len(row["plates"])) for row in answer.json()["rows"]] == [("a.jpg", 2), ("b.png", 0)]
    assert Pictures.model_validate(answer.json(), extra="forbid")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"<html>", "not an image"),
        (CUT, "cannot be decoded"),
        (b"", "empty file"),
        (encode_png(np.full((4, 4, 3), (255, 0, 0), np.uint8)), "the recogniser failed on this picture"),
    ],
)
def test_one_bad_picture_harms_no_other(client, bad, says):
    answer = client.post("/v1/recognize", **form(("a.jpg", PHOTO), ("bad", bad), ("c.jpg", PHOTO)))
    first, second, third = answer.json()["rows"]
    assert answer.status_code == 200
    assert len(first["plates"]) == len(third["plates"]) == 2
    assert set(second) == {"image", "error"}
    assert says in second["error"]


def test_a_form_in_which_nothing_can_be_used_is_refused(client):
    answer = client.post("/v1/recognize", **form(("a", b"x"), ("b", b"")))
    assert answer.status_code == 400
    assert answer.json()["error"] == "not an image of a known format"
    assert len(answer.json()["rows"]) == 2


def test_min_score_is_each_requests_own(client):
    assert [len(post(client, params={"min_score": s}).json()["plates"]) for s in (0.4, 0.6, 1)] == [2, 1, 0]


def test_a_no_read_is_an_empty_text_with_its_guess(client):
    plate = post(client).json()["plates"][1]
    assert (plate["text"], plate["guess"]) == ("", "X1O")


def test_region_settles_what_looks_alike():
    class Indian(FakeRecognizer):
        def recognize(self, images, min_score=0.4):
            reading = Reading("MH12AB123O", 0.9, (0.9,) * 10)
            return [[Recognition(SURE.detection, reading)] for _ in images]

    with serving(Indian()) as client:
        assert post(client).json()["plates"][0]["text"] == "MH12AB123O"
        assert post(client, params={"region": "in"}).json()["plates"][0]["text"] == "MH12AB1230"
        assert "choose one of" in refusal(post(client, params={"region": "QQ"}), 422)


def test_an_upright_answer_for_a_turned_photo(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    Image.fromarray(WHITE).save(file, "JPEG", exif=exif)
    answer = post(client, file.getvalue()).json()
    assert (answer["width"], answer["height"]) == (40, 60)


def test_a_real_recognizer(tiny_bundle):
    scene = np.zeros((512, 512, 3), np.uint8)
    scene[256:264, 256:264] = 255
    with serving(Recognizer.load(tiny_bundle, threads=1), version=version_of(tiny_bundle)) as client:
        answer = post(client, encode_png(scene)).json()
        assert answer["plates"]
        assert {plate["text"] for plate in answer["plates"]} == {"AB12"}
        assert len(answer["model"]["version"]) == 12


# Refusals


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "empty file"), (b"no picture", "not an image"), (CUT, "cannot be decoded")]
)
def test_what_is_no_picture(client, data, says):
    assert says in refusal(post(client, data), 400)


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/x-www-form-urlencoded", "video/mp4"])
def test_a_wrong_type(client, kind):
    assert kind in refusal(post(client, kind=kind), 415)


def test_a_packed_body(client):
    assert "Content-Encoding" in refusal(post(client, headers={"Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (PHOTO, "multipart/form-data", "boundary"),
        (b"--x\r\nnon sense", "multipart/form-data; boundary=x", "cannot be read"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "no file"),
        (b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nab', "boundary=x", "last boundary"),
    ],
)
def test_a_broken_form(client, data, kind, says):
    kind = kind if kind.startswith("multipart") else f"multipart/form-data; {kind}"
    assert says in refusal(post(client, data, kind), 400)


def test_files_in_another_field(client):
    assert "`image`" in refusal(client.post("/v1/recognize", files={"photo": ("a.jpg", PHOTO)}), 400)


def test_too_many_pictures_in_a_form():
    with serving(max_pictures=2) as client:
        assert "2 pictures" in refusal(client.post("/v1/recognize", **form(*[("a", PHOTO)] * 3)), 413)


def test_too_many_fields_in_a_form(client):
    answer = client.post("/v1/recognize", data={f"a{n}": "b" for n in range(64)}, **form(("a", PHOTO)))
    assert "64 fields" in refusal(answer, 400)


def test_too_many_pixels_are_refused_from_the_header(monkeypatch):
    def decode(*_):
        raise AssertionError("decoded all the same")

    monkeypatch.setattr("pipeline.serving.http.images.decode", decode)
    with serving(max_pixels=2399) as client:
        assert "2,400 pixels" in refusal(post(client), 413)
        rows_ = client.post("/v1/recognize", **form(("a", PHOTO), ("b", b""))).json()["rows"]
        assert "pixels" in rows_[0]["error"]


@pytest.mark.parametrize(
    ("query", "says"), [("min_score=2", "min_score: "), ("min_score=x", "min_score: "), ("region=" + "x" * 9, "region")]
)
def test_wrong_values_in_the_query(client, query, says):
    assert says in refusal(client.post(f"/v1/recognize?{query}", content=PHOTO, headers=OCTETS), 422)


def test_unknown_paths_and_methods_are_sentences_too(client):
    refusal(client.get("/nothing"), 404)
    answer = client.get("/v1/recognize")
    refusal(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_a_failing_recogniser_keeps_its_reasons_for_the_log(client, caplog):
    says = refusal(post(client, encode_png(np.full((4, 4, 3), (255, 0, 0), np.uint8)), "image/png"), 500)
    assert "secret" not in says
    assert "secret path" in caplog.text
    assert post(client).status_code == 200


def test_too_large_by_content_length_is_refused_unread():
    def body():
        raise AssertionError("read all the same")
        yield b""

    with serving(max_bytes=1000) as client:
        headers = {"Content-Type": "image/jpeg", "Content-Length": "1001"}
        assert "1,000" in refusal(client.post("/v1/recognize", content=body(), headers=headers), 413)


# Bodies as they arrive: the app is spoken to without a client that would set things right


@asynccontextmanager
async def live(recognizer=None, **settings):
    """An app that is ready, in this loop."""
    app = create_app(recognizer or FakeRecognizer(), Settings(**settings))
    async with app.router.lifespan_context(app):
        while not app.state.service.ready:
            await asyncio.sleep(0.005)
        yield app


def play(scene):
    """Runs a coroutine, half a minute at most."""
    asyncio.run(asyncio.wait_for(scene, 30))


class Exchange:
    """One POST to an app, its body given bit by bit."""

    def __init__(self, app, headers=(), kind="image/jpeg"):
        self.sent, self.status, self.body, self.read = asyncio.Queue(), None, b"", 0
        raw = [(b"content-type", kind.encode()), *((k.encode(), v.encode()) for k, v in dict(headers).items())]
        scope = {"type": "http", "method": "POST", "path": "/v1/recognize", "raw_path": b"/v1/recognize"}
        scope |= {"query_string": b"", "headers": raw, "http_version": "1.1", "scheme": "http", "root_path": ""}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self):
        message = await self.sent.get()
        self.read += len(message.get("body", b""))
        return message

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        self.body += message.get("body", b"")

    def give(self, data, more=True):
        self.sent.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def leave(self):
        self.sent.put_nowait({"type": "http.disconnect"})

    async def done(self):
        await asyncio.wait_for(self.task, 10)
        return self.status


@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "-1"}, {"content-length": "²"}])
def test_too_large_by_count_whatever_the_header_says(headers):
    async def scene():
        async with live(max_bytes=1000) as app:
            exchange = Exchange(app, headers)
            for _ in range(20):
                exchange.give(b"x" * 300)
            assert await exchange.done() == 413
            assert exchange.read == 1200
            assert app.state.service._buffered == 0

    play(scene())


def test_a_body_in_pieces():
    async def scene():
        async with live() as app:
            exchange = Exchange(app)
            for start in range(0, len(PHOTO), 100):
                exchange.give(PHOTO[start : start + 100])
            exchange.give(b"", more=False)
            assert await exchange.done() == 200
            assert len(json.loads(exchange.body)["plates"]) == 2

    play(scene())


def test_a_slow_upload():
    async def scene():
        async with live(upload_seconds=0.2) as app:
            exchange = Exchange(app, {"content-length": "5000"})
            exchange.give(PHOTO[:100])
            assert await exchange.done() == 408
            assert b"within 0.2 seconds" in exchange.body
            assert exchange.headers[b"connection"] == b"close"
            assert app.state.service._buffered == 0

    play(scene())


def test_no_more_bodies_than_memory_for_them(monkeypatch):
    monkeypatch.setattr(http, "BUFFERED", 500)

    async def scene():
        async with live() as app:
            first, second = Exchange(app), Exchange(app)
            first.give(b"x" * 400)
            await asyncio.sleep(0.05)
            second.give(b"x" * 400)
            assert await second.done() == 503
            assert second.headers[b"retry-after"] == b"1"
            first.leave()
            assert await first.done() == 499
            assert app.state.service._buffered == 0

    play(scene())


def test_a_client_that_goes_away_takes_its_work_along():
    async def scene():
        recognizer = FakeRecognizer()
        async with live(recognizer, batch=1, patience=60.0) as app:
            service, calls = app.state.service, recognizer.calls
            recognizer.gate.clear()
            try:
                first, second = Exchange(app), Exchange(app)
                first.give(PHOTO, more=False)
                while recognizer.calls == calls:
                    await asyncio.sleep(0.005)
                second.give(PHOTO, more=False)
                while service.batcher.pending < 2:
                    await asyncio.sleep(0.005)
                second.leave()
                assert await second.done() == 499
                assert service.batcher.pending == 1
                first.leave()  # whose picture is in work already
                assert await first.done() == 499
                assert service._buffered == 0
            finally:
                recognizer.gate.set()
            third = Exchange(app)
            third.give(PHOTO, more=False)
            assert await third.done() == 200
            assert recognizer.calls == calls + 2
            assert service.batcher.pending == 0

    play(scene())


def test_a_full_queue_is_503_and_the_probes_still_answer():
    async def scene():
        recognizer = FakeRecognizer()
        async with live(recognizer, patience=0.0) as app:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://alpr") as client:
                recognizer.gate.clear()
                tasks = [asyncio.create_task(client.post("/v1/recognize", content=PHOTO)) for _ in range(6)]
                refused, accepted = await asyncio.wait_for(_split(tasks, 5), 10)
                assert {answer.status_code for answer in refused} == {503}
                assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
                assert (await client.get("/healthz")).status_code == 200
                assert (await client.get("/readyz")).status_code == 200
                assert "alpr_queue_depth 1.0" in (await client.get("/metrics")).text
                recognizer.gate.set()
                assert [(await task).status_code for task in accepted] == [200]

    play(scene())


async def _split(tasks, refused):
    """The answers of the first so many to be done, and the tasks that go on."""
    done = set()
    while len(done) < refused:
        done, going = await asyncio.wait(tasks, timeout=0.01)
    return [task.result() for task in done], going


def test_a_full_queue_refuses_before_the_upload():
    async def scene():
        async with live(patience=0.0) as app:
            with app.state.service.batcher.admit(1):
                exchange = Exchange(app)
                exchange.give(PHOTO, more=False)
                assert await exchange.done() == 503
                assert exchange.read == 0

    play(scene())


def test_a_form_of_many_large_files_touches_no_disk(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    large = encode_png(np.random.default_rng(0).integers(200, 256, (900, 900, 3), np.uint8))
    assert len(large) > 1_500_000
    with serving() as client:
        answer = client.post("/v1/recognize", **form(("a.png", large), ("b.png", large)))
        assert [row["width"] for row in answer.json()["rows"]] == [900, 900]


# Keys


def test_with_keys_only_those_who_bring_one_come_in():
    with serving(api_keys=("first", "zweiter-schlüssel")) as client:
        for headers in ({"X-API-Key": "first"}, {"Authorization": "Bearer first"}):
            assert post(client, headers=headers).status_code == 200
            assert client.get("/metrics", headers=headers).status_code == 200
        other = {"X-API-Key": "zweiter-schlüssel".encode()}
        assert post(client, headers=other).status_code == 200
        for headers in ({}, {"X-API-Key": "firs"}, {"Authorization": "Basic first"}, {"X-API-Key": ""}):
            answer = post(client, headers=headers)
            assert "API key" in refusal(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=headers).status_code == 401
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_keys_are_compared_in_constant_time_and_all_of_them(monkeypatch):
    compared, real = [], http.hmac.compare_digest
    monkeypatch.setattr(http.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    with serving(api_keys=("one", "two", "three")) as client:
        assert post(client, headers={"X-API-Key": "one"}).status_code == 200
    assert compared == [(b"one", key) for key in (b"one", b"two", b"three")]


def test_keys_from_the_environment():
    assert keys_of({}) == keys_of({"ALPR_API_KEYS": " , "}) == ()
    assert keys_of({"ALPR_API_KEYS": "a, b,,c"}) == ("a", "b", "c")
    assert "hidden" not in repr(Settings(api_keys=("hidden",)))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_without_keys_only_loopback(host, loopback):
    assert is_loopback(host) == loopback
    assert Settings(host=host, api_keys=("key",)).host == host
    if not loopback:
        with pytest.raises(ValueError, match="ALPR_API_KEYS"):
            Settings(host=host)


def test_an_address_that_cannot_be_had_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ValueError, match="choose another --host"):
        run(FakeRecognizer(), Settings(port=taken.getsockname()[1]))
    with pytest.raises(ValueError, match="cannot serve on"):
        run(FakeRecognizer(), Settings(host="no-such-host.invalid", api_keys=("key",)))
    with pytest.raises(ValueError, match="from 1 to 65535"):
        Settings(port=70000)


# Probes, metrics, log


def test_ready_only_after_a_warm_up():
    recognizer = FakeRecognizer()
    recognizer.gate.clear()
    with TestClient(create_app(recognizer, Settings(version="abc"))) as client:
        try:
            assert client.get("/healthz").json() == {"status": "alive"}
            for answer in (client.get("/readyz"), post(client)):
                assert "warming up" in refusal(answer, 503)
                assert answer.headers["retry-after"] == "1"
        finally:
            recognizer.gate.set()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready", "model": "alpr", "version": "abc"}


def test_a_recogniser_that_fails_at_once_is_never_ready(caplog):
    class Broken:
        def recognize(self, images, min_score=0.4):
            raise RuntimeError("no memory")

    with TestClient(create_app(Broken(), Settings())) as client:
        until(lambda: "no memory" in caplog.text)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503


def figures(client):
    lines = (line for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_requests_pictures_and_plates(client):
    post(client)
    client.post("/v1/recognize", **form(("a", PHOTO), ("b", b"x")))
    post(client, b"")
    post(client, kind="text/html")
    client.get("/no/such/path")
    found = figures(client)
    assert found['alpr_requests_total{path="/v1/recognize",status="200"}'] == 2
    assert found['alpr_requests_total{path="/v1/recognize",status="400"}'] == 1
    assert found['alpr_requests_total{path="/v1/recognize",status="415"}'] == 1
    assert found['alpr_requests_total{path="other",status="404"}'] == 1
    assert found['alpr_pictures_total{outcome="recognized"}'] == 2
    assert found['alpr_pictures_total{outcome="failed"}'] == 2
    assert found['alpr_plates_total{outcome="read"}'] == found['alpr_plates_total{outcome="not read"}'] == 2
    assert found['alpr_request_seconds_count{path="/v1/recognize"}'] == 4
    assert found["alpr_batch_size_sum"] == 2
    assert found["alpr_queue_depth"] == 0
    assert found['alpr_model{name="alpr",version="abc"}'] == 1


def test_two_apps_count_apart(client):
    post(client)
    with serving() as other:
        assert "alpr_pictures_total" not in figures(other)


def logged(caplog, client, **more):
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/v1/recognize", **form(("AB123.jpg", PHOTO)), **more)
        client.get("/healthz")
        client.get("/a%0Ab")
    assert answer.json()["rows"][0]["plates"][0]["text"] == "AB123"
    return [one for one in caplog.records if one.name == "alpr.serve"]


def test_the_log_tells_no_plates_and_no_names(client, caplog):
    request, probe, strange = logged(caplog, client, params={"min_score": 0.1})
    line = request.getMessage()
    assert line.startswith("POST /v1/recognize 200 in ")
    assert line.endswith(" ms, 2 plates")
    assert "AB123" not in caplog.text
    assert "X1O" not in caplog.text
    assert (request.levelname, probe.levelname) == ("INFO", "DEBUG")
    assert strange.getMessage().startswith("GET /a%0Ab 404 in ")


def test_the_log_tells_plates_to_those_who_ask(caplog):
    with serving(show_texts=True) as client:
        assert logged(caplog, client)[0].getMessage().endswith(" ms, 2 plates (AB123, not read)")


# Description and page


def test_the_description_has_every_answer_and_examples_that_hold(client):
    described = client.get("/openapi.json").json()
    operation = described["paths"]["/v1/recognize"]["post"]
    assert set(operation["responses"]) == {"200", *map(str, (400, 401, 408, 413, 415, 422, 500, 503))}
    assert set(operation["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
    assert {one["name"] for one in operation["parameters"]} == {"min_score", "region"}
    assert len(operation["security"]) == 2
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    examples = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert Picture.model_validate(examples["picture"]["value"], extra="forbid")
    assert Pictures.model_validate(examples["form"]["value"], extra="forbid")
    docs = client.get("/docs").text
    assert "B12ABC" in docs  # without internet too
    assert "swagger-ui-bundle.js" in docs


def test_the_page_asks_nobody_else(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert page.headers["content-type"].startswith("text/html")
    assert "'sha256-" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "default-src 'none'" in policy
    assert not [
        word
        for word in ("https://", "http:", "//cdn", "innerHTML")
        if word in page.text.replace("http://www.w3.org/2000/svg", "")
    ]
