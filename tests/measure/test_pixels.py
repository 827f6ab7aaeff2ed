"""Problems on uint8 pixels: what implementations are given, how they convert it, and that wrong results are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.losses import catalog, numba_parallel, oracle, vectorized
from lcbench.losses.implementation import LOSSES, Implementation, Unavailable
from lcbench.measure import clock, gate, worker, workload
from lcbench.measure.inputs import Inputs
from lcbench.measure.messages import Cell, Finish, Leave, Load, TakeTurn, Timed, TurnsJob, WarmUp
from lcbench.measure.pixels import uses_of_pixels
from lcbench.measure.verification import Verifier
from lcbench.measure.workload import Size
from lcbench.usercode import recognition

TINY = Size(20, 33, 3, "uint8", "synthetic")

PEERS = ("numpy", "numba-njit", "torch", "jax", "sklearn", "cupy")

USERS = """
import numpy as np

def softmax_loss_vectorized(W, X, y, reg):  # W (C, D), X (D, N), as in 2015
    scores = W @ X
    scores -= scores.max(axis=0)
    p = np.exp(scores)
    p /= p.sum(axis=0)
    N = X.shape[1]
    loss = -np.log(p[y, np.arange(N)]).mean() + 0.5 * reg * np.sum(W * W)
    p[y, np.arange(N)] -= 1
    return loss, p @ X.T / N + reg * W
"""


@pytest.fixture(scope="module", params=[None, 7], ids=["all", "batch"])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pixels") / "problem"
    problem = workload.build_problem(replace(TINY, batch=request.param))
    workload.save_problem(problem, list(LOSSES), folder)
    return problem, folder


def implementation(name, tmp_path):
    if name == "users":
        (tmp_path / "users.py").write_text(USERS)
        return recognition.resolve(f"{tmp_path / 'users.py'}:softmax_loss_vectorized")
    try:
        return catalog.load(name)
    except Unavailable as error:
        pytest.skip(f"{name}: {error}")


def verified(found, folder, pixels, calls=3):
    """Call every loss on the saved problem and verify the results, as a worker process does."""
    problem = workload.load_problem(folder, converted=pixels == "converted")
    for loss in found.functions:
        adapted = workload.adapted(found, problem, pixels)
        inputs = Inputs(adapted, problem, workload.load_answers(folder, loss), np.random.default_rng(0))
        verifier = Verifier(adapted, inputs)
        for _ in range(2):
            results = [adapted.functions[loss](*arguments) for arguments in inputs.draw(calls)]
            verifier([value for value, _ in results], results[-1][1], 1.0)
        inputs.require_unchanged()
    return problem


def test_work_is_that_of_float32_and_traffic_is_in_pixels():
    assert TINY.flops == replace(TINY, dtype="float32").flops
    assert TINY.footprint == 20 * 32
    assert TINY.bytes == 20 * 32 + 4 * (2 * 33 * 3)
    assert TINY.read_by("converts") == TINY.read_by("read") == TINY
    assert TINY.read_by("converted") == replace(TINY, dtype="float32")


def test_the_problem_is_that_of_float32_on_pixels():
    pixels, floats = (workload.build_problem(replace(TINY, dtype=dtype)) for dtype in ("uint8", "float32"))
    assert (pixels.X.shape, pixels.X.dtype, pixels.mean.dtype) == ((20, 32), np.uint8, np.float32)
    np.testing.assert_allclose(pixels.X - pixels.mean, floats.X[:, :-1], rtol=0, atol=2e-5)
    for (W, y), (its_W, its_y) in zip(pixels.sets, floats.sets, strict=True):
        assert (W.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(W, its_W)
        np.testing.assert_array_equal(y, its_y)
    assert pixels.reg == floats.reg


def test_right_results_are_those_of_the_same_pixels_minus_the_float32_mean(saved):
    problem, folder = saved
    found = workload.load_problem(folder)
    np.testing.assert_array_equal(found.X, problem.X)
    np.testing.assert_array_equal(found.mean, problem.mean)
    exact = np.column_stack([problem.X - problem.mean.astype(np.float64), np.ones(20)])
    for loss in LOSSES:
        for number, right in enumerate(workload.load_answers(folder, loss)):
            W, y = problem.sets[number % len(problem.sets)]
            rows = problem.batches[number] if problem.batches else slice(None)
            expected = oracle.expected(loss, W, exact[rows], y[rows], problem.reg)
            assert right.loss == pytest.approx(expected.loss, rel=1e-13)
            np.testing.assert_allclose(right.dW, expected.dW, rtol=1e-12, atol=1e-12)
            assert right.gradient_tolerance == pytest.approx(expected.gradient_tolerance)


def test_converted_pixels_are_what_the_kernel_makes_of_them(saved):
    problem, folder = saved
    converted = workload.load_problem(folder, converted=True)
    assert (converted.X.shape, converted.X.dtype, converted.mean) == ((20, 33), np.float32, None)
    W, y = problem.sets[0]
    loss, dW = numba_parallel.softmax_loss(W, problem.X, y, 0.1, mean=problem.mean)
    its_loss, its_dW = numba_parallel.softmax_loss(W, converted.X, y, 0.1)
    assert loss == its_loss
    np.testing.assert_array_equal(dW, its_dW)


def test_first_rows_are_problems_of_pixels(tmp_path):
    problem = workload.build_problem(TINY)
    workload.save_first_rows(problem, list(LOSSES), {rows: tmp_path / str(rows) for rows in (5, 20)})
    found = verified(catalog.load("numba-parallel"), tmp_path / "5", "read")
    np.testing.assert_array_equal(found.X, problem.X[:5])


def test_what_takes_a_mean_or_streams_reads_pixels_and_all_others_have_two_rows():
    assert uses_of_pixels("numba-parallel", "uint8") == uses_of_pixels("dask", "uint8") == ("read",)
    for name in (*PEERS, "mine.py:softmax_loss"):
        assert uses_of_pixels(name, "uint8") == ("converted", "converts")
    assert uses_of_pixels("numba-parallel", "float32") == uses_of_pixels("numpy", "float64") == ("",)


def test_pixels_are_read_in_place(saved, tmp_path):
    verified(implementation("numba-parallel", tmp_path), saved[1], "read")


@pytest.mark.parametrize("pixels", ["converts", "converted"])
@pytest.mark.parametrize("name", [*PEERS, "users"])
def test_pixels_are_converted_in_the_call_or_before(saved, tmp_path, name, pixels):
    problem = verified(implementation(name, tmp_path), saved[1], pixels)
    assert problem.X.dtype == (np.uint8 if pixels == "converts" else np.float32)


def test_the_conversion_is_part_of_the_call(saved):
    def softmax_loss(W, X, y, reg):
        seen.append(X)
        return vectorized.softmax_loss(W, X, y, reg)

    seen = []
    verified(Implementation("mine", "cpu", {"softmax": softmax_loss}), saved[1], "converts")
    assert len({id(X) for X in seen}) == len(seen) > 1
    rows = 20 if not saved[0].batches else 7
    assert {(X.shape, X.dtype.name) for X in seen} == {((rows, 33), "float32")}


def without_mean(W, X, y, reg, **given):
    return numba_parallel.softmax_loss(W, X, y, reg, **(given | {"mean": None}))


def changes_mean(W, X, y, reg, mean, rows=None):
    found = numba_parallel.softmax_loss(W, X, y, reg, mean=mean, rows=rows)
    mean[0] += 1
    return found


def changes_pixels(W, X, y, reg, mean, rows=None):
    found = numba_parallel.softmax_loss(W, X, y, reg, mean=mean, rows=rows)
    X[0, 0] += 1
    return found


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (without_mean, "loss is "),
        (lambda *given, **named: changes_mean(*given, **named), "changes its input mean"),
        (lambda *given, **named: changes_pixels(*given, **named), "changes its input X"),
    ],
    ids=["mean", "changed mean", "changed pixels"],
)
def test_wrong_results_on_pixels_are_refused(saved, monkeypatch, function, reason):
    monkeypatch.setattr(clock, "WARM_UP_S", 0.0)
    mine = Implementation("mine", "cpu", {"softmax": function}, takes_rows=True, takes_mean=True)
    monkeypatch.setattr(recognition, "resolve", lambda name: mine)
    orders, events = iter([Load(0), WarmUp(), TakeTurn(samples=1, calls=1), Finish(), Leave()]), []
    job = TurnsJob(implementation="mine", cells=[Cell("softmax", str(saved[1]), "read")], seed=0)
    worker.time_in_turns(job, events.append, lambda kind: next(orders))
    timed = next(event for event in events if isinstance(event, Timed))
    assert timed.status == "wrong"
    assert reason in timed.reason


def pair(base, head):
    return gate.Pair(head, base, head, ("softmax",))


def test_a_gate_has_a_pair_for_each_use_of_the_pixels():
    both = [pair("numba-parallel", "numba-parallel"), pair("old.py:f", "new.py:f")]
    assert gate.by_use_of_pixels(both, "float32") == both
    assert [(each.name, each.pixels) for each in gate.by_use_of_pixels(both, "uint8")] == [
        ("numba-parallel", "read"), ("new.py:f", "converted"), ("new.py:f", "converts"),
    ]  # fmt: skip
    with pytest.raises(LcbenchError, match=r"^numba-parallel reads uint8 pixels, and numpy does not: compare"):
        gate.by_use_of_pixels([pair("numpy", "numba-parallel")], "uint8")
