"""The HTTP service: what is answered, what is refused and how, and that one request harms no other."""

import asyncio
import socket
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from pipeline.images import Photo, encode_png
from pipeline.recognizer import Recognizer
from pipeline.records import Reading, Recognition
from pipeline.serving import inputs, rows
from pipeline.serving.http import LOW, Settings, create_app, plate, run, version_of
from pipeline.serving.inputs import Named
from pipeline.serving.models import SHIPPED

from .bad_images import HEIGHT, WIDTH, bad_images
from .served import (
    PHOTO,
    RED,
    SURE,
    UNSURE,
    WHITE,
    Exchange,
    FakeRecognizer,
    TestClient,
    form,
    live,
    play,
    post,
    refusal,
    serving,
    until,
)

OCTETS = {"Content-Type": "application/octet-stream"}

# Answers


def test_a_picture_as_the_body_gets_its_row_and_the_model(client):
    answer = post(client)
    expected = rows.of_recognitions("body", Photo.of(WHITE), [SURE, UNSURE]) | {
        "model": {"name": "alpr", "version": "abc"}
    }
    assert answer.status_code == 200
    assert answer.json() == expected
    assert answer.headers["cache-control"] == "no-store"


def test_two_pictures_in_a_form_get_a_row_each_in_order(client):
    answer = client.post("/v1/recognize", **form(("a.jpg", PHOTO), ("b.png", encode_png(0 * WHITE))))
    assert answer.status_code == 200
    assert [(row["image"], len(row["plates"])) for row in answer.json()["rows"]] == [("a.jpg", 2), ("b.png", 0)]


def test_no_plate_is_200_and_none(client):
    answer = post(client, encode_png(0 * WHITE))
    assert answer.status_code == 200
    assert answer.json()["plates"] == []


def test_a_no_read_is_an_empty_text_with_its_guess(client):
    plate = post(client).json()["plates"][1]
    assert (plate["text"], plate["guess"]) == ("", "X1O")


def test_min_score_is_each_requests_own(client):
    assert [len(post(client, params={"min_score": s}).json()["plates"]) for s in (0.4, 0.6, 1)] == [2, 1, 0]


def test_region_settles_what_looks_alike():
    class Indian(FakeRecognizer):
        def recognize(self, images, min_score=0.4):
            reading = Reading("MH12AB123O", 0.9, (0.9,) * 10)
            return [[Recognition(SURE.detection, reading)] for _ in images]

    with serving(Indian()) as client:
        assert post(client).json()["plates"][0]["text"] == "MH12AB123O"
        assert post(client, params={"region": "in"}).json()["plates"][0]["text"] == "MH12AB1230"
        assert "choose one of" in refusal(post(client, params={"region": "QQ"}), 422)


def test_a_real_recognizer(tiny_bundle):
    scene = np.zeros((512, 512, 3), np.uint8)
    scene[256:264, 256:264] = 255
    with serving(Recognizer.load(tiny_bundle, threads=1), version=version_of(tiny_bundle)) as client:
        answer = post(client, encode_png(scene)).json()
        assert answer["plates"]
        assert {plate["text"] for plate in answer["plates"]} == {"AB12"}
        assert len(answer["model"]["version"]) == 12


# Pictures that cannot be used, and rare ones that can


@pytest.mark.parametrize("name", bad_images())
def test_every_file_gets_the_row_that_the_command_line_prints(client, name):
    data, says = bad_images()[name]
    answer = post(client, data, "application/octet-stream")
    if says is None:
        assert answer.status_code == 200
        assert (answer.json()["width"], answer.json()["height"]) == (WIDTH, HEIGHT)
        return
    error = refusal(answer, 413 if name in ("large.png", "bomb.png") else 400)
    assert says in error
    assert error == inputs.load(Named(name, data=data)).error


def test_bad_pictures_in_a_form_harm_no_other():
    table = bad_images()
    with serving(max_pictures=64) as client:
        mixed = [one for name, (data, _) in table.items() for one in ((name, data), (f"{name} good", PHOTO))]
        answer = client.post("/v1/recognize", **form(*mixed))
        assert answer.status_code == 200
        found = answer.json()["rows"]
    assert [row["image"] for row in found] == [name for name, _ in mixed]
    for row in found:
        says = table[row["image"]][1] if row["image"] in table else None
        assert set(row) == ({"image", "error"} if says else {"image", "width", "height", "plates"})
        assert says is None or says in row["error"]
        assert len(row.get("plates", [])) == 2 or row["image"] in table


def test_a_form_in_which_nothing_can_be_used_is_refused(client):
    answer = client.post("/v1/recognize", **form(("a", b"x"), ("b", b"")))
    assert answer.status_code == 400
    assert answer.json()["error"] == "not an image of a known format"
    assert len(answer.json()["rows"]) == 2


def test_too_many_pixels_are_refused_from_the_header(monkeypatch):
    def load(*_):
        raise AssertionError("decoded all the same")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with serving(max_pixels=2399) as client:
        assert refusal(post(client), 413) == "60 x 40 pixels, more than the cap of 2,399"


def test_an_upright_answer_for_a_turned_photo(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    Image.fromarray(WHITE).save(file, "JPEG", exif=exif)
    answer = post(client, file.getvalue()).json()
    assert (answer["width"], answer["height"]) == (40, 60)


def test_a_failing_recogniser_keeps_its_reasons_for_the_log(client, caplog):
    says = refusal(post(client, encode_png(RED), "image/png"), 500)
    assert "secret" not in says
    assert "secret path" in caplog.text
    assert post(client).status_code == 200


def test_a_picture_on_which_the_recogniser_fails_harms_no_other(client):
    answer = client.post("/v1/recognize", **form(("a.jpg", PHOTO), ("red.png", encode_png(RED)), ("c.jpg", PHOTO)))
    assert answer.status_code == 200
    assert ["error" in row for row in answer.json()["rows"]] == [False, True, False]


# Refusals


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


def test_an_address_that_cannot_be_had_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ValueError, match="choose another --host"):
        run(FakeRecognizer(), Settings(port=taken.getsockname()[1]))
    with pytest.raises(ValueError, match="cannot serve on"):
        run(FakeRecognizer(), Settings(host="no-such-host.invalid", api_keys=("key",)))
    with pytest.raises(ValueError, match="from 1 to 65535"):
        Settings(port=70000)


# Clients that go, and queues that are full


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
                assert service.uploads.held == 0
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


# Warm-up


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


def test_a_recogniser_that_fails_at_once_is_never_ready_and_says_so(caplog):
    class Broken:
        def recognize(self, images, min_score=0.4):
            raise RuntimeError("no memory")

    with TestClient(create_app(Broken(), Settings())) as client:
        until(lambda: "no memory" in caplog.text)
        assert client.get("/healthz").status_code == 200
        for answer in (client.get("/readyz"), post(client)):
            assert "failed on its first picture" in refusal(answer, 503)


@pytest.mark.parametrize("fast", [False, True])
def test_the_warm_up_has_a_plate_to_read(fast):
    """So that a model is not called ready whose reader fails."""
    found = Recognizer.load(SHIPPED, threads=1, fast=fast).recognize([plate()], LOW)[0]
    assert "AB1234" in {one.reading.best for one in found}
    assert len(found) < 8
