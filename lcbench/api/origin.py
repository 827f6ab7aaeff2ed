"""Where a record comes from: the version that wrote it and the checkout in which it ran."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from lcbench.record import Record


class Start:
    """The machine when a measurement begins: to be made before it, so that its own load is not held against it."""

    def __init__(self) -> None:
        from lcbench.measure import machine
        from lcbench.measure.conditions import conditions
        from lcbench.measure.meanwhile import Observer

        self._facts = machine.facts()
        self._conditions = conditions(self._facts)
        self._observer = Observer()

    def record(self, **fields: Any) -> Record:
        """A record of this machine, this checkout and this command, created now, with `fields` measured."""
        from lcbench import record
        from lcbench.measure import disturbances, machine

        found = disturbances.findings(self._facts, self._conditions, self._observer.read())
        revision, dirty = git_state()
        return record.new(
            lcbench=installed_version(),
            command=sys.argv[1:],
            git_revision=revision,
            git_dirty=dirty,
            fingerprint=machine.fingerprint(self._facts),
            machine=cast("dict[str, object]", self._facts),
            score=disturbances.score(found),
            findings=[f"{finding.severity}: {finding.what}" for finding in found],
            **fields,
        )


def installed_version() -> str:
    """The version of lcbench."""
    from importlib.metadata import version

    return version("lcbench")


def git_state() -> tuple[str | None, bool | None]:
    """Revision of the checkout in the current directory, and whether it has changes; None outside of one."""
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return revision.stdout.strip(), bool(status.stdout.strip())
