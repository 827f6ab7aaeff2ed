import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import commands
from commands import wait_until
from lcbench import files
from lcbench.cli.evaluate import evaluate
from lcbench.cli.train import train
from lcbench.errors import LcbenchError
from lcbench.learn import model as model_file
from lcbench.learn import solvers
from lcbench.losses import catalog
from small_splits import splits

SMALL = ["--iterations", "60", "--report-every", "20", "--quiet"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write a table with its own splits, and make its folder the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LCBENCH_RESULTS", raising=False)
    data = splits()
    arrays = {}
    for name, part in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        arrays |= {f"X_{name}": part.X, f"y_{name}": part.y}
    np.savez(tmp_path / "clouds.npz", **arrays)
    return "clouds.npz"


def invoke(command, *arguments):
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def test_train_and_evaluate_a_table(table):
    made = json.loads(invoke(train, "--data", table, "--output", "m.h5", "--json", *SMALL).stdout)
    assert made["file"] == "m.h5"
    assert made["status"] == "finished"
    assert made["recipe"]["data"] == table
    found = json.loads(invoke(evaluate, "m.h5", "--json").stdout)
    assert found["accuracy"] == pytest.approx(made["accuracy"]["test"])
    assert np.trace(found["confusion"]) / 60 == pytest.approx(found["accuracy"])
    text = invoke(evaluate, "m.h5", "--split", "train").stdout
    assert "120" in text
    assert max(map(len, text.splitlines())) <= 80


def test_accuracies_are_printed_though_the_model_cannot_be_written(table, monkeypatch):
    write = model_file.write

    def fail(path, model):
        if model.status == "finished":
            raise LcbenchError(f"cannot write {path}: No space left on device")
        write(path, model)

    monkeypatch.setattr(model_file, "write", fail)
    done = CliRunner().invoke(train, ["--data", str(table), "--impl", "numpy", "--output", "m.h5", *SMALL])
    assert str(done.exception) == "cannot write m.h5: No space left on device"
    assert "test accuracy" in done.stdout
    assert "model: " not in done.stderr


def test_default_output_is_in_the_results_folder(table, tmp_path):
    result = invoke(train, "--data", table, *SMALL)
    [file] = (tmp_path / "results" / "models").iterdir()
    assert str(file.relative_to(tmp_path)) in result.stderr
    assert "validation accuracy" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nothing"], "no data 'nothing'"),
        (["--solver", "lbfgs", "--momentum", "0.5"], "momentum.*sgd"),
        (["--loss", "softmax", "--margin", "2"], "margin"),
        (["--features", "hog"], "leave --features out"),
        (["--impl", "numpyy"], "numpy"),
    ],
)
def test_invalid_input_is_one_line_error(table, arguments, message):
    with pytest.raises(Exception, match=message) as caught:
        invoke(train, *(["--data", table] if "--data" not in arguments else []), *arguments, *SMALL)
    assert "\n" not in str(caught.value)


def test_divergence_is_one_line_error_and_keeps_the_curves(table):
    with pytest.raises(LcbenchError, match=r"diverged.*learning rate below") as caught:
        invoke(train, "--data", table, "--lr", "1e6", "--reg", "10", "--output", "m.h5", *SMALL)
    assert "\n" not in str(caught.value)
    assert model_file.read(Path("m.h5")).status == "diverged"


def test_resume_accepts_no_other_settings(table):
    invoke(train, "--data", table, "--output", "m.h5", *SMALL)
    with pytest.raises(Exception, match=r"leave out --seed, --learning-rate"):
        invoke(train, "--resume", "m.h5", "--lr", "1", "--seed", "0")


def test_data_with_other_columns_is_an_error(table):
    invoke(train, "--data", table, "--output", "m.h5", *SMALL)
    with pytest.raises(LcbenchError, match=r"3072 columns.*trained on 6"):
        invoke(evaluate, "m.h5", "--data", "synthetic")


@pytest.mark.parametrize("command", [["train"], ["search"], ["features", "colour"]])
def test_without_data_both_ways_to_data_are_named(tmp_path, command):
    done = commands.invoke(tmp_path, *command)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "'lcbench download' fetches CIFAR-10" in line
    assert "--data synthetic needs no download" in line
    assert not list(tmp_path.iterdir())


def test_growth_of_the_loss_is_divergence_with_advice(table):
    numbers = ["--loss", "svm", "--scaling", "standard", "--lr", "2.1e-2", "--reg", "50", "--output", "m.h5"]
    with pytest.raises(LcbenchError, match=r"diverged: the loss grew from .* in 60 steps; .* below 0.02 or less"):
        invoke(train, "--data", table, *numbers, *SMALL)
    assert "a diverged training" in invoke(evaluate, "m.h5").stderr


def test_killed_training_resumes_to_the_same_model(table, tmp_path):
    def command(*arguments):
        return [sys.executable, "-m", "lcbench", "train", "--threads", "1", "--quiet", *arguments]

    # the naive loops are slow enough to be killed during training
    settings = ["--data", table, "--impl", "naive", "--iterations", "400", "--report-every", "10", "--momentum", "0.9"]
    subprocess.run(command(*settings, "--output", "whole.h5"), check=True, capture_output=True)
    checkpointing = "from lcbench.learn import training; training.SECONDS_BETWEEN_CHECKPOINTS = 0; "
    run_it = f"{checkpointing}import sys; sys.argv[0] = 'lcbench'; from lcbench.cli.main import main; main()"
    arguments = command(*settings, "--output", "killed.h5")[3:]
    process = subprocess.Popen([sys.executable, "-c", run_it, *arguments], stderr=subprocess.DEVNULL)
    killed = tmp_path / "killed.h5"
    wait_until(lambda: process.poll() is not None or (killed.exists() and model_file.read(killed).step >= 50))
    process.kill()
    process.wait()
    unfinished = model_file.read(killed)
    assert unfinished.status == "unfinished"
    assert 50 <= unfinished.step < 400
    subprocess.run(command("--resume", "killed.h5"), check=True, capture_output=True)
    whole, resumed = model_file.read(tmp_path / "whole.h5"), model_file.read(tmp_path / "killed.h5")
    assert (whole.W == resumed.W).all()
    assert (whole.curves.losses == resumed.curves.losses).all()
    assert whole.accuracy == resumed.accuracy


def test_only_models_are_replaced_and_only_with_force(table):
    before = Path(table).read_bytes()
    for force in ([], ["--force"]):
        with pytest.raises(LcbenchError, match="exists and is not a model"):
            invoke(train, "--data", table, "--output", table, *force, *SMALL)
    assert Path(table).read_bytes() == before
    again = ["--data", table, "--output", "m.h5", *SMALL]
    invoke(train, *again)
    made = Path("m.h5").read_bytes()
    with pytest.raises(LcbenchError, match=r"m.h5 is a model already: --force replaces it"):
        invoke(train, *again)
    unfinished = dataclasses.replace(model_file.read(Path("m.h5")), status="unfinished")
    model_file.write(Path("m.h5"), unfinished)
    with pytest.raises(LcbenchError, match=r"--resume m.h5 continues it, and --force replaces it"):
        invoke(train, *again)
    invoke(train, *again, "--force")
    assert model_file.read(Path("m.h5")).status == "finished"
    assert len(made) == Path("m.h5").stat().st_size


def test_a_missing_package_is_named_with_the_command_that_installs_it(table, tmp_path, monkeypatch):
    found = catalog.find_spec
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name == "torch" else found(name))
    done = commands.invoke(tmp_path, "train", "--data", table, "--impl", "torch")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: torch is not installed; pip install torch"


def test_two_trainings_at_once_do_not_write_the_same_model(table):
    locked = files.locked(Path("m.h5"))
    with locked, pytest.raises(LcbenchError, match=r"m.h5 is being written by another process"):
        invoke(train, "--data", table, "--output", "m.h5", *SMALL)
    invoke(train, "--data", table, "--output", "m.h5", *SMALL)
    with files.locked(Path("m.h5")), pytest.raises(LcbenchError, match="is being written by another process"):
        invoke(train, "--resume", "m.h5", "--quiet")
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


SOFTMAX = """
import ctypes, os, sys, threading, time
import numpy as np
from lcbench.losses.vectorized import softmax_loss as right
calls = 0
def softmax_loss(W, X, y, reg):
    global calls
    calls += 1
    if {when}:
        {statement}
    return right(W, X, y, reg)
"""


def train_file(statement, when, *more):
    """Train with a function that executes `statement` when the expression `when` is true."""
    Path("own.py").write_text(SOFTMAX.format(statement=statement, when=when))
    return invoke(train, "--data", "clouds.npz", "--impl", "own.py", "--output", "m.h5", *SMALL, *more)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise GeneratorExit('gone')", r"line 10: GeneratorExit: gone"),
        ("raise KeyboardInterrupt", r"line 10: KeyboardInterrupt"),
        ("ctypes.string_at(0)", r"killed by SIGSEGV"),
        ("os._exit(0)", r"exited with status 0"),
        ("sys.exit(0)", r"line 10: SystemExit: 0"),
        ("while True: pass", r"no answer for 3 s"),
        ("return 0.0, np.ones(3)", r"gradient has shape"),
    ],
)
@pytest.mark.parametrize("when", ["calls == 1", "calls > 40"])
def test_user_code_that_fails_is_a_one_line_error(table, statement, message, when):
    with pytest.raises(LcbenchError, match=rf"own.py: .*({message})") as caught:
        train_file(statement, when, *(["--timeout", "3"] if "while" in statement else []))
    assert "\n" not in str(caught.value)
    assert Path("m.h5").exists() == (when == "calls > 40")  # there is a checkpoint after the first steps


@pytest.mark.parametrize(
    "statement",
    ["os.fork()", "os.closerange(0, 3)", "threading.Thread(target=time.sleep, args=(1000,)).start()", "print('loud')"],
)
def test_user_code_that_forks_closes_or_waits_does_not_disturb_the_training(table, statement):
    train_file(statement, "True")
    invoke(train, "--data", "clouds.npz", "--impl", "numpy", "--output", "numpy.h5", *SMALL)
    own, catalog = model_file.read(Path("m.h5")), model_file.read(Path("numpy.h5"))
    np.testing.assert_allclose(own.W, catalog.W, rtol=1e-4, atol=1e-6)


def test_wrong_user_code_has_the_exit_code_of_a_wrong_result_and_leaves_no_model(table):
    Path("own.py").write_text(
        SOFTMAX.format(when="True", statement="loss, dW = right(W, X, y, reg); return loss, 2 * dW")
    )
    done = commands.invoke(Path(), "train", "--data", table, "--impl", "own.py", "--output", "m.h5", *SMALL)
    assert done.returncode == 4
    assert done.stderr.startswith("error: own.py: in the gradient, doubled")
    # right on the small inputs by which a function is recognised, and wrong on the data
    Path("own.py").write_text(
        SOFTMAX.format(when="len(X) > 50", statement="loss, dW = right(W, X, y, reg); return loss, 2 * dW")
    )
    done = commands.invoke(Path(), "train", "--data", table, "--impl", "own.py", "--output", "m.h5", *SMALL)
    assert (done.returncode, done.stdout) == (4, "")
    assert "own.py is wrong on the first rows of the data: gradient is off by" in done.stderr
    assert not Path("m.h5").exists()


def test_a_training_that_user_code_ends_late_can_be_resumed(table, monkeypatch):
    monkeypatch.setattr(solvers, "SECONDS_PER_REPORT", 0.0)
    with pytest.raises(LcbenchError, match=r"own.py: killed by SIGSEGV \(on 200 rows\)"):
        train_file("ctypes.string_at(0)", "calls > 30")
    unfinished = model_file.read(Path("m.h5"))
    assert unfinished.status == "unfinished"
    assert unfinished.step > 5
    Path("own.py").write_text(SOFTMAX.format(when="False", statement="pass"))
    invoke(train, "--resume", "m.h5", "--quiet")
    assert model_file.read(Path("m.h5")).step == 60


def write_csv(path, names, rows, columns=("a", "b")):
    rng = np.random.default_rng(0)
    lines = [",".join((*columns, "label"))]
    for row in range(rows):
        c = row % len(names)
        centre = ("ant", "bee", "cow").index(names[c]) if names[c] in ("ant", "bee", "cow") else 0
        lines.append(f"{3 * centre + rng.normal()},{-3 * centre + rng.normal()},{names[c]}")
    Path(path).write_text("\n".join(lines) + "\n")


def test_other_data_is_matched_by_name_and_evaluated_whole(table):
    write_csv("abc.csv", ("ant", "bee", "cow"), 90)
    write_csv("bc.csv", ("bee", "cow"), 40)
    write_csv("yak.csv", ("ant", "yak"), 40)
    write_csv("ba.csv", ("ant", "bee", "cow"), 90, columns=("b", "a"))
    invoke(train, "--data", "abc.csv", "--output", "m.h5", "--solver", "lbfgs", "--quiet")
    found = json.loads(invoke(evaluate, "m.h5", "--data", "bc.csv", "--json").stdout)
    assert (found["rows"], found["split"]) == (40, "all rows")
    assert found["accuracy"] > 0.9
    assert found["class_accuracy"]["ant"] is None
    with pytest.raises(LcbenchError, match=r"yak.csv has a class 'yak', and the model knows ant, bee, cow"):
        invoke(evaluate, "m.h5", "--data", "yak.csv")
    with pytest.raises(LcbenchError, match="has column 'b' where the model was trained on 'a'"):
        invoke(evaluate, "m.h5", "--data", "ba.csv")
    write_csv("abc.csv", ("ant", "bee", "cow"), 93)
    assert "has changed since m.h5 was trained on it" in invoke(evaluate, "m.h5").stderr


def test_user_output_is_not_in_stdout(table):
    Path("loud.py").write_text(
        "import numpy as np\nfrom lcbench.losses.vectorized import softmax_loss as right\n"
        "def softmax_loss(W, X, y, reg):\n    print('loud')\n    return right(W, X, y, reg)\n"
    )
    result = invoke(train, "--data", table, "--impl", "loud.py", "--output", "m.h5", "--json", *SMALL)
    assert json.loads(result.stdout)["status"] == "finished"


@pytest.mark.parametrize(
    "arguments",
    [["--lr", "inf"], ["--lr", "nan"], ["--epochs", "nan"], ["--epochs", "1e300"], ["--iterations", "9" * 26],
     ["--batch", "9" * 20], ["--reg", "-1"], ["--momentum", "1"]],
)  # fmt: skip
def test_invalid_numbers_are_usage_errors(table, arguments):
    with pytest.raises(click.UsageError):
        invoke(train, "--data", table, *arguments)


def test_only_usable_models_are_evaluated_by_default(table):
    for status in ("finished", "unfinished", "diverged"):
        made = json.loads(invoke(train, "--data", table, "--json", *SMALL).stdout)["file"]
        changed = {"status": status} | ({"step": 59} if status == "unfinished" else {})
        before = model_file.read(Path(made))
        if status == "unfinished":
            changed["curves"] = dataclasses.replace(before.curves, losses=before.curves.losses[:59])
        path = Path("results/models", f"2{'fud'.index(status[0])}000101T000000Z-{status}.h5")
        Path(made).unlink()
        model_file.write(path, dataclasses.replace(before, **changed))
        stored = model_file.read(path)
        if status == "finished":
            finished = path
    found = invoke(evaluate, "--json")
    assert json.loads(found.stdout)["model"] == str(finished)
    assert "passed over newer models: " in found.stderr
    assert "is a diverged training, and 1 more" in found.stderr
    text = invoke(evaluate, str(finished)).stdout
    assert "60 steps, finished, written 20" in text
    assert finished.name in text
    named = invoke(evaluate, "results/models/21000101T000000Z-unfinished.h5")
    assert "an interrupted training, at 59 of 60 steps" in named.stderr
    model_file.write(Path("nan.h5"), dataclasses.replace(stored, W=np.full_like(stored.W, np.nan)))
    with pytest.raises(LcbenchError, match=r"nan.h5 has weights that are not finite: its training diverged"):
        invoke(evaluate, "nan.h5")


def test_newest_model_by_default(table):
    with pytest.raises(LcbenchError, match=r"no model in results/models: 'lcbench train' makes one"):
        invoke(evaluate)
    made = json.loads(invoke(train, "--data", table, "--json", *SMALL).stdout)
    assert json.loads(invoke(evaluate, "--json").stdout)["model"] == made["file"]


def test_missing_or_invalid_model_is_one_line_error(table):
    with pytest.raises(LcbenchError, match="does not exist"):
        invoke(evaluate, "none.h5")
    with h5py.File("other.h5", "w"), pytest.raises(LcbenchError):
        invoke(evaluate, "other.h5")


def test_streaming_gives_the_same_model_and_evaluation(table):
    data = splits(dtype="uint8")
    with h5py.File("clouds.h5", "w") as file:
        for name in ("train", "test"):
            part = getattr(data, name)
            file[f"{name}/images"], file[f"{name}/labels"] = part.X, part.y.astype(np.uint8)
    for name, stream in (("whole.h5", []), ("streamed.h5", ["--stream"])):
        invoke(train, "--data", "clouds.h5", "--output", name, *stream, *SMALL)
    whole, streamed = model_file.read(Path("whole.h5")), model_file.read(Path("streamed.h5"))
    assert (whole.W == streamed.W).all()
    assert whole.recipe == streamed.recipe
    found = [
        json.loads(invoke(evaluate, name, *stream, "--json").stdout)
        for name, stream in (("whole.h5", ["--stream"]), ("streamed.h5", []))
    ]
    assert found[0]["confusion"] == found[1]["confusion"]
    invoke(train, "--resume", "streamed.h5", "--stream", "--quiet")
    with pytest.raises(LcbenchError, match="NPZ is read whole; only HDF5 can be streamed"):
        invoke(train, "--data", table, "--stream", *SMALL)
