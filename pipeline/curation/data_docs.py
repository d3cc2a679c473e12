"""Great Expectations' Data Docs as a small site that is the same for the same data and needs no network.

As rendered, each page loads its styles and scripts from eight hosts, reports an id to one of them, and carries times
and random ids. Here the pages stand alone, beside a front page that names what is in quarantine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; margin: 0; background: #fff; }
a { color: #0b5cad; }
.navbar { background: #1c2733; padding: .6rem 1.5rem; }
.navbar a { color: #fff; font-weight: 600; text-decoration: none; }
.front, .container-fluid.pt-4 { max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem; }
.col-lg-2 .lead, .card.mb-3, .collapse, a[data-toggle=collapse], footer, .ge-walkthrough-modal { display: none; }
#section-1-content-block-1-subheader a + br { display: none; }
.card nav { background: none; padding: 0; }
.card nav ul { columns: 4; padding: 0; list-style: none; }
.card nav a { color: #0b5cad; font-weight: 400; }
.table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
.table th, .table td { border-bottom: 1px solid #dde3e9; padding: .35rem .6rem; text-align: left; vertical-align: top; }
thead[hidden] { display: none; }
.ge-section { border-top: 2px solid #dde3e9; padding-top: .5rem; }
.ge-section h5, .alert h5 { font-size: 1.1rem; margin: .4rem 0; }
.alert { padding: .6rem 1rem; border-radius: 4px; background: #eef2f6; }
.bad { background: #fdecea; color: #8a1c12; }
.good { background: #e8f5ec; color: #14532d; }
.badge { background: #eef2f6; border-radius: 4px; padding: 0 .35rem; }
.fa-times::before, .fa-exclamation-triangle::before { content: "\\2718"; color: #b3261e; font-style: normal; }
.fa-check-circle::before { content: "\\2714"; color: #1b7f3b; font-style: normal; }
"""
_LOADED = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<style\b.*?</style>|<footer\b.*?</footer>", re.DOTALL
)
_TIMES = re.compile(r"\d{8}T\d{6}\.\d+Z|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_SUITE_LINK = re.compile(r'"(?:\.\./)+expectations/(\w+)\.html"')
_RESULT_LINK = re.compile(r'"(?:\.\./)+validations/(\w+)/[^"]*\.html"')
_HOME_LINK = re.compile(r'"(?:\.\./)+index\.html"')
_NAVBAR = re.compile(r'<nav class="navbar\b.*?</nav>\s*</div>\s*</nav>', re.DOTALL)


def publish(built: Path, site: Path, front: Mapping[str, Any], quarantined: Sequence[Mapping[str, Any]]) -> None:
    """Takes the place of `site` with the pages of the docs in `built` and a front page.

    `front` holds `gate` (sentences; none: it passes) and `sources` (name -> rows, passed, failed, unpaired, plates).
    """
    fresh, old = site.with_name(f".{site.name}.new"), site.with_name(f".{site.name}.old")
    for leftover in (fresh, old):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    suites = sorted(path.stem for path in (built / "expectations").glob("*.html"))
    for suite in suites:
        (result,) = (built / "validations" / suite).rglob("*.html")
        rules = built / "expectations" / f"{suite}.html"
        for page, name in ((result, suite), (rules, f"{suite}-suite")):
            (fresh / f"{name}.html").write_text(stand_alone(page.read_text(encoding="utf-8")), encoding="utf-8")
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    page_template = Environment(autoescape=True).from_string(template)
    values = {"style": Markup(STYLE), "suites": suites, "quarantined": quarantined, **front}
    (fresh / "index.html").write_text(page_template.render(values), encoding="utf-8")
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def stand_alone(page: str) -> str:
    """A page of Data Docs without what it loads, where it was and when: the same validation gives the same bytes."""
    page = _LOADED.sub("", page)
    page = _NAVBAR.sub('<nav class="navbar"><a href="index.html">Data Docs</a></nav>', page)
    page = _HOME_LINK.sub('"index.html"', page)
    page = _SUITE_LINK.sub(r'"\1-suite.html"', page)
    page = _RESULT_LINK.sub(r'"\1.html"', page)
    page = _UUID.sub("id", _TIMES.sub("this run", page))
    page = page.replace("</head>", f"<style>{STYLE}</style>\n</head>", 1)
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"
