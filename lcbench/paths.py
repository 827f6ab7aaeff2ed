"""Where files are read and written. Every location is decided here.

Both folders lie in the current directory, so that each project keeps its own data and results; the variables
``LCBENCH_DATA`` and ``LCBENCH_RESULTS`` move them.
"""

import os
from pathlib import Path


def data_folder() -> Path:
    """Folder of downloaded data."""
    return Path(os.environ.get("LCBENCH_DATA", "data"))


def cifar10_file() -> Path:
    """CIFAR-10 as one HDF5 file."""
    return data_folder() / "cifar10.h5"


def results_folder() -> Path:
    """Folder of result files, one a run."""
    return Path(os.environ.get("LCBENCH_RESULTS", "results"))


def baselines_folder() -> Path:
    """Folder of the results that were saved under a name."""
    return results_folder() / "baselines"
