"""Sides of a gate: each kind of side is recognised, made ready to be measured, and removed afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.measure import sides
from lcbench.workers import process
from lcbench.workers.process import HERE

FILE = "def softmax_loss(W, X, y, reg):\n    raise NotImplementedError('{}')\n"


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def as_another_environment(python):
    """Create a Python at the path `python` that runs this one; a link would be a Python without packages."""
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Repository with two commits, a tag on the first, and an uncommitted change."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "sub").mkdir()
    for text in ("first", "second"):
        (tmp_path / "sub" / "loss.py").write_text(FILE.format(text))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", text)
        if text == "first":
            git(tmp_path, "tag", "v1")
    (tmp_path / "sub" / "loss.py").write_text(FILE.format("third"))
    return tmp_path


def test_a_revision_is_checked_out_temporarily_and_a_folder_is_used_as_it_is(repository):
    with sides.open_sides("v1", ".") as (base, head):
        assert (base.kind, head.kind) == ("revision", "folder")
        assert base.revision == git(repository, "rev-parse", "v1")
        assert "first" in (base.place.folder / "sub" / "loss.py").read_text()
        assert "third" in (head.place.folder / "sub" / "loss.py").read_text()
        assert (base.dirty, head.dirty) == (False, True)
        checked_out = base.place.folder
    assert not checked_out.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_folder_in_a_revision_corresponds_to_the_current_one(repository, monkeypatch):
    monkeypatch.chdir(repository / "sub")
    with sides.open_sides("v1", ".") as (base, _):
        assert "first" in (base.place.folder / "loss.py").read_text()


def test_an_exception_leaves_no_worktree(repository):
    with pytest.raises(KeyboardInterrupt), sides.open_sides("v1", "HEAD"):
        raise KeyboardInterrupt
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_build_runs_in_every_revision_and_its_environment_is_used(repository):
    python = as_another_environment(repository.parent / "python")
    build = f"mkdir -p .venv/bin && cp {python} .venv/bin/python && touch built"
    with sides.open_sides("v1", ".", build) as (base, head):
        assert (base.place.folder / "built").exists()
        assert base.place.python == str(base.place.folder / ".venv" / "bin" / "python")
        assert head.place.python == sys.executable
    assert not (repository / "built").exists()


@pytest.mark.parametrize("linked", [False, True])
def test_in_a_git_hook_the_commit_keeps_what_was_staged(repository, linked):
    """Git tells its hooks the index of the commit, which a checkout of base must not replace."""
    place = repository
    if linked:
        git(repository, "stash")
        place = repository.parent / f"{repository.name}-linked"
        git(repository, "worktree", "add", "-q", "-b", "other", str(place))
    (place / "sub" / "loss.py").write_text("fourth\n")
    (place / "new.txt").write_text("new\n")
    git(place, "add", "new.txt")
    build = 'test -z "$GIT_DIR$GIT_INDEX_FILE$GIT_WORK_TREE"'
    script = repository / ".git" / "gate.py"
    script.write_text(f"from lcbench.measure import sides\nwith sides.open_sides('v1', '.', {build!r}):\n    pass\n")
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} {script}\n")
    hook.chmod(0o755)
    git(place, "commit", "-q", "-a", "-m", "by the hook")
    assert git(place, "show", "--format=", "--name-status", "HEAD").split() == ["A", "new.txt", "M", "sub/loss.py"]
    assert git(place, "show", "HEAD:sub/loss.py") == "fourth"
    assert git(place, "status", "--porcelain") == ""


def test_hooks_of_the_repository_do_not_run(repository):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    with sides.open_sides("v1", ".") as (base, _):
        assert "first" in (base.place.folder / "sub" / "loss.py").read_text()


def test_worktrees_of_killed_gates_are_removed(repository, tmp_path_factory):
    dead = subprocess.Popen(["true"])
    dead.wait()
    own, other = (files.temporary_folder("base", tmp_path_factory.mktemp("parent")) for _ in range(2))
    killed = Path(own.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")) / "tree"
    for tree in (killed, Path(other.name) / "tree", tmp_path_factory.mktemp("mine") / "tree"):
        git(repository, "worktree", "add", "-q", "--detach", str(tree))
    shutil.rmtree(killed.parent)  # as the next lcbench does
    with sides.open_sides("v1", "."):
        pass
    assert str(killed) not in git(repository, "worktree", "list")
    assert len(git(repository, "worktree", "list").splitlines()) == 3


def test_a_file_in_a_submodule_is_missing_with_a_hint(repository, tmp_path_factory):
    library = tmp_path_factory.mktemp("library")
    git(library, "init", "-q")
    (library / "loss.py").write_text(FILE.format("third"))
    git(library, "add", "-A")
    git(library, "commit", "-q", "-m", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib/kernels")
    git(repository, "commit", "-q", "-m", "with a submodule")
    (repository / "new.py").touch()
    with sides.open_sides("HEAD", ".") as (base, head):
        hint = sides.why_missing(base, "lib/kernels/loss.py:softmax_loss")
        assert hint == (
            "; lib/kernels is a git submodule, which a checkout leaves empty: "
            "--build 'git submodule update --init' fills it"
        )
        assert sides.why_missing(base, "new.py") == "; git does not track it: commit it"
        assert sides.why_missing(base, "gone.py") == "; that revision does not have it"
        assert sides.why_missing(base, "sub/loss.py") == sides.why_missing(head, "gone.py") == ""


def test_git_itself_tells_why_there_is_no_revision(repository, monkeypatch):
    assert sides.why_no_revision() == ""
    with monkeypatch.context() as other_owner:
        other_owner.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        assert "dubious ownership" in sides.why_no_revision(repository / "sub")
        with pytest.raises(LcbenchError, match=r"--base v1: .*git says of .*dubious ownership.*safe\.directory"):
            next(sides._checked_out("base", "v1", None).gen)
    monkeypatch.setenv("PATH", "")
    assert sides.why_no_revision() == "git is not installed"
    assert sides.git_revision() is None
    with pytest.raises(LcbenchError, match=r"--base v1: .*git is not installed"):
        next(sides._checked_out("base", "v1", None).gen)


def test_a_failed_build_is_an_error_with_its_last_line(repository):
    with (
        pytest.raises(LcbenchError, match="exit status 3 in the tree of base: no compiler"),
        sides.open_sides("v1", ".", "echo no compiler >&2; exit 3"),
    ):
        pass


def test_an_environment_is_recognised_by_its_python(tmp_path):
    (tmp_path / "bin").mkdir()
    as_another_environment(tmp_path / "bin" / "python")
    with sides.open_sides(str(tmp_path), sys.executable) as (base, head):
        assert (base.kind, head.kind) == ("interpreter", "interpreter")
        assert base.place.python == str(tmp_path / "bin" / "python")
        assert head.versions["numpy"]
        assert head.python.startswith("CPython")


def test_files_and_names_are_implementations(tmp_path):
    file = tmp_path / "loss.py"
    file.write_text("")
    with sides.open_sides(f"{file}:softmax_loss", "numpy") as (base, head):
        assert (base.implementation, head.implementation) == (f"{file}:softmax_loss", "numpy")
        assert base.place == HERE


def test_a_checkout_of_lcbench_has_its_own_losses(tmp_path):
    catalog = tmp_path / "lcbench" / "losses" / "catalog.py"
    catalog.parent.mkdir(parents=True)
    catalog.touch()
    for folder in (tmp_path, tmp_path / "lcbench"):
        side = sides._in_tree("base", ".", "folder", folder, None)
        assert (side.place.losses, side.is_lcbench) == (catalog.parent, True)


def test_a_python_without_the_packages_of_the_worker_is_an_error(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'msgspec'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with (
        pytest.raises(LcbenchError, match=r"--head .*cannot run the worker process: .*msgspec.*pip install lcbench"),
        sides.open_sides(".", str(python)),
    ):
        pass


@pytest.mark.parametrize("name", ["no-such-branch", "--help", ""])
def test_an_unknown_side_is_an_error_with_one_line(repository, name):
    with pytest.raises(LcbenchError, match="--base") as told, sides.open_sides(name or "''", "."):
        pass
    assert "\n" not in str(told.value)


def test_outside_of_a_repository_there_are_no_revisions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(LcbenchError, match=r"git says of .*not a git repository"), sides.open_sides("main", "."):
        pass


def test_the_worker_measures_the_losses_of_its_place(tmp_path):
    """The losses of another source tree are measured by this lcbench."""
    from lcbench.losses import catalog
    from lcbench.measure.messages import TurnsJob
    from lcbench.workers.messages import Failed

    losses = tmp_path / "lcbench" / "losses"
    shutil.copytree(Path(catalog.__file__).parent, losses)
    (losses / "vectorized.py").write_text("raise ImportError('these are the other losses')\n")
    job = TurnsJob(implementation="numpy", cells=[], seed=0)
    with sides.open_sides(str(tmp_path), "numpy") as (base, _):
        place = base.place
    [failed] = process.work(job, process.environment(1, None), 60, place)
    assert isinstance(failed, Failed)
    assert "these are the other losses" in failed.reason


EARLIER_VERSION = {
    "__init__.py": "",
    "errors.py": """
class LossError(Exception):
    pass
class Unavailable(LossError):
    pass
class CannotLoad(LossError):
    pass
""",
    "implementation.py": """
from dataclasses import dataclass
from typing import Any, Literal
LossName = Literal["svm", "softmax"]
LOSSES = ("svm", "softmax")
Device = LossFunction = Any
@dataclass(frozen=True)
class Convention:
    columns: bool = False
    half_regularisation: bool = False
CURRENT = Convention()
class Implementation:
    pass
""",
    "catalog.py": """
from lcbench.losses.errors import Unavailable
CATALOG = {"numpy": None}
def load(name):
    raise Unavailable("this is the earlier version")
""",
    "resolve.py": "",
    "oracle.py": "class Expected:\n    pass\n",
    "cuda/__init__.py": "",
    "cuda/backend.py": "def why_no_gpu():\n    return 'no GPU'\n",
}
"""Layout of `lcbench.losses` in 0.1.0, where the exceptions are a module of their own."""


def test_a_version_of_another_layout_is_measured_as_it_is(tmp_path):
    from lcbench.measure.messages import TurnsJob

    losses = tmp_path / "lcbench" / "losses"
    (losses / "cuda").mkdir(parents=True)
    for name, text in EARLIER_VERSION.items():
        (losses / name).write_text(text)
    with sides.open_sides(str(tmp_path), "numpy") as (base, _):
        job = TurnsJob(implementation="numpy", cells=[], seed=0)
        [failed] = process.work(job, process.environment(1, None), 60, base.place)
    assert (failed.status, failed.reason) == ("unavailable", "this is the earlier version")


def test_a_version_that_cannot_be_measured_is_refused(tmp_path):
    (tmp_path / "lcbench" / "kernels").mkdir(parents=True)
    (tmp_path / "lcbench" / "__init__.py").write_text("")
    with pytest.raises(LcbenchError, match="cannot measure that version"), sides.open_sides(str(tmp_path), "numpy"):
        pass


def test_the_worker_does_not_import_from_its_working_directory(tmp_path):
    """The working directory may contain another lcbench, or a numpy.py."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')\n")
    from lcbench.measure.messages import InterpreterFound, InterpreterJob

    place = process.Place(folder=tmp_path)
    [answer] = process.work(InterpreterJob(), dict(os.environ), 60, place)
    assert isinstance(answer, InterpreterFound)


def test_outside_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert sides.git_revision(folder=tmp_path) is None
    assert sides.git_has_changes(tmp_path) is None


def test_revision_and_changes_of_a_repository(tmp_path):
    (tmp_path / "a").write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert sides.git_revision(folder=tmp_path) == sides.run_git("rev-parse", "HEAD", folder=tmp_path)
    assert sides.git_revision("no-such-branch", tmp_path) is None
    assert sides.git_revision("--help", tmp_path) is None
    assert sides.git_has_changes(tmp_path) is False
    (tmp_path / "a").write_text("two")
    assert sides.git_has_changes(tmp_path) is True


def test_git_in_a_folder_whose_name_the_locale_cannot_decode(tmp_path):
    folder = tmp_path / "dé"
    folder.mkdir()
    git(folder, "init", "-q")
    program = (
        "import sys; from pathlib import Path; from lcbench.measure.sides import run_git; "
        "sys.exit(Path(run_git('rev-parse', '--show-toplevel')).resolve() != Path.cwd().resolve())"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=os.environ | locale, check=False)
    assert done.returncode == 0


def installed(site, monkeypatch, origin=None):
    """Pretend that lcbench is installed in the folder `site`, from where `origin` says."""
    distribution = site / "lcbench-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: lcbench\nVersion: 1.0\n")
    if origin:
        (distribution / "direct_url.json").write_text(origin)
    module = site / "lcbench" / "measure" / "sides.py"
    module.parent.mkdir(parents=True)
    (site / "lcbench" / "__init__.py").touch()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sides, "__file__", str(module))


def test_the_revision_of_lcbench_is_that_of_its_checkout(repository, monkeypatch):
    installed(repository, monkeypatch)
    assert sides.revision_of_lcbench() == (None, None)  # git does not track it
    git(repository, "add", "lcbench")
    git(repository, "commit", "-q", "-m", "lcbench")
    assert sides.revision_of_lcbench() == (git(repository, "rev-parse", "HEAD"), False)  # another file has changed
    (repository / "lcbench" / "__init__.py").write_text("changed")
    assert sides.revision_of_lcbench() == (git(repository, "rev-parse", "HEAD"), True)


VCS = '{"url": "https://example.org/lcbench", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'


@pytest.mark.parametrize(
    ("origin", "revision"),
    [
        (VCS, ("abc", False)),
        ('{"url": "file:///lcbench", "dir_info": {}}', (None, None)),
        ("{", (None, None)),
        (None, (None, None)),
    ],
)
def test_the_revision_of_lcbench_is_the_one_that_pip_installed(repository, monkeypatch, origin, revision):
    installed(repository / ".venv" / "lib" / "site-packages", monkeypatch, origin)
    assert sides.revision_of_lcbench() == revision


def test_the_revision_of_another_installation_is_not_that_of_lcbench(repository, monkeypatch, tmp_path_factory):
    installed(tmp_path_factory.mktemp("site-packages"), monkeypatch, VCS)
    monkeypatch.setattr(sides, "__file__", str(tmp_path_factory.mktemp("copied") / "lcbench" / "measure" / "sides.py"))
    assert sides.revision_of_lcbench() == (None, None)
