"""The Makefile: its help shows all that it explains, and `make experiments` names columns that there are."""

import re
from pathlib import Path

import yaml

from pipeline.studies import change, results

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def variable(name):
    return re.search(rf"^{name} := (.+)$", MAKEFILE, re.MULTILINE)[1]


def test_help_prints_the_whole_comment_at_the_top():
    comment = MAKEFILE.split("\n\n", 1)[0].splitlines()
    assert all(line.startswith("#") for line in comment)
    assert f"sed -n '1,{len(comment)}s/" in MAKEFILE


def test_the_figures_of_make_experiments_are_figures():
    figures = {name.replace("\\", "") for name in variable("FIGURES").split("|")}
    assert set(results.FIGURES) <= figures <= {*change.FIGURES, "version"}


def test_the_params_of_make_experiments_are_the_few_that_matter():
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    names = [name for name, _ in change.flatten(params)]
    shown = [name for name in names if re.fullmatch(variable("PARAMS"), name)]
    assert {"sources", "train_detector.head", "train_reader.decoder", "augment.rendered_share"} <= set(shown)
    assert len(shown) < len(names) / 3
