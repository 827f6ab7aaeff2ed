"""The ``lcbench`` command: help texts, imports, error messages and exit codes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import click
import pytest

from commands import environment, invoke, lcbench
from lcbench.cli import main
from lcbench.cli.options import SHARE
from lcbench.errors import LcbenchError, ReaderGone, os_error
from lcbench.losses.implementation import UnknownImplementation
from lcbench.settings import defaults

SLOW_MODULES = ("scipy", "numba", "torch", "h5py", "jax", "sklearn", "skimage", "matplotlib")

NOT_FOR_HELP = ("numpy", "numba", "scipy", "h5py", "rich", "msgspec", "psutil", "torch", "jax", "requests")


def test_help_imports_no_slow_module():
    program = (
        "import sys, runpy\n"
        "sys.argv = ['lcbench', '--help']\n"
        "try: runpy.run_module('lcbench', run_name='__main__')\n"
        "except SystemExit as left: assert left.code == 0\n"
        f"print([name for name in {NOT_FOR_HELP} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    commands = [line.split()[0] for line in lines if line.startswith("  ") and line.strip()]
    assert set(main.COMMANDS) <= set(commands)


INVALID_COMMANDS = (
    "run --impl nunpy",
    "run --impl nosuch.py",
    "run --data mnist",
    "run --baseline nunpy",
    "run --save ../x",
    "run --losses svm",
    "sweep --axis rowz=1:10",
    "sweep --axis rows=1:10 --impl nunpy",
    "gate --base nowhere",
    "gate --base . --head . --impl nunpy",
    "check nunpy",
    "check nosuch.py",
    "gradcheck nunpy",
    "compare",
    "compare nothing",
    "compare nothing other",
    "history",
    "history --impl nunpy",
    "export --format csv",
    "export nothing --format csv",
    "inspect nunpy",
    "inspect nosuch.py",
    "features huge",
    "train --data nosuch.csv",
    "train --data synthetic --impl nunpy",
    "train --data synthetic --features huge",
    "evaluate",
    "evaluate nosuch.h5",
    "search --data nosuch.csv",
    "search --lr 1:2:x",
    "search --data synthetic --impl nunpy",
    "plot bard",
    "plot bars",
    "plot bars nothing",
    "plot templates",
    "plot templates nosuch.h5",
    "plot curves nosuch.h5",
    "plot --all nosuch.h5",
    "report",
    "report nothing",
    "report --output page.pdf",
    "reproduce nothing",
    "reproduce softmax-layer --impl nunpy",
    "download --verify",
    "synth images.txt --rows 50",
    "synth images.h5 --rows 5",
    "doctor --seconds 0",
    "impls --jsn",
    "completion tcsh",
)


def test_input_errors_import_no_slow_module(tmp_path):
    program = (
        "import sys\n"
        "from lcbench.cli.main import main\n"
        f"for line in {INVALID_COMMANDS}:\n"
        "    sys.argv = ['lcbench', *line.split()]\n"
        "    try: main()\n"
        "    except SystemExit as left: assert left.code == 2, (line, left.code)\n"
        f"    slow = [name for name in {SLOW_MODULES} if name in sys.modules]\n"
        "    assert not slow, (line, slow)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_module_and_version(tmp_path):
    done = lcbench(tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lcbench ")


@pytest.mark.parametrize(
    ("name", "hint"), [("comapre", "did you mean 'compare'?"), ("xyzzy", "'lcbench --help' lists all.")]
)
def test_misspelled_command_suggests_the_nearest(tmp_path, name, hint):
    done = invoke(tmp_path, name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: no command '{name}': {hint}"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("gate --base ''", "'--base'"),
        ("gate --base . --junit ''", "'--junit'"),
        ("gate --base . --build ' '", "'--build'"),
        ("search --output ''", "'--output'"),
        ("search --lr=", "'--learning-rate' / '--lr'"),
        ("export '' --format csv", "'[RESULT]'"),
        ("run --data ''", "'--data'"),
        ("run --impl numpy --impl ''", "'--impl'"),
        ("run --save ''", "'--save'"),
        ("sweep --baseline ''", "'--baseline'"),
        ("sweep --axis rows=1:2 --data ''", "'--data'"),
        ("sweep --resume ''", "'--resume'"),
        ("features ''", "'[NAME]...'"),
        ("inspect ''", "'NAME | FILE.py[:FUNCTION]'"),
        ("check numpy ''", "'[FILE.py[:FUNCTION] | NAME]...'"),
        ("compare '' before", "'[BASE]'"),
        ("plot bars ''", "'[FILE]...'"),
        ("report --output ''", "'--output'"),
        ("history --since ''", "'--since'"),
        ("train --scheduler ''", "'--scheduler'"),
        ("evaluate ''", "'[MODEL.h5]'"),
        ("download --url ''", "'--url'"),
        ("synth '' --rows 5", "'FILE'"),
        ("reproduce --pictures ''", "'--pictures'"),
    ],
)
def test_an_empty_value_is_a_usage_error(tmp_path, line, where):
    done = invoke(tmp_path, *shlex.split(line))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: Invalid value for {where}: the value is empty"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("variable", "line"), [("LCBENCH_RESULTS", "history"), ("LCBENCH_DATA", "download --verify")])
def test_an_empty_folder_variable_is_an_error(tmp_path, variable, line):
    done = invoke(tmp_path, *line.split(), **{variable: ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {variable} is empty: name a folder, or unset it for ")


@pytest.mark.parametrize(
    "line",
    [
        "evaluate NAME.h5", "check NAME.py", "run --impl NAME.py", "run --data NAME.csv", "export NAME --format csv",
        "plot bars NAME.json", "gate --base NAME", "doctor --seconds NAME",
    ],
)  # fmt: skip
def test_control_characters_of_names_are_visible(tmp_path, line):
    done = invoke(tmp_path, *(word.replace("NAME", "a\nb\x1b[2J") for word in line.split()))
    assert (done.returncode, done.stdout) == (2, "")
    assert r"a\nb\x1b[2J" in done.stderr.splitlines()[-1]
    assert "\x1b" not in done.stderr


def commands():
    return [main.lcbench.get_command(click.Context(main.lcbench), name) for name in main.COMMANDS]


@pytest.mark.parametrize("command", [main.lcbench, *commands()], ids=lambda command: command.name)
def test_help_ends_with_two_valid_examples(command):
    text = command.get_help(click.Context(command, info_name="lcbench"))
    *_, title, first, second = text.splitlines()
    assert title.strip() == "Examples:"
    for example in (first, second):
        name, *words = shlex.split(example)
        assert name == "lcbench"
        own = main.lcbench.get_command(click.Context(main.lcbench), words[0])
        assert command in (main.lcbench, own)
        own.make_context(words[0], words[1:])  # parses the arguments without running the command


@pytest.mark.parametrize("name", ["run", "sweep", "gate", "train", "search"])
def test_shown_defaults_are_those_of_the_settings(name):
    command = main.lcbench.get_command(click.Context(main.lcbench), name)
    context = command.make_context(name, [], resilient_parsing=True)
    known = defaults(command.struct)
    text = " ".join(command.get_help(context).split())
    options = [option for option in command.params if option.name in known and option.show_default]
    assert len(options) > 5
    for option in options:
        default = known[option.name]
        shown = f"{100 * default:g}%" if option.type is SHARE else default
        assert option.default != default, "the default is defined in the struct only"
        assert option.get_default(context) == shown
        assert f"default: {shown}" in text, option.name


@pytest.mark.parametrize(("name", "default"), [("gate", "3%"), ("compare", "10%")])
def test_shares_are_shown_in_percent(tmp_path, name, default):
    assert f"[default: {default}]" in invoke(tmp_path, name, "--help").stdout


def exit_of_main(monkeypatch, capsys, error):
    """Return the exit code and the standard error if the command raises `error`."""

    def command(**options):
        raise error

    monkeypatch.setattr(main.lcbench, "main", command)
    code = main.exit_code()
    output = capsys.readouterr()
    assert output.out == ""
    return code, output.err


def of_unfinished_file():
    """Return the exception of click for the EOFError of an unfinished gzip file."""
    aborted = click.Abort()
    aborted.__cause__ = EOFError("no end-of-stream marker")
    return aborted


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (LcbenchError("no such result"), 2, "error: no such result\n"),
        (UnknownImplementation("no implementation"), 2, "error: no implementation\n"),
        (OSError(28, "No space left on device"), 2, f"error: {os_error(OSError(28, 'No space left on device'))}\n"),
        (click.ClickException("wrong option"), 2, "Error: wrong option\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (click.Abort(), 130, "stopped\n"),
        (ReaderGone(), 141, ""),
        (
            UnicodeEncodeError("utf-8", "caf\udce9.py", 3, 4, "surrogates not allowed"),
            2,
            r"error: the name 'caf\xe9.py' is no text in UTF-8: rename the file or folder" "\n",
        ),
        (
            of_unfinished_file(),
            2,
            "error: internal error in lcbench: EOFError: no end-of-stream marker; "
            "set LCBENCH_TRACEBACK=1 to see the traceback\n",
        ),
    ],
)
def test_error_is_one_line_and_an_exit_code(monkeypatch, capsys, error, code, line):
    assert exit_of_main(monkeypatch, capsys, error) == (code, line)


def test_internal_error_is_exit_code_2_with_traceback_on_request(monkeypatch, capsys):
    assert exit_of_main(monkeypatch, capsys, ZeroDivisionError("oh")) == (
        2,
        "error: internal error in lcbench: ZeroDivisionError: oh; set LCBENCH_TRACEBACK=1 to see the traceback\n",
    )
    monkeypatch.setenv("LCBENCH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        exit_of_main(monkeypatch, capsys, ZeroDivisionError("oh"))


@pytest.mark.parametrize("command", ["", *main.COMMANDS])
def test_help_fits_into_80_columns_and_cuts_nothing(tmp_path, command):
    helped = invoke(tmp_path, *command.split(), "--help")
    lines = helped.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") and "]..." not in line for line in lines)
    assert "RANGE" not in helped.stdout


def test_without_a_command_the_help_is_shown(tmp_path):
    shown = invoke(tmp_path)
    assert shown.returncode in (0, 2)  # before click 8.2, it is no error
    helped = invoke(tmp_path, "--help").stdout.splitlines()
    assert (shown.stdout + shown.stderr).splitlines() == helped
    assert len(helped) > 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare",),
        ("compare", "saved"),
        ("history",),
        ("report",),
        ("export", "--format", "csv"),
        ("plot", "bars"),
        ("evaluate",),
        ("plot", "search"),
        ("sweep", "--resume"),
    ],
    ids=" ".join,
)
def test_a_file_in_the_place_of_the_results_is_named(tmp_path, arguments):
    (tmp_path / "occupied").touch()
    refused = invoke(tmp_path, *arguments, LCBENCH_RESULTS="occupied")
    assert refused.returncode == 2
    assert re.search(r"cannot read occupied[^:]*: not a directory", refused.stderr), refused.stderr


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(tmp_path, option):
    assert invoke(tmp_path, option).stdout.startswith("lcbench ")


@pytest.mark.parametrize(
    ("typed", "meant"), [("list", "impls"), ("benchmark", "run"), ("runn", "run"), ("help", "--help")]
)
def test_a_command_is_suggested(tmp_path, typed, meant):
    refused = invoke(tmp_path, typed)
    assert refused.returncode == 2
    assert f"no command '{typed}': did you mean '{meant}'?" in refused.stderr


def test_every_synonym_is_a_command():
    assert {name for name in main.SYNONYMS.values() if not name.startswith("-")} <= {*main.COMMANDS}
    assert not {*main.SYNONYMS} & {*main.COMMANDS}


@pytest.mark.parametrize("command", ["check", "gradcheck", "inspect", "run --impl"])
def test_a_file_of_that_name_is_suggested(tmp_path, command):
    (tmp_path / "softmax.py").write_text("")
    refused = invoke(tmp_path, *command.split(), "softmax")
    assert refused.returncode == 2
    assert "no implementation 'softmax': did you mean 'softmax.py'?" in refused.stderr


@pytest.mark.parametrize("count", ["0", "-1"])
@pytest.mark.parametrize("arguments", [["inspect", "numba-njit"], ["train", "--data", "synthetic"]])
def test_less_than_one_thread_of_numba_is_refused(tmp_path, arguments, count):
    done = invoke(tmp_path, *arguments, NUMBA_NUM_THREADS=count)
    line = f"error: NUMBA_NUM_THREADS is {count}: give at least 1 thread, or unset it for all usable cores\n"
    assert (done.returncode, done.stderr) == (2, line)
