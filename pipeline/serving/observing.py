"""What is told of the requests: figures for Prometheus, and a line each in the log, without plates or file names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.rows import Row

PROBES = {"/healthz", "/readyz", "/metrics"}  # too frequent to be worth a line each

log = logging.getLogger("alpr.serve")


class Metrics:
    """What Prometheus is told. A registry of its own, so that two apps in one process do not count together."""

    def __init__(self, model: str, version: str, pending: Callable[[], int]) -> None:
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
        names = Gauge("alpr_model", "The model that answers", ["name", "version"], registry=self.registry)
        names.labels(model, version).set(1)

    def count(self, row: Row) -> None:
        """A row that was answered."""
        self.pictures.labels("failed" if "error" in row else "recognized").inc()
        for plate in row.get("plates", []):
            self.plates.labels("read" if plate["text"] else "not read").inc()


class Observed:
    """Middleware that counts each request and logs it; with `show_texts` its plates too."""

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
        line = f"{scope['method']} {quote(scope['path'])} {status} in {1000 * seconds:.0f} ms"
        texts: list[str] | None = scope.get("state", {}).get("texts")
        if texts is not None:
            line += f", {len(texts)} plate{'' if len(texts) == 1 else 's'}"
            line += f" ({', '.join(text or 'not read' for text in texts)})" if self._show_texts and texts else ""
        log.log(logging.DEBUG if path in PROBES else logging.INFO, "%s", line)
