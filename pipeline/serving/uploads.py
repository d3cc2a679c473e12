"""Uploads: a picture as the body, or several in a form, in memory and within caps on bytes, seconds and number.

async with uploads.pictures(request) as pictures:    # [(name, bytes)], counted as long as the block lasts
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pipeline.serving.batching import QueueFullError

HELD = 256 * 1024 * 1024  # bytes of all the bodies that are held at once
PARTS = 64  # of a form; ten megabytes of tiny ones would take seconds to tell apart


class Uploads:
    """Reads the pictures of requests; 413, 408, 400 or QueueFullError as soon as that is certain."""

    def __init__(self, max_bytes: int, max_pictures: int, seconds: float) -> None:
        self.held = 0
        self._max_bytes, self._max_pictures, self._seconds = max_bytes, max_pictures, seconds

    @asynccontextmanager
    async def pictures(self, request: Request) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The name and bytes of each picture; a client that goes away meanwhile is a ClientDisconnect."""
        too_large = HTTPException(413, f"the body is larger than the cap of {self._max_bytes:,} bytes")
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed) > self._max_bytes:
            raise too_large
        size = 0

        async def counted() -> AsyncGenerator[bytes, None]:
            nonlocal size
            async for chunk in request.stream():
                if size + len(chunk) > self._max_bytes:  # the header may be missing, or a lie
                    raise too_large
                if self.held + len(chunk) > HELD:
                    raise QueueFullError(1)
                size += len(chunk)
                self.held += len(chunk)
                yield chunk

        try:
            try:
                async with asyncio.timeout(self._seconds):
                    if is_form(request):
                        found = await self._files(request, counted())
                    else:
                        found = [("body", b"".join([chunk async for chunk in counted()]))]
            except TimeoutError:
                says = f"the body did not arrive within {self._seconds:g} seconds"
                raise HTTPException(408, says, {"Connection": "close"}) from None
            yield found
        finally:
            self.held -= size

    async def _files(self, request: Request, body: AsyncGenerator[bytes, None]) -> list[tuple[str, bytes]]:
        """The name and bytes of each file in a form's field `image`."""
        parser = _FormParser(request.headers, body, max_files=PARTS, max_fields=PARTS)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, f"the form cannot be read: {error.message}") from None
        if not parser.ended:
            raise HTTPException(400, "the form ends in the middle: its last boundary is missing")
        files = [one for one in form.getlist("image") if isinstance(one, UploadFile)]
        if not files:
            raise HTTPException(400, "no file in a field `image` of the form")
        if len(files) > self._max_pictures:
            raise HTTPException(413, f"more than {self._max_pictures} pictures in a form; send them in several")
        return [(one.filename or "", await one.read()) for one in files]


class _FormParser(MultiPartParser):
    """Starlette's, which tells too whether the form's end was seen, and never writes a large file to disk."""

    spool_max_size = sys.maxsize
    ended = False

    def on_end(self) -> None:
        self.ended = True


def is_form(request: Request) -> bool:
    """Whether a request brings a form and not a picture; 415 for what is neither."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "send the body as it is, without a Content-Encoding")
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind == "application/octet-stream" or kind.startswith("image/"):
        return False
    if kind != "multipart/form-data":
        raise HTTPException(
            415,
            f"{kind[:80]} is no picture: send one as image/... or application/octet-stream, "
            "or a multipart/form-data form with fields `image`",
        )
    return True
