"""Output of ``lcbench impls``."""

from __future__ import annotations

import json
import os
import sys

import pytest

from commands import invoke, lcbench
from lcbench.losses.catalog import CATALOG


@pytest.fixture(autouse=True)
def without_jax(monkeypatch):
    """Make JAX unavailable in this process."""
    monkeypatch.setitem(sys.modules, "jax", None)


@pytest.fixture
def listing(tmp_path):
    done = invoke(tmp_path, "impls")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_table_is_plain_text_of_80_columns(listing):
    assert max(map(len, listing.splitlines())) <= 80
    assert "\x1b" not in listing


def test_every_implementation_is_listed(listing):
    first_words = [line.split()[0] for line in listing.splitlines() if line.strip()]
    assert set(CATALOG) <= set(first_words)


def test_missing_package_has_an_unwrapped_install_command(listing):
    lines = [line.strip() for line in listing.splitlines()]
    assert any(line.startswith("jax ") and line.endswith("jax is not installed") for line in lines)
    assert "pip install jax" in lines
    assert "pip install 'jax[cuda13]'" in lines


def test_json_has_availability_and_reason(tmp_path):
    done = invoke(tmp_path, "impls", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    listed = {line["name"]: line for line in json.loads(done.stdout)["implementations"]}
    assert list(listed) == list(CATALOG)
    assert listed["naive"] == {
        "name": "naive",
        "device": "cpu",
        "what": CATALOG["naive"].what,
        "pixels": "",
        "available": True,
        "reason": "",
        "install": "",
    }
    assert listed["numba-parallel"]["pixels"] in ("as floats", "by tdpbusd", "by vpdpbusd")
    assert not listed["jax"]["available"]
    assert (listed["jax"]["reason"], listed["jax"]["install"]) == ("jax is not installed", "pip install jax")


def test_entry_points_are_listed_without_import(tmp_path):
    info = tmp_path / "fastloss-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fastloss\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lcbench.implementations]\nfast = fastloss.kernels\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    table = lcbench(tmp_path, "impls", PYTHONPATH=path)
    assert table.returncode == 0
    assert table.stdout.splitlines()[-1].split() == ["fast", "fastloss.kernels"]
    listed = json.loads(lcbench(tmp_path, "impls", "--json", PYTHONPATH=path).stdout)
    assert listed["entry_points"] == [{"name": "fast", "value": "fastloss.kernels"}]


def test_help_examples_work(tmp_path):
    shown = invoke(tmp_path, "impls", "--help").stdout
    examples = [line.split() for line in shown.splitlines()[-2:]]
    assert [words[0] for words in examples] == ["lcbench", "lcbench"]
    for words in examples:
        assert invoke(tmp_path, *words[1:]).returncode == 0
