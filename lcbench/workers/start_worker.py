"""Start of a worker process of this lcbench under any Python interpreter, measuring any ``lcbench.losses``.

``python -P start_worker.py LOSSES ...`` is run by its path. NumPy, Numba and other packages are therefore those of the
interpreter; only lcbench itself comes from this installation. LOSSES is the folder of the package ``lcbench.losses`` to
measure. If it is empty, the losses of the lcbench that the interpreter has installed are used, or else our own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

MERGED = {"implementation": "errors", "streamed": "batched"}
"""Modules of `lcbench.losses`, each with the module of an earlier version that was merged into it."""


def main() -> None:
    """Import `lcbench` and `lcbench.losses` from their folders, and run the worker."""
    ours = Path(__file__).resolve().parents[1]
    losses = Path(sys.argv.pop(1) or _installed_losses() or ours / "losses")
    lcbench = _import_from("lcbench", ours / "__init__.py")
    lcbench.losses = _import_from("lcbench.losses", losses / "__init__.py")  # type: ignore[attr-defined]
    if not losses.samefile(ours / "losses"):
        _complete_earlier_version(losses, ours / "losses")
    importlib.import_module("lcbench.workers.worker").main()


def _complete_earlier_version(losses: Path, ours: Path) -> None:
    """Add names that this version's worker imports to the modules of another version, if they are missing there."""
    for name, merged in MERGED.items():
        if (losses / f"{name}.py").is_file() and (losses / f"{merged}.py").is_file():
            _add_missing(*(importlib.import_module(f"lcbench.losses.{part}") for part in (name, merged)))
    own = _import_from("lcbench.this_implementation", ours / "implementation.py")
    _add_missing(importlib.import_module("lcbench.losses.implementation"), own)


def _add_missing(module: ModuleType, other: ModuleType) -> None:
    """Give `module` the names that only `other` has."""
    for name, value in vars(other).items():
        vars(module).setdefault(name, value)


def _installed_losses() -> Path | None:
    """Return the losses of the lcbench that this interpreter has installed, or None."""
    found = importlib.util.find_spec("lcbench")
    folders = [Path(folder) / "losses" for folder in found.submodule_search_locations or ()] if found else []
    return next((folder for folder in folders if folder.is_dir()), None)


def _import_from(name: str, file: Path) -> ModuleType:
    """Import the module or package `name` from `file`, even if another one of that name is installed."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
