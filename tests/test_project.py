"""Files of the project: one version, workflows and scripts, and folders that a clone has."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import commands
import lcbench

ROOT = Path(__file__).parent.parent
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
WORKFLOWS["action.yml"] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
FORMS = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]


def steps_of(workflow):
    """Return the steps of a workflow or a composite action."""
    jobs = [*workflow.get("jobs", {}).values(), workflow.get("runs", {})]
    return [step for job in jobs for step in job.get("steps", [])]


SCRIPTS = {
    f"{name}, {step.get('name', step['run'].splitlines()[0])}": step["run"]
    for name, workflow in WORKFLOWS.items()
    for step in steps_of(workflow)
    if "run" in step
}


def test_the_version_stands_in_one_place(tmp_path):
    version = lcbench.__version__
    assert commands.invoke(tmp_path, "--version").stdout == f"lcbench {version}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"] == {"path": "lcbench/__init__.py"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == version
    released = re.search(r"^## \[(\d.*?)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert released
    assert released.groups() == (version, citation["date-released"])


def test_every_workflow_is_found():
    assert {"tests.yml", "docs.yml", "release.yml", "nightly.yml", "action.yml"} <= set(WORKFLOWS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_workflows_get_values_only_as_environment_variables(name):
    assert "${{" not in SCRIPTS[name]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_workflows_pass_shellcheck(name):
    command = ["shellcheck", "--shell=bash", "--exclude=SC2153", "-"]  # variables come from the step's environment
    done = subprocess.run(command, input=SCRIPTS[name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if name != "action.yml"])
def test_workflows_have_no_more_permissions_than_they_need(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    writing = {key: job["permissions"] for key, job in workflow["jobs"].items() if "permissions" in job}
    allowed = {
        "docs.yml": {"publish": {"pages": "write", "id-token": "write"}},
        "release.yml": {"publish": {"id-token": "write"}, "github": {"contents": "write"}},
    }
    assert writing == allowed.get(name, {})
    triggers = workflow[True]  # YAML takes the key "on" for a truth value
    assert "pull_request_target" not in triggers


def test_the_tests_run_on_every_platform_and_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    matrix = WORKFLOWS["tests.yml"]["jobs"]["test"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert any(system.endswith("-arm") for system in matrix["os"])
    assert f">={matrix['python'][0]}" == project["project"]["requires-python"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_the_machine(path):
    fields = [field["attributes"]["label"] for field in yaml.safe_load(path.read_text("utf-8"))["body"]]
    assert any("`lcbench doctor --json`" in label for label in fields)


@pytest.mark.parametrize("folder", ["data", "results"])
def test_a_clone_has_the_folder_and_git_ignores_what_lands_there(folder):
    assert (ROOT / folder / "README.md").is_file()
    rules = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert rules.index(f"/{folder}/*") < rules.index(f"!/{folder}/README.md")
