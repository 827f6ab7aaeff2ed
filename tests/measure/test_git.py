"""What git knows of a folder, and of one that it does not know."""

from __future__ import annotations

import subprocess

import pytest

from lcbench.measure import sides


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def commit(folder):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def test_outside_of_a_repository_nothing_is_known(folder):
    assert sides.git_revision(folder=folder) is None
    assert sides.git_has_changes(folder) is None


def test_a_commit_and_what_changed_since(folder):
    (folder / "a").write_text("one")
    commit(folder)
    assert sides.git_revision(folder=folder) == sides.run_git("rev-parse", "HEAD", folder=folder)
    assert sides.git_revision("no-such-branch", folder) is None
    assert sides.git_revision("--help", folder) is None
    assert sides.git_has_changes(folder) is False
    (folder / "a").write_text("two")
    assert sides.git_has_changes(folder) is True
