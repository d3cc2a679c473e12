"""A reverse proxy between us and a real server, in which requests meet with faults by a schedule.

with FaultProxy(server.url, late=1.1) as proxy:
    proxy.follow({0: Fault.BUSY, 3: Fault.CUT_AFTER})  # the first request from now on, and the fourth
    Studio(proxy.url, token, Patience(answer=1.0))
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx


class Fault(Enum):
    """What becomes of a request. `AFTER`: the server has done what was asked, and the client does not hear of it."""

    UNAUTHORIZED = "answered with 401"
    BUSY = "answered with 429 and a Retry-After"
    BROKEN = "answered with 500"
    CUT = "cut off before the server sees it"
    BROKEN_AFTER = "done, and answered with 500"
    GATEWAY_AFTER = "done, and answered with 502 and a web page"
    CUT_AFTER = "done, and cut off without an answer"
    HALF_AFTER = "done, and answered with half of the JSON"
    CUT_WITHIN_AFTER = "done, and cut off within the answer"
    LATE_ANSWER = "done, and answered when the client waits no longer"
    LATE_REQUEST = "done only when the client waits no longer"
    NO_PREDICTIONS = "the next import is done without its predictions, and answered with 201"


SLOW = (Fault.LATE_ANSWER, Fault.LATE_REQUEST)  # a schedule has one of these at most, for they take time
QUICK = tuple(fault for fault in Fault if fault not in (*SLOW, Fault.UNAUTHORIZED))
Schedule = Mapping[int, Fault]


def scheduled(seed: int, most: int, among: int) -> Schedule:
    """Faults for one to `most` of the first `among` requests; in every fifth schedule they come one upon another."""
    chance = random.Random(seed)
    places = chance.sample(range(among), chance.randint(1, most))
    if chance.random() < 0.2:
        first = chance.randrange(among - most + 1)
        places = list(range(first, first + most))
    faults = {place: chance.choice(QUICK) for place in places}
    if chance.random() < 0.15:
        faults[chance.choice(places)] = chance.choice(SLOW)
    if chance.random() < 0.3:
        faults[chance.choice(places)] = Fault.UNAUTHORIZED
    return faults


@dataclass(frozen=True)
class Request:
    """A request that came, and what it met with; None where it passed."""

    method: str
    path: str
    fault: Fault | None


class FaultProxy:
    """Listens on a free port of loopback; after `late` seconds its client waits no longer."""

    def __init__(self, target: str, late: float, retry_after: str = "3600") -> None:
        self.requests: list[Request] = []
        self._late = late
        self._retry_after = retry_after
        self._schedule: Schedule = {}
        self._always: Fault | None = None
        self._first = 0
        self._stripping = False
        self._flying = 0
        self._changed = threading.Condition()
        fresh = httpx.Limits(max_keepalive_connections=0)  # on a kept connection each answer's body is 40 ms late
        self._target = httpx.Client(base_url=target, timeout=60, verify=False, trust_env=False, limits=fresh)
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()
        self._server.shutdown()
        self._server.server_close()
        self._target.close()

    def follow(self, schedule: Schedule, always: Fault | None = None) -> None:
        """Requests from now on meet with these faults, by their number from 0, and the others with `always`."""
        with self._changed:
            self._schedule, self._always, self._first = schedule, always, len(self.requests)

    def settle(self) -> None:
        """Waits until the server has done all that it will do."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._flying == 0, timeout=60)

    def met(self) -> set[Fault]:
        return {request.fault for request in self.requests if request.fault is not None}

    def take(self, handler: _Handler, body: bytes) -> None:
        with self._changed:
            self._flying += 1
            fault = self._schedule.get(len(self.requests) - self._first, self._always)
            if fault is Fault.LATE_REQUEST and (handler.command, handler.path.rstrip("/")) == ("POST", "/api/projects"):
                fault = Fault.LATE_ANSWER  # else there are two projects of one title, which only a person can mend
            self._stripping |= fault is Fault.NO_PREDICTIONS
            if self._stripping and handler.path.split("?")[0].endswith("/import") and body.startswith(b"["):
                body = json.dumps([{**task, "predictions": []} for task in json.loads(body)]).encode()
                fault, self._stripping = Fault.NO_PREDICTIONS, False
            self.requests.append(Request(handler.command, handler.path, fault))
        try:
            self._answer(handler, body, fault)
        except OSError:  # the client went away
            handler.close_connection = True
        finally:
            with self._changed:
                self._flying -= 1
                self._changed.notify_all()

    def _answer(self, handler: _Handler, body: bytes, fault: Fault | None) -> None:
        page = b"<html><body>something went wrong</body></html>"
        match fault:
            case Fault.UNAUTHORIZED:
                return handler.send(401, b'{"detail": "Invalid token."}')
            case Fault.BUSY:
                return handler.send(429, b'{"detail": "Too many."}', {"Retry-After": self._retry_after})
            case Fault.BROKEN:
                return handler.send(500, page)
            case Fault.CUT:
                return handler.cut()
            case Fault.LATE_REQUEST:
                time.sleep(self._late)
        answer = self._forward(handler, body)
        match fault:
            case Fault.BROKEN_AFTER:
                return handler.send(500, page)
            case Fault.GATEWAY_AFTER:
                return handler.send(502, page)
            case Fault.CUT_AFTER:
                return handler.cut()
            case Fault.HALF_AFTER:
                return handler.send(answer.status_code, answer.content[: len(answer.content) // 2])
            case Fault.CUT_WITHIN_AFTER:
                handler.send(answer.status_code, answer.content[: len(answer.content) // 2], length=len(answer.content))
                return handler.cut()
            case Fault.LATE_ANSWER:
                time.sleep(self._late)
        headers = {name: value for name, value in answer.headers.items() if name in ("content-type", "location")}
        return handler.send(answer.status_code, answer.content, headers)

    def _forward(self, handler: _Handler, body: bytes) -> httpx.Response:
        dropped = {"host", "connection", "content-length", "accept-encoding"}
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in dropped}
        headers["Accept-Encoding"] = "identity"
        return self._target.request(handler.command, handler.path, content=body, headers=headers)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold each body back until the headers are acknowledged

    def do_GET(self) -> None:
        self.proxy.take(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def send(self, code: int, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if code != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass
