"""From a name, as ``--impl`` takes it, to the implementation that it stands for."""

from __future__ import annotations

from pathlib import Path

from lcbench.losses import catalog
from lcbench.losses.errors import CannotLoad
from lcbench.losses.implementation import Implementation


def is_user_code(name: str) -> bool:
    """Whether `name` means a file, a module's function or a package's entry point instead of a catalogue name."""
    if name in catalog.CATALOG:
        return False
    if name.endswith(".py") or ":" in name or "/" in name or Path(name).exists():
        return True
    from lcbench.losses import user_code

    return name in user_code.entry_point_names()


def require_known(name: str) -> None:
    """Raise UnknownImplementation, or CannotLoad for a file, where nothing goes by `name`; run and import nothing."""
    if not is_user_code(name):
        catalog.find(name)
        return
    file = name if name.endswith(".py") else name.rpartition(":")[0]
    if file.endswith(".py"):
        from lcbench.losses.user_code.discovery import require_file

        require_file(file)


def resolve(name: str) -> Implementation:
    """The implementation `name`; of a user's file, the functions that are right and of one convention, as one.

    Raises a LossError with one line where it cannot be had.
    """
    if not is_user_code(name):
        return catalog.load(name)
    from dataclasses import replace

    from lcbench.losses import oracle, user_code

    found = [user_code.recognise(function, oracle) for function in user_code.load(name)]
    usable = [each for each in found if isinstance(each, Implementation)]
    if not usable:
        raise CannotLoad(f"{name}: {found[0]}")
    # Functions of one convention share how their data is brought in; the first one's is taken.
    alike = [each for each in usable if each.convention == usable[0].convention]
    functions = {loss: function for each in reversed(alike) for loss, function in each.functions.items()}
    return replace(usable[0], name=name, functions=functions)
