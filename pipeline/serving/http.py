"""`alpr serve`: a recogniser over HTTP, with a page to drop a photo on. Nothing that comes in is written to disk.

run(Recognizer.load(folder), Settings(version=version_of(folder)))
curl -H 'Content-Type: image/jpeg' --data-binary @car.jpg http://127.0.0.1:8000/v1/recognize
curl -F image=@car.jpg -F image=@van.png http://127.0.0.1:8000/v1/recognize
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import html
import ipaddress
import itertools
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import quote

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, MultipartState, parse_options_header
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import images
from pipeline.images import RGB, ImageError
from pipeline.readers.decoding import ReaderError
from pipeline.recognizer import MIN_SCORE
from pipeline.records import Recognition
from pipeline.serving import rows
from pipeline.serving.batching import Batcher, Place, QueueFullError, StoppedError
from pipeline.serving.rows import Row

log = logging.getLogger("alpr.serve")

Result = TypeVar("Result")

PAGE = Path(__file__).parent / "page.html"
SWAGGER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5"
KEYS = "ALPR_API_KEYS"
CLIENT_GONE = 499  # nobody sees it but the log and the metrics; the number is nginx's
DECODERS = 2  # threads that decode
DECODED = 8  # pictures that lie decoded at once: a gigabyte, if each is as large as may be
BUFFERED = 256 * 1024 * 1024  # bytes of all the bodies that are held at once
PARTS = 64  # of a form; ten megabytes of tiny ones would take seconds to tell apart
PROBES = {"/healthz", "/readyz", "/metrics"}  # too frequent to be worth a line each


class Recognizes(Protocol):
    """A Recognizer, or what stands in for one."""

    def recognize(self, images: list[RGB], min_score: float = MIN_SCORE) -> list[list[Recognition]]: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve. `patience` is the most seconds until an answer; None takes twice what a picture alone takes."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    model: str = "alpr"
    version: str = ""
    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = images.MAX_PIXELS
    max_pictures: int = 16
    upload_seconds: float = 30.0
    patience: float | None = None
    batch: int = 4
    show_texts: bool = False  # of plates, in the log

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port {self.port} is none: choose one from 1 to 65535")
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached by others: set {KEYS} to one or more keys, with commas between, "
                "or serve on 127.0.0.1"
            )


def keys_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The API keys in ALPR_API_KEYS, with commas between."""
    return tuple(key for part in environment.get(KEYS, "").split(",") if (key := part.strip()))


def version_of(bundle: Path) -> str:
    """A bundle's version: its bundle.json names the SHA-256 of every file, so its own stands for all of them."""
    return images.sha256((bundle / "bundle.json").read_bytes())[:12]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(recognizer: Recognizes, settings: Settings) -> None:
    """Serves until Ctrl-C or SIGTERM; ValueError if the address cannot be had."""
    listening = _bound(settings.host, settings.port)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # whose warnings are our 400
    log.info("alpr serves on http://%s:%d, its API is described at /docs", address, listening.getsockname()[1])
    config = uvicorn.Config(
        create_app(recognizer, settings),
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # our own line says more, and less of what was asked
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    with contextlib.suppress(KeyboardInterrupt), listening:
        uvicorn.Server(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise ValueError(f"cannot serve on {host}, port {port} ({error}); choose another --host or --port") from None


# What is answered, for the description at /docs; a test holds real answers against it.


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str


class PlateRow(BaseModel):
    """One plate. Boxes are x1, y1, x2, y2 and corners clockwise from the plate's own top left, in pixels."""

    box: list[float]
    corners: list[list[float]]
    score: float
    text: str
    guess: str
    text_score: float
    char_scores: list[float]
    region: str | None


class PictureRow(BaseModel):
    """A picture's plates, best first. A plate not read surely has an empty text, and the best guess beside it."""

    image: str
    width: int
    height: int
    plates: list[PlateRow]


class ErrorRow(BaseModel):
    """A picture that could not be used."""

    image: str
    error: str


class Picture(PictureRow):
    """The answer to a picture sent as the body."""

    model: Model


class Pictures(BaseModel):
    """The answer to a form: a row for each file, in order."""

    model: Model
    rows: list[PictureRow | ErrorRow]


class Error(BaseModel):
    """What was wrong, in a sentence."""

    error: str


_PLATE = {
    "box": [143.7, 214.43, 270.7, 245.31],
    "corners": [[143.7, 214.43], [270.7, 215.21], [268.45, 245.31], [144.53, 244.81]],
    **{"score": 0.8044, "text": "B12ABC", "guess": "", "text_score": 0.9992},
    **{"char_scores": [1.0, 1.0, 1.0, 0.9996, 1.0, 0.9998], "region": "RO"},
}
_ROW = {"image": "car.jpg", "width": 400, "height": 332, "plates": [_PLATE]}
_MODEL = {"model": {"name": "alpr", "version": "3f0c4dc20a1b"}}
_EXAMPLES = {
    "picture": {"summary": "A picture as the body", "value": {**_ROW, "image": "body", **_MODEL}},
    "form": {
        "summary": "A form with two files",
        "value": {**_MODEL, "rows": [_ROW, {"image": "notes.txt", "error": "not an image of a known format"}]},
    },
}
_ERRORS = {
    400: ("Not an image, a damaged one, or a form that cannot be read", "not an image of a known format"),
    401: ("No API key, or a wrong one", "this server asks for an API key: Authorization: Bearer KEY, or X-API-Key"),
    408: ("The body did not arrive in time", "the body did not arrive within 30 seconds"),
    413: ("Too many bytes, pixels or pictures", "the body is larger than the cap of 10,485,760 bytes"),
    415: ("Neither a picture nor a form", "send the picture as image/... or application/octet-stream, or a form"),
    422: ("A wrong value in the query", "min_score: Input should be less than or equal to 1"),
    500: ("The recogniser failed; the server's log says why", "the recogniser failed on this picture"),
    503: ("Too much to do, or not ready yet; Retry-After says when to come back", "too many pictures are waiting"),
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
_BODY = {
    "required": True,
    "content": {"image/*": _BINARY, "application/octet-stream": _BINARY, "multipart/form-data": {"schema": _FORM}},
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        says, example = _ERRORS[status]
        content = {"application/json": {"example": {"error": example}}}
        described[status] = {"model": Error, "description": says, "content": content}
        if status == 503:
            described[status]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return described


class Metrics:
    """What Prometheus is told. A registry of its own, so that two apps in one process do not count together."""

    def __init__(self, settings: Settings, pending: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("alpr_requests", "Requests", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "alpr_request_seconds",
            "Seconds from a request's first line to its answer's last",
            ["path"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 30),
            registry=self.registry,
        )
        self.batch = Histogram(
            "alpr_batch_size", "Pictures in a call of the recogniser", buckets=(1, 2, 4, 8, 16), registry=self.registry
        )
        self.pictures = Counter("alpr_pictures", "Pictures answered", ["outcome"], registry=self.registry)
        self.plates = Counter("alpr_plates", "Plates found", ["outcome"], registry=self.registry)
        Gauge("alpr_queue_depth", "Pictures waiting or in work", registry=self.registry).set_function(pending)
        model = Gauge("alpr_model", "The model that answers", ["name", "version"], registry=self.registry)
        model.labels(settings.model, settings.version).set(1)

    def count(self, row: Row) -> None:
        """A row that was answered."""
        self.pictures.labels("failed" if "error" in row else "recognized").inc()
        for plate in row.get("plates", []):
            self.plates.labels("read" if plate["text"] else "not read").inc()


class Observed:
    """Counts each request, and logs it in a line that tells no plate and no file name."""

    def __init__(self, app: ASGIApp, metrics: Metrics, show_texts: bool) -> None:
        self._app, self._metrics, self._show_texts = app, metrics, show_texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = getattr(scope.get("route"), "path", "other")  # not what was asked: anyone could invent names without end
        self._metrics.requests.labels(path, status).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        level = logging.DEBUG if path in PROBES else logging.INFO
        line = f"{scope['method']} {quote(scope['path'])} {status} in {1000 * seconds:.0f} ms"
        texts: list[str] | None = scope.get("state", {}).get("texts")
        if texts is not None:
            line += f", {len(texts)} plate{'' if len(texts) == 1 else 's'}"
            line += f" ({', '.join(text or 'not read' for text in texts)})" if self._show_texts and texts else ""
        log.log(level, "%s", line)


class Service:
    """What the endpoints share: the recogniser behind its queue, the decoding threads, and the bytes that are held."""

    def __init__(self, recognizer: Recognizes, settings: Settings) -> None:
        self.settings = settings
        self.batcher = Batcher(
            recognizer.recognize,
            batch=settings.batch,
            patience=settings.patience,
            on_batch=lambda size: self.metrics.batch.observe(size),
        )
        self.metrics = Metrics(settings, lambda: self.batcher.pending)
        self.ready = False
        self._pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
        self._decoded = asyncio.Semaphore(DECODED)
        self._buffered = 0

    @contextlib.asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """From warm-up, during which /healthz answers already, to the last batch."""
        warming = asyncio.create_task(self._warm_up())
        try:
            yield
        finally:
            self.ready = False
            warming.cancel()
            await asyncio.to_thread(self.batcher.close)
            self._pool.shutdown(cancel_futures=True)

    async def _warm_up(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        try:
            says = await asyncio.to_thread(self.batcher.warm_up, noise)
        except Exception:
            log.exception("not ready: the recogniser failed on its first picture")
            return
        self.batcher.start()
        self.ready = True
        log.info("ready: %s", says)

    async def in_pool(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments))

    @contextlib.asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """A request's body, counted as long as the block lasts; 413, 408 or 503 as soon as that is certain."""
        held, size, limit = bytearray(), 0, self.settings.max_bytes
        too_large = HTTPException(413, f"the body is larger than the cap of {limit:,} bytes")
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed) > limit:
            raise too_large
        try:
            try:
                async with asyncio.timeout(self.settings.upload_seconds):
                    async for chunk in _chunks(request):
                        if size + len(chunk) > limit:  # the header may be missing, or a lie
                            raise too_large
                        if self._buffered + len(chunk) > BUFFERED:
                            raise QueueFullError(1)
                        size += len(chunk)
                        self._buffered += len(chunk)
                        held += chunk
            except TimeoutError:
                says = f"the body did not arrive within {self.settings.upload_seconds:g} seconds"
                raise HTTPException(408, says, {"Connection": "close"}) from None
            data = bytes(held)
            held.clear()
            yield data
        finally:
            self._buffered -= size

    async def answer(self, request: Request, min_score: float, region: str | None) -> Response:
        """The answer to a POST of pictures."""
        kind, boundary = _kind(request)
        if not self.ready:
            raise HTTPException(503, "the model is warming up", {"Retry-After": "1"})
        settle = None if region is None else await self.in_pool(_settler, region)
        self.batcher.check()  # before the upload, which would be for nothing
        async with self.body(request) as data:
            if kind == "multipart/form-data":
                files = await self.in_pool(_files, data, boundary, self.settings.max_pictures)
            else:
                files = [("body", data)]
            answered = await _unless_gone(request, self._recognized(files, min_score, settle))
        for _, row in answered:
            self.metrics.count(row)
        plates = [plate for _, row in answered for plate in row.get("plates", [])]
        request.state.texts = [plate["text"] for plate in plates]
        model = {"model": {"name": self.settings.model, "version": self.settings.version}}
        status = min(status for status, _ in answered)  # 200 if any picture could be used
        said = {} if status == 200 else {"error": next(row["error"] for own, row in answered if own == status)}
        headers = {"Retry-After": "5"} if status == 503 else {}
        if kind == "multipart/form-data":
            return _json(status, said | model | {"rows": [row for _, row in answered]}, headers)
        return _json(status, said or answered[0][1] | model, headers)

    async def _recognized(
        self, files: list[tuple[str, bytes]], min_score: float, settle: Settle | None
    ) -> list[tuple[int, Row]]:
        with self.batcher.admit(len(files)) as place:
            return await asyncio.gather(*(self._one(place, name, data, min_score, settle) for name, data in files))

    async def _one(
        self, place: Place, name: str, data: bytes, min_score: float, settle: Settle | None
    ) -> tuple[int, Row]:
        """A picture's status and row; one that fails harms no other."""
        try:
            header = await self.in_pool(images.read_header, data)
            pixels = header.stored_width * header.stored_height
            if pixels > self.settings.max_pixels:
                says = f"a picture of {pixels:,} pixels, more than the cap of {self.settings.max_pixels:,}"
                return 413, rows.of_error(name, says)
            async with self._decoded:
                image = await self.in_pool(images.decode, data, self.settings.max_pixels)
                found = await asyncio.wrap_future(place.submit(image, min_score))
            return 200, rows.of_recognitions(name, image, settle(found) if settle else found)
        except ImageError as error:
            return 400, rows.of_error(name, str(error))
        except StoppedError as error:
            return 503, rows.of_error(name, str(error))
        except Exception:
            log.exception("the recogniser failed on a picture")
            return 500, rows.of_error(name, "the recogniser failed on this picture; the server's log says why")


Settle = Callable[[list[Recognition]], list[Recognition]]


def _settler(region: str) -> Settle:
    """Settles characters that look alike by what a country's plates can say; ReaderError for an unknown country."""
    from pipeline.readers.syntax import layouts_of, settle  # with YAML: only for those who ask

    layouts = layouts_of(region)
    return lambda found: [replace(one, reading=settle(one.reading, layouts)) for one in found]


def _kind(request: Request) -> tuple[str, bytes]:
    """The body's media type, and a form's boundary; 415 for what is neither a picture nor a form."""
    said, options = parse_options_header(request.headers.get("content-type", "application/octet-stream"))
    kind = said.decode("latin-1")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "send the body as it is, without a Content-Encoding")
    if kind == "multipart/form-data":
        if not options.get(b"boundary"):
            raise HTTPException(400, "a form without a boundary in its Content-Type")
    elif kind != "application/octet-stream" and not kind.startswith("image/"):
        raise HTTPException(
            415,
            f"{kind[:80]} is no picture: send one as image/... or application/octet-stream, "
            "or a multipart/form-data form with fields `image`",
        )
    return kind, options.get(b"boundary", b"")


def _files(data: bytes, boundary: bytes, most: int) -> list[tuple[str, bytes]]:
    """The name and bytes of each file in the field `image` of a form, all of it in memory."""
    found: list[tuple[str, bytes]] = []
    parts = itertools.count(1)

    def look(part: Field | File) -> None:
        if next(parts) > PARTS:
            raise HTTPException(400, f"more than {PARTS} fields in a form")
        if not isinstance(part, File) or part.field_name != b"image":
            return
        if len(found) == most:
            raise HTTPException(413, f"more than {most} pictures in a form; send them in several")
        part.file_object.seek(0)
        found.append(((part.file_name or b"").decode(errors="replace"), part.file_object.read()))

    # Larger than any body, or the parser would write large files to disk.
    parser = FormParser(
        "multipart/form-data", look, look, boundary=boundary, config={"MAX_MEMORY_FILE_SIZE": 2 * len(data) + 1}
    )
    try:
        parser.write(data)
        parser.finalize()
    except FormParserError as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from None
    if getattr(parser.parser, "state", None) != MultipartState.END:
        raise HTTPException(400, "the form ends in the middle: its last boundary is missing")
    if not found:
        raise HTTPException(400, "no file in a field `image` of the form")
    return found


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives; 499 if the client goes before its end."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(CLIENT_GONE, "the client went away")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work gives, which is cancelled if the client goes away meanwhile."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(CLIENT_GONE, "the client went away")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})


def _failed(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return _json(status, {"error": sentence}, headers)


_bearer = HTTPBearer(auto_error=False, description=f"One of the server's {KEYS}")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


def _guard(api_keys: tuple[str, ...]) -> Callable[..., None]:
    """Lets requests in that bring one of the keys, and all of them where there are none."""
    known = [key.encode() for key in api_keys]

    def let_in(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        key: Annotated[str | None, Depends(_header)],
    ) -> None:
        brought = (key or (bearer.credentials if bearer else "")).encode("latin-1")
        # A sum, not any(): each key is compared, and in full, so how long it takes tells nothing about them.
        if known and not sum(hmac.compare_digest(brought, one) for one in known):
            raise HTTPException(401, _ERRORS[401][1], {"WWW-Authenticate": "Bearer"})

    return let_in


def _page() -> tuple[str, str]:
    """The page, and the policy that lets it run its own script and talk to this server, and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    sums = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"
    )
    return text, f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _docs() -> str:
    """The API in a page: in short, and where there is internet Swagger UI takes its place."""
    errors = "".join(f"<tr><th>{status}<td>{html.escape(says)}" for status, (says, _) in _ERRORS.items())
    answer = html.escape(json.dumps(_EXAMPLES["picture"]["value"]))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Licence plates: API</title>
<body><div id="swagger-ui" style="font-family: sans-serif; max-width: 50rem; margin: auto; padding: 1rem">
<h1>POST v1/recognize</h1>
<pre style="overflow: auto">curl -H 'Content-Type: image/jpeg' --data-binary @car.jpg http://HOST/v1/recognize?min_score=0.4
curl -F image=@car.jpg -F image=@van.png http://HOST/v1/recognize</pre>
<pre style="white-space: pre-wrap">{answer}</pre>
<p>A form is answered with one of <code>rows</code> for each file. Errors are {{"error": a sentence}}:
<table style="text-align: left">{errors}</table>
<p><a href="openapi.json">openapi.json</a> says all of it; <a href="healthz">healthz</a>,
<a href="readyz">readyz</a> and <a href="metrics">metrics</a> are for those who run the server.</div>
<script>
const load = (tag, what) => document.head.append(Object.assign(document.createElement(tag), what));
load("script", {{src: "{SWAGGER}/swagger-ui-bundle.js", onload() {{
  load("link", {{rel: "stylesheet", href: "{SWAGGER}/swagger-ui.css"}});
  SwaggerUIBundle({{url: "openapi.json", dom_id: "#swagger-ui"}});
}}}});
</script>"""


def create_app(recognizer: Recognizes, settings: Settings) -> FastAPI:
    """The service as an ASGI app. Warm-up begins with its lifespan, and ends with /readyz answering 200."""
    service = Service(recognizer, settings)
    app = FastAPI(
        title="Licence plates",
        description="Finds and reads licence plates in photos. A page to try it is at [/](/). Nothing is stored.",
        version=settings.version or "1",
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
    )
    app.state.service = service
    app.add_middleware(Observed, metrics=service.metrics, show_texts=settings.show_texts)
    guarded = [Depends(_guard(settings.api_keys))]
    page, policy = _page()

    @app.post(
        "/v1/recognize",
        summary="Find and read the plates of a picture, or of several",
        dependencies=guarded,
        response_model=None,
        responses={
            200: {
                "model": Picture | Pictures,
                "description": "A row for a picture sent as the body; rows for the files of a form. A form with a "
                "picture that can be used is answered with 200, and the others' rows say what is wrong with them.",
                "content": {"application/json": {"examples": _EXAMPLES}},
            },
            **_errors(*_ERRORS),
        },
        openapi_extra={"requestBody": _BODY},
    )
    async def recognize(
        request: Request,
        min_score: Annotated[
            float, Query(ge=0, le=1, description="Plates found with a lower score are left out")
        ] = MIN_SCORE,
        region: Annotated[
            str | None, Query(max_length=8, description="A country's code: 0 and O ... are told apart by its plates")
        ] = None,
    ) -> Response:
        """Send the picture as the body, or a form with one or more files in its field `image`."""
        return await service.answer(request, min_score, region)

    @app.get("/healthz", summary="Is the server alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Is the model loaded and warm?", responses=_errors(503))
    async def readyz() -> dict[str, str]:
        if not service.ready:
            raise HTTPException(503, "the model is warming up", {"Retry-After": "1"})
        return {"status": "ready", "model": settings.model, "version": settings.version}

    @app.get("/metrics", summary="Figures for Prometheus", dependencies=guarded, responses=_errors(401))
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_docs())

    _explain(app)
    return app


def _explain(app: FastAPI) -> None:
    """Makes every error a sentence in JSON."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _failed(error.status_code, error.detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _failed(422, "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()))

    @app.exception_handler(ReaderError)
    async def unknown_region(_: Request, error: ReaderError) -> Response:
        return _failed(422, str(error))

    @app.exception_handler(QueueFullError)
    async def full(_: Request, error: QueueFullError) -> Response:
        return _failed(503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(StoppedError)
    async def stopped(_: Request, error: StoppedError) -> Response:
        return _failed(503, str(error), {"Retry-After": "5"})

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return _failed(500, "the server failed on this request; its log says why")
