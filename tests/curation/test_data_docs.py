"""Data Docs that need no network and are the same for the same data."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.curation import data_docs, expectations
from pipeline.curation.expectations import Rule, Suites

ROWS = [{**dict.fromkeys(expectations.PICTURE_COLUMNS), "row": n, "number": 0, "image": f"{n}.png"} for n in range(3)]
RULES = [Rule("problem", "ExpectColumnValuesToBeNull", "{problem}")]
FRONT = {"gate": [], "sources": {"voc": {"rows": 3, "passed": 2, "failed": 1, "unpaired": 0, "plates": 4}}}
BAD = [{"source": "voc", "image": "<script>1.png", "reasons": ["box 1 has zero width", "and more"]}]


def build(folder: Path) -> Path:
    suites = Suites(folder)
    rows = [*ROWS[:1], {**ROWS[1], "problem": "box 1 has zero width"}, ROWS[2]]
    suites.judge("pictures", rows, expectations.PICTURE_COLUMNS, RULES)
    return suites.docs


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    made = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("docs")
        data_docs.publish(build(folder / "built"), folder / "site", FRONT, BAD)
        made.append({path.name: path.read_text() for path in (folder / "site").iterdir()})
    return made


def test_the_same_data_give_the_same_bytes(sites: list[dict[str, str]]) -> None:
    assert sorted(sites[0]) == ["index.html", "pictures-suite.html", "pictures.html"]
    assert sites[0] == sites[1]


def test_nothing_is_loaded_from_elsewhere(sites: list[dict[str, str]]) -> None:
    for name, page in sites[0].items():
        assert "<script" not in page.replace("&lt;script", ""), name
        assert "src=" not in page, name
        assert "<link" not in page, name


def test_links_lead_to_pages_that_are_there(sites: list[dict[str, str]]) -> None:
    for name, page in sites[0].items():
        targets = [part.split('"')[0] for part in page.split('href="')[1:]]
        assert all(target in sites[0] for target in targets if target.endswith(".html")), name


def test_pages_say_what_failed(sites: list[dict[str, str]]) -> None:
    assert "box 1 has zero width" in sites[0]["pictures.html"]
    front = sites[0]["index.html"]
    assert "The gate passes." in front
    assert "&lt;script&gt;1.png" in front
    assert "box 1 has zero width<br>and more" in front


def test_a_failed_gate_is_told(tmp_path: Path) -> None:
    built = build(tmp_path / "built")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "old.html").write_text("old")
    data_docs.publish(built, tmp_path / "site", {**FRONT, "gate": ["voc: 1 of 3 rows fail"]}, [])
    assert "voc: 1 of 3 rows fail" in (tmp_path / "site" / "index.html").read_text()
    assert not (tmp_path / "site" / "old.html").exists()
