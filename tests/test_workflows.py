"""The GitHub workflows: make targets that exist, actions pinned to a commit, no more rights than needed."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = {name for line in re.findall(r"^([a-z][\w -]*):(?!=)", MAKEFILE, re.MULTILINE) for name in line.split()}
ALLOWED = re.compile(  # beside make: what a runner is for
    r'cat \S+ >> "\$GITHUB_STEP_SUMMARY"|gh pr comment "\$NUMBER" --edit-last --create-if-none --body-file \S+'
)


def jobs(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def steps(path):
    return [step for job in jobs(path).values() for step in job["steps"]]


def test_there_is_one_and_the_makefile_was_read():
    assert WORKFLOWS
    assert {"test", "integration", "run", "ci-report", "study", "experiments"} <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_they_run_make_targets_that_exist(path):
    commands = [line for step in steps(path) for line in step.get("run", "").splitlines()]
    made = [found for command in commands if (found := re.match(r"make (?:-C \w+ )?([\w-]+)", command))]
    assert {found[1] for found in made} <= TARGETS
    assert {"test", "integration", "ci-report"} <= {found[1] for found in made}
    others = [command for command in commands if not command.startswith("make ")]
    assert not [command for command in others if not ALLOWED.fullmatch(command)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_whose_version_is_named(path):
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    assert not [line for line in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_a_job_that_runs_no_code_of_ours_may_write(path):
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in whole[True], "YAML reads the key `on` as true"
    for name, job in whole["jobs"].items():
        uses = [step.get("uses", "") for step in job["steps"]]
        if "permissions" in job:
            assert job["permissions"] == {"pull-requests": "write"}, name
            assert not any("checkout" in one for one in uses), name
            assert not any("make" in step.get("run", "") for step in job["steps"]), name
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_text_of_a_pull_request_gets_into_a_command(path):
    """Titles, branches and authors are anybody's to choose; an expression in `run` is pasted into the shell."""
    inside = [found for step in steps(path) for found in re.findall(r"\$\{\{(.+?)\}\}", step.get("run", ""))]
    assert not [one for one in inside if re.search(r"title|body|head|author|login|label", one)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_an_end(path):
    assert not [
        name for name, job in jobs(path).items() if job.get("timeout-minutes", 0) > 90 or "timeout-minutes" not in job
    ]
