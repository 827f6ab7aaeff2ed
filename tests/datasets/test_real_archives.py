"""End-to-end tests with the real archives in the folder LCBENCH_REAL_ARCHIVES, under their official names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lcbench.datasets import store
from lcbench.datasets.cifar10 import CIFAR10
from small_cifar10 import Site, names, serve

FOLDER = os.environ.get("LCBENCH_REAL_ARCHIVES")

pytestmark = pytest.mark.skipif(not FOLDER, reason="LCBENCH_REAL_ARCHIVES does not name a folder with the archives")


def archive(layout):
    return (Path(FOLDER) / f"cifar-10-{layout}.tar.gz").read_bytes()


def download(folder, *arguments):
    environment = {**os.environ, "LCBENCH_DATA": str(folder), "NO_PROXY": "*"}
    command = [sys.executable, "-m", "lcbench", "download", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_either_archive_gives_the_official_content(tmp_path, layout):
    content = archive(layout)
    with serve(Site(content, breaks=[len(content) // 3])) as site:
        done = download(tmp_path, "--url", site.url)
    assert done.returncode == 0, done.stderr
    assert site.sent == len(content)
    assert names(tmp_path) == ["cifar10.h5"]
    store.verify(tmp_path / "cifar10.h5", CIFAR10)
    assert download(tmp_path, "--verify").returncode == 0


@pytest.mark.parametrize("damage", ["truncated", "flipped", "html"])
def test_bad_archives_are_a_one_line_error(tmp_path, damage):
    content = archive("binary")
    middle = len(content) // 2
    bad = {
        "truncated": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "html": b"<!doctype html><title>Sign in</title>",
    }[damage]
    with serve(Site(bad)) as site:
        done = download(tmp_path / "new", "--url", site.url)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in done.stderr
        assert names(tmp_path / "new") == []

        older = tmp_path / "cifar10.h5"
        older.write_bytes(b"older")
        assert download(tmp_path, "--force", "--url", site.url).returncode == 2
        assert older.read_bytes() == b"older"
