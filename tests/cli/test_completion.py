"""``lcbench completion`` in bash, zsh and fish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from commands import TIMEOUT_S, environment, invoke
from lcbench import record
from lcbench.losses.catalog import CATALOG
from results import record as make_record
from results import row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a saved result, a Python file, and ``lcbench`` in bin/."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "softmax.py").write_text(
        "def softmax_loss_naive(W, X, y, reg): pass\ndef softmax_loss_vectorized(W, X, y, reg): pass\n"
        "def softmax(scores): pass\ndef _private(W, X, y): pass\n"
    )
    (folder / "table.csv").write_text("")
    (folder / "broken.py").write_text("def f(")
    model = folder / "results" / "models" / "20260101T000000Z-0.h5"
    model.parent.mkdir(parents=True)
    model.write_text("")
    program = folder / "bin" / "lcbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lcbench "$@"\n')
    program.chmod(0o755)
    (folder / "lcbench.bash").write_text(invoke(folder, "completion", "bash").stdout)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    for command in (["add", "softmax.py"], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        record.write(make_record(row(medians=[1.0, 1.0])), "before")
    return folder


def in_shell(folder, shell, script):
    """Return the lines that `script` prints in the shell, with ``lcbench`` on the path."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", script],
        cwd=folder,
        env=environment(PATH=path),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )
    return done.stdout.splitlines()


def bash_completions(folder, *words):
    """Return the completions of the last of `words` in bash."""
    typed = " ".join(f"'{word}'" for word in words)
    return in_shell(
        folder,
        "bash",
        f'source lcbench.bash; compopt() {{ echo "compopt $1 $2"; }}; COMP_WORDS=(lcbench {typed}); '
        f"COMP_CWORD={len(words)}; "
        f"$(complete -p lcbench | sed 's/.* -F //') lcbench; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    )


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["gr"], ["gradcheck"]),
        (["run", "--base"], ["--baseline"]),
        (["run", "--loss", "s"], ["svm", "softmax"]),
        (["run", "--impl", "numba-p"], ["numba-parallel"]),
        (["run", "--impl", "numpy,numba-p"], ["numpy,numba-parallel"]),
        (["run", "--impl", "numpy,nump"], [""]),
        (["run", "--impl", "sk"], ["sklearn"]),
        (["run", "--impl", "numpy,soft"], ["numpy,softmax.py"]),
        (["run", "--impl", "numpy,softmax.py:softmax_loss_v"], ["numpy,softmax.py:softmax_loss_vectorized"]),
        (["check", "softmax.py:"], ["softmax.py:softmax_loss_naive", "softmax.py:softmax_loss_vectorized"]),
        (["check", "broken.py:"], [""]),
        (["check", "nowhere/"], [""]),
        (["inspect", "soft"], ["softmax.py"]),
        (["train", "--data", "s"], ["synthetic"]),
        (["train", "--data", "ta"], ["table.csv"]),
        (["run", "--data", "res"], ["compopt -o nospace", "results/"]),
        (["evaluate", "results/models/"], ["results/models/20260101T000000Z-0.h5"]),
        (["report", "bef"], ["before"]),
        (["gate", "--base", "HEAD"], ["HEAD~1"]),
        (["gate", "--base", "mai"], ["main"]),
        (["gate", "--head", "soft"], ["softmax.py"]),
        (["reproduce", "softmax-l"], ["softmax-layer"]),
        (["train", "--impl", "numba-p"], ["numba-parallel"]),
        (["sweep", "--axis", "ro"], ["compopt -o nospace", "rows="]),
        (["sweep", "--axis", "rows=1:9", "--axis", "r"], [""]),
        (["sweep", "--axis", "dtype=float6"], ["dtype=float64"]),
        (["sweep", "--axis", "dtype=float32,f"], ["dtype=float32,float64"]),
        (["run", "--dtype", "u"], ["uint8"]),
        (["train", "--dtype", "u"], [""]),
        (["train", "--features", "col"], ["colour"]),
        (["train", "--features", "colour,words-h"], ["colour,words-hard"]),
        (["features", "col"], ["colour"]),
        (["check", "numba-p"], ["numba-parallel"]),
        (["run", "--save", "b"], ["before"]),
        (["compare", "bef"], ["before"]),
        (["compare", "before", "bef"], ["before"]),
        (["plot", "his"], ["history"]),
        (["plot", "bars", "bef"], ["before"]),
        (
            ["check", "./"],
            ["compopt -o nospace", "compopt -o nospace", "./bin/", "./broken.py", "./results/", "./softmax.py"],
        ),
        (["completion", "f"], ["fish"]),
    ],
)
def test_bash_completions(folder, words, completions):
    assert bash_completions(folder, *words) == completions


def test_bash_completes_all_names_and_results(folder):
    names = bash_completions(folder, "run", "--impl", "")
    assert [name for name in CATALOG if name not in names] == []
    saved, stored = bash_completions(folder, "export", "")
    assert saved == "before"
    assert (folder / "results" / f"{stored}.json").is_file()


def test_zsh_completions_have_descriptions(folder):
    variables = {"COMP_WORDS": "lcbench run --impl nump", "COMP_CWORD": "3", "_LCBENCH_COMPLETE": "zsh_complete"}
    done = invoke(folder, **variables)
    assert done.stdout.splitlines() == ["plain", "numpy", CATALOG["numpy"].what]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_the_second_name_of_a_list(folder):
    script = "lcbench completion fish | source; complete --do-complete 'lcbench run --impl numpy,numba-p'"
    assert in_shell(folder, "fish", script) == [f"numpy,numba-parallel\t{CATALOG['numba-parallel'].what}"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_accepts_the_script(folder):
    script = "autoload -U compinit; compinit -D; source <(lcbench completion zsh); echo $_comps[lcbench]"
    assert in_shell(folder, "zsh", script) == ["_lcbench_completion"]


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "_LCBENCH_COMPLETE=bash_complete $1"),
        ("zsh", "#compdef lcbench"),
        ("fish", "complete --no-files --command lcbench"),
    ],
)
def test_script_of_each_shell(folder, shell, line):
    done = invoke(folder, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout


def test_unknown_shell_is_one_line_error(folder):
    done = invoke(folder, "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr.splitlines()[-1]


def test_completion_imports_no_slow_module(folder):
    heavy = (
        "import sys; from types import SimpleNamespace; from lcbench.cli import completion as c; "
        "[complete(SimpleNamespace(params={}), None, '') for complete in (c.implementations, c.results, c.plots, "
        "c.data, c.models, c.published_rows, c.versions)]; "
    )
    heavy += "print({'numpy', 'numba', 'h5py', 'msgspec', 'matplotlib', 'scipy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.strip() == "set()"
