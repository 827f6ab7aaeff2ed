"""Where files are read and written. Every location is decided here.

Both folders lie in the current directory, so that each project keeps its own data and results; the variables
``LCBENCH_DATA`` and ``LCBENCH_RESULTS`` move them.
"""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path


def data_folder() -> Path:
    """Folder of downloaded data."""
    return Path(os.environ.get("LCBENCH_DATA", "data"))


def cifar10_file() -> Path:
    """CIFAR-10 as one HDF5 file."""
    return data_folder() / "cifar10.h5"


def features_folder() -> Path:
    """Folder of the features that were computed from images; it may be deleted."""
    return data_folder() / "features"


def results_folder() -> Path:
    """Folder of result files, one a run."""
    return Path(os.environ.get("LCBENCH_RESULTS", "results"))


def baselines_folder() -> Path:
    """Folder of the results that were saved under a name."""
    return results_folder() / "baselines"


def models_folder() -> Path:
    """Folder of trained models, one a training."""
    return results_folder() / "models"


def searches_folder() -> Path:
    """Folder of searches for hyperparameters."""
    return results_folder() / "searches"


def sweeps_folder() -> Path:
    """Folder of sweeps that are not finished yet."""
    return results_folder() / "sweeps"


def plots_folder() -> Path:
    """Folder of the plots that are drawn of everything at once."""
    return results_folder() / "pictures"


def reports_folder() -> Path:
    """Folder of HTML pages."""
    return results_folder() / "reports"


def new_file(folder: Path, ending: str) -> Path:
    """A file in `folder` that nobody has, named so that later ones sort behind it."""
    return folder / f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}{ending}"
