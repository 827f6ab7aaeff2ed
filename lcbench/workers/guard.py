"""Guard of the worker processes: a small process that kills them, with all that they have started, when lcbench ends.

lcbench runs this file as ``python guard.py MARK`` and holds the write end of a pipe to its standard input. The
system closes the pipe when lcbench ends, whatever the reason. Lines are "add PID START SELF" and "remove PID". START is
the start time of the process, since an id may be used again. SELF is 1 if the process ends by itself when lcbench has
ended, after it has removed files, and 0 otherwise. MARK begins the variable `VARIABLE` of all worker processes,
by which descendants whose parents have ended are found.

On Linux only the standard library is imported, so that the guard starts quickly and needs little memory. On other
systems, psutil reads the facts about processes, and on Windows, which has no signals, it stops and kills them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

VARIABLE = "LCBENCH_WORKER"
"""Environment variable with the mark of a worker process, which its descendants inherit."""

SELF_S = 2.0
"""Time in seconds in which processes that end by themselves are not killed."""

_PROC = sys.platform == "linux"

DETACHED = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""Flags with which Windows starts a process that gets no Ctrl-C and opens no window; 0 on other systems."""


class Facts(NamedTuple):
    """State (one letter), parent, group and session (0 if unknown), and start time of a process."""

    state: str
    parent: int
    group: int
    session: int
    start: str


def facts(pid: int) -> Facts | None:
    """Return the facts about a process, or None if there is no such process."""
    if not _PROC:
        return _facts_by_psutil(pid)
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        )  # a name may contain spaces and parentheses
    except OSError:
        return None
    return Facts(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), fields[19].decode())


def threads_have_stopped(pid: int) -> bool:
    """Return whether all threads of a process have stopped, or it has ended."""
    if not _PROC:
        found = facts(pid)
        return found is None or found.state in "TZ"
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                if (task / "stat").read_bytes().rpartition(b")")[2].split(None, 1)[0] not in (b"T", b"t", b"Z", b"X"):
                    return False
    except OSError:
        pass
    return True


def process_table() -> dict[int, Facts]:
    """Return the facts about all processes by their ids."""
    if _PROC:
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    else:
        import psutil

        pids = psutil.pids()
    return {pid: found for pid in pids if (found := facts(pid))}


def _facts_by_psutil(pid: int) -> Facts | None:
    import psutil

    states = {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_DEAD: "X"}
    try:
        process = psutil.Process(pid)
        state = states.get(process.status(), "R")
        group = os.getpgid(pid) if hasattr(os, "getpgid") else 0
        return Facts(state, process.ppid(), group, 0, str(process.create_time()))
    except (psutil.Error, OSError):  # it has ended, or belongs to another user
        return None


def children(pid: int) -> list[int]:
    """Return the children of a process. Raise OSError if there is no such process."""
    if not _PROC:
        import psutil

        try:
            return [child.pid for child in psutil.Process(pid).children()]
        except psutil.Error as error:
            raise ProcessLookupError(str(error)) from None
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_bytes().split()]
    return found


def marked(pids: Iterable[int], mark: str) -> set[int]:
    """Return the processes whose variable `VARIABLE` begins with `mark`."""
    return {pid for pid in pids if _is_marked(pid, mark)}


def _is_marked(pid: int, mark: str) -> bool:
    if _PROC:
        with contextlib.suppress(OSError):
            return f"\0{VARIABLE}={mark}".encode() in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
        return False
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        return str(psutil.Process(pid).environ().get(VARIABLE, "")).startswith(mark)
    return False


def kill_families(starts: Mapping[int, str], mark: str) -> set[int]:
    """Kill processes, their groups and their descendants. Return the ids of what was killed.

    starts: start times of the processes by id; a process with another start time is spared. mark: also kill processes
    whose variable begins with it.
    """
    stopped = set[int]()
    while True:  # stopped processes do not start others
        table = process_table()
        found = {pid for pid, start in starts.items() if pid in table and table[pid].start == start}
        new = _families(table, found | marked(table, mark)) - stopped
        if not new:
            break
        stopped |= new
        each(new, "suspend")
    each(stopped, "kill")
    return stopped


def _families(table: Mapping[int, Facts], found: set[int]) -> set[int]:
    """Return `found` with all descendants, and all members of groups that one of them leads."""
    size = 0
    while size != len(found):
        size = len(found)
        found = found | {pid for pid, known in table.items() if _is_child(known, found, table) or known.group in found}
    return found - {os.getpid()}


def _is_child(known: Facts, parents: set[int], table: Mapping[int, Facts]) -> bool:
    """Return whether the parent of a process is one of `parents`.

    Windows keeps the id of a parent that has ended. Another process may have it now, which started later.
    """
    return known.parent in parents and float(table[known.parent].start) <= float(known.start)


def each(pids: Iterable[int], what: Literal["suspend", "resume", "kill"]) -> None:
    """Suspend, resume or kill processes, but not those that have ended or belong to others."""
    for pid in pids:
        if hasattr(signal, "SIGKILL"):
            numbers = {"suspend": signal.SIGSTOP, "resume": signal.SIGCONT, "kill": signal.SIGKILL}
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, numbers[what])
        else:  # Windows
            import psutil

            with contextlib.suppress(psutil.Error, OSError):
                getattr(psutil.Process(pid), what)()


class Guard:
    """Client of the guard of this process. The guard is started for the first worker process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.mark = os.urandom(8).hex()
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = dict[int, tuple[str, bool]]()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of the guard, or None if it has not been started."""
        return self._process.pid if self._process else None

    def add(self, pid: int, ends_itself: bool = False) -> None:
        """Have a process killed, with its group and its descendants, when this process ends.

        ends_itself: whether it has `SELF_S` to end by itself.
        """
        if found := facts(pid):
            with self._lock:
                self._starts[pid] = found.start, ends_itself
                self._write(self._line(pid))

    def _line(self, pid: int) -> str:
        start, ends_itself = self._starts[pid]
        return f"add {pid} {start} {ends_itself:d}\n"

    def remove(self, pids: Iterable[int]) -> None:
        """Forget processes, which have ended."""
        with self._lock:
            for pid in pids:
                if self._starts.pop(pid, None):
                    self._write(f"remove {pid}\n")

    def _write(self, line: str) -> None:
        try:
            assert self._process
            assert self._process.stdin
            self._process.stdin.write(line.encode())
        except (AssertionError, OSError):  # it has not been started, or somebody has killed it
            self._process = subprocess.Popen(
                [sys.executable, *(["-I", "-S"] if _PROC else ["-P"]), str(Path(__file__).resolve()), self.mark],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # no signals of the terminal
                creationflags=DETACHED,
            )
            assert self._process.stdin
            self._process.stdin.write("".join(map(self._line, self._starts)).encode())

    def forget(self) -> None:
        """Begin anew in the child of a fork: close its copy of the pipe, which would hide the end of the parent."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            self._process.poll()  # it is no child of this process, and counts as ended from now on
        self._begin()


GUARD = Guard()
"""Guard of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=GUARD.forget)


def main() -> None:
    """Wait until standard input ends, then kill what has been added and not removed."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    starts, patient = dict[int, str](), set[int]()
    for line in sys.stdin.buffer:
        if not line.endswith(b"\n"):  # lcbench ended while it wrote
            break
        verb, number, *rest = line.decode().split()
        pid = int(number)
        starts.pop(pid, None)
        patient.discard(pid)
        if verb == "add":
            starts[pid] = rest[0]
            if rest[1] == "1":
                patient.add(pid)
    until = time.monotonic() + SELF_S
    while any((found := facts(pid)) and found.state not in "ZX" for pid in patient) and time.monotonic() < until:
        time.sleep(0.01)
    kill_families(starts, sys.argv[1])


if __name__ == "__main__":
    main()
