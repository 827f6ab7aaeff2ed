"""Worker process that times cells: its answers to a sequence of orders."""

from __future__ import annotations

import os
from itertools import chain

import pytest

from lcbench.host import limits, machine
from lcbench.losses import vectorized
from lcbench.losses.implementation import Implementation, LossError, Unavailable
from lcbench.measure import clock, worker, workload
from lcbench.measure.messages import (
    Cell,
    Finish,
    Imported,
    Leave,
    LimitCell,
    LimitsJob,
    Load,
    Loaded,
    Order,
    TakeTurn,
    Timed,
    TurnsJob,
    TurnTaken,
    WarmedUp,
    WarmUp,
)
from lcbench.measure.workload import Size
from lcbench.record import MachinePeak
from lcbench.usercode import recognition
from lcbench.workers import messages
from lcbench.workers.messages import Began, Failed
from lcbench.workers.worker import event_writer

SIZE = Size(20, 33, 3, "float32", "synthetic")
TURN = TakeTurn(samples=2, calls=3)
CELL = [Load(0), WarmUp(), TURN, TURN, Finish()]
"""Orders that measure the first cell."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problem") / "small"
    workload.save_problem(workload.build_problem(SIZE), ["svm", "softmax"], folder)
    return [Cell("softmax", str(folder)), Cell("svm", str(folder))]


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(clock, "WARM_UP_S", 0.0)


def follow(cells, orders, implementation="numpy", do=worker.time_in_turns, **fields):
    """Return the events that answer the orders, of which the last one is Leave."""
    remaining = chain(orders, [Leave()])

    def read(kind):
        assert kind == Order
        return next(remaining)

    events = []
    job = TurnsJob(implementation=implementation, cells=cells, seed=0, **fields)
    do(job, events.append, read)
    return events


def mine(monkeypatch, **fields):
    """Let the name "mine" stand for an implementation with these fields, or raise an error."""
    found = fields.pop("error", None) or Implementation("mine", "cpu", **fields)

    def resolve(spec):
        assert spec == "mine"
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(recognition, "resolve", resolve)


def test_a_cell_is_measured_in_turns(cells):
    imported, loaded, warm, first, second, timed = follow(cells, CELL)
    assert isinstance(imported, Imported)
    assert imported.import_s >= 0
    assert loaded == Loaded()
    assert isinstance(warm, WarmedUp)
    assert warm.first_call_s > 0
    assert warm.one_call_s > 0
    for turn in (first, second):
        assert isinstance(turn, TurnTaken)
        assert len(turn.samples) == 2
        assert min(turn.samples) > 0
        assert turn.calls in (3, 4)
    assert isinstance(timed, Timed)
    assert (timed.status, timed.reason, timed.convention, timed.compiles) == ("ok", "", "", False)
    assert timed.warm_up_calls >= 2
    assert timed.counters.seconds > 0
    assert timed.prepare_s > 0
    assert 0 < timed.error_loss < 1e-5
    assert 0 < timed.error_grad < 1e-5


def test_without_turns_there_are_no_counters(cells):
    *_, timed = follow(cells, [Load(0), WarmUp(), Finish()])
    assert (timed.status, timed.counters) == ("ok", None)


def test_in_the_simulator_only_the_first_call_is_made(cells, monkeypatch):
    calls = []

    def counted(W, X, y, reg):
        calls.append(X)
        return vectorized.softmax_loss(W, X, y, reg)

    mine(monkeypatch, functions={"softmax": counted})
    *_, warm, timed = follow(cells, [Load(0), WarmUp(simulated=True), Finish()], "mine")
    assert len(calls) == 1
    assert warm.one_call_s == warm.first_call_s > 0
    assert (timed.status, timed.warm_up_calls) == ("ok", 0)


def test_cells_on_the_same_data_load_it_once(cells, monkeypatch):
    loaded = []
    load_problem = workload.load_problem
    monkeypatch.setattr(
        workload, "load_problem", lambda folder, *more: loaded.append(more) or load_problem(folder, *more)
    )
    events = follow(cells, [*CELL, Load(1), *CELL[1:], *CELL], mapped=True)
    assert [event.status for event in events if isinstance(event, Timed)] == ["ok"] * 3
    assert loaded == [(True, False)]


def test_the_turns_decide_whether_a_row_is_steady(cells, monkeypatch):
    monkeypatch.setattr(clock.Timing, "finish", lambda timing: False)
    assert follow(cells, CELL)[-1].steady is False


@pytest.mark.parametrize("thorough", [True, False])
def test_the_first_generation_also_tests_for_work_between_calls(cells, monkeypatch, thorough):
    tested = []
    monkeypatch.setattr(clock.Timing, "_require_no_work_between_calls", lambda timing: tested.append(timing))
    follow(cells, [Load(0), WarmUp(thorough=thorough), TURN, Finish()])
    assert len(tested) == thorough


def test_a_slowdown_is_injected(cells, monkeypatch):
    shares = []
    monkeypatch.setattr(worker, "with_injected_slowdown", lambda function, share: shares.append(share) or function)
    follow(cells, [Load(0)], planted=0.05)
    assert shares == [0.05]


# Cells that fail


def failing_at(call, fail):
    """Return a loss function that calls `fail(arguments)` at one call, counted from 1."""
    calls = []

    def loss(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            fail(*arguments)
        return vectorized.softmax_loss(*arguments)

    return {"softmax": loss, "svm": vectorized.svm_loss}


def raise_error(error):
    def fail(*arguments):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Unavailable("no GPU"), "unavailable", "no GPU"),
        (MemoryError(), "crashed", "out of memory"),
        (ZeroDivisionError("division\n by zero"), "crashed", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_cell_that_fails_has_a_status_and_a_reason(cells, monkeypatch, error, status, reason):
    mine(monkeypatch, functions=failing_at(1, raise_error(error)))
    *_, timed = follow(cells, [Load(0), WarmUp()], "mine")
    assert (timed.status, timed.reason) == (status, reason)


def test_a_cell_that_fails_does_not_affect_the_next_one(cells, monkeypatch):
    mine(monkeypatch, functions=failing_at(1, raise_error(ValueError("no"))))
    events = follow(cells, [Load(0), WarmUp(), TURN, Finish(), Load(1), *CELL[1:]], "mine")
    assert [type(event) for event in events] == [
        Imported, Loaded, Timed, Loaded, WarmedUp, TurnTaken, TurnTaken, Timed,
    ]  # fmt: skip
    assert [event.status for event in events if isinstance(event, Timed)] == ["crashed", "ok"]


@pytest.mark.parametrize("orders", [2, 3, 5])
def test_a_wrong_result_at_any_step_ends_the_cell(cells, monkeypatch, orders):
    results = []

    def wrong_at_last(W, X, y, reg):
        loss, dW = vectorized.softmax_loss(W, X, y, reg)
        return loss + 0.1 * bool(results), dW

    mine(monkeypatch, functions={"softmax": wrong_at_last})

    def script():
        for index, order in enumerate(CELL):
            if index == orders - 1:
                results.append(index)
                if isinstance(order, Finish):
                    monkeypatch.setattr(clock.Timing, "finish", raise_error(clock.WrongResult("loss is off")))
            yield order

    events = follow(cells, script(), "mine")
    assert len(events) == 1 + orders
    assert isinstance(events[-1], Timed)
    assert events[-1].status == "wrong"
    assert events[-1].reason.startswith("loss is ")


def test_a_changed_input_explains_a_wrong_result(cells, monkeypatch):
    def change(W, X, y, reg):
        X[:] = 0

    mine(monkeypatch, functions=failing_at(1, change))
    events = follow(cells, [Load(0), WarmUp(), *CELL], "mine")
    first, second = (event for event in events if isinstance(event, Timed))
    assert (first.status, first.reason) == ("wrong", "changes its input X")
    assert second.status == "ok"  # the problem has been loaded again


def test_an_input_that_is_changed_without_a_wrong_result_is_found_at_the_end(cells, monkeypatch):
    def change_afterwards(W, X, y, reg):
        result = vectorized.softmax_loss(W, X, y, reg)
        y[:] = 0
        return result

    mine(monkeypatch, functions={"softmax": change_afterwards})
    *_, timed = follow(cells, [Load(0), WarmUp(simulated=True), Finish()], "mine")
    assert (timed.status, timed.reason) == ("wrong", "changes its input y")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Unavailable("there is no GPU"), "unavailable", "there is no GPU"),
        (LossError("line 3: it raises"), "wrong", "line 3: it raises"),
        (OSError("no such library"), "crashed", "OSError: no such library"),
    ],
)
def test_an_implementation_that_cannot_be_loaded_ends_the_job(cells, monkeypatch, error, status, reason):
    mine(monkeypatch, error=error)
    assert follow(cells, CELL, "mine") == [Failed(status, reason)]


def test_the_implementation_is_released_at_the_end(cells, monkeypatch):
    released = []
    mine(monkeypatch, functions={"softmax": vectorized.softmax_loss}, release=lambda: released.append(True))
    follow(cells, CELL, "mine")
    assert released == [True]


# Limits


def test_the_limit_follows_the_same_orders(monkeypatch):
    measured = []

    class Limit:
        peak = MachinePeak(dtype="float32", footprint=400, read_bytes_s=1.0, flops_s=2.0)

        def __init__(self, *arguments):
            measured.append(arguments[:2])

        def warm_up(self):
            measured.append("warm-up")

        def call_s(self, bytes, flops):
            measured.append((bytes, flops))
            return 1e-6

    monkeypatch.setattr(limits, "Limit", Limit)
    ticks = iter([10.0, 10.5, 11.0, 11.25, 12.0, 12.5])
    monkeypatch.setattr(worker, "perf_counter", lambda: next(ticks))
    events = []
    script = iter(
        [Load(1), WarmUp(), TakeTurn(2, 1), Finish(), Load(2), WarmUp(), Finish(), Load(0), WarmUp(), Finish(), Leave()]
    )
    cells = [LimitCell("float64", 8, 8, 8), LimitCell("float32", 400, 500, 600), LimitCell("float32", 400, 500, 700)]
    job = LimitsJob(cells=cells)
    worker.limits_in_turns(job, events.append, lambda kind: next(script))
    assert events == [
        Imported(import_s=0.0),
        Loaded(),
        WarmedUp(first_call_s=0.0, one_call_s=0.5),  # the time of the measurement decides on the length of turns
        TurnTaken(samples=[1e-6, 1e-6], calls=1),
        Timed(peak=Limit.peak),
        Loaded(),
        WarmedUp(first_call_s=0.0, one_call_s=0.25),
        Timed(peak=Limit.peak),
        Loaded(),
        WarmedUp(first_call_s=0.0, one_call_s=0.5),
        Timed(peak=Limit.peak),
    ]
    on_the_same_data = [*[(500, 600)] * 3, (500, 700)]
    assert measured == [("float32", 400), "warm-up", *on_the_same_data, ("float64", 8), "warm-up", (8, 8)]


def test_the_matrix_product_is_measured_once_for_each_dtype_of_the_weights(monkeypatch):
    class Limit:
        def __init__(self, dtype, footprint, threads):
            self.peak = MachinePeak(dtype=dtype, footprint=footprint, read_bytes_s=1.0, flops_s=2.0)

    monkeypatch.setattr(limits, "Limit", Limit)
    measured, naps, events = [], [], []
    monkeypatch.setattr(machine, "gemm_flops_s", lambda dtype: measured.append(dtype) or 5.0)
    monkeypatch.setattr(worker, "sleep", naps.append)
    script = iter([Load(0), Finish(), Load(1), Finish(), Load(2), Finish(), Leave()])
    cells = [LimitCell("uint8", 8, 8, 8), LimitCell("float64", 8, 8, 8), LimitCell("float32", 8, 8, 8)]
    worker.limits_in_turns(LimitsJob(cells=cells, gemm=True), events.append, lambda kind: next(script))
    assert measured == ["float32", "float64"]
    assert naps == [clock.REST_S] * 2
    peaks = [event.peak for event in events if isinstance(event, Timed)]
    assert [(peak.dtype, peak.gemm_flops_s) for peak in peaks] == [("uint8", 5.0), ("float64", 5.0), ("float32", 5.0)]


def test_a_forked_child_writes_no_events(tmp_path):
    file = tmp_path / "events"
    emit = event_writer(file)
    emit(Began(1))
    child = os.fork()
    if not child:
        try:
            emit(Began(2))
        finally:
            os._exit(9)  # reached only if `emit` has not ended this process
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    emit(Began(3))
    assert messages.decode_events(file.read_bytes()) == [Began(1), Began(3)]
