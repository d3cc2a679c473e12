"""Where a source's raw files come from: a folder, an archive, a URL with its SHA-256, or Kaggle.

Whatever the origin, a source sees a local folder. A download goes to `<sha256>.part`, resumes where it
was cut, and gets its name only when its bytes are right. An archive is read through once and refused
as a whole, before anything is written, if a member is a link, leads out of its folder, would collide
with another, or if it would unpack to more than the caps.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import urlsplit

import httpx
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from pipeline.sources.base import SourceError, check_collisions

MAX_BYTES = 64 * 2**30  # of a download, and of what an archive unpacks to
MAX_MEMBERS = 200_000
MAX_RATIO = 200  # unpacked bytes for a byte of the archive
FREE_BYTES = 50_000_000  # the ratio is not looked at below this
CHUNK = 2**20
ATTEMPTS = 5


class OriginError(SourceError):
    """An origin that cannot be reached or must not be unpacked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What an archive may hold before it is taken for a bomb."""

    bytes: int = MAX_BYTES
    members: int = MAX_MEMBERS
    ratio: int = MAX_RATIO
    free_bytes: int = FREE_BYTES


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def local_folder(origin: str, sha256: str | None, work: Path) -> Iterator[Path]:
    """The folder that an origin stands for, for the length of the block.

    Downloads are kept in `work`; what is unpacked there is removed again. A URL's SHA-256 may also
    stand in the URL itself, as `https://host/a.zip#sha256=<64 hex digits>`. Raises OriginError.
    """
    for leftover in work.glob("*.unpacked*"):  # of a killed run; a living one holds the source's lock
        shutil.rmtree(leftover)
    if "://" in origin:
        url, _, fragment = origin.partition("#")
        archive = download(url, sha256 or fragment.removeprefix("sha256="), work)
    else:
        archive = Path(origin).expanduser()
        if archive.is_dir():
            yield archive
            return
        if not archive.is_file():
            raise OriginError(f"{origin}: no such folder or archive; paths are relative to params.yaml")
        if sha256 is not None and (found := _digest(archive)) != sha256.lower():
            raise OriginError(f"{origin}: its SHA-256 is {found}, params.yaml says {sha256.lower()}")
    unpacked = work / f"{archive.name}.unpacked"
    try:
        unpack(archive, unpacked)
        yield unpacked
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def local_folders(origin: str | list[str] | None, key: str, work: Path) -> Iterator[tuple[str, Path]]:
    """(prefix, folder) of one or several origins; the prefix keeps their pictures apart, "" where there is one.

    `key` names the setting in params.yaml for the OriginError where it is not set.
    """
    origins = [origin] if isinstance(origin, str) else origin
    if not origins:
        raise OriginError(f"{key} is not set: give it a folder, a .zip or .tar.gz, or a URL#sha256=..., in params.yaml")
    names = [PurePosixPath(urlsplit(one).path).name.split(".")[0] for one in origins]
    if len({name.casefold() for name in names} - {""}) < len(names):
        names = [str(number) for number in range(len(names))]
    for name, one in zip(names, origins, strict=True):
        with local_folder(one, None, work) as folder:
            yield ("" if len(origins) == 1 else f"{name}/"), folder


def kagglehub_folder(handle: str, version: int, again: bool = False) -> Path:
    """Kaggle's data set of that version, downloaded once to kagglehub's cache (or `again`)."""
    import kagglehub

    try:
        return Path(kagglehub.dataset_download(f"{handle}/versions/{version}", force_download=again))
    except Exception as error:  # whatever its HTTP client, its archive reader or its login raise
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise OriginError(
            f"kagglehub cannot get {handle} version {version}: {reason}. Try again, or download it from "
            f"https://www.kaggle.com/datasets/{handle} and set kaggle.origin to the .zip or its folder"
        ) from None


# Downloads


class _InterruptedError(Exception):
    """A download that may well succeed when tried again."""


def download(url: str, sha256: str, work: Path, wait: float = 1.0) -> Path:
    """The file of that SHA-256, from `work` if it is there, else from the URL; resumed after a cut.

    Bytes that are wrong are thrown away and fetched again once. `wait` is the first pause between
    attempts, in seconds; each next one is twice as long. Raises OriginError.
    """
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"  # a signed URL's secret stays out of messages
    if parts.scheme not in ("http", "https"):
        raise OriginError(f"{shown}: only http and https URLs can be downloaded")
    sha256 = sha256.lower()
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise OriginError(f"{shown}: a URL needs its file's SHA-256 (64 hex digits) beside it in params.yaml")
    work.mkdir(parents=True, exist_ok=True)
    target, part = work / sha256, work / f"{sha256}.part"
    if target.exists():
        if _digest(target) == sha256:
            return target
        target.unlink()
    found = page = ""
    for _ in range(2):
        _fetch_with_retries(url, shown, part, wait)
        if (found := _digest(part)) == sha256:
            part.replace(target)
            return target
        page = "; it looks like a web page" if _is_web_page(part) else ""
        part.unlink()
    raise OriginError(f"{shown}: wrong bytes, twice: SHA-256 {found}, expected {sha256}{page}")


def _fetch_with_retries(url: str, shown: str, part: Path, wait: float) -> None:
    retrying = Retrying(
        retry=retry_if_exception_type(_InterruptedError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=wait, max=60),
        reraise=True,
    )
    try:
        retrying(_fetch, url, shown, part)
    except _InterruptedError as error:
        raise OriginError(f"{shown}: {error}; gave up after {ATTEMPTS} attempts. Run it again to resume") from None


def _fetch(url: str, shown: str, part: Path) -> None:
    """Adds to `part` what is missing of it, or starts it over where the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with httpx.stream("GET", url, headers=headers, timeout=30, follow_redirects=True) as response:
            if response.status_code == 416 and have:
                return  # nothing is missing: the digest decides
            if response.status_code in (408, 429) or response.status_code >= 500:
                raise _InterruptedError(f"the server answers {response.status_code}")
            if response.status_code not in (200, 206):
                raise OriginError(f"{shown}: the server answers {response.status_code} {response.reason_phrase}")
            resumes = response.status_code == 206
            if resumes and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                raise _InterruptedError("the server sends another range than it was asked for")
            _save(response, part, have if resumes else 0)
    except httpx.TransportError as error:
        raise _InterruptedError(f"connection lost: {error or type(error).__name__}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OriginError(f"{shown}: {error}") from None


def _save(response: httpx.Response, part: Path, have: int) -> None:
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with part.open("ab" if have else "wb") as file, Progress(*columns) as progress:
        task = progress.add_task("Downloading", total=total, completed=have)
        for chunk in response.iter_raw():
            have += len(chunk)
            if have > MAX_BYTES:
                raise OriginError(f"the download is larger than the cap of {MAX_BYTES:,} bytes")
            file.write(chunk)
            progress.advance(task, len(chunk))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Archives


def unpack(archive: Path, into: Path, caps: Caps | None = None) -> None:
    """Unpacks a .zip, .tar or .tar.gz, told by its content, to the new folder `into`.

    All members are looked at first; `into` appears by rename, whole. Raises OriginError, and then
    nothing is left of it.
    """
    caps = caps or Caps()
    beside = into.with_name(f"{into.name}.partial")
    for leftover in (into, beside):
        if leftover.exists():
            shutil.rmtree(leftover)
    try:
        with _members(archive, caps) as members:
            _check(members, archive, caps)
            _write(members, beside)
        beside.rename(into)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise OriginError(f"{archive.name}: damaged archive: {error}; get it again") from None
    except NotImplementedError as error:
        raise OriginError(f"{archive.name}: {error}; pack it again as a plain .zip or .tar.gz") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _members(archive: Path, caps: Caps) -> AbstractContextManager[list[_Member]]:
    with archive.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_members(archive)
    if head.startswith(b"\x1f\x8b"):
        return _tar_members(archive, cast(IO[bytes], gzip.open(archive, "rb")), caps)
    if head[257:262] == b"ustar":
        return _tar_members(archive, archive.open("rb"), caps)
    looks = "looks like a web page" if _is_web_page(archive) else "neither .zip nor .tar nor .tar.gz"
    raise OriginError(f"{archive.name}: not an archive: {looks}; nothing was unpacked")


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<script", b"<!--", b"<?xml"))


@contextmanager
def _zip_members(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as opened:
        members = []
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise OriginError(f"{archive.name}: {info.orig_filename!r} is a link or a device; nothing was unpacked")
            if info.flag_bits & 1:
                raise OriginError(f"{archive.name}: {info.orig_filename!r} is encrypted; unpack it by hand")
            opener = partial(opened.open, info)
            members.append(_Member(info.orig_filename, info.file_size, info.is_dir(), opener))
        yield members


@contextmanager
def _tar_members(archive: Path, stream: IO[bytes], caps: Caps) -> Iterator[list[_Member]]:
    bounded = cast(IO[bytes], _Bounded(stream, archive.name, _budget(archive, caps)))
    with stream, tarfile.open(fileobj=bounded, mode="r:") as opened:
        members = []
        for info in opened:
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise OriginError(f"{archive.name}: {info.name!r} is a link or a device; nothing was unpacked")
            members.append(_Member(info.name, info.size, info.isdir(), partial(_extract, opened, info)))
            if info.size < 0 or len(members) > caps.members:
                break  # _check refuses it
        yield members


def _extract(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = opened.extractfile(info)
    assert file is not None  # a regular file, or _tar_members had refused it
    return file


class _Bounded:
    """A stream that is read in small pieces up to a budget, so that no header makes tarfile swallow it whole."""

    def __init__(self, stream: IO[bytes], name: str, budget: int) -> None:
        self._stream, self._name, self._budget = stream, name, budget

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 16 * CHUNK:
            raise OriginError(f"{self._name}: a header of {size:,} bytes: taken for a bomb; nothing was unpacked")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if not 0 <= position <= self._budget:
            raise OriginError(
                f"{self._name}: unpacks to over {self._budget:,} bytes: taken for a bomb; nothing was unpacked"
            )


def _budget(archive: Path, caps: Caps) -> int:
    """Bytes that an archive of this size may unpack to."""
    return min(caps.bytes, max(caps.free_bytes, caps.ratio * archive.stat().st_size))


def _check(members: Sequence[_Member], archive: Path, caps: Caps) -> None:
    """OriginError if any member's name, or the sum of them, must not be unpacked."""
    if len(members) > caps.members:
        raise OriginError(f"{archive.name}: more than {caps.members:,} members: taken for a bomb; nothing was unpacked")
    if any(member.size < 0 for member in members):
        raise OriginError(f"{archive.name}: a member of negative size; nothing was unpacked")
    total, budget = sum(member.size for member in members), _budget(archive, caps)
    if total > budget:
        raise OriginError(
            f"{archive.name}: {archive.stat().st_size:,} bytes that unpack to {total:,} (cap {budget:,}): "
            "taken for a bomb; nothing was unpacked"
        )
    for member in members:
        path = PurePosixPath(member.name)
        unsafe = any(character in member.name for character in "\\\0") or (
            len(member.name) > 1 and member.name[1] == ":"
        )
        if path.is_absolute() or ".." in path.parts or unsafe:
            raise OriginError(
                f"{archive.name}: {member.name!r} leads out of its folder or is no plain path; nothing was unpacked"
            )
    try:
        check_collisions([member.name.rstrip("/") for member in members if not member.is_folder])
    except SourceError as error:
        raise OriginError(f"{archive.name}: {error}; nothing was unpacked") from None


def _write(members: Sequence[_Member], into: Path) -> None:
    into.mkdir(parents=True)
    for member in track(members, "Unpacking"):
        target = into / member.name
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        left = member.size
        with member.open() as source, target.open("xb") as file:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise OriginError(f"{member.name}: larger than its header says: taken for a bomb")
                file.write(chunk)
