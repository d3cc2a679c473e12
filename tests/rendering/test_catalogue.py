"""The kinds of plate that are drawn: every country's file, without some, and kinds that exist nowhere."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.records import UNKNOWN_REGION
from pipeline.rendering.catalogue import FOLDER, Catalogue, invented_layout
from pipeline.rendering.layouts import Layout, read_layouts
from pipeline.rendering.plates import render_plate
from pipeline.rendering.texts import random_text

FILES = sorted(FOLDER.glob("*.yaml"))


def layout(region: str, weight: float = 1.0) -> Layout:
    return Layout(region=region, size=(520, 110), patterns=("A9",), paints=("black on white",), weight=weight)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_country_s_file_is_read_and_each_of_its_layouts_drawn(path: Path) -> None:
    layouts = read_layouts(path)
    assert layouts == Catalogue.shipped().of(path.stem)
    rng = np.random.default_rng(2)
    for kind in layouts:
        for pattern in kind.patterns:
            shown = random_text(kind.model_copy(update={"patterns": (pattern,)}), rng, free=0.0)
            assert kind.fits(shown), f"{shown!r} of {pattern!r} in {kind.name!r}"
        plate = render_plate(rng, kind, shown, height=64)
        assert plate.image.shape[1] / 64 == pytest.approx(kind.aspect, rel=0.06)
        assert (plate.image.shape[0], plate.rows, plate.region) == (64, kind.rows, path.stem)
        assert len(plate.char_boxes) == len(plate.text)


def test_the_shipped_ones_are_many() -> None:
    shipped = Catalogue.shipped()
    assert len(FILES) >= 45
    assert {kind.rows for kind in shipped.layouts} == {1, 2}
    assert any("[" in pattern for kind in shipped.layouts for pattern in kind.patterns), "none with stacked characters"


def test_regions_are_the_files_in_order_and_at_the_end_no_country() -> None:
    assert Catalogue.shipped().regions == (*(path.stem for path in FILES), UNKNOWN_REGION)


def test_without_some_countries() -> None:
    whole = Catalogue((layout("AA"), layout("BB"), layout("CC"), layout("BB")), invented=0.4)
    left = whole.without(["BB", "XX"])
    assert [kind.region for kind in left.layouts] == ["AA", "CC"]
    assert left.regions == ("AA", "CC", UNKNOWN_REGION)
    assert left.invented == 0.4
    assert left.of("BB") == ()
    assert len(whole.of("BB")) == 2
    assert whole.without([]) == whole


CHOICES = {
    "by weight": (0.0, {"AA": 0.75, "BB": 0.25}),
    "some invented": (0.4, {"AA": 0.45, "BB": 0.15, UNKNOWN_REGION: 0.4}),
    "all invented": (1.0, {UNKNOWN_REGION: 1.0}),
}


@pytest.mark.parametrize(("invented", "shares"), CHOICES.values(), ids=CHOICES.keys())
def test_common_kinds_are_chosen_more_often(invented: float, shares: dict[str, float]) -> None:
    catalogue = Catalogue((layout("AA", 3.0), layout("BB", 1.0)), invented)
    rng = np.random.default_rng(0)
    found = Counter(catalogue.choose(rng).region for _ in range(1000))
    assert {region: count / 1000 for region, count in found.items()} == pytest.approx(shares, abs=0.05)


def test_invented_layouts_differ_belong_nowhere_and_are_sound() -> None:
    rng = np.random.default_rng(4)
    made = [invented_layout(rng) for _ in range(60)]
    assert {kind.region for kind in made} == {UNKNOWN_REGION}
    assert len({(kind.size, kind.paints, kind.patterns) for kind in made}) == 60
    assert [kind.problem() for kind in made] == [None] * 60
    assert {kind.rows for kind in made} == {1, 2}
    for kind in made:
        assert kind.fits(random_text(kind, rng, free=0.0))
        assert render_plate(rng, kind, height=64).rows in (1, kind.rows)
