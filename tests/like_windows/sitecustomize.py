"""Hides from the modules of lcbench, in each Python process that finds this file, what Windows does not have.

LCBENCH_LIKE_WINDOWS names the folder of the package. Other libraries, such as psutil, see the real system. In the
package, ``sys.platform`` is "win32", calls and modules of POSIX are missing, files under /proc and /sys do not exist,
``os.times().elapsed`` is 0, and text files must be opened with an encoding. It shows that nothing else is used; it does
not show how Windows behaves.
"""

import builtins
import os
import sys
import time
import types
import warnings
from types import SimpleNamespace

PACKAGE = os.environ.get("LCBENCH_LIKE_WINDOWS", "") + os.sep

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
"""Modules that do not exist."""

NAMES = {
    "os": """
        P_PID RTLD_NOLOAD O_NONBLOCK WCONTINUED WEXITED WNOHANG WNOWAIT WSTOPPED chown fchmod fork forkpty getgid
        getloadavg getpgid getpgrp getsid getuid geteuid killpg lockf mkfifo openpty pidfd_open pipe2 posix_fallocate
        posix_spawn pread preadv pwrite pwritev register_at_fork sched_getaffinity sched_setaffinity sched_yield
        sendfile setpgid setsid statvfs sysconf uname wait waitid wait3 wait4""",
    "select": "epoll poll POLLIN",
    "signal": """
        ITIMER_REAL SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm pause pthread_kill
        pthread_sigmask setitimer sigwait""",
    "time": "CLOCK_BOOTTIME CLOCK_MONOTONIC CLOCK_REALTIME clock_gettime",
    "mmap": "MADV_HUGEPAGE",
}
"""Names that modules do not have."""

monotonic_ns, times = time.monotonic_ns, os.times


def milliseconds():
    """Return the milliseconds since the machine started, in ticks of 16 ms."""
    return monotonic_ns() // 16_000_000 * 16


REPLACED = {
    "os": {"name": "nt", "times": lambda: type(times())((*times()[:4], 0.0))},
    "sys": {"platform": "win32"},
    "ctypes": {"windll": SimpleNamespace(kernel32=SimpleNamespace(GetTickCount64=milliseconds))},
}
"""Names that modules have on Windows only, or with another value."""


class Module(types.ModuleType):
    """The module `real` without the names in `NAMES`, and with those in `REPLACED`."""

    def __init__(self, real):
        super().__init__(real.__name__)
        vars(self).update(
            _real=real, _missing=NAMES.get(real.__name__, "").split(), _replaced=REPLACED.get(real.__name__, {})
        )

    def __getattr__(self, name):
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows", name=name)
        return self._replaced[name] if name in self._replaced else getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)

    def __delattr__(self, name):
        delattr(self._real, name)


def is_of_the_package(names):
    return str(names.get("__file__", "")).startswith(PACKAGE)


def import_in(name, globals=None, locals=None, fromlist=(), level=0):
    found = import_before(name, globals, locals, fromlist, level)
    if level or not globals or not is_of_the_package(globals):
        return found
    if name in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return modules.setdefault(name, Module(found)) if name in NAMES or name in REPLACED else found


LIBRARIES = ("pathlib", "glob", "io", "codecs", "os", "genericpath", "posixpath", "sitecustomize")


def require_visible(path):
    """Raise FileNotFoundError if the package asks for a file under /proc or /sys."""
    if not str(path).startswith(("/proc/", "/sys/")):
        return
    frame = sys._getframe(1)
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in LIBRARIES:
        frame = frame.f_back
    if frame and is_of_the_package(frame.f_globals):
        raise FileNotFoundError(2, "No such file or directory", path)


def hide_files(event, arguments):
    if event in ("open", "os.listdir", "os.scandir"):
        require_visible(arguments[0])


def hiding(function):
    def call(path, *arguments, **options):
        require_visible(path)
        return function(path, *arguments, **options)

    return call


if "LCBENCH_LIKE_WINDOWS" in os.environ:
    modules = {}
    import_before, builtins.__import__ = builtins.__import__, import_in
    sys.addaudithook(hide_files)
    os.stat, os.readlink = hiding(os.stat), hiding(os.readlink)
    warnings.filterwarnings("error", category=EncodingWarning, module=r"lcbench(\.|$)")
