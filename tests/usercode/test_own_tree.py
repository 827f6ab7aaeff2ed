"""Each side of a gate imports modules of the repository from its own source tree."""

from __future__ import annotations

import _bisect
import json
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import h5py
import pytest

from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LossError
from lcbench.measure import selection, sides
from lcbench.usercode import own_tree
from lcbench.usercode.source import unchanging

KERNEL = "def softmax_loss(W, X, y, reg):\n    from mypackage.core import version\n    raise ValueError(version)\n"
EARLY = "from mypackage.core import version\ndef softmax_loss(W, X, y, reg):\n    raise ValueError(version)\n"
MODULE = "mypackage.losses:softmax_loss"
FILE = "kernels/softmax.py"


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Repository with a package in two versions and uncommitted changes, and a kernel that imports it."""
    folder = tmp_path / "repository"
    make(folder, "src/mypackage")
    monkeypatch.chdir(folder)
    return folder


def make(folder, package, texts=("first", "second", "third")):
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text in texts:
        write(folder, package, text)
        if text != texts[-1]:
            git(folder, "add", "-A")
            git(folder, "commit", "-q", "-m", text)


def write(folder, package, text):
    for file, content in (
        ("__init__.py", ""),
        ("core.py", f"version = 'version {text}'\n"),
        ("losses.py", KERNEL),
        ("../../kernels/softmax.py", KERNEL),
        ("../../kernels/early.py", EARLY),
    ):
        path = (folder / package / file).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def loaded(name, base="HEAD~1", head="."):
    """Return what the function `name` raises on base and on head."""
    with sides.open_sides(base, head) as both:
        return [selection.discover(sides.in_own_tree(side, name), place=side.place)[0].problem for side in both]


def version(text):
    return f"line 3: ValueError: version {text}"


def installed(monkeypatch, folder, how, repository, source):
    """Make mypackage importable in worker processes in the way `how`."""
    site = folder / "site-packages"
    metadata = site / "mypackage-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(source.parent) if how == "path" else str(site))
    if how == "editable":  # as setuptools does it
        (site / "sitecustomize.py").write_text(
            "import sys\nfrom importlib.util import spec_from_file_location\nclass Finder:\n"
            "    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
            f"        if name == 'mypackage':\n            return spec_from_file_location(name, {str(source)!r} + "
            "'/__init__.py')\nsys.meta_path.append(Finder)\n"
        )
    elif how != "path":
        shutil.copytree(source, site / "mypackage")
        (metadata / "top_level.txt").write_text("mypackage\n")
    if how == "copy":
        (metadata / "direct_url.json").write_text(json.dumps({"url": repository.as_uri(), "dir_info": {}}))
    elif how == "copy from an index":
        (repository / "pyproject.toml").write_text("[project]\nname = 'MyPackage'\n")


@pytest.mark.parametrize("how", ["path", "editable", "copy", "copy from an index"])
@pytest.mark.parametrize("name", [FILE, "kernels/early.py", MODULE])
def test_each_side_imports_its_own_tree(repository, tmp_path, monkeypatch, how, name):
    installed(monkeypatch, tmp_path, how, repository, repository / "src" / "mypackage")
    assert loaded(name) == [version("first"), version("third")]


@pytest.mark.parametrize("layout", ["mypackage", "python/mypackage", "libraries/python/mypackage"])
def test_the_layout_may_have_changed(repository, tmp_path, monkeypatch, layout):
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "third")
    (repository / layout).parent.mkdir(parents=True, exist_ok=True)
    git(repository, "mv", "src/mypackage", layout)
    installed(monkeypatch, tmp_path, "path", repository, repository / layout)
    assert loaded(FILE) == [version("second"), version("third")]
    git(repository, "commit", "-q", "-m", "moved")
    installed(monkeypatch, tmp_path / "other", "copy", repository, repository / layout)
    write(repository, layout, "fourth")
    assert loaded(FILE, "HEAD") == [version("third"), version("fourth")]


def test_what_only_another_tree_has_is_refused_with_its_path(repository, monkeypatch):
    (repository / "new").mkdir()
    (repository / "new" / "onlyhere.py").touch()
    monkeypatch.setenv("PYTHONPATH", f"{repository}/new:{repository}/src")
    for text in ("import onlyhere\n", "try:\n    import onlyhere\nexcept ImportError:\n    pass\n"):
        (repository / FILE).write_text(text + KERNEL)
        git(repository, "commit", "-q", "-a", "-m", "import")
        with pytest.raises(
            LossError, match=rf"onlyhere is not in base's own tree, only in {repository}/new/onlyhere.py"
        ):
            loaded(FILE, "HEAD")


def test_modules_of_the_tree_stay_as_they_were_first_read(repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{repository}/src")
    with unchanging() as changes:
        assert loaded(FILE) == [version("first"), version("third")]
        (repository / "src" / "mypackage" / "core.py").write_text("version = 'version fourth'\n")
        assert loaded(FILE)[1] == version("third")
        assert any(line.startswith(f"{repository}/src/mypackage/core.py has changed") for line in changes())
    assert loaded(FILE)[1] == version("fourth")


def test_a_module_loaded_by_its_path_is_refused(repository, monkeypatch):
    (repository / FILE).write_text(
        "import sys\nfrom importlib.util import module_from_spec, spec_from_file_location\n"
        f"spec = spec_from_file_location('by_path', {str(repository / 'src/mypackage/core.py')!r})\n"
        "module = sys.modules['by_path'] = module_from_spec(spec)\nspec.loader.exec_module(module)\n" + KERNEL
    )
    git(repository, "commit", "-q", "-a", "-m", "by path")
    with pytest.raises(
        LossError, match=f"by_path was imported from {repository}/src/mypackage/core.py, which is not in"
    ):
        loaded(FILE, "HEAD")


EXTENSION = f"_bisect{EXTENSION_SUFFIXES[0]}"
USES_EXTENSION = "from mypackage._bisect import bisect\n"
GUARDED = "try:\n    from mypackage._bisect import bisect\nexcept ImportError:\n    bisect = None\n"


compiled = pytest.mark.skipif(not hasattr(_bisect, "__file__"), reason="needs a module in a file of its own")


@compiled
@pytest.mark.parametrize(
    ("text", "source", "place"),
    [
        (USES_EXTENSION, None, "src/mypackage"),
        (GUARDED, None, "src/mypackage"),
        (GUARDED, "bisect = None\n", "src/mypackage"),
        (GUARDED, None, "kernels/mypackage"),
        (GUARDED, "bisect = None\n", "kernels/mypackage"),
    ],
    ids=["needed", "optional", "also a source", "beside the kernel", "beside the kernel, also a source"],
)
def test_an_extension_that_is_not_built_is_refused(repository, monkeypatch, text, source, place):
    """Without it, base could run the slow version that it has for such a case."""
    if place.startswith("kernels"):
        shutil.move(repository / "src" / "mypackage", repository / place)
    if source:
        (repository / place / "_bisect.py").write_text(source)
    (repository / FILE).write_text(text + KERNEL)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "with an extension")
    shutil.copy(_bisect.__file__, repository / place / EXTENSION)  # git does not know it
    monkeypatch.setenv("PYTHONPATH", str(repository / "src"))
    with pytest.raises(LossError, match=rf"_bisect is not built in base's own tree, only in {repository}/.*--build"):
        loaded(FILE, "HEAD")
    build = f"cp {_bisect.__file__} {place}/{EXTENSION}"
    with sides.open_sides("HEAD", ".", build) as both:
        for side in both:
            [found] = selection.discover(FILE, place=side.place)
            assert "ValueError: version third" in found.problem


@compiled
def test_an_installed_copy_with_an_extension_is_no_substitute_for_the_tree(repository, tmp_path, monkeypatch):
    (repository / FILE).write_text(GUARDED + KERNEL)
    shutil.copy(_bisect.__file__, repository / "src" / "mypackage" / EXTENSION)
    installed(monkeypatch, tmp_path, "copy", repository, repository / "src" / "mypackage")
    (repository / "src" / "mypackage" / EXTENSION).unlink()
    with pytest.raises(LossError, match=r"mypackage._bisect is not built in base's own tree, only in .*site-packages"):
        loaded(FILE, ".")


def test_packages_of_others_come_from_where_they_are_installed(repository):
    """A file or a folder of the repository may have the name of a library."""
    (repository / "h5py").mkdir()
    (repository / "h5py" / "__init__.py").write_text("raise ImportError\n")
    (repository / FILE).write_text(
        KERNEL.replace("mypackage.core import version", "h5py.version import hdf5_version as version")
    )
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "a folder h5py")
    assert loaded(FILE, "HEAD") == [f"line 3: ValueError: {h5py.version.hdf5_version}"] * 2


def test_a_linked_worktree_is_measured_where_the_main_one_is_installed(repository, tmp_path, monkeypatch):
    installed(monkeypatch, tmp_path, "editable", repository, repository / "src" / "mypackage")
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), "HEAD")
    monkeypatch.chdir(tmp_path / "linked")
    assert loaded(FILE) == [version("first"), version("second")]


@pytest.mark.parametrize("of_files", [False, True])
def test_two_clones(repository, tmp_path, monkeypatch, of_files):
    git(tmp_path, "clone", "-q", str(repository), "clone")
    installed(monkeypatch, tmp_path, "path", repository, repository / "src" / "mypackage")
    clone = tmp_path / "clone"
    if of_files:
        with sides.open_sides(str(clone / FILE), FILE) as both:
            found = [selection.discover(side.implementation, place=side.place)[0].problem for side in both]
        assert found == [version("second"), version("third")]
    else:
        assert loaded(FILE, str(clone)) == [version("second"), version("third")]


def test_a_file_given_by_its_absolute_path_is_that_of_each_side(repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{repository}/src")
    assert loaded(f"{repository / FILE}:softmax_loss") == [version("first"), version("third")]


def test_a_link_to_another_tree_is_refused(repository):
    (repository / "link.py").symlink_to(repository / FILE)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "with a link")
    with pytest.raises(LcbenchError, match=r"--base HEAD: link.py is a link to .*kernels/softmax.py, which is not in"):
        loaded("link.py", "HEAD")


def test_packages_of_an_environment_that_the_build_made_are_those_of_the_tree(repository):
    build = (
        f"mkdir -p .venv/bin .venv/site-packages && mv src/mypackage .venv/site-packages && printf '%s\\n' '#!/bin/sh' "
        f"'PYTHONPATH=${{0%/bin/python}}/site-packages exec {sys.executable} \"$@\"' > .venv/bin/python && "
        "chmod +x .venv/bin/python"
    )
    with sides.open_sides("HEAD~1", ".", build) as (base, _):
        assert selection.discover(FILE, place=base.place)[0].problem == version("first")


def test_the_worker_itself_is_of_no_side(tmp_path):
    """Who works on lcbench runs the command from head: only the losses must come from the tree of each side."""
    head = Path(own_tree.__file__).parents[2]
    program = f"""
import sys
from lcbench.losses.implementation import CannotLoad
from lcbench.usercode import own_tree

sys.modules["__mp_main__"] = sys.modules["__main__"]  # as in a process that the worker has started
sys.modules["__main__"].__file__ = {str(head / "lcbench" / "workers" / "start_worker.py")!r}
imports = own_tree.use(own_tree.OwnTree("base", {str(tmp_path)!r}, ({str(head)!r},)))
for name in [name for name in sys.modules if name.startswith("lcbench.losses")]:
    losses = sys.modules.pop(name)
imports.require_own()
sys.modules["lcbench.losses"] = losses
try:
    imports.require_own()
except CannotLoad as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=head, capture_output=True, text=True)
    assert done.stdout.startswith("lcbench.losses was imported from"), done.stderr
