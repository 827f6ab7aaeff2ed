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
    (folder / "softmax.py").write_text("")
    program = folder / "bin" / "lcbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lcbench "$@"\n')
    program.chmod(0o755)
    (folder / "lcbench.bash").write_text(invoke(folder, "completion", "bash").stdout)
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
        (["run", "--impl", "numpy,nump"], ["compopt -o default", ""]),
        (["train", "--impl", "numba-p"], ["numba-parallel"]),
        (["sweep", "--axis", "ro"], ["compopt -o nospace", "rows="]),
        (["sweep", "--axis", "rows=1:9", "--axis", "r"], [""]),
        (["sweep", "--axis", "dtype=float6"], ["dtype=float64"]),
        (["sweep", "--axis", "dtype=float32,f"], ["dtype=float32,float64"]),
        (["train", "--features", "col"], ["colour"]),
        (["train", "--features", "colour,words-h"], ["colour,words-hard"]),
        (["features", "col"], ["colour"]),
        (["check", "numba-p"], ["numba-parallel"]),
        (["run", "--save", "b"], ["before"]),
        (["compare", "bef"], ["before"]),
        (["compare", "before", "bef"], ["before"]),
        (["plot", "his"], ["history"]),
        (["plot", "bars", "bef"], ["before"]),
        (["check", "./"], ["compopt -o default", ""]),
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
    heavy = "import sys; from lcbench.cli import completion as c; c.implementations(None, None, ''); "
    heavy += "c.results(None, None, ''); c.plots(None, None, ''); "
    heavy += "print({'numpy', 'numba', 'h5py', 'msgspec', 'matplotlib', 'scipy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.strip() == "set()"
