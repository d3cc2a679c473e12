"""Uploads: bodies and forms as they arrive, what is refused and when, and that none of it touches the disk."""

import asyncio
import json

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.serving import uploads

from .served import PHOTO, Exchange, form, live, play, post, refusal, serving

PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


@pytest.fixture
def no_disk(monkeypatch, tmp_path):
    """Temporary files have no place to be."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))


@pytest.mark.parametrize("kind", ["image/png", "image/whatever", "application/octet-stream", "IMAGE/PNG; q=1", None])
def test_any_picture_type_or_none_is_taken(client, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    assert client.post("/v1/recognize", content=PHOTO, headers=headers).status_code == 200


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
        (b"", "multipart/form-data; boundary=x", "last boundary"),
        (PART + b"ab", "multipart/form-data; boundary=x", "last boundary"),
        (b"--x\r\nA: b\r\n\r\nab\r\n--x--", "multipart/form-data; boundary=x", "cannot be read"),
        (b"--x\r\n" + b"a" * 10_000, "multipart/form-data; boundary=x", "cannot be read"),
    ],
    ids=["no boundary", "nonsense", "no part", "empty", "cut off", "no name", "an endless header"],
)
def test_a_broken_form(client, data, kind, says):
    assert says in refusal(post(client, data, kind), 400)


def test_files_in_another_field(client):
    assert "`image`" in refusal(client.post("/v1/recognize", files={"photo": ("a.jpg", PHOTO)}), 400)


def test_a_text_in_the_field_is_no_file(client):
    files = {"other": ("a.jpg", PHOTO)}
    assert "`image`" in refusal(client.post("/v1/recognize", data={"image": "text"}, files=files), 400)


def test_too_many_pictures_in_a_form():
    with serving(max_pictures=2) as client:
        assert client.post("/v1/recognize", **form(*[("a", PHOTO)] * 2)).status_code == 200
        assert "2 pictures" in refusal(client.post("/v1/recognize", **form(*[("a", PHOTO)] * 3)), 413)


@pytest.mark.parametrize("parts", [b'; filename="a"', b""], ids=["files", "fields"])
def test_too_many_parts_of_a_form(client, parts):
    part = b'--x\r\nContent-Disposition: form-data; name="a"%s\r\n\r\n\r\n' % parts
    assert "64" in refusal(post(client, part * 65 + b"--x--", "multipart/form-data; boundary=x"), 400)


def test_too_large_by_content_length_is_refused_unread():
    def body():
        raise AssertionError("read all the same")
        yield b""

    with serving(max_bytes=1000) as client:
        headers = {"Content-Type": "image/jpeg", "Content-Length": "1001"}
        assert "1,000" in refusal(client.post("/v1/recognize", content=body(), headers=headers), 413)


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "-1"}, {"content-length": "²"}])
def test_too_large_by_count_whatever_the_header_says(headers, kind, no_disk):
    async def scene():
        async with live(max_bytes=1000) as app:
            exchange = Exchange(app, headers, kind)
            exchange.give(PART)
            for _ in range(20):
                exchange.give(b"x" * 300)
            assert await exchange.done() == 413
            assert exchange.read == len(PART) + 1200  # the piece that went over the cap is the last
            assert app.state.service.uploads.held == 0

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


def test_a_form_in_pieces():
    async def scene():
        async with live() as app:
            exchange = Exchange(app, kind="multipart/form-data; boundary=x")
            whole = PART + PHOTO + b"\r\n" + PART + PHOTO + b"\r\n--x--\r\n"
            for start in range(0, len(whole), 7):
                exchange.give(whole[start : start + 7])
            exchange.give(b"", more=False)
            assert await exchange.done() == 200
            assert [len(row["plates"]) for row in json.loads(exchange.body)["rows"]] == [2, 2]
            assert app.state.service.uploads.held == 0

    play(scene())


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_a_slow_upload(kind, no_disk):
    async def scene():
        async with live(upload_seconds=0.2) as app:
            exchange = Exchange(app, {"content-length": "5000"}, kind)
            exchange.give(PART + PHOTO[:100])
            assert await exchange.done() == 408
            assert b"within 0.2 seconds" in exchange.body
            assert exchange.headers[b"connection"] == b"close"
            assert app.state.service.uploads.held == 0

    play(scene())


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_a_client_that_goes_in_the_middle_of_its_upload(kind, no_disk):
    async def scene():
        async with live() as app:
            exchange = Exchange(app, kind=kind)
            exchange.give(PART + bytes(2_000_000))
            exchange.leave()
            assert await exchange.done() == 499
            assert app.state.service.uploads.held == 0
            assert app.state.service.batcher.pending == 0

    play(scene())


def test_no_more_bodies_than_memory_for_them(monkeypatch):
    monkeypatch.setattr(uploads, "HELD", 500)

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
            assert app.state.service.uploads.held == 0

    play(scene())


def test_a_form_of_many_large_files_touches_no_disk(client, no_disk):
    large = encode_png(np.random.default_rng(0).integers(200, 256, (900, 900, 3), np.uint8))
    assert len(large) > 1_500_000
    answer = client.post("/v1/recognize", **form(("a.png", large), ("b.png", large)))
    assert [row["width"] for row in answer.json()["rows"]] == [900, 900]
