"""GitHub action: its scripts are run by bash as on a runner, with a substitute for lcbench."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from lcbench.cli import main

ACTION = yaml.safe_load((Path(__file__).parent.parent / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step["run"] for step in STEPS if "run" in step}

SUBSTITUTE = """\
#!/usr/bin/env bash
printf '%s\\n' "$@" > "$ARGUMENTS_FILE"
exit "$CODE"
"""


def script(name, folder, **variables):
    """Run the script of a step in `folder`; return the finished process and its outputs as a dictionary."""
    output = folder / "output"
    output.write_text("")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPTS[name]],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GITHUB_OUTPUT": str(output), **variables},
        capture_output=True,
        text=True,
    )
    return done, dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_scripts_get_inputs_only_as_environment_variables():
    for step in STEPS:
        assert "${{" not in step.get("run", "")
        if "run" in step:
            assert step["shell"] == "bash"
    used = set(re.findall(r"inputs\.([a-z-]+)", yaml.safe_dump(STEPS)))
    assert used == set(ACTION["inputs"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_all_environment_variables_are_set(name):
    [step] = [step for step in STEPS if step.get("name") == name]
    read = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", step["run"]))
    assert read <= set(step.get("env", {})) | {"GITHUB_OUTPUT", "GITHUB_SHA", "GITHUB_ACTION_PATH"}


def test_referenced_steps_exist():
    steps = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"steps\.([a-z]+)\.outputs", yaml.safe_dump(ACTION))) <= steps


DEFAULTS = {
    "BASE": "HEAD^1",
    "HEAD": ".",
    "IMPL": "",
    "FAIL_ABOVE": ACTION["inputs"]["fail-above"]["default"],
    "BUDGET": ACTION["inputs"]["budget"]["default"],
    "INCONCLUSIVE": ACTION["inputs"]["inconclusive"]["default"],
    "ARGUMENTS": "",
}


@pytest.fixture
def measure(tmp_path):
    """Function that runs the step Measure; it returns the process, its outputs, and the arguments of lcbench."""
    substitute = tmp_path / "bin" / "lcbench"
    substitute.parent.mkdir()
    substitute.write_text(SUBSTITUTE)
    substitute.chmod(0o755)

    def run(code=0, **variables):
        asked = tmp_path / "asked"
        asked.unlink(missing_ok=True)
        done, outputs = script(
            "Measure",
            tmp_path,
            **DEFAULTS
            | {"LCBENCH_RESULTS": str(tmp_path / "results"), "ARGUMENTS_FILE": str(asked), "CODE": str(code)}
            | {"PATH": f"{substitute.parent}:{os.environ['PATH']}"}
            | variables,
        )
        return done, outputs, asked.read_text().splitlines() if asked.exists() else None

    return run


@pytest.mark.parametrize(
    ("code", "inconclusive", "status"),
    [
        (0, "warn", 0),
        (1, "warn", 1),
        (2, "warn", 2),
        (3, "warn", 0),
        (4, "warn", 4),
        (3, "fail", 3),
        (0, "fail", 0),
        (130, "warn", 130),
    ],
)
def test_exit_status_of_the_job(measure, code, inconclusive, status):
    done, outputs, _ = measure(code, INCONCLUSIVE=inconclusive)
    assert done.returncode == status
    assert outputs["exit-code"] == str(code)


def gate_options(arguments):
    """Return the options that ``lcbench gate`` parses from the arguments."""
    command, *rest = arguments
    gate = main.lcbench.get_command(click.Context(main.lcbench), command)
    return gate.make_context(command, rest).params


def test_the_gate_gets_the_inputs(measure):
    _, outputs, arguments = measure(
        BASE="a b",
        HEAD="new.py",
        IMPL="numpy,my file.py:f",
        FAIL_ABOVE="5%",
        BUDGET="90s",
        ARGUMENTS=" --rows 500  --loss softmax",
    )
    options = gate_options(arguments)
    assert (options["base"], options["head"], options["implementations"]) == ("a b", "new.py", ("numpy,my file.py:f",))
    assert (options["fail_above"], options["budget_s"]) == (0.05, 90.0)
    assert (options["rows"], options["losses"], options["form"]) == (500, ("softmax",), "github")
    assert options["junit"] == Path(outputs["folder"]) / "gate.xml"
    assert options["markdown"] == Path(outputs["folder"]) / "gate.md"


def test_without_inputs_the_gate_has_its_defaults(measure):
    options = gate_options(measure()[2])
    own = gate_options(["gate", "--base", "HEAD^1"])
    given = {"form", "junit", "markdown", "quiet"}
    assert {name: options[name] for name in options if name not in given} == {
        name: own[name] for name in own if name not in given
    }


def test_an_invalid_choice_is_an_error(measure):
    done, _, arguments = measure(INCONCLUSIVE="ignore")
    assert (done.returncode, arguments) == (2, None)
    assert done.stdout == "::error title=lcbench::the input inconclusive is 'ignore': warn or fail\n"


def git(folder, *arguments):
    """Run git with a test identity; return its output."""
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def commits(tmp_path):
    """Hashes of commits by name: main has a newer commit than the base of feature; `merge` is the pull request."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "--quiet")
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    found = {}

    def commit(name):
        git(origin, "commit", "--quiet", "--allow-empty", "-m", name)
        found[name] = git(origin, "rev-parse", "HEAD")

    commit("old")
    git(origin, "checkout", "--quiet", "-b", "feature")
    commit("change")
    git(origin, "checkout", "--quiet", "main")
    commit("newer")
    git(origin, "checkout", "--quiet", "--detach")
    git(origin, "merge", "--quiet", "--no-ff", "-m", "merge", "feature")
    found["merge"] = git(origin, "rev-parse", "HEAD")
    git(origin, "branch", "pull")
    git(origin, "checkout", "--quiet", "feature")
    git(origin, "merge", "--quiet", "--no-ff", "-m", "update", "main")
    found["update"] = git(origin, "rev-parse", "HEAD")
    return found


@pytest.mark.parametrize(
    ("branch", "given", "base"),
    [
        # at the time of the event, main was at the old commit
        ("pull", {"PULL_REQUEST_BASE": "old", "GITHUB_SHA": "merge"}, "newer"),
        # head itself was checked out; it is a merge commit, but not that of the pull request
        ("feature", {"PULL_REQUEST_BASE": "newer", "GITHUB_SHA": "merge"}, "newer"),
        ("main", {"PUSHED_ONTO": "old", "GITHUB_SHA": "newer"}, "old"),
        ("pull", {"BASE": "change", "PULL_REQUEST_BASE": "old", "GITHUB_SHA": "merge"}, "change"),
    ],
)
def test_the_base_is_found_and_fetched(tmp_path, commits, branch, given, base):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch", branch, f"file://{tmp_path}/origin", "clone")
    variables = {"BASE": "", "PULL_REQUEST_BASE": "", "PUSHED_ONTO": ""}
    done, outputs = script("Find the base", clone, **variables | {name: commits[given[name]] for name in given})
    assert (done.returncode, done.stderr) == (0, "")
    assert outputs == {"base": commits[base]}
    assert git(clone, "rev-parse", f"{outputs['base']}^{{commit}}") == commits[base]


def test_a_base_that_is_not_a_revision_is_unchanged(tmp_path, commits):
    variables = {"BASE": "old.py:softmax_loss", "PULL_REQUEST_BASE": "", "PUSHED_ONTO": "", "GITHUB_SHA": ""}
    done, outputs = script("Find the base", tmp_path / "origin", **variables)
    assert (done.returncode, outputs) == (0, {"base": "old.py:softmax_loss"})


def test_a_push_that_creates_a_branch_has_no_base(tmp_path, commits):
    variables = {"BASE": "", "PULL_REQUEST_BASE": "", "PUSHED_ONTO": "0" * 40, "GITHUB_SHA": commits["newer"]}
    done, outputs = script("Find the base", tmp_path / "origin", **variables)
    assert (done.returncode, done.stderr, outputs) == (0, "", {"base": "0" * 40})


def test_a_missing_base_is_an_error(tmp_path, commits):
    variables = {"BASE": "", "PULL_REQUEST_BASE": "", "PUSHED_ONTO": "", "GITHUB_SHA": commits["merge"]}
    done, outputs = script("Find the base", tmp_path / "origin", **variables)
    assert (done.returncode, outputs) == (2, {})
    assert done.stdout == "::error title=lcbench::nothing to compare with: give the input base\n"
