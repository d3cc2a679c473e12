"""The networks that ship, on photos as nobody should take them: an answer or none, never an exception."""

import numpy as np
import pytest

from pipeline import boxes, checkpoints
from pipeline.bundle import Bundle
from pipeline.detectors.detector import Detector
from pipeline.rendering.pasting import paste_plate
from pipeline.rendering.plates import render_plate

BUNDLE = checkpoints.SHIPPED / "export"


@pytest.fixture(scope="module", params=["detector", "fast"])
def detector(request) -> Detector:
    return Detector(Bundle.load(BUNDLE), threads=1, network=request.param)


def street(width: int, height: int, plate: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """A smooth grey picture with noise, and a rendered plate at x1, y1, x2, y2."""
    rng = np.random.default_rng(5)
    small = rng.integers(70, 130, (max(2, height // 40), max(2, width // 40), 1), dtype=np.uint8)
    image = np.repeat(np.kron(small, np.ones((40, 40, 1), np.uint8))[:height, :width], 3, axis=2)
    image = np.pad(image, [(0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)], mode="edge")
    if plate is not None:
        x1, y1, x2, y2 = plate
        corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64)
        image = paste_plate(rng, image, render_plate(rng, text="KA05MN1234", height=128).image, corners)
    return image


NOTHING = {
    "all black": np.zeros((360, 480, 3), np.uint8),
    "all white": np.full((360, 480, 3), 255, np.uint8),
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "below 32 pixels": street(30, 20),
    "a ribbon": street(2000, 3),
}


@pytest.mark.parametrize("image", NOTHING.values(), ids=NOTHING.keys())
def test_where_nothing_is_nothing_is_found(detector: Detector, image: np.ndarray) -> None:
    assert detector.detect([image], 0.4) == [[]]


PLATES = {
    "an ordinary photo": (640, 480, (250, 300, 400, 336)),
    "a panorama of 1:20": (4000, 200, (3000, 90, 3120, 120)),
    "a tower": (240, 1600, (60, 1400, 180, 1430)),
    "8000 x 6000": (8000, 6000, (3000, 3600, 4600, 3990)),
}


@pytest.mark.parametrize(("width", "height", "plate"), PLATES.values(), ids=PLATES.keys())
def test_a_plate_is_found_whatever_the_shape_of_the_photo(detector: Detector, width, height, plate) -> None:
    """It hangs on blocks of grey, not on a car: a low score will do, but it must be the best, in the right place."""
    (found,) = detector.detect([street(width, height, plate)], 0.2)
    assert found, "no plate is found"
    overlaps = boxes.iou(np.array([plate], dtype=np.float64), np.array([found[0].box.xyxy]))
    assert overlaps[0, 0] > 0.8


def test_many_photos_of_many_shapes_are_answered_in_order(detector: Detector) -> None:
    images = [street(640, 480, (250, 300, 400, 336)), NOTHING["all black"], street(480, 640, (100, 300, 250, 336))]
    together = detector.detect(images, 0.3)
    for image, found in zip(images, together, strict=True):
        (alone,) = detector.detect([image], 0.3)
        assert len(found) == len(alone)
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one.box.xyxy, other.box.xyxy, atol=0.5)
