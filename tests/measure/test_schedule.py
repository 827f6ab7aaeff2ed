"""Schedule of runs on tiny problems: a failure affects only its own row, and no measurement is lost."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pytest

from lcbench.losses import oracle
from lcbench.measure import schedule, workload
from lcbench.measure.messages import GemmJob, GemmMeasured, PeakMeasured, Timed
from lcbench.measure.schedule import Plan, Target, extrapolated_s, measure_first, refuse_too_long
from lcbench.measure.workload import Size
from lcbench.progress import no_progress
from lcbench.record import Counters, MachinePeak
from lcbench.settings import RunSettings
from lcbench.workers.messages import Failed
from results import processes
from results import row as make_row

TINY = Size(20, 33, 3, "float32", "synthetic")
BOTH = (("svm", TINY), ("softmax", TINY))
SOFTMAX = (("softmax", TINY),)

MINE = """
import time
from lcbench.losses import vectorized

# only on the problem that is timed, which has 20 rows, not on the one on which functions are recognised

def right_softmax_loss(W, X, y, reg):
    print("garbage")
    return vectorized.softmax_loss(W, X, y, reg)

def wrong_softmax_loss(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return (loss + 0.01 if len(X) == 20 else loss), dW

def hanging_softmax_loss(W, X, y, reg):
    time.sleep(600 if len(X) == 20 else 0)
    return vectorized.softmax_loss(W, X, y, reg)
"""

HALF = """
import os, signal
from lcbench.losses import vectorized
from lcbench.progress import no_progress

def svm_loss(W, X, y, reg):
    if len(X) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return vectorized.svm_loss(W, X, y, reg)

def softmax_loss(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rows of a run of three rounds, by name and loss, and its final state."""
    folder = tmp_path_factory.mktemp("user")
    file, half = folder / "mine.py", folder / "half.py"
    file.write_text(MINE)
    half.write_text(HALF)
    targets = [Target("numpy", "cpu", BOTH), Target(str(half), "cpu", BOTH)]
    for name in ("right", "wrong"):
        targets.append(Target(f"{file}:{name}_softmax_loss", "cpu", SOFTMAX))
    plan = Plan(tuple(targets), RunSettings(threads=1, blocks=3, budget_s=0.0, seed=4), cell_s=0.001)
    with pytest.MonkeyPatch.context() as patch:
        found = iter([[peak(1.0, 8.0), peak(3.0, 3.0, 40)], [peak(2.0, 7.0)]])
        patch.setattr(schedule, "_measure_peaks", lambda *arguments: next(found))
        result = schedule.run_schedule(plan)
    names = [row.implementation.rpartition("/")[2].removeprefix("mine.py:").partition("_")[0] for row in result.rows]
    rows = {(name.removesuffix(".py"), row.loss): row for name, row in zip(names, result.rows, strict=True)}
    assert len(rows) == len(result.rows) == 6
    return rows, result


def peak(read, flops, footprint=TINY.footprint):
    return MachinePeak(dtype="float32", footprint=footprint, read_bytes_s=read, flops_s=flops)


def test_correct_implementations_have_all_blocks_and_samples(measured):
    rows, _ = measured
    for name, loss in [("numpy", "svm"), ("numpy", "softmax"), ("right", "softmax"), ("half", "softmax")]:
        row = rows[name, loss]
        assert (row.status, row.reason) == ("ok", "")
        assert [len(block) >= 3 for block in row.blocks] == [True] * 3
        assert all(seconds > 0 for block in row.blocks for seconds in block)
        for process in row.processes:
            [turn] = process.turns
            assert (turn.calls > 0, turn.counters.seconds > 0) == (True, True)
            assert process.warm_up_calls > 0
        assert 0 < row.error_loss < 1e-5
        assert 0 < row.error_grad < 1e-5
        assert row.first_call_s > 0
        assert row.prepare_s > 0
        assert row.compile_s is None
        assert (row.flops, row.bytes, row.threads) == (TINY.flops, TINY.bytes, 1)


def test_a_wrong_implementation_has_a_reason_and_no_time(measured):
    row = measured[0]["wrong", "softmax"]
    assert (row.status, row.processes) == ("wrong", [])
    assert row.reason.startswith("loss is ")
    assert (row.median_s, row.first_call_s) == (None, None)


def test_an_implementation_that_hangs_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "_measure_peaks", lambda *arguments: [])
    (tmp_path / "mine.py").write_text(MINE)
    target = Target(f"{tmp_path / 'mine.py'}:hanging_softmax_loss", "cpu", SOFTMAX)
    settings = RunSettings(threads=1, blocks=3, budget_s=0.0, timeout_s=2.0, seed=4)
    [row] = schedule.run_schedule(Plan((target,), settings)).rows
    assert (row.status, row.reason, row.processes) == ("timeout", "no answer for 2 s", [])


def test_a_loss_that_kills_its_process_does_not_affect_the_other_loss(measured):
    row = measured[0]["half", "svm"]
    assert (row.status, row.reason) == ("crashed", "killed by SIGKILL (out of memory?)")


def test_a_peak_is_the_higher_of_two_measurements_even_if_one_is_missing(measured):
    assert measured[1].peaks == [peak(2.0, 8.0), peak(3.0, 3.0, 40)]


def timed(index, seconds=(1e-3, 2e-3, 3e-3), **fields):
    defaults = {"status": "ok", "error_loss": 1e-7, "error_grad": 2e-7, "first_call_s": 0.5}
    [process] = processes([list(seconds)], [4], [Counters(seconds=1.0)])
    return Timed(index=index, process=process, **(defaults | fields))


@pytest.fixture
def workers(monkeypatch):
    """Substitute for worker processes, whose events are `answer(job)`; no problem is built."""
    jobs = []

    class Workers:
        @staticmethod
        def answer(job):
            return [timed(index) for index in range(len(job.cells))]

    def work(job, variables, timeout_s, place=None):
        jobs.append((job, variables))
        return Workers.answer(job)

    monkeypatch.setattr(schedule.process, "work", work)
    monkeypatch.setattr(schedule, "_build_problems", lambda *arguments: None)
    monkeypatch.setattr(schedule, "_measure_peaks", lambda *arguments: [])
    Workers.jobs = jobs
    return Workers


def plan(*targets, **fields):
    defaults = {"threads": 2, "blocks": 5, "budget_s": 1e9, "seed": 1}
    return Plan(targets or (Target("numpy", "cpu", BOTH),), RunSettings(**(defaults | fields)))


def test_targets_are_measured_in_random_order(workers):
    targets = [Target(name, "cpu", SOFTMAX) for name in "abcdef"]
    schedule.run_schedule(plan(*targets, blocks=4))
    order = [job.implementation for job, _ in workers.jobs]
    rounds = [order[k : k + 6] for k in range(0, 24, 6)]
    assert all(sorted(each) == list("abcdef") for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert len({job.seed for job, _ in workers.jobs}) == 24


def test_a_seed_determines_the_order(workers):
    targets = [Target(name, "cpu", SOFTMAX) for name in "abcdef"]
    schedule.run_schedule(plan(*targets))
    schedule.run_schedule(plan(*targets))
    order = [(job.implementation, job.seed) for job, _ in workers.jobs]
    assert order[:30] == order[30:]


def test_the_budget_is_exceeded_for_the_first_three_rounds_only(workers):
    [svm, _] = schedule.run_schedule(plan(budget_s=0.0, blocks=10)).rows
    assert len(svm.blocks) == schedule.FEWEST_ROUNDS
    [svm, _] = schedule.run_schedule(plan(blocks=2)).rows
    assert len(svm.blocks) == 2


def test_the_compilation_time_is_measured_in_the_first_process(workers):
    firsts = iter([5.0, 0.1, 0.1])
    workers.answer = lambda job: [timed(0, first_call_s=next(firsts), compiles=True)]
    [row] = schedule.run_schedule(plan(Target("numba-njit", "cpu", SOFTMAX), blocks=3)).rows
    assert (row.first_call_s, row.compile_s) == (5.0, 5.0 - 2e-3)


def test_a_compilation_cache_belongs_to_one_run(workers):
    schedule.run_schedule(plan(blocks=2))
    schedule.run_schedule(plan(blocks=1))
    caches = [variables["NUMBA_CACHE_DIR"] for _, variables in workers.jobs]
    assert caches[0] == caches[1] != caches[2]


def test_a_row_that_is_wrong_once_has_no_times(workers):
    answers = iter([[timed(0)], [timed(0)], [Timed(index=0, status="wrong", reason="loss is nan")]])
    workers.answer = lambda job: next(answers)
    [row] = schedule.run_schedule(plan(Target("a", "cpu", SOFTMAX))).rows
    assert (row.status, row.reason, row.processes) == ("wrong", "loss is nan", [])
    assert len(workers.jobs) == 3


def test_a_cell_that_was_not_reached_gets_another_process_in_the_same_round(workers):
    def answer(job):
        if [cell.loss for cell in job.cells] == ["svm", "softmax"]:
            return [schedule.process.Began(0), Failed("crashed", "killed by SIGSEGV")]
        return [timed(0)]

    workers.answer = answer
    svm, softmax = schedule.run_schedule(plan(blocks=1)).rows
    assert (svm.status, svm.reason) == ("crashed", "killed by SIGSEGV")
    assert (softmax.status, len(softmax.blocks)) == ("ok", 1)
    assert len(workers.jobs) == 2


def test_an_implementation_that_cannot_be_loaded_fails_on_every_cell_once(workers):
    workers.answer = lambda job: [Failed("unavailable", "no driver")]
    rows = schedule.run_schedule(plan()).rows
    assert [(row.status, row.reason) for row in rows] == [("unavailable", "no driver")] * 2
    assert len(workers.jobs) == 1


def test_the_errors_are_the_largest_of_all_rounds(workers):
    errors = iter([(1e-7, 5e-7), (3e-7, 2e-7)])
    workers.answer = lambda job: [timed(0, **dict(zip(("error_loss", "error_grad"), next(errors), strict=True)))]
    [row] = schedule.run_schedule(plan(Target("a", "cpu", SOFTMAX), blocks=2)).rows
    assert (row.error_loss, row.error_grad) == (3e-7, 5e-7)


def test_the_simulator_is_used_in_one_round(workers):
    [row] = schedule.run_schedule(plan(Target("numba-cuda", "simulator", SOFTMAX))).rows
    assert len(workers.jobs) == len(row.blocks) == 1
    job, variables = workers.jobs[0]
    assert variables["NUMBA_ENABLE_CUDASIM"] == "1"
    assert (job.seconds, job.most_samples) == (0.0, 0)


def interrupt_at(done):
    def progress(stage, blocks, total, detail):
        if blocks == done:
            raise KeyboardInterrupt

    return progress


def test_an_interrupt_keeps_all_measurements(workers):
    targets = [Target(name, "cpu", SOFTMAX) for name in "abc"]
    result = schedule.run_schedule(plan(*targets), interrupt_at(5))
    assert result.interrupted
    assert sorted(len(row.blocks) for row in result.rows) == [1, 2, 2]
    assert {row.status for row in result.rows} == {"ok"}


def test_a_row_that_was_not_measured_before_an_interrupt_has_failed(workers):
    simulated = Target("numba-cuda", "simulator", SOFTMAX)
    result = schedule.run_schedule(plan(Target("a", "cpu", SOFTMAX), simulated), interrupt_at(0))
    assert result.interrupted
    assert [(row.status, row.reason) for row in result.rows] == [("crashed", "stopped before it was measured")] * 2


def test_each_target_has_its_own_number_of_threads(workers):
    targets = [Target("a", "cpu", SOFTMAX, threads=threads) for threads in (1, 4)] + [Target("b", "cpu", SOFTMAX)]
    rows = schedule.run_schedule(plan(*targets, blocks=1)).rows
    assert [(row.implementation, row.threads, len(row.blocks)) for row in rows] == [
        ("a", 1, 1),
        ("a", 4, 1),
        ("b", 2, 1),
    ]
    used = {(job.implementation, variables["OMP_NUM_THREADS"]) for job, variables in workers.jobs}
    assert used == {("a", "1"), ("a", "4"), ("b", "2")}


def test_a_callback_is_called_after_every_round(workers):
    told = []
    targets = [Target(name, "cpu", SOFTMAX) for name in "ab"]

    def after_round(result):
        told.append((result.rounds, [len(row.blocks) for row in result.rows], result.spent_s > 0))

    schedule.run_schedule(plan(*targets, blocks=3), after_round=after_round)
    assert told == [(1, [1, 1], True), (2, [2, 2], True), (3, [3, 3], True)]


def test_a_run_continues_an_earlier_one(workers):
    targets = [Target(name, "cpu", SOFTMAX) for name in "ab"]
    begun = schedule.run_schedule(plan(*targets, blocks=2))
    before = [list(row.blocks) for row in begun.rows]
    workers.answer = lambda job: [timed(0, seconds=(7.0,))]
    result = schedule.run_schedule(plan(*targets, blocks=5), state=begun)
    assert result.rounds == 5
    assert [row.blocks for row in result.rows] == [[*blocks, *[[7.0]] * 3] for blocks in before]


def test_time_of_earlier_rounds_counts_towards_the_budget(workers):
    begun = schedule.run_schedule(plan(blocks=3))
    begun.spent_s = 100.0
    result = schedule.run_schedule(plan(blocks=9, budget_s=50.0), state=begun)
    assert (result.rounds, len(workers.jobs)) == (3, 3)


ROWS = (10, 50, 100, 1000, 10_000)


def in_proportion(job):
    """Answer with a millisecond per row."""
    rows = [int(Path(cell.folder).name.split("-")[1].partition("x")[0]) for cell in job.cells]
    return [timed(index, seconds=(1e-3 * count,)) for index, count in enumerate(rows)]


def test_cells_that_would_take_too_long_are_refused_and_smaller_ones_measured_first(workers):
    workers.answer = in_proportion
    cells = tuple(("softmax", Size(rows, 33, 3, "float32", "synthetic")) for rows in ROWS)
    rows = schedule.run_schedule(plan(Target("naive", "cpu", cells), blocks=2, most_call_s=2.0)).rows
    assert [row.status for row in rows] == ["ok"] * 4 + ["unavailable"]
    assert rows[-1].reason == "would take about 10 s a call; --most-seconds-a-call is 2"
    assert [len(job.cells) for job, _ in workers.jobs] == [3, 1, 4]
    assert [len(row.blocks) for row in rows] == [2, 2, 2, 2, 0]


def test_without_a_time_limit_all_cells_are_measured_in_one_process(workers):
    workers.answer = in_proportion
    cells = tuple(("softmax", Size(rows, 33, 3, "float32", "synthetic")) for rows in ROWS)
    schedule.run_schedule(plan(Target("naive", "cpu", cells), blocks=1))
    assert [len(job.cells) for job, _ in workers.jobs] == [5]


def test_progress_counts_blocks_up_to_the_total(workers):
    seen = []
    schedule.run_schedule(plan(Target("a", "cpu", SOFTMAX), blocks=4), lambda *given: seen.append(given))
    assert [done for _, done, _, _ in seen] == [0, 1, 2, 3]
    assert all((stage, detail) == ("blocks", "a") and done < total for stage, done, total, detail in seen)


def test_refused_rows_have_a_reason():
    rows = schedule.refused_rows(Target("jax", "cpu", BOTH), "unavailable", "jax is not installed", plan())
    assert [(row.loss, row.status, row.reason) for row in rows] == [
        ("svm", "unavailable", "jax is not installed"),
        ("softmax", "unavailable", "jax is not installed"),
    ]


@pytest.fixture
def peak_jobs(monkeypatch):
    """Jobs of a substitute for worker processes that measures a rate of 1, and 3 for the matrix product."""
    jobs = []

    def work(job, variables, timeout_s, place=None):
        jobs.append(job)
        if isinstance(job, GemmJob):
            return [GemmMeasured(dtype=dtype, flops_s=3.0) for dtype in job.dtypes]
        return [
            PeakMeasured(MachinePeak(device=job.device, dtype=dtype, footprint=size, read_bytes_s=1.0, flops_s=1.0))
            for dtype, size in job.wanted
        ]

    monkeypatch.setattr(schedule.process, "work", work)
    return jobs


def measured_peaks(*targets):
    return schedule._measure_peaks(plan(*targets), Path("unused"), no_progress)


def test_peaks_of_the_cpu_are_measured_for_every_footprint_and_the_product_in_its_own_process(peak_jobs):
    other = Size(40, 33, 3, "float64", "synthetic")
    found = measured_peaks(Target("a", "cpu", (("svm", TINY), ("softmax", TINY), ("svm", other))))
    [own, product] = peak_jobs
    assert own.wanted == [("float32", TINY.footprint), ("float64", other.footprint)]
    assert product.dtypes == ["float32", "float64"]
    assert [(each.device, each.footprint, each.gemm_flops_s) for each in found] == [
        ("cpu", TINY.footprint, 3.0),
        ("cpu", other.footprint, 3.0),
    ]


def test_a_gpu_has_its_own_peaks_and_the_simulator_has_none(peak_jobs):
    large = Size(80, 33, 3, "float32", "synthetic")
    found = measured_peaks(Target("b", "cuda", (("svm", large),)), Target("c", "simulator", BOTH))
    assert [(job.device, job.wanted) for job in peak_jobs] == [("cuda", [("float32", large.footprint)])]
    assert [(each.device, each.gemm_flops_s) for each in found] == [("cuda", None)]
    assert measured_peaks(Target("c", "simulator", BOTH)) == []


def test_the_highest_peak_keeps_rates_that_only_one_measurement_has():
    first = MachinePeak(dtype="float32", footprint=1, read_bytes_s=1.0, flops_s=4.0, gemm_flops_s=2.0)
    second = MachinePeak(dtype="float32", footprint=1, read_bytes_s=3.0, flops_s=2.0)
    gpu = MachinePeak(device="cuda", dtype="float32", footprint=1, read_bytes_s=9.0, flops_s=9.0, copy_bytes_s=5.0)
    assert schedule._highest([first, second, gpu]) == [
        MachinePeak(dtype="float32", footprint=1, read_bytes_s=3.0, flops_s=4.0, gemm_flops_s=2.0),
        gpu,
    ]


def test_a_smaller_problem_is_the_first_rows_of_a_larger_one(tmp_path):
    larger = Size(50, 33, 3, "float32", "synthetic")
    cells = (("softmax", TINY), ("softmax", larger), ("svm", larger))
    schedule._build_problems(plan(Target("a", "cpu", cells)), tmp_path, no_progress)
    small, large = (workload.load_problem(tmp_path / size.folder) for size in (TINY, larger))
    assert (small.X.shape, large.X.shape) == ((20, 33), (50, 33))
    np.testing.assert_array_equal(small.X, large.X[:20])
    for (W, y), (same_W, longer_y), right in zip(
        small.sets, large.sets, workload.load_answers(tmp_path / TINY.folder, "softmax"), strict=True
    ):
        np.testing.assert_array_equal(W, same_W)
        np.testing.assert_array_equal(y, longer_y[:20])
        alone = oracle.expected("softmax", W, small.X, y, small.reg)
        assert right.loss == pytest.approx(alone.loss, rel=1e-12)
        np.testing.assert_allclose(right.dW, alone.dW, rtol=1e-9, atol=1e-12)
        assert right.gradient_tolerance == pytest.approx(alone.gradient_tolerance)


def test_problems_are_built_once_with_answers_for_the_requested_losses(tmp_path):
    schedule._build_problems(plan(Target("a", "cpu", SOFTMAX), Target("b", "cpu", SOFTMAX)), tmp_path, no_progress)
    with np.load(tmp_path / TINY.folder / "answers.npz") as answers:
        assert {"softmax0", "softmax0_dW"} <= set(answers)
        assert "svm0" not in answers


# Extrapolation.


def naive_row(rows, seconds=None, **fields):
    return make_row("naive", [seconds] if seconds else [], rows=rows, **fields)


def test_time_is_extrapolated_at_least_in_proportion_to_the_work():
    measured = [naive_row(100, 1.0), naive_row(1000, 5.0)]
    assert extrapolated_s(naive_row(10_000), measured) == pytest.approx(50.0)


def test_steeper_growth_is_limited():
    assert extrapolated_s(naive_row(10_000), [naive_row(100, 1.0), naive_row(1000, 100.0)]) == pytest.approx(10_000.0)
    assert extrapolated_s(naive_row(2000), [naive_row(1000, 1.0), naive_row(1001, 10.0)]) == pytest.approx(2**3)


def test_one_disturbed_point_does_not_increase_the_estimate():
    measured = [naive_row(rows, 1e-3 * rows) for rows in (100, 200, 500, 1000)]
    measured.append(naive_row(2000, 20.0))
    assert extrapolated_s(naive_row(10_000), measured) == pytest.approx(10.0)


def test_a_fixed_cost_does_not_increase_the_estimate():
    assert extrapolated_s(naive_row(10_000), [naive_row(10, 0.05), naive_row(1000, 0.06)]) == pytest.approx(0.6)


def test_one_smaller_point_of_the_same_loss_is_needed():
    assert extrapolated_s(naive_row(500), [naive_row(100, 1.0)]) == pytest.approx(5.0)
    assert extrapolated_s(naive_row(500), [naive_row(100)]) is None
    assert extrapolated_s(naive_row(50), [naive_row(100, 1.0)]) is None
    assert extrapolated_s(naive_row(500), [naive_row(100, 1.0, loss="svm")]) is None


def test_a_problem_larger_than_one_that_timed_out_is_refused():
    timed_out = naive_row(100, status="timeout")
    assert extrapolated_s(naive_row(500), [timed_out]) == inf
    larger = naive_row(500)
    refuse_too_long([timed_out, larger, naive_row(10)], 60.0)
    assert (larger.status, larger.reason) == ("unavailable", "a smaller problem has timed out")


def test_the_reason_of_a_refused_row_contains_the_estimate():
    rows = [naive_row(100, 0.1), naive_row(1000), naive_row(10_000)]
    refuse_too_long(rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok", "unavailable"]
    assert rows[2].reason == "would take about 10 s a call; --most-seconds-a-call is 2"


def test_measured_rows_are_not_refused():
    rows = [naive_row(100, 0.1), naive_row(1000, 50.0)]
    refuse_too_long(rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok"]


def test_the_smallest_rows_and_those_measured_before_are_measured_first():
    waiting = [
        naive_row(100),
        naive_row(1000),
        naive_row(1001),
        naive_row(50_000, 1.0),
        naive_row(5000, loss="svm"),
        naive_row(60_000, loss="svm"),
    ]
    assert measure_first(waiting) == [True, True, False, True, True, False]
