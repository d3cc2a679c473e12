"""The region that a second look shows, at the photo's edges and beyond, and its coordinates."""

import numpy as np
import pytest

from pipeline.detectors.refining import ACROSS, DOWN, FILL, look, region_of, to_look, to_photo
from pipeline.records import Box

BOXES = {
    "wide": Box(100, 50, 228, 78),
    "square": Box(10, 10, 50, 50),
    "tall": Box(10, 10, 20, 90),
    "a line": Box(0, 20, 300, 21),
    "at a fraction of a pixel": Box(10.3, 20.7, 74.9, 52.2),
    "left of the photo": Box(-200, -30, -140, -4),
    "a pixel": Box(5, 5, 6, 6),
    "less than a pixel": Box(5.2, 5.2, 5.3, 5.25),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_a_region_holds_its_box_in_the_middle_and_has_a_looks_aspect(box: Box) -> None:
    x1, y1, x2, y2 = region_of(*box.xyxy)
    width, height = x2 - x1, y2 - y1
    assert width >= max(10, ACROSS * box.width - 1)
    assert height >= max(4, DOWN * box.height - 1)
    assert width == pytest.approx(2.5 * height, abs=2)
    assert x1 <= box.x1 < box.x2 <= x2
    assert y1 <= box.y1 < box.y2 <= y2
    assert (x1 + x2, y1 + y2) == pytest.approx((box.x1 + box.x2, box.y1 + box.y2), abs=2.01)


def test_a_region_is_no_larger_than_it_must_be() -> None:
    assert region_of(100, 50, 164, 82) == (52, 34, 212, 98)  # 64 x 32: twice its height decides
    assert region_of(0, 0, 100, 10) == (-35, -29, 135, 39)  # its width decides


# region of a photo of 160 x 64 white pixels -> what of a look, in its own pixels, is white
LOOKS = {
    "the photo": ((0, 0, 160, 64), (0, 0, 160, 64)),
    "inside": ((40, 16, 120, 48), (0, 0, 160, 64)),
    "over the top left": ((-80, -32, 80, 32), (80, 32, 160, 64)),
    "over the bottom right": ((80, 32, 240, 96), (0, 0, 80, 32)),
    "over all edges": ((-160, -64, 320, 128), (54, 22, 106, 42)),
    "left of it": ((-200, 0, -40, 64), None),
    "touching it": ((160, 0, 320, 64), None),
    "above it": ((0, -900, 160, -836), None),
    "far from it": ((2000, 2000, 2010, 2004), None),
}


@pytest.mark.parametrize(("region", "white"), LOOKS.values(), ids=LOOKS.keys())
def test_outside_the_photo_a_look_is_grey(region, white) -> None:
    seen = look(np.full((64, 160, 3), 255, np.uint8), region)
    assert (seen.shape, seen.dtype) == ((64, 160, 3), np.uint8)
    if white is None:
        assert (seen == FILL).all()
        return
    x1, y1, x2, y2 = white
    assert (seen[y1:y2, x1:x2] == 255).all()
    beyond = np.ones((64, 160), bool)
    beyond[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = False
    assert (seen[beyond] == FILL).all()


def test_points_of_the_photo_and_of_a_look() -> None:
    region = region_of(31, -7, 97, 20)
    points = np.random.default_rng(0).uniform(-50, 200, (5, 4, 2))
    np.testing.assert_allclose(to_photo(to_look(points, region), region), points, atol=1e-9)
    x1, y1, x2, y2 = region
    np.testing.assert_allclose(to_look(np.array([(x1, y1), (x2, y2)]), region), [(-0.5, -0.5), (0.5, 0.5)])
