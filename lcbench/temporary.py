"""Temporary files and folders that are named after their process: what a killed one has left is known, and removed.

Ctrl-C and errors remove them as they go; SIGKILL and a power cut do not.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


def beside(path: Path) -> Path:
    """A new hidden name in the folder of `path`, for what is to take its place: ".NAME.PLACE-PROCESS-RANDOM.part"."""
    return path.with_name(f".{path.name}.{_owner()}{secrets.token_hex(4)}.part")


def remove_abandoned_files(parent: Path) -> None:
    """Removes the files that `beside` named in this folder for processes that are no more."""
    _remove_abandoned(parent, r"\..+\.", r"\.part")


def folder(kind: str, parent: Path | None = None) -> TemporaryDirectory[str]:
    """A new folder "lcbench-KIND-..." in `parent`, by default the system's for temporary files; for a `with`.

    kind: in small letters. The first one that a process makes removes those of processes that are no more.
    """
    parent = parent or Path(tempfile.gettempdir())
    _remove_abandoned_folders(parent)
    return TemporaryDirectory(prefix=f"lcbench-{kind}-{_owner()}", dir=parent, ignore_cleanup_errors=True)


@cache
def _remove_abandoned_folders(parent: Path) -> None:
    _remove_abandoned(parent, "lcbench-[a-z]+-", "")


def _remove_abandoned(parent: Path, before: str, after: str) -> None:
    """Removes what is of this user and was of a dead process, by its name: `before` and `after` are what stands around.

    What cannot be removed stays.
    """
    pattern = re.compile(f"{before}{_place()}-([0-9]+)-[a-z0-9_]{{8}}{after}", re.DOTALL)
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if (match := pattern.fullmatch(entry.name)) and _is_dead(int(match[1])) and _is_ours(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        Path(entry.path).unlink()


def _owner() -> str:
    return f"{_place()}-{os.getpid()}-"


@cache
def _place() -> str:
    """Where a process has its number: another machine that sees the folder has others, and so has a container."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return hashlib.blake2b(f"{socket.gethostname()} {space}".encode(), digest_size=4).hexdigest()


def _is_dead(process: int) -> bool:
    import psutil  # here, since hardly ever is there anything to be asked

    return not psutil.pid_exists(process)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False
