"""What git knows of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(*arguments: str, folder: Path | None = None) -> str | None:
    """What ``git`` says in `folder` (None: the current one), without the last line's end; None where it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def revision(name: str = "HEAD", folder: Path | None = None) -> str | None:
    """The commit that `name` means in the repository of `folder`; None where there is none."""
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", folder=folder)


def has_changes(folder: Path | None = None) -> bool | None:
    """Whether files that git tracks differ from the commit that is checked out; None outside of a repository."""
    changes = git("status", "--porcelain", "-uno", folder=folder)
    return None if changes is None else bool(changes)
