"""Metrics against tables computed by hand, against COCO's implementation, and on test sets with nothing in them."""

import json

import numpy as np
import pytest

from pipeline import metrics
from pipeline.metrics import Bootstrap, Case
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample

BOOTSTRAP = Bootstrap(resamples=200, seed=7)


def sample(
    number: int, *plates: Plate, group: str | None = None, split: str = "test", kind: str = "photo", source: str = "s"
) -> Sample:
    return Sample(
        id=f"{number:064x}",
        image=f"{number}.png",
        width=400,
        height=300,
        plates=plates,
        source=source,
        group=group or str(number),
        split=split,
        kind=kind,
    )


def detection(x: float, y: float, width: float, height: float, score: float) -> Detection:
    box = Box(x, y, x + width, y + height)
    return Detection(box, Quad.of_box(box), score)


def plate(x: float, y: float, width: float = 100, height: float = 20, **fields: object) -> Plate:
    return Plate(Box(x, y, x + width, y + height), **fields)


def reading(text: str, score: float = 0.9) -> Reading:
    return Reading(text, score)


def guess(text: str, score: float = 0.3) -> Reading:
    return Reading("", score, guess=text)


@pytest.mark.parametrize(
    ("name", "truth", "found", "threshold", "expected"),
    [
        ("nothing at all", [], [], 0.5, []),
        ("no plate", [], [[0, 0, 10, 10]], 0.5, [-1]),
        ("no detection", [[0, 0, 10, 10]], [], 0.5, []),
        ("exact", [[0, 0, 10, 10]], [[0, 0, 10, 10]], 0.5, [0]),
        ("exactly at the threshold", [[0, 0, 10, 10]], [[0, 0, 10, 5]], 0.5, [0]),
        ("below the threshold", [[0, 0, 10, 10]], [[0, 0, 10, 4.9]], 0.5, [-1]),
        ("touching", [[0, 0, 10, 10]], [[10, 0, 20, 10]], 0.5, [-1]),
        ("the second on one plate is false", [[0, 0, 10, 10]], [[0, 0, 10, 9], [0, 0, 10, 10]], 0.5, [0, -1]),
        ("each takes the one it overlaps most", [[0, 0, 10, 10], [0, 3, 10, 13]], [[0, 3, 10, 13]], 0.5, [1]),
        ("a taken plate leaves the other", [[0, 0, 10, 10], [0, 2, 10, 12]], [[0, 2, 10, 12]] * 2, 0.5, [1, 0]),
    ],
)
def test_match(name, truth, found, threshold, expected):
    truth_array, found_array = (np.array(a, dtype=float).reshape(-1, 4) for a in (truth, found))
    assert metrics.match(truth_array, found_array, threshold).tolist() == expected


def test_average_precision_by_hand():
    # Ranked: right, wrong, right, with 4 plates. Precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2; the envelope is 1 up to
    # recall 0.25 (26 of the 101 points), 2/3 up to 0.5 (25 points) and 0 beyond.
    value = metrics.average_precision(np.array([True, False, True]), np.ones((1, 3)), np.array([4.0]))
    assert value[0] == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)


def test_average_precision_weights_are_repetitions():
    right = np.array([True, False, True, True])
    repeated = metrics.average_precision(np.repeat(right, [2, 1, 0, 3]), np.ones((1, 6)), np.array([7.0]))
    weighted = metrics.average_precision(right, np.array([[2.0, 1.0, 0.0, 3.0]]), np.array([7.0]))
    assert weighted == pytest.approx(repeated)
    assert np.isnan(metrics.average_precision(right, np.ones((1, 4)), np.array([0.0]))).all()


def random_cases(seed: int, photos: int = 40, decimals: int = 1) -> list[Case]:
    """Photos with 0 to 3 plates, jittered and missed detections, duplicates and false ones; 1 decimal gives ties."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(photos):
        plates = [
            plate(*rng.uniform(0, 200, 2), *rng.uniform([40, 10], [120, 60]), text="AB12")
            for _ in range(rng.integers(4))
        ]
        found = []
        for item in plates:
            for _ in range(rng.integers(3)):
                x, y, w, h = item.box.x1, item.box.y1, item.box.width, item.box.height
                jitter = rng.normal(0, 0.12, 4) * [w, h, w, h]
                found.append(
                    detection(
                        x + jitter[0], y + jitter[1], w + jitter[2], h + jitter[3], round(rng.uniform(), decimals)
                    )
                )
        found += [
            detection(*rng.uniform(0, 250, 2), *rng.uniform(10, 90, 2), round(rng.uniform(0, 0.7), decimals))
            for _ in range(rng.integers(3))
        ]
        found.sort(key=lambda d: -d.score)
        read = tuple(reading("AB12" if rng.uniform() < 0.7 else "A812") for d in found if d.score >= 0.3)
        labelled = {i: reading("AB12" if rng.uniform() < 0.8 else "B12") for i in range(len(plates))}
        cases.append(
            Case(
                sample(number, *plates, group=str(number // 2)), tuple(found), {"network": read}, {"network": labelled}
            )
        )
    return cases


@pytest.mark.parametrize("seed", range(5))
def test_own_ap_is_cocos(seed, capsys):
    cases = random_cases(seed)
    ranking = metrics.rank(cases)
    ap50 = metrics.ap_estimate(ranking, [0], BOOTSTRAP)
    ap50_95 = metrics.ap_estimate(ranking, range(10), BOOTSTRAP)
    assert (ap50.value, ap50_95.value) == pytest.approx(metrics.coco_ap(cases), abs=1e-9)
    assert ap50.low < ap50.value < ap50.high
    assert capsys.readouterr() == ("", "")


def test_own_ap_of_a_resample_is_cocos_of_the_repeated_photos():
    cases = random_cases(3, photos=12, decimals=9)
    ranking = metrics.rank(cases)
    counts = np.array([2, 0, 1, 3, 1, 1], dtype=float)  # of the six groups, in the order of their names
    groups = sorted({case.sample.group for case in cases})
    repeated = [
        case for group, n in zip(groups, counts, strict=True) for case in cases * int(n) if case.sample.group == group
    ]
    own = metrics.average_precision(ranking.right[0], counts[None, ranking.unit], counts[None] @ ranking.plates)
    assert own[0] == pytest.approx(metrics.coco_ap(repeated)[0], abs=1e-9)


def test_detection_metrics_by_hand():
    cases = [
        Case(sample(1, plate(0, 0), plate(0, 100)), (detection(0, 0, 100, 20, 0.9), detection(0, 200, 50, 20, 0.8))),
        Case(sample(2, plate(0, 0)), (detection(0, 0, 60, 20, 0.7),)),  # IoU 0.6
        Case(sample(3, plate(0, 0)), (detection(0, 0, 100, 20, 0.2),)),  # below the working point
        Case(sample(4), ()),
    ]
    result = metrics.detection_metrics(cases, 0.3, BOOTSTRAP)
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["recall"] == pytest.approx(2 / 4)
    assert result["recall_70"] == pytest.approx(1 / 4)
    assert (result["detections"], result["false_positives"], result["missed"]) == (3, 1, 2)
    # Ranked right, wrong, right, right of 4 plates: precision 1, 1/2, 2/3, 3/4 at recall 1/4, 1/4, 2/4, 3/4.
    assert result["ap50"] == pytest.approx((26 * 1 + 50 * 3 / 4) / 101)
    assert result["interval"]["recall"]["low"] < result["recall"] < result["interval"]["recall"]["high"]
    assert result["corner_error"]["mean"] is None
    assert "corners" in result["corner_error"]["interval"]["mean"]["reason"]


def test_corner_error_is_relative_to_the_plates_height():
    truth = Quad((0, 0), (100, 0), (100, 20), (0, 20))
    moved = Quad((3, 4), (103, 4), (103, 24), (3, 24))
    assert metrics.corner_error(truth, moved) == pytest.approx(5 / 20)
    found = Detection(moved.box, moved, 0.9)
    result = metrics.detection_metrics([Case(sample(1, plate(0, 0, quad=truth)), (found,))], 0.3, BOOTSTRAP)
    assert result["corner_error"]["mean"] == pytest.approx(0.25)
    assert result["corner_error"]["n"] == 1


def test_text_metrics_by_hand():
    rows = [("a", "ABC", "ABC"), ("b", "ABCDE", "ABXD"), ("c", "AB", "")]
    result = metrics.text_metrics(rows, BOOTSTRAP, "none")
    assert result["exact"] == pytest.approx(1 / 3)
    assert result["cer"] == pytest.approx((0 + 2 + 2) / 10)
    assert result["n"] == 3


UNREADABLE = {
    "found": ([(10, 10, 100, 20)], 1, 0),
    "found loosely, mostly on it": ([(8, 6, 104, 28)], 1, 0),
    "not found": ([], 0, 0),
    "false elsewhere": ([(200, 200, 100, 20)], 1, 1),
    "false, hardly on it": ([(90, 10, 100, 20)], 1, 1),
}


@pytest.mark.parametrize(("found", "given", "false"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_plate_counts_neither_way(found, given, false) -> None:
    readable, hidden = plate(10, 100), plate(10, 10, legible=False)
    detections = (detection(10, 100, 100, 20, 0.9), *(detection(*one, 0.8) for one in found))
    case = Case(sample(1, readable, hidden), detections)
    assert len(case.detections) == 1 + given
    result = metrics.detection_metrics([case, Case(sample(2))], 0.5, BOOTSTRAP)
    assert (result["recall"], result["missed"], result["false_positives"]) == (1.0, 0, false)
    assert result["ap50"] == pytest.approx(1.0, abs=1e-6), "the false ones stand behind the right one"


def test_a_readable_plate_within_an_unreadable_one_is_still_found() -> None:
    case = Case(sample(1, plate(10, 10), plate(0, 0, 200, 60, legible=False)), (detection(10, 10, 100, 20, 0.9),))
    assert len(metrics.sought(case)[1]) == 1


@pytest.mark.parametrize(
    ("text", "legible", "expected"),
    [
        (None, True, None),
        ("ab-12 c", True, "AB12C"),
        ("京PL3N67", True, "PL3N67"),  # the readers do not read the province
        ("京", True, None),
        ("AB12", False, None),
    ],
)
def test_certain_text(text, legible, expected):
    assert metrics.certain_text(plate(0, 0, text=text, legible=legible)) == expected


def test_end_to_end_by_hand():
    found = (detection(0, 0, 100, 20, 0.9), detection(0, 100, 100, 20, 0.8), detection(300, 200, 50, 20, 0.7))
    texts = {"network": tuple(map(reading, ("AB12", "XY99", "GH05T")))}
    cases = [
        Case(
            sample(1, plate(0, 0, text="AB12"), plate(0, 100)), found, texts
        ),  # read; not transcribed; a false reading
        Case(sample(2, plate(0, 0, text="CD34")), (found[0],), {"network": (reading("CD3A"),)}),  # misread
        Case(sample(3, plate(0, 0, text="EF56")), (), {"network": ()}),  # missed
        Case(sample(4), (found[2],), {"network": (reading(""),)}),  # a false detection, but no false reading
    ]
    result = metrics.end_to_end(*metrics.outcomes(cases, 0.3), "network", BOOTSTRAP)
    assert (result["n"], result["false_readings"]) == (3, 1)
    assert result["found_and_read"] == pytest.approx(1 / 3)
    assert result["exact"] == pytest.approx(1 / 4)


# readings of four plates that say AB12 -> given, of these wrong, calibration error, exact
ANSWERS = {
    "all given, one wrong": (
        [reading("AB12", 0.95), reading("AB12", 0.95), reading("AB12", 0.95), reading("A812", 0.95)],
        (1.0, 0.25, 0.2, 0.75),
    ),
    "the wrong one kept back": (
        [reading("AB12", 0.95), reading("AB12", 0.95), reading("AB12", 0.95), guess("A812", 0.15)],
        (0.75, 0.0, (3 * 0.05 + 0.15) / 4, 0.75),
    ),
    "a right one kept back counts as read": (
        [reading("AB12", 0.95), guess("AB12", 0.35), guess("A812", 0.35), guess("", 0.0)],
        (0.25, 0.0, (0.05 + 2 * 0.15) / 4, 0.5),
    ),
    "none given": ([guess("AB12", 0.35)] * 4, (0.0, None, 0.65, 1.0)),
    "nothing seen": ([guess("", 0.0)] * 4, (0.0, None, 0.0, 0.0)),
}


@pytest.mark.parametrize(("readings", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers_by_hand(readings, expected):
    given, wrong, error, exact = expected
    cases = [Case(sample(i, plate(0, 0, text="AB12")), (), {}, {"network": {0: r}}) for i, r in enumerate(readings)]
    cases.append(Case(sample(9, plate(0, 0)), (), {}, {"network": {0: reading("XX")}}))  # of an unknown text
    results, _ = metrics.outcomes(cases, 0.3)
    ocr = metrics.reader_metrics(results, "network", BOOTSTRAP)
    assert ocr["labelled"]["exact"] == pytest.approx(exact)
    answers = ocr["answers"]
    assert (answers["n"], answers["given"]) == (4, pytest.approx(given))
    assert answers["given_wrong"] == (None if wrong is None else pytest.approx(wrong))
    assert answers["calibration_error"] == pytest.approx(error, abs=1e-4)
    assert set(answers["interval"]) == {"given", "given_wrong"}
    if wrong is None:
        assert answers["interval"]["given_wrong"]["reason"] == "no text was given"


def test_answers_of_no_plate_are_null_with_a_reason():
    answers = metrics.answers([], "network", BOOTSTRAP)
    assert answers["n"] == 0
    assert answers["given"] is answers["given_wrong"] is answers["calibration_error"] is None
    assert answers["interval"]["given"]["reason"] == "no plate with a text"


def test_a_guess_is_read_on_a_plate_but_is_no_false_reading():
    """Accuracy is measured on the best guess; what is held against a reader where no plate is, is what it gives."""
    found = (detection(0, 0, 100, 20, 0.9), detection(300, 200, 50, 20, 0.8), detection(300, 100, 50, 20, 0.7))
    readings = (guess("AB12"), guess("XY99"), reading("GH05"))
    case = Case(sample(1, plate(0, 0, text="AB12")), found, {"network": readings})
    result = metrics.end_to_end(*metrics.outcomes([case], 0.3), "network", BOOTSTRAP)
    assert (result["found_and_read"], result["false_readings"], result["exact"]) == (1.0, 1, 0.5)


def test_a_wrong_plates_text_is_no_match():
    """The right text on a detection that finds another plate does not count."""
    case = Case(
        sample(1, plate(0, 0, text="AB12"), plate(0, 100, text="CD34")),
        (detection(0, 100, 100, 20, 0.9),),
        {"network": (reading("AB12"),)},
    )
    result = metrics.end_to_end(*metrics.outcomes([case], 0.3), "network", BOOTSTRAP)
    assert result["exact"] == 0.0


def test_crops_count_for_labelled_reading_only():
    crop = sample(1, plate(0, 0, 400, 300, text="AB12"), kind="crop")
    case = Case(crop, (), {}, {"network": {0: reading("AB12")}})
    document = metrics.evaluate([case], ["network"], 0.3, BOOTSTRAP)
    assert document["ocr"]["network"]["labelled"]["exact"] == 1.0
    assert document["ocr"]["network"]["detected"]["n"] == 0
    assert document["end_to_end"]["exact"] is None
    assert document["detection"]["recall"] is None
    assert document["data"]["crops"] == 1


def test_confusions():
    cases = [
        Case(sample(i, plate(0, 0, text=text)), (), {}, {"network": {0: reading(read)}})
        for i, (text, read) in enumerate([("O0", "00"), ("O1", "01"), ("AB", "A"), ("AB", "ABC"), ("XY", "XY")])
    ]
    results, _ = metrics.outcomes(cases, 0.3)
    assert metrics.confusions(results, "network") == {("O", "0"): 2, ("B", ""): 1, ("", "C"): 1}


def test_groups_without_a_plate_are_not_drawn():
    """Empty pictures say nothing of recall, so they make its interval neither wider nor missing."""
    rows = [(str(i), i % 2, 1) for i in range(10)]
    empty = [(f"empty {i}", 0, 0) for i in range(1000)]
    assert metrics.ratio([*rows, *empty], BOOTSTRAP, "none") == metrics.ratio(rows, BOOTSTRAP, "none")


def test_intervals_resample_groups_not_plates():
    """Forty plates of two groups vary as two things do, not as forty."""
    rows = [(group, right, 1) for group, right in (("a", 1), ("b", 0)) for _ in range(20)]
    assert metrics.ratio(rows, BOOTSTRAP, "none") == metrics.Estimate(0.5, 0.0, 1.0)
    apart = metrics.ratio([(str(i), right, 1) for i, (_, right, _) in enumerate(rows)], BOOTSTRAP, "none")
    assert 0.3 < apart.low < 0.4
    assert 0.6 < apart.high < 0.7


def test_same_seed_same_interval():
    first, second = (metrics.evaluate(random_cases(1), ["network"], 0.3, BOOTSTRAP) for _ in range(2))
    assert first == second
    assert first != metrics.evaluate(random_cases(1), ["network"], 0.3, Bootstrap(200, 8))


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("no sample", []),
        ("no test sample", [Case(sample(1, plate(0, 0), split="train"))]),
        ("no plate and no detection", [Case(sample(1)), Case(sample(2))]),
        (
            "no plate, but detections",
            [Case(sample(i), (detection(0, 0, 9, 9, 0.9),), {"network": (reading("A"),)}) for i in (1, 2)],
        ),
        ("no detection", [Case(sample(1, plate(0, 0, text="AB")), (), {"network": ()}), Case(sample(2, plate(0, 0)))]),
        ("one picture", [Case(sample(1, plate(0, 0)), (detection(0, 0, 100, 20, 0.9),), {"network": (reading("A"),)})]),
        (
            "empty readings",
            [Case(sample(i, plate(0, 0, text="A")), (), {}, {"network": {0: reading("")}}) for i in (1, 2)],
        ),
    ],
)
def test_nothing_to_measure_is_null_with_a_reason_and_never_nan(name, cases):
    document = metrics.evaluate(cases, ["network"], 0.3, BOOTSTRAP)
    json.dumps(document, allow_nan=False)

    def check(node):
        for key, estimate in node.get("interval", {}).items():
            assert (estimate["low"] is None) == ("reason" in estimate), key
            assert node[key] is not None or estimate["reason"], key
        for child in node.values():
            if isinstance(child, dict):
                check(child)

    check(document)


def test_one_picture_has_a_figure_but_no_interval():
    case = Case(sample(1, plate(0, 0)), (detection(0, 0, 100, 20, 0.9),), {"network": (reading("A"),)})
    result = metrics.evaluate([case], ["network"], 0.3, BOOTSTRAP)["detection"]
    assert result["ap50"] == pytest.approx(1.0)
    assert result["interval"]["ap50"]["reason"] == "a single group of pictures cannot be resampled"


def test_slices():
    cases = [
        Case(
            sample(1, plate(0, 0, region="GB", rows=1, text="AB12"), plate(0, 100, 100, 50, region="IN", rows=2)),
            (detection(0, 0, 100, 20, 0.9), detection(300, 0, 60, 20, 0.5)),
            {"network": (reading("AB12"), reading(""))},
            {"network": {0: reading("AB12")}},
        ),
        Case(sample(2, plate(0, 0, 100, 10), source="t"), (), {"network": ()}),
    ]
    table = metrics.slices(cases, ["network"], 0.3, BOOTSTRAP)
    assert list(table["height"]) == ["0 to 16 px", "16 to 24 px", "48 to 96 px"]
    assert table["height"]["16 to 24 px"]["ap50"] == pytest.approx(1.0)
    assert table["height"]["48 to 96 px"]["ap50"] == 0.0
    assert list(table["region"]) == ["GB", "IN", "unknown"]
    assert table["region"]["GB"]["exact_network"] == 1.0
    assert table["region"]["IN"]["exact_network"] is None
    assert table["rows"]["2"]["recall"] == 0.0
    assert table["source"]["s"]["recall"] == 0.5
    assert table["source"]["t"]["recall"] == 0.0
    assert (table["source"]["s"]["plates"], table["source"]["s"]["texts"]) == (2, 1)


def test_truth_hash_is_of_the_test_split_alone():
    one, two, train = sample(1, plate(0, 0)), sample(2), sample(3, split="train")
    assert metrics.truth_hash([one, two, train]) == metrics.truth_hash([two, one])
    assert metrics.truth_hash([one]) != metrics.truth_hash([one, two])
    assert metrics.truth_hash([one]) != metrics.truth_hash([sample(1, plate(0, 1))])


def test_counts():
    samples = [
        sample(1, plate(0, 0, text="A"), plate(0, 50), group="g"),
        sample(2, group="g"),
        sample(3, plate(0, 0), split="train", kind="crop", source="t"),
    ]
    assert metrics.counts(samples) == {
        "s": {"test": {"photos": 2, "crops": 0, "plates": 2, "texts": 1, "groups": 1}},
        "t": {"train": {"photos": 0, "crops": 1, "plates": 1, "texts": 0, "groups": 1}},
    }
