"""Rendered plates as a detector would cut them out: of the shape asked for, readable, the same for the same seed."""

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS, MAX_LENGTH
from pipeline.records import UNKNOWN_REGION
from pipeline.rendering import cropping
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.cropping import render_crop


@pytest.mark.parametrize("seed", range(40))
def test_a_crop_is_of_the_height_asked_for_with_a_text_of_the_alphabet(seed: int) -> None:
    crop, plate = render_crop(np.random.default_rng(seed))
    assert crop.dtype == np.uint8
    assert crop.shape[0] == 64
    assert crop.shape[2] == 3
    assert 32 <= crop.shape[1] <= 2.7 * 192
    assert 1 <= len(plate.text) <= MAX_LENGTH
    assert set(plate.text) <= set(CHARACTERS)
    assert plate.rows in (1, 2)
    assert plate.region in Catalogue.shipped().regions
    assert crop.std() > 4, "nothing to be seen"


def test_another_height() -> None:
    assert render_crop(np.random.default_rng(0), height=32)[0].shape[0] == 32


def test_the_same_seed_gives_the_same_crop() -> None:
    first, second = (render_crop(np.random.default_rng(11)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1].text, first[1].char_boxes) == (second[1].text, second[1].char_boxes)


def test_only_the_catalogue_s_kinds_are_drawn() -> None:
    layouts = Catalogue.shipped().of("ES")
    found = [render_crop(np.random.default_rng(seed), catalogue=Catalogue(layouts, 0.0))[1] for seed in range(30)]
    for plate in found:
        assert plate.region == ("ES" if any(layout.fits(plate.text) for layout in layouts) else UNKNOWN_REGION)
    assert {plate.region for plate in found} == {"ES", UNKNOWN_REGION}  # a free text is no country's


def test_crops_keep_their_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    honest = cropping._exposed

    def watched(*arguments):  # type: ignore[no-untyped-def]
        image, contrast = honest(*arguments)
        kept.append(contrast)
        return image, contrast

    monkeypatch.setattr(cropping, "_exposed", watched)
    for seed in range(120):
        render_crop(np.random.default_rng(seed))
    assert len(kept) == 120
    assert np.quantile(kept, 0.03) > 30
