"""The rows on the real CIFAR-10. LCBENCH_REAL_ARCHIVES is a folder with its archives."""

import os
from pathlib import Path

import pytest

from commands import lcbench

FOLDER = os.environ.get("LCBENCH_REAL_ARCHIVES")

pytestmark = pytest.mark.skipif(not FOLDER, reason="LCBENCH_REAL_ARCHIVES is not set")

ROWS = (
    "softmax-sanity-loss",
    "svm-protocol",
    "svm-hyperparameters",
    "gradient-check-kinks",
    "templates",
    "random-search",
)


def test_the_rows_on_real_images_are_reproduced(tmp_path):
    archive = str(Path(FOLDER, "cifar-10-binary.tar.gz").resolve())
    assert lcbench(tmp_path, "download", "--file", archive).returncode == 0
    done = lcbench(tmp_path, "reproduce", *ROWS)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("6 reproduced, 0 failed, in")
