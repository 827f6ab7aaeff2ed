"""``lcbench reproduce`` without CIFAR-10."""

from __future__ import annotations

import json

import pytest

from commands import invoke, lcbench
from lcbench.errors import LcbenchError
from lcbench.reproduction import figures

WRONG = """
import msgspec
from lcbench.reproduction import figures

rows = dict(figures.published_rows())
row = rows["lr-0.1-first"]
cost = row.figures["cost"]
planted = msgspec.structs.replace(cost, published=[*cost.published[:7], 1.08, *cost.published[8:]])
rows["lr-0.1-first"] = msgspec.structs.replace(row, figures={"cost": planted})
figures.published_rows = lambda: rows
"""


@pytest.fixture(scope="module")
def in_json(tmp_path_factory):
    return lcbench(tmp_path_factory.mktemp("empty"), "reproduce", "--json")


def test_all_rows_are_present_and_none_fails(in_json):
    assert in_json.returncode == 0, in_json.stderr
    rows = json.loads(in_json.stdout)["rows"]
    assert [row["id"] for row in rows] == list(figures.published_rows())
    assert {row["verdict"] for row in rows} == {"passes", "skipped"}
    for row in rows:
        assert bool(row["skipped"]) == (not row["figures"])
        assert all(figure["met"] for figure in row["figures"])


def test_skipped_rows_have_a_reason(tmp_path):
    done = invoke(tmp_path, "reproduce", "softmax-of-123", "templates", "--impl", "numpy")
    assert done.returncode == 0
    assert "skipped templates: no data/cifar10.h5: 'lcbench download' fetches it" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 reproduced, 0 failed, 1 skipped")


def test_only_skipped_rows_is_exit_code_2(tmp_path):
    assert invoke(tmp_path, "reproduce", "templates", "--impl", "numpy").returncode == 2


def test_wrong_figure_fails_only_its_row(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WRONG)
    done = lcbench(tmp_path, "reproduce", "--impl", "numpy", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 4, done.stderr
    failing = [row for row in json.loads(done.stdout)["rows"] if row["verdict"] == "fails"]
    assert [row["id"] for row in failing] == ["lr-0.1-first"]
    assert [figure["name"] for figure in failing[0]["figures"] if not figure["met"]] == ["cost 7"]


def test_unknown_row_is_one_line_error(tmp_path):
    done = invoke(tmp_path, "reproduce", "lr-0.1-frist")
    assert done.returncode == 2
    assert done.stderr == "error: no row 'lr-0.1-frist': did you mean 'lr-0.1-first'?\n"


def test_list(tmp_path):
    done = invoke(tmp_path, "reproduce", "--list")
    assert done.returncode == 0
    first_words = [line.partition(" ")[0] for line in done.stdout.splitlines()[3:]]
    assert [word for word in first_words if word] == list(figures.published_rows())


def test_plots_are_written_and_named(tmp_path):
    done = lcbench(tmp_path, "reproduce", "lr-too-small", "lr-too-large", "--impl", "numpy", "--pictures", "drawn")
    assert done.returncode == 0
    assert done.stderr == "plot: drawn/learning-rates.png\n"
    assert (tmp_path / "drawn" / "learning-rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_cannot_be_written_does_not_change_the_exit_code(tmp_path, monkeypatch):
    def fail(outcomes, folder):
        raise LcbenchError(f"cannot write {folder}: No space left on device")

    monkeypatch.setattr("lcbench.report.plots.files.draw_reproduced", fail)
    done = invoke(tmp_path, "reproduce", "hardmax", "--impl", "numpy", "--pictures", "drawn")
    assert done.returncode == 0
    assert "hardmax" in done.stdout
    assert done.stderr.splitlines()[-1] == "warning: cannot write drawn: No space left on device"


def test_a_folder_of_plots_that_cannot_be_made_is_an_error_before_computing(tmp_path):
    (tmp_path / "file").touch()
    done = invoke(tmp_path, "reproduce", "hardmax", "--impl", "numpy", "--pictures", "file/below")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: cannot write file: File exists\n"


def test_rows_without_a_plot_print_a_note(tmp_path):
    done = invoke(tmp_path, "reproduce", "hardmax", "--impl", "numpy", "--pictures", "drawn")
    assert done.returncode == 0
    assert done.stderr.startswith("no plot: none of the computed rows has one; rows that have a plot: lr-0.1-")
    assert not (tmp_path / "drawn").exists()
