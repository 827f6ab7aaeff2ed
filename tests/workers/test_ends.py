"""``lcbench run`` and ``gate`` end in the middle of a round: no process is left, and complete measurements are kept.

The measured functions start child processes, one of them in a session of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from commands import TIMEOUT_S, environment, wait_until
from lcbench import record
from lcbench.workers import guard

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(sys.platform != "linux", reason="the environment of processes is read from /proc"),
]

VARIABLE = "LCBENCH_TEST_OF_ENDS"
"""Environment variable of all processes of a test."""

FOLDER = "LCBENCH_TEST_FOLDER"
"""Environment variable with the folder in which the measured functions write files."""

GUARD = b"/".join(part.encode() for part in Path(guard.__file__).parts[-3:])  # of the installed package

MINE = """
import ctypes, os, signal, subprocess, threading, time
from pathlib import Path
from lcbench.losses.vectorized import softmax_loss as right

ORDERS_BEFORE_ROUNDS = 2
continued = []
children = []
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGCONT, lambda *_: continued.append(True))

def in_a_round(do):
    def softmax_loss(W, X, y, reg):
        if len(X) == 20 and not children:
            children.append(subprocess.Popen(["sleep", "600"]))
            children.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        # At least: a process that starts a child may be continued once more before it can be stopped.
        if len(X) == 20 and len(continued) >= ORDERS_BEFORE_ROUNDS + 2:
            Path(os.environ["LCBENCH_TEST_FOLDER"], f"in-a-round-{os.getpid()}").touch()
            do()
        return right(W, X, y, reg)
    return softmax_loss

softmax_loss_works = in_a_round(lambda: None)
softmax_loss_segfaults = in_a_round(lambda: ctypes.string_at(0))
softmax_loss_exits = in_a_round(lambda: os._exit(3))
softmax_loss_hangs = in_a_round(lambda: time.sleep(600))
"""

SIZE = ("--loss", "softmax", "--rows", "20", "--features", "33", "--classes", "3", "--threads", "1")

ENDLESS = ("--blocks", "1000", "--budget", "3600")


class Ends:
    """Commands in a folder, and the processes that they start."""

    def __init__(self, folder):
        self.folder, self._mark = folder, secrets.token_hex(8)
        (folder / "tmp").mkdir()
        (folder / "mine.py").write_text(MINE)
        own = {VARIABLE: self._mark, FOLDER: str(folder), "TMPDIR": str(folder / "tmp")}
        self.variables = environment(**own)

    def run(self, *functions, options=ENDLESS):
        """Return the command line of a run of NumPy and of `functions`."""
        names = ",".join(["numpy", *(f"mine.py:softmax_loss_{name}" for name in functions)])
        return [sys.executable, "-m", "lcbench", "run", "--impl", names, *SIZE, *options]

    def gate(self):
        """Return the command line of a gate of one function with itself."""
        names = ("--base", "mine.py:softmax_loss_works", "--head", "mine.py:softmax_loss_works")
        return [sys.executable, "-m", "lcbench", "gate", *names, *SIZE, "--budget", "3600"]

    def start(self, command, **options):
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.folder, env=self.variables, text=True, **output | options)

    def alive(self):
        """Return the processes of the test that have not ended; stopped ones have not."""
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"\0{VARIABLE}={self._mark}\0".encode() in b"\0" + (path / "environ").read_bytes():
                    found.add(int(path.name))
        return found

    def named(self, part):
        """Return the processes of the test whose command lines have a word that ends in `part`."""
        found = []
        for pid in self.alive():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if any(word.endswith(part) for word in words):
                    found.append(pid)
        return found

    def wait_for_rounds(self, processes=1):
        """Wait until so many processes of our functions, one in each generation of a run, have been in a round."""
        wait_until(lambda: len(self.in_rounds()) >= processes and len(self.named(b"sleep")) >= 2)

    def in_rounds(self):
        return [int(path.name.rpartition("-")[2]) for path in self.folder.glob("in-a-round-*")]

    def wait_for_end_of_all(self):
        wait_until(lambda: not self.alive())

    def kept(self):
        """Return the results that were written. Each of them is complete."""
        files = [path for path in (self.folder / "results").rglob("*") if path.is_file()]
        assert all(path.suffix == ".json" for path in files)
        return [record.read(path) for path in files]

    def temporary_files(self):
        return list((self.folder / "tmp").iterdir())

    def kill_all(self):
        while pids := self.alive():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def ends(tmp_path):
    found = Ends(tmp_path)
    yield found
    found.kill_all()


class Terminal:
    """Pseudo-terminal with a shell in the foreground, which has control of jobs."""

    def __init__(self, ends):
        bash = shutil.which("bash")
        if not bash:
            pytest.skip("there is no bash")
        self._main, end = pty.openpty()
        self._output = bytearray()
        self.shell = ends.start(
            [bash, "--norc", "--noprofile", "-i"],
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(end)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):
            while read := os.read(self._main, 4096):
                self._output += read

    def type(self, text):
        """Type a line, or a control character."""
        os.write(self._main, text if isinstance(text, bytes) else f"{text}\n".encode())

    def wait_for(self, text):
        wait_until(lambda: text.encode() in self._output)

    def close(self):
        """Hang up."""
        os.close(self._main)
        self.shell.wait(TIMEOUT_S)


@pytest.fixture
def terminal(ends):
    found = Terminal(ends)
    yield found
    found.shell.kill()
    found.shell.wait()


CTRL_C, CTRL_Z = b"\x03", b"\x1a"

END = "echo end: $((40 + 2)), status: $?"
"""Command whose output differs from what is typed."""


def require_complete_generations(kept):
    """Assert that the only result is that of an interrupted run with at least one generation, which all rows have."""
    [result] = kept
    assert result.interrupted
    generations = {tuple(process.generation for process in row.processes) for row in result.rows}
    assert len(generations) == 1
    assert 0 in next(iter(generations))
    assert all(process.turns for row in result.rows for process in row.processes)


def test_ctrl_c_in_a_run_keeps_what_was_measured(ends, terminal):
    terminal.type(f"{shlex.join(ends.run('works'))}; {END}")
    ends.wait_for_rounds(2)
    terminal.type(CTRL_C)
    terminal.wait_for("end: 42, status: 130")
    wait_until(lambda: ends.alive() == {terminal.shell.pid})
    require_complete_generations(ends.kept())
    assert ends.temporary_files() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_lcbench_alone_keeps_what_was_measured(ends, number):
    process = ends.start(ends.run("works"))
    ends.wait_for_rounds(2)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    ends.wait_for_end_of_all()
    require_complete_generations(ends.kept())
    assert ends.temporary_files() == []


def test_ctrl_c_in_a_gate(ends, terminal):
    terminal.type(f"{shlex.join(ends.gate())}; {END}")
    # A generation has four processes. Three make the first calls before, and sometimes look as if they were in a round.
    ends.wait_for_rounds(3 + 4 + 1)
    terminal.type(CTRL_C)
    terminal.wait_for("end: 42, status: 130")
    wait_until(lambda: ends.alive() == {terminal.shell.pid})
    [result] = ends.kept()
    assert result.interrupted
    counts = {row.side: len(row.processes) for row in result.rows}
    assert counts["base"] == counts["control"] == counts["head"] / 2 == len(result.gate.orders)
    assert ends.temporary_files() == []


@pytest.mark.parametrize("command", ["run", "gate"])
def test_lcbench_is_killed(ends, command):
    process = ends.start(ends.run("hangs") if command == "run" else ends.gate())
    ends.wait_for_rounds()
    process.kill()
    process.wait()
    ends.wait_for_end_of_all()
    assert ends.kept() == []


def test_the_terminal_is_closed(ends, terminal):
    terminal.type(shlex.join(ends.run("works")))
    ends.wait_for_rounds(2)
    terminal.close()
    ends.wait_for_end_of_all()
    require_complete_generations(ends.kept())
    assert ends.temporary_files() == []


def test_a_worker_is_killed(ends):
    process = ends.start([*ends.run("hangs", options=("--blocks", "3", "--budget", "0")), "--json"])
    ends.wait_for_rounds()
    [worker] = ends.in_rounds()
    os.kill(worker, signal.SIGKILL)
    rows = rows_of(process)
    assert rows["mine.py:softmax_loss_hangs"] == ("crashed", "killed by SIGKILL (out of memory?)", 0)
    assert rows["numpy"] == ("ok", "", 3)
    ends.wait_for_end_of_all()
    assert ends.temporary_files() == []


def rows_of(process):
    """Return status, reason and number of processes of each row that a command prints as JSON."""
    rows = json.loads(process.communicate()[0])["rows"]
    return {row["implementation"]: (row["status"], row["reason"], len(row["processes"])) for row in rows}


def test_workers_crash_exit_and_hang(ends):
    options = ("--blocks", "3", "--budget", "0", "--timeout", "8", "--json")
    process = ends.start(ends.run("segfaults", "exits", "hangs", "works", options=options))
    found = {name.removeprefix("mine.py:softmax_loss_"): row for name, row in rows_of(process).items()}
    assert found["segfaults"] == ("crashed", "killed by SIGSEGV", 0)
    assert found["exits"] == ("crashed", "exited with status 3", 0)
    assert found["hangs"] == ("timeout", "no answer for 8 s", 0)
    assert found["works"] == found["numpy"] == ("ok", "", 3)
    assert process.returncode == 2
    ends.wait_for_end_of_all()
    assert ends.temporary_files() == []


def stopped(pid):
    """Return whether a process has been stopped."""
    return (found := guard.facts(pid)) is not None and found.state == "T"


def test_ctrl_z_then_fg(ends, terminal):
    terminal.type(shlex.join(ends.run("works", options=("--blocks", "3", "--budget", "0"))))
    ends.wait_for_rounds()
    [pid] = ends.named(b"lcbench")
    terminal.type(CTRL_Z)
    wait_until(lambda: stopped(pid))
    terminal.type(f"fg; {END}")
    terminal.wait_for("end: 42, status: 0")
    wait_until(lambda: ends.alive() == {terminal.shell.pid})
    [result] = ends.kept()
    assert [(row.status, len(row.processes)) for row in result.rows] == [("ok", 3)] * 2


def test_ctrl_z_then_kill(ends, terminal):
    terminal.type(f"{shlex.join(ends.run('hangs'))}; {END}")
    ends.wait_for_rounds()
    [pid] = ends.named(b"lcbench")
    terminal.type(CTRL_Z)
    wait_until(lambda: stopped(pid))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ends.alive() == {terminal.shell.pid})
    assert ends.kept() == []


def test_the_guard_is_killed_in_a_run(ends):
    """Another guard is started for the next worker."""
    process = ends.start(ends.run("works"))
    ends.wait_for_rounds()
    [first] = ends.named(GUARD)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: first not in ends.alive() and ends.named(GUARD))
    process.kill()
    process.wait()
    ends.wait_for_end_of_all()


def test_the_guard_is_killed_and_then_lcbench(ends):
    """Nobody is left to end the workers then, nor their children."""
    process = ends.start(ends.run("hangs"))
    ends.wait_for_rounds()
    os.kill(process.pid, signal.SIGSTOP)  # it would replace the guard
    wait_until(lambda: stopped(process.pid))
    os.kill(ends.named(GUARD)[0], signal.SIGKILL)
    process.kill()
    process.wait()
    left = ends.alive()
    assert left
    assert all(guard.marked([pid], "") for pid in left)


@pytest.fixture
def namespace():
    """Return the beginning of a command line that runs the rest as the first process of a PID namespace."""
    command = ["unshare", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace can be made here")
    return command


def test_lcbench_is_the_first_process_of_a_container(ends, namespace):
    process = ends.start(
        [*namespace, *ends.run("exits", "works", options=("--blocks", "3", "--budget", "0", "--json"))]
    )
    rows = rows_of(process)
    assert rows["mine.py:softmax_loss_exits"] == ("crashed", "exited with status 3", 0)
    assert rows["mine.py:softmax_loss_works"] == rows["numpy"] == ("ok", "", 3)
    ends.wait_for_end_of_all()
    assert ends.temporary_files() == []


def test_the_first_process_of_a_container_is_interrupted(ends, namespace):
    process = ends.start([*namespace, *ends.run("works")])
    wait_until(lambda: len(ends.in_rounds()) >= 2)
    [pid] = set(ends.named(b"lcbench")) - {process.pid}  # that of unshare
    os.kill(pid, signal.SIGTERM)
    process.communicate()
    ends.wait_for_end_of_all()
    require_complete_generations(ends.kept())
