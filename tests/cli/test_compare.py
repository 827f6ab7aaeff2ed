"""``lcbench compare`` on results for each verdict."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from commands import environment, invoke
from lcbench import record
from lcbench.host import machine
from results import record as make_record
from results import row

FAST, SLOW = [1e-3, 1.01e-3, 0.99e-3], [2e-3, 2.02e-3, 1.98e-3]


FACTS = {"python": "CPython 3.13.1", "versions": {"numpy": "2.3.0", "torch": "2.9.0"}}


def of_a_machine(factor):
    """Rows of a machine that takes `factor` times as long."""
    rows = [row(name, [factor * seconds for seconds in FAST], rows=40) for name in ("numpy", "torch", "naive")]
    others = [row("numpy", FAST, rows=size, threads=9) for size in (50, 1060)]
    return rows if factor > 1 else rows + others


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of results, each saved under the name of its verdict against `base`."""
    folder = tmp_path_factory.mktemp("work")
    here = machine.fingerprint(machine.facts())
    results = {
        "quick": make_record(*of_a_machine(1.0), fingerprint="third", machine=FACTS),
        "slow": make_record(*of_a_machine(1.3), fingerprint="third", machine=FACTS),
        "base": make_record(row(medians=FAST), row("naive", SLOW), fingerprint=here),
        "same": make_record(row(medians=FAST), row("naive", SLOW), fingerprint=here),
        "slower": make_record(row(medians=SLOW), row("naive", SLOW), fingerprint=here),
        "unclear": make_record(row(medians=[1e-3, 2e-3]), fingerprint=here),
        "wrong": make_record(row(status="wrong", reason="loss is 1, right is 2"), fingerprint=here),
        "elsewhere": make_record(row(medians=SLOW), fingerprint="another"),
        "other": make_record(row("other", FAST), fingerprint=here),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        for minute, (name, result) in enumerate(results.items()):
            result.created = f"2026-01-02T03:{minute:02}:00+00:00"
            record.write(result, name)
    (folder / "newer.json").write_text('{"schema": 99}')
    (folder / "broken.json").write_text("{")
    return folder


@pytest.mark.parametrize(
    ("new", "code", "verdict"),
    [
        ("same", 0, "not slower"),
        ("slower", 1, "slower"),
        ("unclear", 3, "inconclusive"),
        ("wrong", 4, "wrong"),
        ("elsewhere", 3, "the two results are from different machines: no verdict is valid"),
    ],
)
def test_verdict_and_exit_code(folder, new, code, verdict):
    done = invoke(folder, "compare", "base", new, "--fail-above", "20%")
    assert done.returncode == code
    assert done.stderr == ""
    assert any(line.strip().endswith(verdict) for line in done.stdout.splitlines())
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


def test_json_is_the_only_output(folder):
    done = invoke(folder, "compare", "base", "slower", "--fail-above", "0.5", "--json")
    judgement = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert judgement["fail_above"] == 0.5
    assert [(c["new"]["implementation"], c["verdict"]) for c in judgement["comparisons"]] == [
        ("numpy", "slower"),
        ("naive", "not slower"),
    ]


def test_what_the_machine_did_is_one_line_in_every_format(folder, tmp_path):
    line = (
        "everything took 1.30 times as long (95 %: 1.24 to 1.36), numpy and torch too: the machine; "
        "beyond that: 3 not slower"
    )
    only = "only in base: 2 rows of numpy (softmax; 50, 1,060 rows)"
    junit, markdown = tmp_path / "a.xml", tmp_path / "a.md"
    options = ("--format", "github", "--junit", str(junit), "--markdown", str(markdown))
    done = invoke(folder, "compare", "quick", "slow", *options)
    assert (done.returncode, done.stderr) == (0, "")
    printed, *commands = done.stdout.split("\n::")
    assert " ".join(printed.split()).startswith(line)
    assert "beyond machine" in printed
    assert [text for text in printed.splitlines() if text.startswith("only in base")] == [only]
    assert commands[-1].endswith(f"::{line}\n".replace("%", "%25"))
    suite = ElementTree.parse(junit).getroot()[0]
    assert suite.findtext("system-out") == line
    assert "1.30 times as long by the machine; beyond that: +0.0 %" in suite[0].findtext("system-out")
    assert line in markdown.read_text()
    assert only in markdown.read_text()

    judgement = json.loads(invoke(folder, "compare", "quick", "slow", "--json").stdout)
    assert judgement["machine_factor"] == pytest.approx([1.3, 1.24, 1.36], abs=5e-3)
    assert (judgement["yardsticks"], judgement["basis"], judgement["corrected"]) == (
        ["numpy", "torch"],
        "library rows",
        True,
    )
    assert judgement["fail_above"] == 0.1
    assert [one["factor"] for one in judgement["comparisons"]] == pytest.approx([1.3] * 3)


@pytest.mark.parametrize(
    ("new", "code", "command", "element"),
    [
        ("same", 0, None, None),
        ("slower", 1, "error", "failure"),
        ("unclear", 3, "warning", "skipped"),
        ("wrong", 4, "error", "failure"),
        ("elsewhere", 3, "warning", "skipped"),
    ],
)
def test_verdicts_for_ci(folder, tmp_path, new, code, command, element):
    allowed = ("--fail-above", "20%")
    options = (*allowed, "--format", "github", "--junit", str(tmp_path / "a.xml"), "--markdown", str(tmp_path / "a.md"))
    summary = tmp_path / "summary.md"
    done = invoke(folder, "compare", "base", new, *options, GITHUB_STEP_SUMMARY=str(summary))
    assert (done.returncode, done.stderr) == (code, "")
    table, *commands = done.stdout.split("\n::")
    assert table == invoke(folder, "compare", "base", new, *allowed).stdout.rstrip("\n")
    assert [line.split(" ")[0] for line in commands] == ([command] if command else []) + ["notice"]
    cases = ElementTree.parse(tmp_path / "a.xml").getroot().iter("testcase")
    elements = {child.tag for child in next(cases)} - {"system-out"}
    assert elements == ({element} if element else set())
    page = (tmp_path / "a.md").read_text()
    assert summary.read_text().strip() == page.strip()
    assert page.startswith(f"### lcbench: {new} against base\n")
    assert ("different machines" in page) == (new == "elsewhere")
    assert ("only in base: naive" in page) == (new not in ("same", "slower"))


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.parametrize(
    ("option", "path"),
    [
        (None, "."),
        (None, "nowhere/summary.md"),
        pytest.param(None, "/dev/full", marks=needs_full),
        pytest.param("--markdown", "/dev/full", marks=needs_full),
        pytest.param("--junit", "/dev/full", marks=needs_full),
    ],
)
def test_a_report_that_cannot_be_written_does_not_change_the_exit_code(folder, option, path):
    options = (option, path) if option else ("--format", "github")
    done = invoke(folder, "compare", "base", "slower", *options, GITHUB_STEP_SUMMARY=path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("softmax: ")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"warning: cannot write {path if option else f'GITHUB_STEP_SUMMARY={path}'}: ")


def test_verdict_reports_need_a_base(folder, tmp_path):
    done = invoke(folder, "compare", "--junit", str(tmp_path / "a.xml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "name a BASE to compare with" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_and_github_format_exclude_each_other(folder):
    done = invoke(folder, "compare", "base", "same", "--json", "--format", "github")
    assert (done.returncode, done.stdout) == (2, "")
    assert "exclude each other" in done.stderr


def test_json_is_format_json(folder):
    by_format = invoke(folder, "compare", "base", "same", "--format", "json").stdout
    assert json.loads(by_format) == json.loads(invoke(folder, "compare", "base", "same", "--json").stdout)


def test_unwritable_report_is_one_line_error(folder):
    done = invoke(folder, "compare", "base", "same", "--junit", "results")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: cannot write results: it is a folder; name a file\n"


def test_new_defaults_to_the_newest_result(folder):
    done = invoke(folder, "compare", "other")
    assert (done.returncode, done.stdout) == (2, "")
    assert "with itself: a second run is needed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base", "other"], "error: the two results have no measured row in common"),
        (["bse"], "error: no result 'bse' in results; saved names: base, elsewhere, other, quick,"),
        (["base", "newer.json"], "error: newer.json has result schema 99, this lcbench reads up to 3: upgrade"),
        (["broken.json", "base"], "error: broken.json is not an lcbench result: "),
        (["base", "same", "--fail-above", "lots"], "'lots' is not a share: write 5% or 0.05"),
        (["base", "same", "--fail-above", "-1%"], "'-1%' is outside 0..100 %: write 5% or 0.05"),
    ],
)
def test_invalid_input_is_one_line_error(folder, arguments, message):
    done = invoke(folder, "compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]


def test_newest_results_side_by_side(folder):
    done = invoke(folder, "compare")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split()[0] for line in done.stdout.splitlines()[3:6]]
    # the newest numpy result of this machine is "unclear", 1.5 ms
    assert names == ["other", "numpy", "naive"]
    [group] = json.loads(invoke(folder, "compare", "--json").stdout)
    assert [entry["row"]["implementation"] for entry in group["entries"]] == names


def test_no_result_is_one_line_error(tmp_path):
    for arguments in ([], ["base"]):
        done = invoke(tmp_path, "compare", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "'lcbench run' makes one" in done.stderr


def terminal_output(folder, *arguments, **variables):
    """Return the output of ``lcbench`` on a pseudo-terminal."""
    reader, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lcbench", *arguments],
        cwd=folder,
        env=environment(TERM="xterm-256color", **variables),
        stdout=writer,
        stderr=writer,
        stdin=writer,
    ):
        os.close(writer)
        output = b""
        while True:
            try:
                output += (part := os.read(reader, 65536))
            except OSError:  # end of the output
                part = b""
            if not part:
                break
    os.close(reader)
    return output.decode()


RED = "\x1b[1;31m"


def test_terminal_output_has_colours_unless_no_color(folder):
    assert f"{RED}slower" in terminal_output(folder, "compare", "base", "slower")
    plain = terminal_output(folder, "compare", "base", "slower", NO_COLOR="1")
    assert "slower" in plain
    assert "31m" not in plain


def test_columns_are_chosen_and_rows_sorted(folder):
    compared = invoke(folder, "compare", "base", "slower", "--columns", "verdict,new", "--sort", "impl")
    lines = compared.stdout.splitlines()
    assert lines[1].split() == ["implementation", "verdict", "new"]
    assert [line.split()[0] for line in lines[3:5]] == ["naive", "numpy"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--columns", "memory"), "no column 'memory': the columns are implementation, time, x fastest, limit"),
        (("--sort", "tme"), "no column 'tme': did you mean 'time'?"),
        (("--columns", "time", "--json"), "--columns is for tables, and --json prints none"),
        (("--columns", ""), "'--columns': the value is empty"),
        (("--sort", "-"), "--sort needs the heading of a column"),
    ],
)
def test_a_column_that_is_not_there_is_refused(folder, arguments, told):
    refused = invoke(folder, "compare", *arguments)
    assert refused.returncode == 2
    assert told in " ".join(refused.stderr.split())
    assert not refused.stdout
