"""Where a record comes from: the version that wrote it and the checkout in which it ran."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from lcbench.record import Record


class Start:
    """The machine when a measurement begins: to be made before it, so that its own load is not held against it."""

    def __init__(self) -> None:
        from lcbench.measure import machine
        from lcbench.measure.surroundings.conditions import conditions
        from lcbench.measure.surroundings.meanwhile import Observer

        self._facts = machine.facts()
        self._conditions = conditions(self._facts)
        self._observer = Observer()

    def record(self, **fields: Any) -> Record:
        """A record of this machine, this checkout and this command, created now, with `fields` measured."""
        from lcbench import record
        from lcbench.measure import machine
        from lcbench.measure.gating import git
        from lcbench.measure.surroundings import disturbances

        found = disturbances.findings(self._facts, self._conditions, self._observer.read())
        revision = git.revision()
        return record.new(
            lcbench=installed_version(),
            command=sys.argv[1:],
            git_revision=revision,
            git_dirty=git.has_changes() if revision else None,
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
