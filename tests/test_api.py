"""Python API."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import lcbench
from fake_generations import FakeSchedule, measured_ok
from lcbench import files, record
from lcbench.api.measure import without_folders
from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.losses.implementation import LossError, Unavailable, UnknownImplementation
from lcbench.measure import selection
from lcbench.settings import RunSettings
from results import record as make_record
from results import row

TINY = {"rows": [20], "features": 33, "classes": 3}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LCBENCH_RESULTS", raising=False)
    return tmp_path / "results"


@pytest.fixture
def fake(monkeypatch):
    """Substitute for worker processes, in which every call takes a millisecond."""
    fake = FakeSchedule(monkeypatch)
    fake.answer = lambda name, cell, generation: measured_ok(generation.number, (1e-3, 1e-3))
    return fake


@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_an_implementation_by_name(loss):
    rng = np.random.default_rng(0)
    W, X, y = rng.normal(size=(5, 3)), rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
    value, dW = getattr(lcbench.implementation("numpy"), f"{loss}_loss")(W, X, y, 0.1)
    assert oracle.expected(loss, W, X, y, 0.1).mismatch(value, dW) is None


def test_an_implementation_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("from lcbench.losses.vectorized import softmax_loss as right\n"
                                      "def softmax_mine(W, X, y, reg): return right(W, X, y, reg)\n")  # fmt: skip
    found = lcbench.implementation("mine.py:softmax_mine")
    assert set(found.functions) == {"softmax"}


def test_an_unknown_implementation():
    with pytest.raises(UnknownImplementation, match="did you mean 'numpy'"):
        lcbench.implementation("nunpy")


def test_implementations_with_the_reason_why_they_cannot_run(monkeypatch):
    from lcbench.losses import catalog

    monkeypatch.setattr(catalog, "why_unavailable", lambda entry: Unavailable("no") if entry.name == "jax" else None)
    reasons = lcbench.implementations()
    assert (reasons["numpy"], reasons["jax"]) == (None, "no")
    assert list(reasons) == list(catalog.CATALOG)


def test_public_names_of_the_package():
    assert {"run", "compare", "implementation", "implementations"} <= set(dir(lcbench))
    with pytest.raises(AttributeError, match="module 'lcbench' has no attribute 'rum'"):
        lcbench.rum  # noqa: B018


def test_a_run_with_worker_processes(results):
    result = lcbench.run(["numpy"], losses=["svm"], **TINY, blocks=2, budget_s=0.0, seed=1, save="before")
    [measured] = result.rows
    assert (measured.status, len(measured.processes), measured.loss) == ("ok", 2, "svm")
    assert measured.ci95_s[0] <= measured.median_s <= measured.ci95_s[1]
    assert 0 < measured.roofline_fraction < 1
    [limit] = result.limits
    assert (limit.implementation, limit.loss, len(limit.processes)) == ("limit", "svm", 2)
    assert record.read(results / "baselines" / "before.json").id == result.id
    assert record.find("before").rows == result.rows
    assert (result.lcbench, result.machine["python"]) == (lcbench.__version__, result.machine["python"])


def test_default_sizes(fake):
    result = lcbench.run(["naive", "numpy"], losses=["svm"], blocks=1)
    assert [(r.implementation, r.rows) for r in result.rows] == [("naive", 500), ("numpy", 500), ("numpy", 10_000)]


def test_a_size_named_twice_is_measured_once(fake):
    result = lcbench.run(["numpy"], losses=["svm", "svm"], rows=[20, 30, 20], features=33, blocks=1)
    assert [(r.rows, len(r.processes)) for r in result.rows] == [(20, 1), (30, 1)]


def test_the_simulator_has_its_own_size(fake, monkeypatch):
    monkeypatch.setattr(selection.catalog, "device_here", lambda entry: "simulator")
    [simulated] = lcbench.run(["numba-cuda"], losses=["svm"], rows=[10_000], blocks=1).rows
    assert (simulated.rows, simulated.features, simulated.device) == (40, 33, "simulator")
    assert simulated.median_s is None


def test_an_unavailable_implementation_has_a_row_with_the_reason(fake, monkeypatch, results):
    monkeypatch.setattr(
        selection.catalog, "why_unavailable", lambda entry: Unavailable("gone") if entry.name == "jax" else None
    )
    mixed = lcbench.run(["jax", "numpy"], losses=["svm"], **TINY, blocks=1)
    assert [(r.implementation, r.status, r.reason) for r in mixed.rows] == [
        ("numpy", "ok", ""),
        ("jax", "unavailable", "gone"),
    ]
    alone = lcbench.run(["jax"], losses=["svm"], **TINY, blocks=1)
    assert (alone.rows[0].status, alone.path) == ("unavailable", "")
    assert len(list(results.glob("*.json"))) == 1


def test_an_interrupted_run_keeps_all_measurements(fake, results):
    def progress(stage, done, total, detail=""):
        if stage == "seconds of measuring" and done == 3:
            raise KeyboardInterrupt

    result = lcbench.run(["numpy"], losses=["svm"], **TINY, blocks=5, progress=progress)
    assert result.interrupted
    assert [process.generation for process in result.rows[0].processes] == [0, 1, 2]
    assert record.read(next(results.glob("*.json"))).interrupted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype is 'float16', must be float32 or float64 or uint8"),
        ({"dtype": "uint8", "features": 1}, "X of uint8 holds pixels without the column of ones, and with 1 feature"),
        (
            {"dtype": "uint8", "stream": True},
            "streaming reads the numbers as they are .*: leave uint8 or streaming out",
        ),
        ({"data": "mnist"}, "no data 'mnist': use synthetic, cifar10, or a CSV, NPZ or HDF5 file"),
        ({"losses": ["hinge"]}, r"losses are \['hinge'\], available are svm and softmax"),
        ({"losses": []}, r"losses are \[\]"),
        ({"rows": [20, 0]}, r"rows\[1\] must be at least 1"),
        ({"features": 0}, "features must be at least 1"),
        ({"threads": 2000}, "threads must be at most 1,024"),
        ({"seed": 2**90}, "seed must be at most 4,294,967,295"),
        ({"budget_s": 1e308}, "budget_s must be at most 1,000,000,000"),
        ({"timeout_s": float("nan")}, "timeout_s must be above 0"),
        ({"save": ""}, "save is empty"),
        ({"classes": 1}, "classes must be at least 2"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"save": "../before"}, "'../before' is not a valid name for a baseline"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(fake, results, options, message):
    with pytest.raises(LcbenchError, match=message):
        lcbench.run(["numpy"], **options)
    assert fake.generations == fake.jobs == []
    assert not results.exists()


def test_a_deprecated_keyword_is_accepted_with_a_warning(fake):
    with pytest.warns(DeprecationWarning, match="patience_s is now called timeout_s") as warned:
        lcbench.run(["numpy"], **TINY, blocks=1, patience_s=7)
    assert warned[0].filename == __file__
    assert RunSettings.from_mapping({"patience_s": 7}).timeout_s == 7


@pytest.mark.parametrize(
    ("axes", "options", "message"),
    [
        ({"features": "1,2"}, {"dtype": "uint8"}, "with 1 feature there is no other: begin the axis at 2 features"),
        ({"dtype": ["float32", "uint8"]}, {"features": 1}, "with 1 feature there is no other"),
        ({"dtype": ["float32", "uint8"]}, {"stream": True}, "leave uint8 or streaming out"),
    ],
)
def test_points_of_a_sweep_that_have_no_pixels_are_refused(fake, axes, options, message):
    with pytest.raises(LcbenchError, match=message):
        lcbench.sweep(axes, ["numpy"], **options)
    assert fake.generations == []


def test_what_takes_no_pixels_has_two_rows(fake):
    result = lcbench.run(["numba-parallel", "numpy"], losses=["svm"], **TINY, dtype="uint8", blocks=1)
    assert [(row.implementation, row.pixels, row.dtype, row.bytes) for row in result.rows] == [
        ("numba-parallel", "read", "uint8", 20 * 32 + 8 * 33 * 3),
        ("numpy", "converted", "uint8", 4 * 20 * 33 + 8 * 33 * 3),
        ("numpy (converts)", "converts", "uint8", 20 * 32 + 8 * 33 * 3),
    ]
    assert len({(row.workload, row.flops) for row in result.rows}) == 1


def test_what_cannot_run_has_one_row_on_pixels(fake, monkeypatch):
    gone = Unavailable("torch is missing")
    monkeypatch.setattr(selection.catalog, "why_unavailable", lambda entry: gone if entry.name == "torch" else None)
    result = lcbench.run(["numba-parallel", "torch"], losses=["svm"], **TINY, dtype="uint8", blocks=1)
    assert [(row.implementation, row.status) for row in result.rows] == [
        ("numba-parallel", "ok"),
        ("torch", "unavailable"),
    ]


def test_a_sweep_over_dtypes_has_floats_and_pixels(fake):
    axes = {"dtype": ["float32", "uint8"]}
    result = lcbench.sweep(axes, ["numba-parallel", "numpy"], losses=["svm"], **(TINY | {"rows": 20}), blocks=1)
    assert [(row.implementation, row.dtype, row.pixels) for row in result.rows] == [
        ("numba-parallel", "float32", ""),
        ("numba-parallel", "uint8", "read"),
        ("numpy", "float32", ""),
        ("numpy", "uint8", "converted"),
        ("numpy (converts)", "uint8", "converts"),
    ]


def test_floats_of_a_file_are_no_pixels(fake, tmp_path):
    floats, pixels = tmp_path / "floats.npz", tmp_path / "pixels.npz"
    X, y = np.arange(20).reshape(10, 2), np.arange(10) % 2
    np.savez(floats, X=X / 4, y=y)
    np.savez(pixels, X=X.astype(np.uint8), y=y)
    with pytest.raises(LcbenchError, match=r"floats\.npz has float64 numbers and no uint8 pixels: leave the"):
        lcbench.run(["numpy"], data=floats, dtype="uint8")
    assert fake.generations == []
    result = lcbench.run(["numba-parallel"], data=pixels, dtype="uint8", blocks=1)
    assert {(row.dtype, row.features, row.pixels) for row in result.rows} == {("uint8", 3, "read")}


def test_an_unknown_keyword_has_a_suggestion():
    with pytest.raises(LcbenchError, match="no setting 'impl': did you mean 'implementations'"):
        lcbench.run(impl="numpy")
    with pytest.raises(LcbenchError, match="invalid settings: features is a text, must be an integer"):
        lcbench.run(features="many")


def test_values_can_be_numpy_numbers_and_paths(tmp_path):
    (tmp_path / "mine.npz").touch()
    given = {"rows": np.array([20, 30, 20]), "threads": np.int64(2), "data": tmp_path / "mine.npz"}
    settings = RunSettings.from_mapping(given)
    assert (settings.rows, settings.threads, settings.data) == ((20, 30), 2, str(tmp_path / "mine.npz"))


@pytest.mark.parametrize(
    "call", ["run(dtype='float16')", "run(data='mnist')", "sweep({'rows': [10]}, rows=0)", "gate('HEAD', fail_above=2)"]
)
def test_invalid_settings_are_refused_before_numpy_is_imported(call):
    program = (
        "import sys, lcbench, lcbench.errors, lcbench.learn.recipe\n"
        f"try: lcbench.{call}\n"
        "except lcbench.errors.LcbenchError: print({'numpy', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_unknown_name_is_refused_before_anything_is_measured(fake):
    with pytest.raises(LossError):
        lcbench.run(["nunpy"])
    assert fake.generations == fake.jobs == []


def test_compare_takes_records_files_and_names(results):
    base = make_record(row(medians=[1.0, 1.01, 0.99]))
    new = make_record(row(medians=[2.0, 2.01, 1.99]))
    path = record.write(base, "before")
    for value in (base, path, str(path), "before", base.id):
        [comparison] = lcbench.compare(value, new).comparisons
        assert comparison.verdict == "slower"
    assert lcbench.compare(base, new, fail_above=2.0).comparisons[0].verdict == "not slower"


def test_compare_refuses_a_negative_threshold():
    with pytest.raises(LcbenchError, match="cannot be negative"):
        lcbench.compare(make_record(row(medians=[1.0])), make_record(row(medians=[1.0])), fail_above=-0.1)


def test_a_model_is_trained_and_evaluated(tmp_path):
    X, y = np.random.default_rng(0).standard_normal((90, 4)), np.arange(90) % 3
    np.savez(tmp_path / "table.npz", X=X + 3 * np.eye(4)[y], y=y)
    model, path = lcbench.train(data=str(tmp_path / "table.npz"), iterations=50, output=tmp_path / "model.h5")
    assert path.exists()
    assert lcbench.evaluate(model).accuracy == model.accuracy["test"]


def test_checks_return_reports_and_print_nothing(tmp_path, capfd):
    (tmp_path / "mine.py").write_text(
        "from lcbench.losses.vectorized import *\n"
        "def svm_loss_a(W, X, y, reg): return svm_loss(W, X, y, reg)\n"
        "def svm_loss_b(W, X, y, reg): return svm_loss(W, X, y, reg)[0], W + float('nan')\n"
    )
    reports = lcbench.check("mine.py:svm_loss_a")
    assert [(report.loss, report.dtype, report.status) for report in reports] == [("svm", "float64", "ok")]
    found = lcbench.gradcheck(["mine.py", "numpy"], loss="svm", coordinates=[(0, 1)], rows=20)
    assert [report.status for report in found.reports] == ["ok", "wrong", "ok"]
    assert found.reports[0].found.coordinates[0].at == (0, 1)
    assert np.isnan(found.reports[1].found.coordinates[0].analytic)
    assert capfd.readouterr() == ("", "")


def test_results_can_be_exported_plotted_and_reported(results):
    record.write(make_record(row(medians=[1.0, 1.01, 0.99])), "before")
    assert lcbench.export("before", "csv").startswith("result,created,implementation,")
    with pytest.raises(LcbenchError, match="form is 'xml': there is csv, markdown"):
        lcbench.export("before", "xml")
    assert lcbench.plot("table", "before").read_bytes().startswith(b"<svg")
    page = lcbench.write_report("before")
    assert page.parent == files.reports_folder()
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_the_newest_result_is_the_default_for_comparison_and_export(results):
    with pytest.raises(LcbenchError, match="no result to compare with; 'lcbench run' makes one"):
        lcbench.compare("before")
    with pytest.raises(LcbenchError, match="no result to export; 'lcbench run' makes one"):
        lcbench.export()
    record.write(make_record(row(medians=[2.0, 2.01, 1.99])))
    assert lcbench.compare(make_record(row(medians=[1.0, 1.01, 0.99]))).comparisons[0].verdict == "slower"
    assert "2.01" in lcbench.export()


def test_doctor_without_noise():
    found = lcbench.doctor(None)
    assert found.noise is None
    assert 0 <= found.score <= 100
    assert found.machine["cpu"]


def test_synthetic_images_features_and_reproduction(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    assert lcbench.synth("images.h5", 30, features=12).stat().st_size > 30 * 12
    with pytest.raises(LcbenchError, match=r"images\.h5 is there already"):
        lcbench.synth("images.h5", 20)
    assert lcbench.features(()) == []
    [colour] = lcbench.features("colour", data="synthetic")
    assert (colour.dimensions, colour.kept) == (10, False)
    [outcome] = lcbench.reproduce(["softmax-of-123"], implementation="numpy")
    assert outcome.verdict == "passes"
    with pytest.raises(LcbenchError, match="'lcbench download' fetches CIFAR-10"):
        lcbench.features("colour")


def test_invalid_arguments_of_inspect_and_download_are_refused():
    with pytest.raises(UnknownImplementation, match="did you mean 'numba-njit'"):
        lcbench.inspect("numba-njt")
    with pytest.raises(LcbenchError, match="two sources: give one"):
        lcbench.download(url="a", file="b")


@pytest.mark.parametrize(
    ("argument", "recorded"),
    [
        ("--impl", "--impl"),
        ("/home/me/hw/softmax.py:f", "softmax.py:f"),
        ("numpy,/home/me/a.py,~/b.py", "numpy,a.py,b.py"),
        ("--data=/srv/data.h5", "--data=data.h5"),
        ("C:\\Users\\me\\a.py", "a.py"),
        ("hw/softmax.py", "hw/softmax.py"),
        ("../a/b.py", "../a/b.py"),
        ("tcp://HOST:8786", "tcp://HOST:8786"),
        ("1e-3", "1e-3"),
    ],
)
def test_a_record_has_no_folders_of_the_machine(argument, recorded):
    assert without_folders(argument) == recorded
