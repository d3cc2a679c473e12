"""`alpr serve`: a recogniser over HTTP, with a page to drop a photo on. Nothing that comes in is written to disk.

run(Recognizer.load(folder), Settings(version=version_of(folder)))
curl -H 'Content-Type: image/jpeg' --data-binary @car.jpg http://127.0.0.1:8000/v1/recognize
curl -F image=@car.jpg -F image=@van.png http://127.0.0.1:8000/v1/recognize
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import cv2
import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline import images
from pipeline.images import RGB, ImageError, TooManyPixelsError
from pipeline.readers.decoding import ReaderError
from pipeline.recognizer import ENOUGH, MIN_SCORE
from pipeline.records import Recognition
from pipeline.serving import api_description, pages, rows
from pipeline.serving.api_keys import KEYS, guard, is_loopback
from pipeline.serving.batching import Batcher, BusyError, Place, StoppedError
from pipeline.serving.observing import Metrics, Observed, log
from pipeline.serving.rows import Row
from pipeline.serving.uploads import Uploads, is_form

Result = TypeVar("Result")
Settle = Callable[[list[Recognition]], list[Recognition]]

CLIENT_GONE = 499  # nobody sees it but the log and the metrics; the number is nginx's
DECODERS = 2  # pictures that are decoded at once
LOW = 0.05  # score at which a drawn plate is found too
DECODED = 8  # pictures that lie decoded at once: a gigabyte, if each is as large as may be


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


def version_of(bundle: Path) -> str:
    """A bundle's version: its bundle.json names the SHA-256 of every file, so its own stands for all of them."""
    return images.sha256((bundle / "bundle.json").read_bytes())[:12]


def run(recognizer: Recognizes, settings: Settings) -> None:
    """Serves until Ctrl-C or SIGTERM; ValueError if the address cannot be had."""
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # whose warnings are our 400
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
    with contextlib.suppress(KeyboardInterrupt), _bound(settings.host, settings.port) as listening:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # or what is left to atexit would not be done
        log.info("alpr serves on http://%s:%d, its API is described at /docs", address, listening.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise ValueError(f"cannot serve on {host}, port {port} ({error}); choose another --host or --port") from None


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
        self.metrics = Metrics(settings.model, settings.version, lambda: self.batcher.pending)
        self.uploads = Uploads(settings.max_bytes, settings.max_pictures, settings.upload_seconds)
        self.unready = "the model is warming up"  # or why else no picture is taken; empty once it is ready
        self._decoding, self._decoded = asyncio.Semaphore(DECODERS), asyncio.Semaphore(DECODED)

    @contextlib.asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """From warm-up, during which /healthz answers already, to the last batch."""
        warming = asyncio.create_task(self._warm_up())
        try:
            yield
        finally:
            warming.cancel()
            await asyncio.to_thread(self.batcher.close)

    async def _warm_up(self) -> None:
        try:
            says = await asyncio.to_thread(self.batcher.warm_up, plate(), LOW)
        except Exception:
            log.exception("not ready: the recogniser failed on its first picture")
            self.unready = "the recogniser failed on its first picture; the server's log says why"
            return
        self.batcher.start()
        self.unready = ""
        log.info("ready: %s", says)

    def check_ready(self) -> None:
        """Raises BusyError as long as no picture is taken."""
        if self.unready:
            raise BusyError(self.unready, retry_after=1)

    async def answer(self, request: Request, min_score: float, region: str | None) -> Response:
        """The answer to a POST of pictures."""
        form = is_form(request)
        self.check_ready()
        settle = None if region is None else await asyncio.to_thread(_settler, region)
        self.batcher.check()  # before the upload, which would be for nothing
        async with self.uploads.pictures(request) as pictures:
            answered = await _unless_gone(request, self._recognized(pictures, min_score, settle))
        for _, row in answered:
            self.metrics.count(row)
        plates = [plate for _, row in answered for plate in row.get("plates", [])]
        request.state.texts = [plate["text"] for plate in plates]
        model = {"model": {"name": self.settings.model, "version": self.settings.version}}
        status = min(status for status, _ in answered)  # 200 if any picture could be used
        said = {} if status == 200 else {"error": next(row["error"] for own, row in answered if own == status)}
        headers = {"Retry-After": "5"} if status == 503 else {}
        if form:
            return _json(status, said | model | {"rows": [row for _, row in answered]}, headers)
        return _json(status, said or answered[0][1] | model, headers)

    async def _recognized(
        self, pictures: list[tuple[str, bytes]], min_score: float, settle: Settle | None
    ) -> list[tuple[int, Row]]:
        with self.batcher.admit(len(pictures)) as place:
            return await asyncio.gather(*(self._one(place, name, data, min_score, settle) for name, data in pictures))

    async def _one(
        self, place: Place, name: str, data: bytes, min_score: float, settle: Settle | None
    ) -> tuple[int, Row]:
        """A picture's status and row; one that fails harms no other."""
        try:
            async with self._decoded:
                async with self._decoding:
                    photo = await asyncio.to_thread(images.decode_photo, data, ENOUGH, self.settings.max_pixels)
                found = await asyncio.wrap_future(place.submit(photo.pixels, min_score))
            return 200, rows.of_recognitions(name, photo, settle(found) if settle else found)
        except TooManyPixelsError as error:
            return 413, rows.of_error(name, str(error))
        except ImageError as error:
            return 400, rows.of_error(name, str(error))
        except StoppedError as error:
            return 503, rows.of_error(name, str(error))
        except Exception:
            log.exception("the recogniser failed on a picture")
            return 500, rows.of_error(name, "the recogniser failed on this picture; the server's log says why")


def plate() -> RGB:
    """A drawn plate, RGB uint8 (240, 320, 3), so that a recogniser has something to find and to read."""
    image = np.full((240, 320, 3), 96, np.uint8)
    cv2.rectangle(image, (124, 111), (196, 128), (255, 255, 255), cv2.FILLED)
    cv2.putText(image, "AB 1234", (128, 124), cv2.FONT_HERSHEY_SIMPLEX, 0.47, (20, 20, 20), 1, cv2.LINE_AA)
    return image


def _settler(region: str) -> Settle:
    """Settles characters that look alike by what a country's plates can say; ReaderError for an unknown country."""
    from pipeline.readers.syntax import layouts_of, settle  # with YAML: only for those who ask

    layouts = layouts_of(region)
    return lambda found: [replace(one, reading=settle(one.reading, layouts)) for one in found]


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work gives, which is cancelled if the client goes away meanwhile."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


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
    guarded = [Depends(guard(settings.api_keys))]

    @app.post(
        "/v1/recognize",
        summary="Find and read the plates of a picture, or of several",
        dependencies=guarded,
        response_model=None,
        responses=api_description.ANSWERS,
        openapi_extra=api_description.BODY,
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

    @app.get("/readyz", summary="Is the model loaded and warm?", responses=api_description.errors(503))
    async def readyz() -> dict[str, str]:
        service.check_ready()
        return {"status": "ready", "model": settings.model, "version": settings.version}

    @app.get(
        "/metrics",
        summary="Figures for Prometheus",
        dependencies=guarded,
        responses=api_description.errors(401),
    )
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.get("/", include_in_schema=False)(pages.photo_page)
    app.get("/docs", include_in_schema=False)(pages.docs_page)
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

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> Response:
        return _failed(503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return _failed(CLIENT_GONE, "the client went away")

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return _failed(500, "the server failed on this request; its log says why")


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})


def _failed(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return _json(status, {"error": sentence}, headers)
