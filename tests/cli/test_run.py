"""Output and exit codes of ``lcbench run`` on the smallest sizes."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import pytest

from commands import TINY, invoke, lcbench
from lcbench.errors import LcbenchError, NotSaved
from results import as_printed, row
from results import record as make_record

MINE = """
import os
from lcbench.losses import vectorized

def softmax_loss_vectorized(W, X, y, reg):
    print("step 1")
    return vectorized.softmax_loss(W, X, y, reg)

def softmax_loss_off(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return (loss + 0.1 if len(X) == 20 else loss), dW

def softmax_loss_gone(W, X, y, reg):
    os._exit(5)
"""


RIGHT = """
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)
"""


RIGHT = """
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homework")
    (folder / "softmax.py").write_text(MINE)
    return folder


@pytest.fixture(scope="module")
def as_json(folder):
    """JSON of a run of numpy and of user functions, one of them wrong and one that ends its process."""
    return lcbench(
        folder, "run", "--impl", "numpy,softmax.py", "--loss", "softmax", *TINY, "--json", "--quiet", "--save", "before"
    )


@pytest.fixture(scope="module")
def rows(as_json):
    return {row["implementation"]: row for row in json.loads(as_json.stdout)["rows"]}


def test_wrong_result_is_exit_code_4(as_json):
    assert as_json.returncode == 4


def test_stdout_is_json_and_notes_are_on_stderr(as_json, folder):
    [result] = folder.glob("results/*.json")
    assert json.loads(as_json.stdout) == as_printed(result)
    assert as_json.stderr.splitlines() == [
        "data: synthetic images shaped like CIFAR-10, from a fixed seed",
        f"result: {result.relative_to(folder)}",
    ]


def test_json_has_the_documented_names(as_json, rows):
    content = json.loads(as_json.stdout)
    assert {"schema", "created", "machine", "rows"} <= set(content)
    assert content["command"][:3] == ["run", "--impl", "numpy,softmax.py"]
    promised = (
        "implementation loss dtype rows features classes data device status median_s ci95_s blocks error_loss "
        "error_grad flops bytes first_call_s prepare_s roofline_fraction"
    )
    for fields in rows.values():
        assert set(promised.split()) <= set(fields)
        assert (fields["rows"], fields["features"], fields["classes"], fields["dtype"]) == (20, 33, 3, "float32")


@pytest.mark.parametrize("name", ["numpy", "softmax.py:softmax_loss_vectorized"])
def test_right_implementations_have_times(rows, name):
    measured = rows[name]
    assert measured["status"] == "ok"
    low, high = measured["ci95_s"]
    assert 0 < low <= measured["median_s"] <= high
    assert [len(block) for block in measured["blocks"]] == [
        sum(len(turn["samples"]) for turn in process["turns"]) for process in measured["processes"]
    ]
    assert [process["generation"] for process in measured["processes"]] == [0, 1, 2]
    assert 0 < measured["roofline_fraction"] < 1


def test_the_limit_was_measured_in_turn(as_json, rows):
    [limit] = json.loads(as_json.stdout)["limits"]
    assert (limit["implementation"], limit["status"]) == ("limit", "ok")
    for own, process in zip(limit["processes"], rows["numpy"]["processes"], strict=True):
        assert own["generation"] == process["generation"]
        assert {turn["round"] for turn in own["turns"]} & {turn["round"] for turn in process["turns"]}


def test_wrong_or_crashed_implementations_have_a_reason_and_no_time(rows):
    wrong, gone = rows["softmax.py:softmax_loss_off"], rows["softmax.py:softmax_loss_gone"]
    assert wrong["status"] == "wrong"
    assert wrong["reason"].startswith("loss is ")
    assert gone["status"] == "crashed"
    assert gone["reason"].startswith("exited with status 5")
    for fields in (wrong, gone):
        assert (fields["median_s"], fields["ci95_s"], fields["blocks"]) == (None, None, [])


def test_result_is_saved_under_its_name(as_json, folder):
    assert (folder / "results" / "baselines" / "before.json").is_file()


@pytest.fixture(scope="module")
def on_pixels(folder):
    options = "--loss softmax --rows 64 --features 33 --classes 3 --blocks 2 --budget 0 --dtype uint8 --save pixels"
    return lcbench(folder, "run", "--impl", "numba-parallel,numpy", *options.split())


def test_pixels_are_measured_and_converted_in_the_call_and_before(on_pixels, folder):
    assert on_pixels.returncode == 0, on_pixels.stderr
    content = json.loads((folder / "results" / "baselines" / "pixels.json").read_text())
    rows = {row["implementation"]: row for row in content["rows"]}
    assert {name: row["pixels"] for name, row in rows.items()} == {
        "numba-parallel": "read", "numpy": "converted", "numpy (converts)": "converts",
    }  # fmt: skip
    for fields in rows.values():
        assert (fields["status"], fields["dtype"], len(fields["processes"])) == ("ok", "uint8", 2)
        assert 0 < fields["error_grad"] < 1e-5
        assert fields["roofline_fraction"] > 0
    assert [len(limit["processes"]) for limit in content["limits"]] == [2, 2]
    assert {(peak["dtype"], peak["footprint"]) for peak in content["ceilings"]} == {
        ("uint8", 64 * 32), ("float32", 64 * 33 * 4),
    }  # fmt: skip
    lines = on_pixels.stdout.splitlines()
    assert "softmax: 64 rows x 33 features, 3 classes, uint8, synthetic" in lines
    assert max(map(len, lines)) <= 80
    names = {" ".join(line.split("  ")[0].split()) for line in lines}
    assert names >= set(rows)
    note = "numba-parallel: X is the uint8 pixels, read in place; numpy: X was converted to float32 before the calls"
    assert note in " ".join(on_pixels.stdout.split())


@pytest.mark.parametrize(
    "command",
    ["compare", "history --impl", "export pixels --format csv", "export pixels --format junit"],
)
def test_rows_that_convert_pixels_have_a_name_elsewhere(on_pixels, folder, command):
    name = ["numpy (converts)"] if "--impl" in command else []
    shown = invoke(folder, *command.split(), *name)
    assert shown.returncode == 0, shown.stderr
    assert "numpy (converts)" in shown.stdout


@pytest.fixture(scope="module")
def tables(folder):
    return lcbench(folder, "run", "--impl", "numpy,numba-cuda", "--loss", "softmax", *TINY, "--baseline", "naive",
                   CUDA_VISIBLE_DEVICES="")  # fmt: skip


def test_simulated_gpu_is_marked_and_not_an_error(tables):
    assert tables.returncode == 0
    lines = tables.stdout.splitlines()
    assert "simulated: no GPU, so there are no times" in [line.strip() for line in lines]
    assert [line.split()[-3:-1] for line in lines if line.startswith("numba-cuda")] == [["right,", "simulated"]]


def test_tables_are_plain_text_of_80_columns(tables):
    lines = tables.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in tables.stdout + tables.stderr
    assert any(line.startswith("softmax: 20 rows x 33 features, 3 classes, float32,") for line in lines)


def test_baseline_without_a_row_is_a_warning(tables):
    assert "--baseline naive: no such row; there is numpy, numba-cuda" in tables.stderr.splitlines()


def error_line(folder, *arguments, **variables):
    """Return the last line of standard error of a run that must fail with exit code 2."""
    done = invoke(folder, "run", *arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--impl", "nunpy"], r"error: no implementation 'nunpy': did you mean 'numpy'\?"),
        (["--impl", "sofmax.py"], r"error: sofmax\.py: no such file; did you mean softmax\.py\?"),
        (["--bloks", "3"], "'?--bloks'?.*--blocks"),
        (["--dtype", "float16"], "'--dtype': 'float16' is not one of 'float32', 'float64'"),
        (["--rows", "0"], "'--rows': '0' is not a positive integer"),
        (["--save", "a/b", *TINY], "error: 'a/b' is not a valid name for a baseline"),
        (["--data", "cifar10", "--impl", "numpy", "--rows", "20"], "lcbench download"),
    ],
)
def test_invalid_input_is_one_line_error_with_a_hint(folder, arguments, message):
    assert re.search(message, error_line(folder, *arguments))


def test_invalid_results_folder_is_an_error_before_measuring(folder):
    (folder / "a-file").write_text("")
    line = error_line(folder, "--impl", "numpy", *TINY, LCBENCH_RESULTS="a-file")
    assert line == "error: cannot write a-file: File exists; LCBENCH_RESULTS names another folder"


def test_required_gpu_that_is_missing_is_an_error(folder):
    line = error_line(folder, "--impl", "numba-cuda", "--require-gpu", *TINY, CUDA_VISIBLE_DEVICES="")
    assert line.startswith("error: --require-gpu: ")


def test_requested_implementation_that_is_unavailable_is_exit_code_2(folder):
    done = lcbench(folder, "run", "--impl", "cupy", *TINY, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "cupy unavailable: " in done.stdout


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("Path(__file__).write_text(Path(__file__).read_text() + '\\nraise SystemExit\\n')", "has changed"),
        ("Path(__file__).unlink(missing_ok=True)", "has vanished"),
    ],
)
def test_a_file_that_changes_is_measured_as_it_was(tmp_path, change, told):
    file = tmp_path / "mine.py"
    code = f"{RIGHT}\nfrom pathlib import Path\n{change}\n"
    file.write_text(code)
    done = lcbench(tmp_path, "run", "--impl", "mine.py", "--loss", "softmax", *TINY)
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{file} {told} since it was read" in done.stderr
    [result] = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")]
    codes = [row["code"] for row in result["rows"] if row["implementation"] != "numpy"]
    assert codes == [sha256(code.encode()).hexdigest()[:12]]
    assert any(told in finding for finding in result["findings"])


def test_interrupted_run_prints_its_result_file(monkeypatch, tmp_path):
    stopped = make_record(row(medians=[1e-3, 1e-3]), interrupted=True, path="results/x.json")
    monkeypatch.setattr("lcbench.api.run", lambda *arguments, **options: stopped)
    done = invoke(tmp_path, "run")
    assert done.returncode == 130
    assert "1.00 ms" in done.stdout
    assert done.stderr.splitlines()[-1] == "stopped early; what was measured is in results/x.json"


@pytest.mark.parametrize("status", ["ok", "wrong"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_tables_are_printed_though_the_result_cannot_be_written(monkeypatch, tmp_path, status, options):
    measured = make_record(row(medians=[1e-3, 1e-3], status=status))

    def run(*arguments, **settings):
        raise NotSaved(LcbenchError("cannot write results/x.json: No space left on device"), measured)

    monkeypatch.setattr("lcbench.api.run", run)
    done = invoke(tmp_path, "run", *options)
    if status == "wrong":
        assert done.returncode == 4
        assert "wrong" in done.stdout
    else:
        assert done.returncode == 2
        assert ('"median_s": 0.001' if options else "1.00 ms") in done.stdout
        assert done.stderr.splitlines()[-1] == "error: cannot write results/x.json: No space left on device"


def test_a_full_disk_is_an_error_before_measuring(monkeypatch, tmp_path):
    def reserved(*arguments):
        raise LcbenchError("cannot write results: No space left on device")

    monkeypatch.setattr("lcbench.files.reserved", reserved)
    line = invoke(tmp_path, "run", "--impl", "numpy", *TINY).stderr.splitlines()[-1]
    assert line == "error: cannot write results: No space left on device"


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["ok"], 0),
        (["ok", "unstable"], 0),
        (["ok", "crashed"], 2),
        (["ok", "unavailable"], 2),
        (["timeout"], 2),
        (["ok", "crashed", "wrong"], 4),
        ([], 2),
    ],
)
def test_exit_codes(monkeypatch, tmp_path, statuses, code):
    rows = [
        row(f"impl-{k}", [1.0, 1.0] if status in ("ok", "unstable") else [], status=status)
        for k, status in enumerate(statuses)
    ]
    monkeypatch.setattr("lcbench.api.run", lambda *arguments, **options: make_record(*rows))
    assert invoke(tmp_path, "run").returncode == code


def test_names_may_be_arguments(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr("lcbench.api.run", lambda *a, **options: given.append(options) or make_record())
    invoke(tmp_path, "run", "softmax.py", "svm.py:f", "--impl", "numba-parallel", "--baseline", "naive")
    assert given[0]["implementations"] == ["softmax.py", "svm.py:f", "numba-parallel"]
    assert given[0]["baseline"] == "naive"


def test_a_file_is_measured_beside_numpy_on_the_losses_that_it_has(folder):
    (folder / "mine.py").write_text("raise ValueError('top')\n" + MINE.partition("def softmax_loss_off")[0])
    done = lcbench(folder, "run", "mine.py", *TINY)
    assert done.returncode == 0
    tables = [line for line in done.stdout.splitlines() if "rows x" in line]
    assert [line.partition(":")[0] for line in tables] == ["softmax"]
    assert re.search("^numpy  .*^mine.py:|^mine.py:.*^numpy  ", done.stdout, re.MULTILINE | re.DOTALL)
    sentence = " ".join(done.stdout.split()).rpartition(" or too noisy) ")[2] or done.stdout
    assert re.search(r"softmax, 20 rows: .* times as fast as|the noise does not tell which is faster", sentence)
    assert "mine.py: line 1: ValueError: top, skipped" in done.stderr.splitlines()


def test_cifar10_is_the_default_if_downloaded(monkeypatch, tmp_path):
    data = []
    monkeypatch.setattr("lcbench.api.run", lambda *a, **options: data.append(options["data"]) or make_record())
    (tmp_path / "cifar10.h5").write_text("")
    for arguments in ((), ("--features", "33"), ("--data", "synthetic")):
        invoke(tmp_path, "run", *arguments, LCBENCH_DATA=str(tmp_path))
    assert data == ["cifar10", "synthetic", "synthetic"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed", "-1"),
        ("--rows", "1000000000"),
        ("--rows", "99999999999999999999999"),
        ("--features", "10000000000"),
        ("--classes", "1000000000", "--rows", "5", "--features", "5"),
        ("--budget", "nan"),
        ("--timeout", "inf"),
        ("--threads", "100000000"),
        ("--impl", ""),
        ("--save", ""),
    ],
    ids=" ".join,
)
def test_out_of_range_values_are_one_line_errors(tmp_path, arguments):
    line = error_line(tmp_path, "--impl", "numpy", *arguments)
    assert line.lower().startswith("error: ")
    assert "internal error" not in line


def test_an_unknown_column_is_refused_before_anything_is_measured(tmp_path):
    refused = invoke(tmp_path, "run", "--columns", "time,watts")
    assert refused.returncode == 2
    assert "no column 'watts': the columns are implementation, time, " in refused.stderr
    assert not [*tmp_path.iterdir()]


CHECKED = """
import numpy as np
from lcbench.losses import vectorized

def _softmax(scores, W, X, y, reg):
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    p[np.arange(len(y)), y] -= 1
    return loss, X.T @ p / len(y) + 2 * reg * W

def softmax_loss_unstable(W, X, y, reg):
    return _softmax(X @ W, W, X, y, reg)

def softmax_loss_limited(W, X, y, reg):
    return _softmax(X @ W - (X @ W).max(axis=1, keepdims=True), W, X, y, reg)

def softmax_loss_ten_classes(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, np.where(np.arange(W.shape[1]) < 10, dW, 0)

def softmax_loss_single(W, X, y, reg):
    return vectorized.softmax_loss(W.astype(np.float32), X.astype(np.float32), y, reg)

raise RuntimeError("enough")
"""


def test_a_run_says_of_a_file_what_a_check_says(tmp_path):
    (tmp_path / "mine.py").write_text(CHECKED)
    done = lcbench(tmp_path, "run", "--impl", "mine.py", *TINY, "--dtype", "float64", "--json")
    rows = {each["implementation"].rpartition("_")[2]: each for each in json.loads(done.stdout)["rows"]}
    found = {name: (each["status"], bool(each["median_s"])) for name, each in rows.items()}
    assert found == {
        "numpy": ("ok", True),
        "unstable": ("unstable", True),
        "limited": ("ok", True),
        "classes": ("wrong", False),
        "single": ("unavailable", False),
    }
    assert rows["unstable"]["reason"].startswith("right only up to scores of about 710; subtract the maximum of each")
    assert rows["classes"]["reason"].startswith("right for 10 classes only")
    assert rows["single"]["reason"] == "accurate to single precision only: measure it with --dtype float32"
    assert done.returncode == 4
    notes = done.stderr.splitlines()
    assert "mine.py:softmax_loss_limited: right, but with scores more than about 740 apart, loss is inf" in notes
    assert "mine.py: line 25: RuntimeError: enough, skipped" in notes

    alone = lcbench(tmp_path, "run", "--impl", "mine.py:softmax_loss_unstable", *TINY)
    assert alone.returncode == 0, alone.stderr
    assert "(unstable)" in alone.stdout
