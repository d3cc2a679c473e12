"""Decoding: a picture comes out upright in RGB8, anything else is refused in words, and no bomb goes off."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline import images
from pipeline.images import ImageError, decode, read_header
from pipeline.records import Box, Quad

# 6 x 4 pixels, no two sides alike: red top-left, green top-right, blue bottom-left, white bottom-right.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PICTURE = np.zeros((4, 6, 3), np.uint8)
PICTURE[:2, :3], PICTURE[:2, 3:], PICTURE[2:, :3], PICTURE[2:, 3:] = RED, GREEN, BLUE, WHITE


def saved(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(PICTURE).convert(mode)


def turned(orientation: int) -> np.ndarray:
    """PICTURE as it is stored by a camera that writes `orientation`: undone by the turn that the tag asks for."""
    stored = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: np.rot90(PICTURE, 1),
        7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PICTURE, -1),
    }
    return np.ascontiguousarray(stored[orientation])


def with_orientation(orientation: int, form: str, pixels: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    return saved(Image.fromarray(pixels), form, exif=exif, **options)


def with_exif_behind_the_pixels(orientation: int, pixels: np.ndarray) -> bytes:
    """A PNG whose eXIf chunk stands after IDAT, as the format allows."""
    data = saved(Image.fromarray(pixels), "PNG")
    exif = Image.Exif()
    exif[0x0112] = orientation
    payload = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(payload)) + b"eXIf" + payload + struct.pack(">I", zlib.crc32(b"eXIf" + payload))
    end = data.index(b"IEND") - 4
    return data[:end] + chunk + data[end:]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "PNG, tag behind the pixels"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright_and_the_header_says_so(orientation: int, form: str) -> None:
    stored = turned(orientation)
    if form.endswith("pixels"):
        data = with_exif_behind_the_pixels(orientation, stored)
    else:
        data = with_orientation(orientation, form, stored)
    upright = decode(data)
    assert upright.shape == (4, 6, 3)
    np.testing.assert_allclose(upright.astype(int), PICTURE, atol=90 if form == "JPEG" else 0)
    header = read_header(data)
    assert header.size == (6, 4)
    assert (header.stored_height, header.stored_width) == stored.shape[:2]
    assert (header.orientation, header.frames) == (orientation, 1)


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    data = with_orientation(orientation, "PNG", PICTURE)
    np.testing.assert_array_equal(decode(data), PICTURE)
    assert read_header(data).size == (6, 4)


def animated(form: str) -> bytes:
    frames = [picture(), Image.new("RGB", (6, 4), BLUE)]
    return saved(frames[0], form, save_all=True, append_images=frames[1:], duration=50, **_lossless(form))


def _lossless(form: str) -> dict:
    return {"lossless": True} if form == "WEBP" else {}


def grey16(values: list[list[int]], form: str) -> bytes:
    return saved(Image.fromarray(np.array(values, np.uint16)), form)


def rgb16() -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads but does not write."""
    rows = b"".join(b"\x00" + (row.astype(">u2") * 257).tobytes() for row in PICTURE)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def see_through(mode: str) -> bytes:
    """The right half is transparent red: over white it is white."""
    layered = Image.fromarray(np.dstack([PICTURE, np.full((4, 6), 255, np.uint8)]))
    pixels = np.array(layered)
    pixels[:, 3:] = (255, 0, 0, 0)
    return saved(Image.fromarray(pixels).convert(mode), "PNG")


def palette_with_transparency(form: str) -> bytes:
    image = Image.new("P", (6, 4))
    image.putpalette([*RED, *GREEN, *BLUE, *WHITE])
    indices = np.zeros((4, 6), np.uint8)
    indices[:2, 3:], indices[2:, :3], indices[2:, 3:] = 1, 2, 3
    image.frombytes(indices.tobytes())
    return saved(image, form, transparency=1)  # green is seen through


HALF_WHITE = np.where(np.arange(6)[None, :, None] < 3, PICTURE, 255)
GREEN_IS_WHITE = np.where((PICTURE == GREEN).all(axis=2, keepdims=True), 255, PICTURE)
GREY = np.asarray(picture("L"))
MODES = {
    "RGB": (saved(picture(), "PNG"), PICTURE),
    "BMP": (saved(picture(), "BMP"), PICTURE),
    "grey": (saved(picture("L"), "PNG"), np.dstack([GREY] * 3)),
    "one bit": (saved(Image.fromarray(GREY > 100), "PNG"), np.dstack([(GREY > 100) * 255] * 3)),
    "palette": (saved(picture().quantize(8), "PNG"), PICTURE),
    "palette with transparency, PNG": (palette_with_transparency("PNG"), GREEN_IS_WHITE),
    "palette with transparency, GIF": (palette_with_transparency("GIF"), GREEN_IS_WHITE),
    "RGBA over white": (see_through("RGBA"), HALF_WHITE),
    "16-bit colour": (rgb16(), PICTURE),
    "16-bit grey, PNG": (grey16([[0, 257, 32896, 65535]], "PNG"), [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]),
    "16-bit grey, TIFF": (grey16([[0, 257, 32896, 65535]], "TIFF"), [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]),
    "16-bit grey that holds 8 bits": (grey16([[0, 100, 255]], "PNG"), [[[0] * 3, [100] * 3, [255] * 3]]),
    "CMYK, TIFF": (saved(picture("CMYK"), "TIFF"), PICTURE),
    "animated GIF: the first frame": (animated("GIF"), PICTURE),
    "animated WebP: the first frame": (animated("WEBP"), PICTURE),
    "animated PNG: the first frame": (animated("PNG"), PICTURE),
}


@pytest.mark.parametrize(("data", "expected"), MODES.values(), ids=MODES.keys())
def test_every_mode_becomes_rgb8(data: bytes, expected) -> None:
    rgb = decode(data)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_allclose(rgb.astype(int), expected, atol=1)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    np.testing.assert_allclose(decode(saved(flat, "JPEG", quality=95))[8, 8], RED, atol=12)


@pytest.mark.parametrize(("form", "frames"), [("GIF", 2), ("WEBP", 2), ("PNG", 2)])
def test_the_header_counts_frames(form: str, frames: int) -> None:
    assert read_header(animated(form)).frames == frames


JPEG = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)), "JPEG")
PNG = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)), "PNG")
REFUSED = {
    "empty": (b"", "empty file"),
    "text": (b"<html>log in first</html>", "not an image of a known format"),
    "a signature and nothing else": (PNG[:8], "not an image"),
    "JPEG cut in half": (JPEG[: len(JPEG) // 2], "cannot be decoded: .*truncated"),
    "JPEG without its last bytes": (JPEG[:-40], "cannot be decoded: .*truncated"),
    "PNG cut in half": (PNG[: len(PNG) // 2], "cannot be decoded: .*truncated"),
    "GIF cut in half": (animated("GIF")[:30], "image|decoded"),
    "a flipped byte in a PNG": (PNG[:200] + bytes([PNG[200] ^ 255]) + PNG[201:], "cannot be decoded"),
    "a format that is not ours": (saved(picture(), "PPM"), "format PPM is not supported"),
    "an icon": (saved(Image.new("RGBA", (16, 16)), "ICO"), "format ICO is not supported"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_picture_is_refused_in_words(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags that it skips
def test_damage_is_refused_and_nothing_else_is_raised() -> None:
    """Bytes flipped anywhere give a picture or an ImageError."""
    rng = np.random.default_rng(7)
    seeds = [JPEG, PNG, animated("GIF"), saved(picture(), "WEBP"), with_orientation(6, "TIFF", PICTURE)]
    refused = 0
    for trial in range(300):
        data = np.frombuffer(seeds[trial % len(seeds)], np.uint8).copy()
        data[rng.integers(0, min(len(data), 300), rng.integers(1, 9))] = rng.integers(0, 256)
        for look in (decode, read_header):
            try:
                look(data.tobytes())
            except ImageError:
                refused += 1
    assert refused > 50


def png_that_says(width: int, height: int) -> bytes:
    """A well-formed PNG header, one bit a pixel, with next to no pixels behind it."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


BOMBS = {
    "30000 x 30000": (30_000, 30_000, "30000 x 30000 pixels, more than the cap"),
    "10000 x 10000": (10_000, 10_000, "10000 x 10000 pixels, more than the cap of 40,000,000"),
    "one pixel row over the cap": (8_000, 5_001, "8000 x 5001 pixels"),
    "a ribbon": (40_000_001, 1, "40000001 x 1 pixels"),
}


@pytest.mark.parametrize(("width", "height", "message"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_from_its_header(width: int, height: int, message: str) -> None:
    data = png_that_says(width, height)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ImageError, match=message):
        decode(data)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1
    assert peak < 5_000_000


def test_the_cap_is_the_callers() -> None:
    data = saved(picture(), "PNG")
    assert decode(data, max_pixels=24).shape == (4, 6, 3)
    with pytest.raises(ImageError, match="6 x 4 pixels, more than the cap of 23"):
        decode(data, max_pixels=23)


def test_read_image_names_the_file(tmp_path) -> None:
    good, bad, missing = tmp_path / "good.png", tmp_path / "bad.jpg", tmp_path / "missing.jpg"
    good.write_bytes(saved(picture(), "PNG"))
    bad.write_bytes(JPEG[:-40])
    np.testing.assert_array_equal(images.read_image(good), PICTURE)
    with pytest.raises(ImageError, match=r"bad\.jpg: cannot be decoded"):
        images.read_image(bad)
    with pytest.raises(ImageError, match=r"missing\.jpg: No such file"):
        images.read_image(missing)
    with pytest.raises(ImageError, match="Is a directory"):
        images.read_image(tmp_path)


def test_what_is_encoded_is_decoded() -> None:
    np.testing.assert_array_equal(decode(images.encode_png(PICTURE)), PICTURE)
    flat = np.full((16, 16, 3), (200, 60, 10), np.uint8)
    np.testing.assert_allclose(decode(images.encode_jpeg(flat)).astype(int), flat, atol=4)
    assert images.encode_jpeg(flat) == images.encode_jpeg(flat.copy())
    assert len(images.encode_jpeg(PICTURE, 30)) < len(images.encode_jpeg(PICTURE, 100))


def test_sha256_is_that_of_the_bytes() -> None:
    assert images.sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# stored (width, height), orientation, pixels of the longer side that are enough, then shrunk and pixels (height, width)
PHOTOS = {
    "a camera's": ((4000, 3000), 1, 1920, 2, (1500, 2000)),
    "turned": ((400, 300), 6, 100, 4, (100, 75)),
    "odd sides": ((401, 299), 1, 100, 4, (75, 101)),
    "almost square": ((400, 399), 1, 200, 2, (200, 200)),
    "an eighth at most": ((1600, 1200), 1, 10, 8, (150, 200)),
    "just not large enough": ((399, 300), 1, 200, 1, (300, 399)),
    "panorama": ((1600, 500), 1, 100, 1, (500, 1600)),
}


@pytest.mark.parametrize(("size", "orientation", "enough", "shrunk", "shape"), PHOTOS.values(), ids=PHOTOS.keys())
def test_a_jpeg_far_larger_than_needed_is_decoded_smaller(size, orientation, enough, shrunk, shape) -> None:
    """A white square 8 pixels off the upright photo's left and top is found at its place, divided by `shrunk`."""
    exif = Image.Exif()
    exif[274] = orientation
    upright = size if orientation == 1 else size[::-1]
    drawn = np.zeros((upright[1], upright[0], 3), np.uint8)
    drawn[8:40, 8:72] = 255
    stored = drawn if orientation == 1 else np.rot90(drawn)
    photo = images.decode_photo(saved(Image.fromarray(stored), "JPEG", exif=exif), enough)
    assert (photo.width, photo.height, photo.shrunk, photo.pixels.shape[:2]) == (*upright, shrunk, shape)
    rows, columns = np.nonzero(photo.pixels[..., 0] > 127)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * shrunk
    np.testing.assert_allclose(found, (8, 8, 72, 40), atol=shrunk)


def test_a_photo_cut_short_is_refused_at_any_size() -> None:
    data = saved(Image.fromarray(np.zeros((600, 800, 3), np.uint8)), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        images.decode_photo(data[:-200], 100)
    png = images.decode_photo(saved(Image.fromarray(np.zeros((600, 800, 3), np.uint8)), "PNG"), 100)
    assert (png.pixels.shape, png.width, png.height, png.shrunk) == ((600, 800, 3), 800, 600, 1)


def checkerboard(across: int, down: int, cell: int) -> np.ndarray:
    """Cells of black and white, the first one red: so that a turn or a mirror is seen."""
    cells = (np.indices((down, across)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board = np.dstack([cells] * 3)
    board[0, 0] = RED
    return board.repeat(cell, axis=0).repeat(cell, axis=1)


QUADS = {
    "upright": Quad((100, 60), (260, 60), (260, 140), (100, 140)),
    "tilted": Quad((100, 80), (250, 40), (270, 118), (120, 158)),
    "seen from the side": Quad((90, 40), (240, 70), (240, 120), (90, 150)),
    "on its head": Quad((260, 140), (100, 140), (100, 60), (260, 60)),
    "on its side": Quad((200, 20), (200, 180), (120, 180), (120, 20)),
}


@pytest.mark.parametrize("quad", QUADS.values(), ids=QUADS.keys())
def test_rectify_gives_back_what_was_drawn(quad: Quad) -> None:
    import cv2

    board = checkerboard(8, 4, 16)  # 128 x 64
    corners = np.array([[0, 0], [128, 0], [128, 64], [0, 64]], np.float32)
    transform = cv2.getPerspectiveTransform(corners, np.array(quad.points, np.float32))
    photo = cv2.warpPerspective(board, transform, (320, 200), flags=cv2.INTER_AREA)
    flat = images.rectify(photo, quad, height=64, max_width=512)
    assert flat.shape[0] == 64
    flat = cv2.resize(flat, (128, 64))
    middles = (slice(8, None, 16), slice(8, None, 16))
    np.testing.assert_allclose(flat[middles].astype(int), board[middles], atol=60)


WIDTHS = {
    "its own aspect": (Quad.of_box(Box(10, 10, 50, 30)), 128),
    "square": (Quad.of_box(Box(10, 10, 30, 30)), 64),
    "thin: at least half its height": (Quad.of_box(Box(10, 10, 12, 90)), 32),
    "long: no wider than asked": (Quad.of_box(Box(0, 10, 100, 12)), 512),
    "no height at all": (Quad((0, 5), (40, 5), (40, 5), (0, 5)), 512),
    "a point": (Quad((5, 5), (5, 5), (5, 5), (5, 5)), 32),
    "outside the photo": (Quad.of_box(Box(500, 500, 540, 520)), 128),
}


@pytest.mark.parametrize(("quad", "width"), WIDTHS.values(), ids=WIDTHS.keys())
def test_rectify_keeps_to_its_size(quad: Quad, width: int) -> None:
    photo = np.full((100, 100, 3), 9, np.uint8)
    assert images.rectify(photo, quad).shape == (64, width, 3)


CROPS = {
    "inside": (Box(2, 3, 6, 5), 0.0, (2, 3, 6, 5)),
    "fractions: every pixel touched": (Box(2.4, 3.6, 5.2, 4.1), 0.0, (2, 3, 6, 5)),
    "a margin of its own size": (Box(4, 4, 8, 6), 0.5, (2, 3, 10, 7)),
    "over the top-left": (Box(-5, -5, 3, 2), 0.0, (0, 0, 3, 2)),
    "over the bottom-right": (Box(17, 8, 40, 40), 0.0, (17, 8, 20, 10)),
    "a margin over every edge": (Box(1, 1, 19, 9), 1.0, (0, 0, 20, 10)),
    "thinner than a pixel": (Box(4.2, 4.2, 4.3, 4.3), 0.0, (4, 4, 5, 5)),
    "at the last pixel": (Box(20, 10, 21, 11), 0.0, (19, 9, 20, 10)),
    "far outside: still a pixel": (Box(100, 100, 120, 110), 0.0, (19, 9, 20, 10)),
    "far outside, on the other side": (Box(-120, -110, -100, -90), 0.0, (0, 0, 1, 1)),
}


@pytest.mark.parametrize(("box", "margin", "kept"), CROPS.values(), ids=CROPS.keys())
def test_crop(box: Box, margin: float, kept) -> None:
    image = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    x1, y1, x2, y2 = kept
    cut = images.crop(image, box, margin)
    np.testing.assert_array_equal(cut, image[y1:y2, x1:x2])
    assert cut.flags.c_contiguous
