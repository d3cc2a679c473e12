"""An app whose recogniser knows its answers, and two ways to speak to it: a client, and message by message.

from .served import PHOTO, post, serving

with serving(max_bytes=1000) as client:
    answer = post(client, PHOTO)
"""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from contextlib import asynccontextmanager, contextmanager

import numpy as np

from pipeline.images import encode_jpeg
from pipeline.records import Box, Detection, Quad, Reading, Recognition
from pipeline.serving.http import Settings, create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have httpx2
    from fastapi.testclient import TestClient

WHITE = np.full((40, 60, 3), 255, np.uint8)
RED = np.full((4, 4, 3), (255, 0, 0), np.uint8)
PHOTO = encode_jpeg(WHITE)
BOX = Box(4, 5, 24, 15)
SURE = Recognition(Detection(BOX, Quad.of_box(BOX), 0.9), Reading("AB123", 0.97, (0.9,) * 5, "DE"))
UNSURE = Recognition(Detection(BOX, Quad.of_box(BOX), 0.5), Reading("", 0.3, (0.5,) * 3, None, "X1O"))


class FakeRecognizer:
    """A sure and an unsure plate on white pictures, none on others, an error on red ones; waits at the gate."""

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


def post(client, data=PHOTO, kind="image/jpeg", **more):
    return client.post("/v1/recognize", content=data, headers={"Content-Type": kind, **more.pop("headers", {})}, **more)


def form(*files):
    return {"files": [("image", (name, data, "image/jpeg")) for name, data in files]}


def refusal(answer, status):
    """The sentence of an error, which is all that its JSON holds."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


@asynccontextmanager
async def live(recognizer=None, **settings):
    """An app that is ready, in this loop."""
    app = create_app(recognizer or FakeRecognizer(), Settings(**settings))
    async with app.router.lifespan_context(app):
        while app.state.service.unready:
            await asyncio.sleep(0.005)
        yield app


def play(scene):
    """Runs a coroutine, half a minute at most."""
    asyncio.run(asyncio.wait_for(scene, 30))


class Exchange:
    """One POST to an app, its body given bit by bit, without a client that would set things right."""

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
