"""Output of ``lcbench report``."""

from __future__ import annotations

import pytest

from commands import invoke
from lcbench import record
from results import record as make_record
from results import row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with an older result, saved as "before", and a newer one."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        older = {"created": "2026-01-01T00:00:00+00:00", "id": "0ld0ld00"}
        newer = {"created": "2026-01-02T00:00:00+00:00", "id": "new0new0"}
        record.write(make_record(row("older", [1e-3, 1.1e-3]), row(medians=[1e-3, 1e-3]), **older), "before")
        record.write(make_record(row("newer", [2e-3, 2.1e-3]), row(medians=[1e-3, 1e-3]), **newer), "after")
    return folder


def test_newest_result_by_default(folder):
    done = invoke(folder, "report")
    name = "results/reports/20260102T000000Z-new0new0.html"
    newest = "newest result: results/20260102T000000Z-new0new0.json"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{newest}\npage: {name}\n")
    text = (folder / name).read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "new0new0" in text
    assert "0ld0ld00" not in text


def test_several_results_in_one_page_without_duplicates(folder):
    done = invoke(folder, "report", "before", "new0new0", "after", "--output", "both.html")
    assert (done.returncode, done.stderr) == (0, "page: both.html\n")
    text = (folder / "both.html").read_text(encoding="utf-8")
    assert text.count('<section class="result"') == 2
    assert 'id="compared"' in text


def test_another_baseline(folder):
    done = invoke(folder, "report", "--baseline", "newer", "--output", "other.html")
    assert done.returncode == 0
    assert "x newer" in (folder / "other.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["befor"], "error: no result 'befor' in results; saved names: after, before\n"),
        (["--baseline", "newr"], "error: --baseline newr: no such row; did you mean 'newer'?\n"),
        (["--baseline", "zzz"], "error: --baseline zzz: no such row; there is newer, numpy\n"),
        (["--output", "results/baselines/before.json"], "before.json: a page is .html\n"),
        (["--output", "absent/page.html"], "cannot write absent/page.html: no folder absent; create it first"),
        (["--output", "results"], "'results' is a directory."),
        (["--outptu", "x.html"], "--output"),
        (["words.txt"], "error: words.txt is not an lcbench result: "),
    ],
)
def test_invalid_input_is_one_line_error_and_writes_nothing(folder, arguments, message):
    (folder / "words.txt").write_text("no result")
    before = sorted(folder.rglob("*"))
    done = invoke(folder, "report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_unwritable_output_is_an_error(folder):
    (folder / "file").touch()
    done = invoke(folder, "report", "--output", "file/page.html")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write file/page.html: ")


def test_no_result_is_one_line_error(tmp_path):
    done = invoke(tmp_path, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no result to report; 'lcbench run' makes one\n"
    assert list(tmp_path.iterdir()) == []
