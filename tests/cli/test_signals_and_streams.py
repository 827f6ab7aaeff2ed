"""Standard streams and signals of the process: what is printed, and the exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment
from lcbench import record
from lcbench.host import machine
from results import record as make_record
from results import row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with the results ``before`` and ``after``, which is slower; names of rows are not ASCII."""
    folder = tmp_path_factory.mktemp("work")
    here = machine.fingerprint(machine.facts())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        for name, factor in (("before", 1.0), ("after", 2.0)):
            times = [factor * seconds for seconds in (1e-3, 1.01e-3, 0.99e-3)]
            record.write(make_record(row("café✓.py", times), fingerprint=here), name)
    return folder


def run(folder, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables):
    return subprocess.run(
        [sys.executable, "-m", "lcbench", *arguments], cwd=folder, env=environment(**variables), stdout=stdout,
        stderr=stderr, check=False,
    )  # fmt: skip


@pytest.fixture
def gone():
    """Descriptor of a pipe that its reader has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "compare --help",
        "impls --json",
        "completion bash",
        "compare before after",
        "compare before after --json",
        "export before --format csv",
    ],
)
def test_an_output_without_a_reader_is_exit_code_141(folder, gone, arguments):
    """Exit code 1, that of click and rich, would mean a regression."""
    done = run(folder, *arguments.split(), stdout=gone)
    assert (done.returncode, done.stderr) == (141, b"")


def test_reports_are_written_though_the_output_has_no_reader(folder, gone, tmp_path):
    done = run(folder, "compare", "before", "after", "--markdown", str(tmp_path / "page.md"), stdout=gone)
    assert (done.returncode, done.stderr) == (141, b"")
    assert "slower" in (tmp_path / "page.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("arguments", "code"), [("compare before after", 1), ("compare before nothing", 2)])
def test_errors_of_standard_error_do_not_matter(folder, gone, arguments, code):
    assert run(folder, *arguments.split(), stderr=gone).returncode == code


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@needs_full
def test_a_full_output_is_one_line(folder):
    with Path("/dev/full").open("wb") as full:
        done = run(folder, "compare", "before", "after", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_streams_do_not_matter(folder, closed):
    command = f'exec "$0" -m lcbench compare before after {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=folder, env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert bool(done.stdout) == (closed == 2)


@pytest.mark.parametrize(
    ("encoding", "name", "curve"), [("cp437", "café\\u2713.py", "18"), ("ascii", "caf\\xe9\\u2713.py", "18")]
)
def test_characters_that_the_encoding_lacks_are_replaced(folder, encoding, name, curve):
    done = run(folder, "history", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    [line] = [line for line in done.stdout.decode(encoding).splitlines() if line.startswith("caf")]
    assert (line.split()[0], line.split()[-1].strip("|")) == (name, curve)


@pytest.mark.parametrize("arguments", ["compare before after --json", "export before --format csv"])
def test_output_for_programs_is_utf8(folder, arguments):
    done = run(folder, *arguments.split(), PYTHONIOENCODING="latin-1")
    assert done.stderr == b""
    text = done.stdout.decode("utf-8")
    assert "café✓.py" in text
    if "--json" in arguments:
        assert json.loads(text)


# Signals

PROGRAM = """
import ctypes, os, signal, sys, time, weakref
from importlib.machinery import ExtensionFileLoader
from lcbench.cli import process

class Thing:
    pass

class Loader(ExtensionFileLoader):
    def __init__(self):
        pass

    def exec_module(self, module):
        interrupt()
        print("loaded")

def interrupt(number=signal.SIG{signal}):
    os.kill(os.getpid(), number)

def command():
{body}
    return 0

{before}
sys.exit(process.run(command))
"""


def run_interrupted(body, name="INT", before=""):
    """Return exit code, standard output and standard error of a process whose command is `body`."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=lines, signal=name, before=before)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_the_exit_code_tells_the_signal(name, code):
    assert run_interrupted("interrupt()\nprint('continued')", name) == (code, "", "")
    # also if the command has kept what it had measured, and returns
    assert run_interrupted("try: interrupt()\nexcept KeyboardInterrupt: print('kept')", name) == (code, "kept\n", "")


LOST = {
    "a callback of a weak reference": "thing = Thing()\nweak = weakref.ref(thing, lambda _: interrupt())\ndel thing",
    "a callback of C code": "ctypes.CFUNCTYPE(None)(interrupt)()",
    "the end of an object": "Thing.__del__ = lambda self: interrupt()\nThing()",
}


WAIT = "for _ in range(2000): time.sleep(0.01)\nprint('continued')"

later = pytest.mark.parametrize("before", ["", "process.HAS_TIMER = False"], ids=["by a timer", "by a thread"])
"""The exception is raised later by a timer, or, as on Windows, by a thread."""


@later
@pytest.mark.parametrize("name", ["INT", "TERM"])
@pytest.mark.parametrize("body", LOST.values(), ids=LOST.keys())
def test_a_signal_in_a_callback_is_not_lost(body, name, before):
    assert run_interrupted(f"{body}\n{WAIT}", name, before) == (128 + getattr(signal, f"SIG{name}"), "", "")


@later
def test_an_extension_module_is_loaded_before_the_command_stops(before):
    """Its initialisation could turn the exception into an ImportError, which reads as if a package were missing."""
    assert run_interrupted(f"Loader().exec_module(None)\n{WAIT}", "TERM", before) == (143, "loaded\n", "")


def test_a_second_signal_does_not_disturb_the_end():
    body = "try: interrupt()\nfinally:\n    interrupt(signal.SIGTERM)\n    interrupt()\n    print('kept')"
    assert run_interrupted(body) == (130, "kept\n", "")


def test_a_signal_at_the_exit_of_the_process_does_not_disturb_it():
    body = "import atexit\natexit.register(lambda: (interrupt(signal.SIGTERM), print('continued')))\n"
    assert run_interrupted(f"{body}interrupt()") == (130, "", "")
    assert run_interrupted(body) == (143, "", "")


def test_a_signal_while_the_interpreter_is_taken_down_does_not_change_the_exit_code():
    before = "Thing.__del__ = lambda self, kill=os.kill, pid=os.getpid(): kill(pid, signal.SIGTERM)\nlate = Thing()"
    before = before.replace("signal.SIGTERM", str(int(signal.SIGTERM)))
    assert run_interrupted("interrupt()", before=before) == (130, "", "")
    assert run_interrupted("pass", before=before) == (0, "", "")


def test_a_later_signal_stops_a_command_that_did_not_stop():
    body = "try: interrupt()\nexcept KeyboardInterrupt: pass\ninterrupt()\nprint('continued')"
    assert run_interrupted(body, before="process.IMPATIENT_S = 0")[:2] == (130, "")


def test_a_signal_that_the_parent_ignores_is_ignored():
    """As with nohup, or in a job in the background of a shell."""
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    assert run_interrupted("interrupt()\nprint('continued')", "HUP", before) == (0, "continued\n", "")


def test_other_errors_in_callbacks_are_reported():
    code, _, errors = run_interrupted("ctypes.CFUNCTYPE(None)(lambda: 1 / 0)()")
    assert code == 0
    assert "ZeroDivisionError" in errors


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_an_object_that_a_signal_left_incomplete_is_closed_without_a_word(name):
    body = "Thing.__init__ = lambda self: interrupt()\nThing.__del__ = lambda self: self.missing\nThing()"
    assert run_interrupted(body, name) == (128 + getattr(signal, f"SIG{name}"), "", "")


def test_an_error_that_a_signal_causes_in_a_library_is_no_internal_error():
    body = (
        "from lcbench.cli import main\n"
        "def fails(**_):\n"
        "    try: interrupt()\n"
        "    except BaseException: raise ImportError('initialization failed')\n"
        "main.lcbench.main = fails\n"
        "return main.exit_code()"
    )
    assert run_interrupted(body, "TERM") == (143, "", "stopped\n")


def test_ctrl_c_during_the_import_of_the_command_line_is_no_traceback():
    program = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'lcbench.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from lcbench.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
