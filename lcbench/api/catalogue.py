"""Implementations by name."""

from __future__ import annotations

from lcbench.losses import catalog
from lcbench.losses.implementation import Implementation


def implementation(name: str) -> Implementation:
    """The implementation that `name` stands for: a catalogue name, or anything that ``--impl`` takes.

    Raises `lcbench.losses.errors.LossError` where it cannot be had.
    """
    from lcbench.losses.resolve import resolve

    return resolve(name)


def implementations() -> dict[str, str | None]:
    """Every name in the catalogue, with the reason why it cannot run here, or None where it can."""
    reasons = {name: catalog.why_unavailable(entry) for name, entry in catalog.CATALOG.items()}
    return {name: str(reason) if reason else None for name, reason in reasons.items()}
