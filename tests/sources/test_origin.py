"""Downloads that are cut, lied to or refused; archives that must not be unpacked."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.sources import origin
from pipeline.sources.base import SourceError, check_collisions
from pipeline.sources.origin import Caps, OriginError, download, local_folder, local_folders, unpack

BODY = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(BODY).hexdigest()
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class Web:
    """A server on this machine: what each successive request gets is scripted; the ranges asked for are kept."""

    def __init__(self, *script: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.script, self.ranges = list(script), list[str | None]()

    @contextmanager
    def serving(self) -> Iterator[str]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.ranges.append(self.headers.get("Range"))
                web.script[min(len(web.ranges), len(web.script)) - 1](self)

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/data/set.zip"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def sends(body: bytes, status: int = 200, cut_at: int | None = None, length: int | None = None):
    """Answers with a body from the start, whatever range is asked for; `cut_at` drops the connection there."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body[:cut_at])

    return answer


def resumes(body: bytes):
    """Answers the range that is asked for, as a good server does."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            sends(b"", 416)(handler)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start:])

    return answer


@pytest.mark.parametrize(
    ("script", "ranges"),
    [
        pytest.param([sends(BODY)], [None], id="whole"),
        pytest.param([sends(BODY, cut_at=1000), resumes(BODY)], [None, "bytes=1000-"], id="cut, then resumed"),
        pytest.param([sends(BODY, cut_at=1000), sends(BODY)], [None, "bytes=1000-"], id="cut, server cannot resume"),
        pytest.param([sends(b"", 503), sends(b"", 429), sends(BODY)], [None] * 3, id="busy, then well"),
        pytest.param([sends(BODY[::-1]), resumes(BODY)], [None, None], id="wrong bytes, fetched once again"),
    ],
)
def test_download_ends_with_the_pinned_bytes(tmp_path: Path, script: list, ranges: list) -> None:
    web = Web(*script)
    with web.serving() as url:
        assert download(url, DIGEST, tmp_path, wait=0.01).read_bytes() == BODY
    assert web.ranges == ranges
    assert [path.name for path in tmp_path.iterdir()] == [DIGEST]


@pytest.mark.parametrize(
    ("leftover", "content", "ranges"),
    [
        pytest.param(DIGEST, BODY, [], id="there already: no request"),
        pytest.param(DIGEST, BODY[::-1], [None], id="right size, wrong bytes"),
        pytest.param(f"{DIGEST}.part", BODY[:5000], ["bytes=5000-"], id="an earlier run's part"),
        pytest.param(f"{DIGEST}.part", BODY, [f"bytes={len(BODY)}-"], id="a part that is whole"),
        pytest.param(f"{DIGEST}.part", BODY[::-1], [f"bytes={len(BODY)}-", None], id="a whole part of wrong bytes"),
        pytest.param(f"{DIGEST}.part", b"?" * 9000, ["bytes=9000-", None], id="a part of something else"),
    ],
)
def test_leftovers_are_used_only_with_the_right_bytes(
    tmp_path: Path, leftover: str, content: bytes, ranges: list
) -> None:
    (tmp_path / leftover).write_bytes(content)
    web = Web(resumes(BODY))
    with web.serving() as url:
        assert download(url, DIGEST, tmp_path, wait=0.01).read_bytes() == BODY
    assert web.ranges == ranges


@pytest.mark.parametrize(
    ("script", "requests", "message"),
    [
        pytest.param([sends(b"other")], 2, "wrong bytes, twice", id="wrong bytes twice"),
        pytest.param([sends(PAGE)], 2, "it looks like a web page", id="login page"),
        pytest.param([sends(b"", 404)], 1, "answers 404", id="not there: no retry"),
        pytest.param([sends(b"", 401)], 1, "answers 401", id="not allowed: no retry"),
        pytest.param([sends(b"", 500)], origin.ATTEMPTS, "gave up after", id="never well"),
    ],
)
def test_a_download_that_fails_says_why(tmp_path: Path, script: list, requests: int, message: str) -> None:
    web = Web(*script)
    with web.serving() as url, pytest.raises(OriginError, match=message) as caught:
        download(f"{url}?token=secret", DIGEST, tmp_path, wait=0.01)
    assert len(web.ranges) == requests
    assert "secret" not in str(caught.value)
    assert not (tmp_path / DIGEST).exists()


def test_a_dead_host_is_a_sentence(tmp_path: Path) -> None:
    with Web(sends(b"")).serving() as url:
        pass
    with pytest.raises(OriginError, match="connection lost"):
        download(url, DIGEST, tmp_path, wait=0.01)


@pytest.mark.parametrize("digest", [None, "", "abc", "g" * 64])
def test_a_url_needs_a_sha256(tmp_path: Path, digest: str | None) -> None:
    with pytest.raises(OriginError, match="needs its file's SHA-256"), local_folder("http://h/a.zip", digest, tmp_path):
        pass


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: list[tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def test_a_url_may_carry_its_sha256_and_is_unpacked_for_the_block_only(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"set/a.txt": b"hello"})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    work = tmp_path / "work"
    (work / "killed.zip.unpacked.partial").mkdir(parents=True)
    with (
        Web(sends(archive.read_bytes())).serving() as url,
        local_folder(f"{url}#sha256={digest}", None, work) as folder,
    ):
        assert (folder / "set/a.txt").read_bytes() == b"hello"
    assert [path.name for path in work.iterdir()] == [digest]


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz"])
def test_good_archives_are_unpacked_whole(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "archive"
    if mode == "zip":
        make_zip(path, {"images/": b"", "images/a.txt": b"xxx", "b.txt": b"xx"})
    else:
        folder = tar_member("./images", tarfile.DIRTYPE)
        make_tar(path, [folder, tar_member("./images/a.txt", size=3), tar_member("b.txt", size=2)], mode)
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out/images/a.txt").read_bytes() == b"xxx"
    assert (tmp_path / "out/b.txt").read_bytes() == b"xx"


def linked_zip(path: Path) -> Path:
    link = zipfile.ZipInfo("images/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    return path


def lying_zip(path: Path) -> Path:
    """A zip whose directory says 10 bytes for a member of 100,000."""
    make_zip(path, {"a.txt": b"x" * 100_000})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD"))
GOOD = {"good.txt": b"good"}
MANY = {f"{n}.txt": b"" for n in range(30)}
NOISE = hashlib.shake_256(b"noise").digest(200_000)
REFUSED = {
    "zip: parent folder": (lambda p: make_zip(p, GOOD | {"../evil.txt": b""}), "leads out of its folder"),
    "zip: parent folder inside": (lambda p: make_zip(p, GOOD | {"a/../../evil.txt": b""}), "leads out of its folder"),
    "zip: absolute": (lambda p: make_zip(p, GOOD | {"/tmp/evil.txt": b""}), "leads out of its folder"),
    "zip: backslashes": (lambda p: make_zip(p, GOOD | {"..\\evil.txt": b""}), "leads out of its folder"),
    "zip: drive": (lambda p: make_zip(p, GOOD | {"C:/evil.txt": b""}), "leads out of its folder"),
    "zip: symlink": (linked_zip, "'images/link' is a link"),
    "zip: case": (lambda p: make_zip(p, {"A.txt": b"1", "a.txt": b"2"}), "'A.txt' and 'a.txt'"),
    "zip: case of a folder": (lambda p: make_zip(p, {"i": b"1", "I/a.txt": b"2"}), "'i' and 'I/a.txt'"),
    "zip: unicode form": (lambda p: make_zip(p, {COMPOSED: b"1", DECOMPOSED: b"2"}), "the same file"),
    "zip: too many": (lambda p: make_zip(p, MANY), "more than 20 members"),
    "zip: ratio": (lambda p: make_zip(p, {"a": bytes(2_000_000)}), "taken for a bomb"),
    "zip: bytes": (lambda p: make_zip(p, {"a": NOISE, "b": NOISE}), "taken for a bomb"),
    "zip: lies": (lying_zip, "damaged archive"),
    "zip: cut": (lambda p: cut(make_zip(p, {"a": NOISE}), 0.5), "damaged archive"),
    "tar: parent folder": (
        lambda p: make_tar(p, [tar_member("good"), tar_member("../evil")]),
        "leads out of its folder",
    ),
    "tar: absolute": (lambda p: make_tar(p, [tar_member("/tmp/evil")]), "leads out of its folder"),
    "tar: symlink": (lambda p: make_tar(p, [tar_member("l", tarfile.SYMTYPE, "/etc/passwd")]), "'l' is a link"),
    "tar: hardlink": (lambda p: make_tar(p, [tar_member("l", tarfile.LNKTYPE, "good")]), "'l' is a link"),
    "tar: device": (lambda p: make_tar(p, [tar_member("d", tarfile.CHRTYPE)]), "'d' is a link or a device"),
    "tar: case": (lambda p: make_tar(p, [tar_member("A"), tar_member("a")]), "'A' and 'a'"),
    "tar: twice": (lambda p: make_tar(p, [tar_member("a"), tar_member("a")]), "'a' and 'a'"),
    "tar: too many": (lambda p: make_tar(p, [tar_member(str(n)) for n in range(30)]), "more than 20 members"),
    "tar: ratio": (lambda p: make_tar(p, [tar_member("a", size=2_000_000)]), "taken for a bomb"),
    "tar: cut": (lambda p: cut(make_tar(p, [tar_member("a", size=90_000)], "w"), 0.5), "damaged archive"),
    "tar.gz: cut": (lambda p: cut(make_tar(p, [tar_member("a", size=90_000)]), 0.5), "damaged archive"),
    "web page": (lambda p: saved(p, b"\n " + PAGE), "not an archive: looks like a web page"),
    "neither": (lambda p: saved(p, b"hello"), "not an archive"),
    "empty": (lambda p: saved(p, b""), "not an archive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_archives_are_refused_and_leave_nothing(tmp_path: Path, case: str) -> None:
    make, message = REFUSED[case]
    archive = make(tmp_path / "archive.zip")
    caps = Caps(bytes=300_000, members=20, ratio=10, free_bytes=100_000)
    with pytest.raises(OriginError, match=message) as caught:
        unpack(archive, tmp_path / "work" / "out", caps)
    assert "archive.zip" in str(caught.value)
    left = [path for path in tmp_path.rglob("*") if path not in (archive, tmp_path / "work")]
    assert left == []


def test_a_header_cannot_make_tarfile_swallow_the_stream(tmp_path: Path) -> None:
    """A pax header that claims 4 GB is refused by its size, not read."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 4 * 2**30
    path = saved(tmp_path / "a.tar", header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(OriginError, match="bomb"):
        unpack(path, tmp_path / "out")


def test_a_stale_unpacking_is_replaced(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"new"})
    for name in ("out", "out.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old.txt").touch()
    unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "a.zip", "out"]


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        pytest.param([], None, id="empty"),
        pytest.param(["a.jpg", "b/a.jpg", "b/c.jpg", "c.jpg"], None, id="all different"),
        pytest.param(["b/a.jpg", "B/a.jpg"], "'b/a.jpg' and 'B/a.jpg'", id="case of a folder"),
        pytest.param(["straße.jpg", "STRASSE.jpg"], "same file", id="folded"),
        pytest.param(["b/a.jpg", "b"], "'b/a.jpg' and 'b'", id="a folder, then a file"),
    ],
)
def test_collisions_name_both(names: list[str], clash: str | None) -> None:
    if clash is None:
        check_collisions(names)
        return
    with pytest.raises(SourceError, match=clash):
        check_collisions(names)


def test_origins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two, tmp_path / "x/one"):
        folder.mkdir(parents=True)

    def prefixes(origins: str | list[str] | None) -> list[str]:
        return [prefix for prefix, _ in local_folders(origins, "voc.origin", tmp_path)]

    assert prefixes(str(one)) == [""]
    assert prefixes([str(one), str(two)]) == ["one/", "two/"]
    assert prefixes([str(one), str(tmp_path / "x/one")]) == ["0/", "1/"]
    for unset in (None, []):
        with pytest.raises(OriginError, match=r"voc\.origin is not set"):
            prefixes(unset)
    with pytest.raises(OriginError, match="no such folder or archive"):
        prefixes(str(tmp_path / "three"))


def test_an_archive_with_another_sha256_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"1"})
    with pytest.raises(OriginError, match="SHA-256"), local_folder(str(archive), "0" * 64, tmp_path / "work"):
        pass
