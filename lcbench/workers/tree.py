"""Process tree of a worker: stopping, continuing and killing the process, its group and its descendants elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import psutil

from lcbench.workers import guard
from lcbench.workers.guard import GUARD

STOP_ATTEMPTS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Times for which a stop is waited for. Between two attempts the processes run for `BETWEEN_ATTEMPTS_S`."""

BETWEEN_ATTEMPTS_S = 0.01

_SPINS = 50
"""Checks without a pause. Most processes have stopped by then, and a pause would make each turn longer."""

KILLED_S = 2.0
"""Time for which the end of killed processes is waited for."""


class ProcessTree:
    """Child process `pid` of this process, which leads a process group, with all its descendants.

    The child is their subreaper: a descendant whose parent ends becomes a child of the child. mark: value of the
    variable `guard.VARIABLE` of the child. ends_itself: see `guard.Guard.add`.
    """

    def __init__(self, pid: int, mark: str, ends_itself: bool = False) -> None:
        self.pid, self.mark = pid, mark
        self._outside = dict[int, str]()  # start times of descendants in other groups
        self._stopped = dict[int, float | None]()  # CPU time of each stopped process
        GUARD.add(pid, ends_itself)

    def stop(self, attempts: int = len(STOP_ATTEMPTS_S)) -> bool:
        """Stop all threads of all processes. Return whether they have stopped, or ended."""
        for attempt_s in STOP_ATTEMPTS_S[:attempts]:
            if self._stop(attempt_s):
                return True
            # A thread that has called vfork only stops after its child has called exec, so the child must run.
            self._send(signal.SIGCONT)
            time.sleep(BETWEEN_ATTEMPTS_S)
        return False

    def _stop(self, patience_s: float) -> bool:
        if not hasattr(signal, "SIGSTOP"):  # Windows
            return self._suspend()
        self._stopped = {}
        self._send(signal.SIGSTOP)
        done = _wait(lambda: _child_has_stopped(self.pid), patience_s)
        found = {self.pid}
        # Descendants may start others until they have stopped.
        while new := _descendants(self.pid) - found:
            found |= new
            self._report(new)
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            done = _wait(partial(_have_stopped, new), patience_s) and done
        self._stopped = {pid: _cpu_s(pid) for pid in found}
        return done

    def _suspend(self) -> bool:
        # Windows counts how often a process has been suspended, so none may be suspended twice.
        while new := [each for each in _psutil_tree(self.pid) if each.pid not in self._stopped]:
            for process in new:
                guard.each([process.pid], "suspend")
                self._stopped[process.pid] = _cpu_s(process.pid)
        return True

    def _report(self, pids: Iterable[int]) -> None:
        """Remember the processes that have left the group, and tell the guard of them."""
        for pid in pids:
            if pid not in self._outside and (found := guard.facts(pid)) and found.group != self.pid:
                self._outside[pid] = found.start
                GUARD.add(pid)

    def resume(self) -> float:
        """Continue all stopped processes. Return the CPU time in seconds that they have used since `stop`."""
        used_s = 0.0
        for pid, before in self._stopped.items():
            after = _cpu_s(pid)
            if before is not None and after is not None:  # it has not ended
                used_s += after - before
        if hasattr(signal, "SIGCONT"):
            self._send(signal.SIGCONT)
        else:
            guard.each(self._stopped, "resume")
        self._stopped = {}
        return used_s

    def kill(self, lost: bool) -> None:
        """Kill all processes, and wait until the descendants have ended.

        lost: the child has ended before, so that its descendants are found by their mark.
        """
        if not hasattr(signal, "SIGKILL"):  # Windows
            self._terminate(lost)
            return
        if not lost:
            self.stop(attempts=1)
        outside = {pid for pid, start in self._outside.items() if _start(pid) == start}
        killed = outside | set(self._stopped)
        self._send(signal.SIGKILL, outside)
        if lost:
            killed |= guard.kill_families(self._outside, self.mark)
        _wait(lambda: not any(map(_runs, killed)), KILLED_S)
        GUARD.remove([self.pid, *self._outside])

    def _terminate(self, lost: bool) -> None:
        if lost:
            killed = guard.kill_families({}, self.mark)
        else:
            self._suspend()  # suspended processes do not start others
            killed = set(self._stopped)
            guard.each(killed, "kill")
        _wait(lambda: not any(map(_runs, killed)), KILLED_S)
        GUARD.remove([self.pid])

    def _send(self, number: int, outside: Iterable[int] | None = None) -> None:
        """Send a signal to the group, and to stopped processes or to those in `outside`."""
        for pid in self._stopped if outside is None else outside:
            _signal(pid, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _wait(condition: Callable[[], bool], patience_s: float) -> bool:
    """Wait until a condition holds, which usually takes tens of microseconds. Return whether it holds."""
    for _ in range(_SPINS):
        if condition():
            return True
        time.sleep(0)
    pause_s, waited_s = 0.0002, 0.0
    while waited_s < patience_s:
        time.sleep(pause_s)
        if condition():
            return True
        waited_s += pause_s
        pause_s = min(2 * pause_s, 0.01)
    return False


def _child_has_stopped(pid: int) -> bool:
    """Return whether a child of this process has ended, or all its threads have stopped."""
    if not hasattr(os, "waitid"):
        return guard.threads_have_stopped(pid)
    try:
        # The state is left as it is: the end is for subprocess to see, and the child may be stopped already.
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _have_stopped(pids: Iterable[int]) -> bool:
    return all(map(guard.threads_have_stopped, pids))


def _descendants(pid: int) -> set[int]:
    """Return all descendants of a process."""
    if not _LISTS_CHILDREN:
        return {process.pid for process in _psutil_tree(pid)} - {pid}
    found, waiting = set[int](), [pid]
    while waiting:
        with contextlib.suppress(OSError):  # it has ended
            waiting += guard.children(waiting.pop())
        found.update(waiting)
    return found


_LISTS_CHILDREN = sys.platform == "linux" and Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
"""Whether the kernel lists the children of a process."""


def _psutil_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _cpu_s(pid: int) -> float | None:
    """Return the CPU time of all threads of a process, or None if it has ended."""
    try:
        if sys.platform == "linux":
            return time.clock_gettime((~pid << 3) | 2)  # its clock CPUCLOCK_SCHED, see clock_getcpuclockid(3)
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    except (OSError, psutil.Error):
        return None


def _start(pid: int) -> str | None:
    found = guard.facts(pid)
    return found.start if found else None


def _runs(pid: int) -> bool:
    found = guard.facts(pid)
    return found is not None and found.state not in "ZX"


# Orphans of process 1


def reap_orphans(own: Iterable[int]) -> None:
    """Reap processes that have ended, if this process is the first of a container and thus inherits all orphans.

    Orphans of workers are known by their session, which is not that of this process. own: children of this process
    with other sessions, which it waits for itself.
    """
    if os.getpid() != 1 or not _LISTS_CHILDREN:
        return
    for pid in set(guard.children(1)) - set(own):
        found = guard.facts(pid)
        if found and found.state == "Z" and found.session != os.getsid(0):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
