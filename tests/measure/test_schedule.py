"""Schedule of runs on tiny problems: a failure affects only its own row, and no measurement is lost."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from fake_generations import FakeSchedule, measured_ok
from lcbench.losses import oracle
from lcbench.measure import schedule, workload
from lcbench.measure.messages import LimitCell, LimitsJob, PeakMeasured
from lcbench.measure.schedule import FEWEST_GENERATIONS, Plan, Target, extrapolated_s, refuse_too_long
from lcbench.measure.turns import MOST_ROUNDS, Measured, Pace
from lcbench.measure.workload import Size
from lcbench.progress import no_progress
from lcbench.record import LARGEST_FOOTPRINT, MachinePeak
from lcbench.settings import RunSettings
from lcbench.stats import estimates
from results import record as make_record
from results import row as make_row

TINY = Size(20, 33, 3, "float32", "synthetic")
BOTH = (("svm", TINY), ("softmax", TINY))
SOFTMAX = (("softmax", TINY),)

MINE = """
from lcbench.losses import vectorized

# only on the problem that is timed, which has 20 rows, not on the one on which functions are recognized

def right_softmax_loss(W, X, y, reg):
    print("garbage")
    return vectorized.softmax_loss(W, X, y, reg)

def wrong_softmax_loss(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return (loss + 0.01 if len(X) == 20 else loss), dW
"""

HALF = """
import os, signal
from lcbench.losses import vectorized

def svm_loss(W, X, y, reg):
    if len(X) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return vectorized.svm_loss(W, X, y, reg)

def softmax_loss(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rows of a run of two generations, by name and loss, and its final state."""
    folder = tmp_path_factory.mktemp("user")
    file, half = folder / "mine.py", folder / "half.py"
    file.write_text(MINE)
    half.write_text(HALF)
    targets = [Target("numpy", "cpu", BOTH), Target(str(half), "cpu", BOTH)]
    for name in ("right", "wrong"):
        targets.append(Target(f"{file}:{name}_softmax_loss", "cpu", SOFTMAX))
    plan = Plan(tuple(targets), RunSettings(threads=1, blocks=2, budget_s=0.0, seed=4), rounds=3)
    result = schedule.run_schedule(plan)
    names = [row.implementation.rpartition("/")[2].removeprefix("mine.py:").partition("_")[0] for row in result.rows]
    rows = {(name.removesuffix(".py"), row.loss): row for name, row in zip(names, result.rows, strict=True)}
    assert len(rows) == len(result.rows) == 6
    return rows, result


def test_right_implementations_have_a_process_in_each_generation(measured):
    rows, _ = measured
    for name, loss in [("numpy", "svm"), ("numpy", "softmax"), ("right", "softmax"), ("half", "softmax")]:
        row = rows[name, loss]
        assert (row.status, row.reason) == ("ok", "")
        assert [process.generation for process in row.processes] == [0, 1]
        for process in row.processes:
            assert [turn.round for turn in process.turns] == [0, 1, 2]
            assert min(process.samples) > 0
            assert all(turn.calls > 0 for turn in process.turns)
            assert process.counters.seconds > 0
            assert process.warm_up_calls > 0
        assert 0 < row.error_loss < 1e-5
        assert 0 < row.error_grad < 1e-5
        assert row.first_call_s > 0
        assert row.prepare_s > 0
        assert row.import_s > 0
        assert row.compile_s is None
        assert (row.flops, row.bytes, row.threads) == (TINY.flops, TINY.bytes, 1)


def test_each_round_has_a_turn_of_every_process(measured):
    _, result = measured
    softmax = [row for row in [*result.rows, *result.limits] if row.loss == "softmax" and row.status == "ok"]
    assert len(softmax) == 4
    for generation in range(2):
        for number in range(3):
            found = [turn for row in softmax for turn in row.processes[generation].turns if turn.round == number]
            assert sorted(turn.place for turn in found) == list(range(len(found)))


def test_a_wrong_implementation_has_a_reason_and_no_time(measured):
    row = measured[0]["wrong", "softmax"]
    assert (row.status, row.processes) == ("wrong", [])
    assert row.reason.startswith("loss is ")
    assert (row.median_s, row.first_call_s) == (None, None)


def test_a_loss_that_kills_its_process_does_not_affect_the_other_loss(measured):
    row = measured[0]["half", "svm"]
    assert (row.status, row.reason) == ("crashed", "killed by SIGKILL (out of memory?)")


def test_the_limit_has_a_row_for_each_workload(measured):
    rows, result = measured
    assert [(row.implementation, row.loss, row.status) for row in result.limits] == [
        ("limit", "svm", "ok"),
        ("limit", "softmax", "ok"),
    ]
    assert [len(row.processes) for row in result.limits] == [2, 2]
    [peak] = result.peaks
    assert (peak.device, peak.dtype, peak.footprint) == ("cpu", "float32", TINY.footprint)
    assert min(peak.read_bytes_s, peak.flops_s, peak.gemm_flops_s) > 0
    estimates.complete_record(make_record(*result.rows, limits=result.limits, ceilings=result.peaks))
    assert 0 < rows["numpy", "softmax"].roofline_fraction < 1


# With substitutes for worker processes


@pytest.fixture
def fake(monkeypatch):
    return FakeSchedule(monkeypatch)


def plan(*targets, rounds=schedule.ROUNDS, **fields):
    defaults = {"threads": 2, "blocks": 5, "budget_s": 1e9, "seed": 1}
    return Plan(targets or (Target("numpy", "cpu", BOTH),), RunSettings(**(defaults | fields)), rounds)


def targets(names, cells=SOFTMAX):
    return [Target(name, "cpu", cells) for name in names]


def fail(status, reason):
    return Measured(status=status, reason=reason)


# Generations


def test_all_targets_and_the_limit_are_in_one_generation(fake):
    result = schedule.run_schedule(plan(*targets("abc"), blocks=4, rounds=7))
    assert [generation.names for generation in fake.generations] == [["a", "b", "c", "limit"]] * 4
    assert [generation.number for generation in fake.generations] == [0, 1, 2, 3]
    assert [generation.together for generation in fake.generations] == [False, True, True, True]
    assert {generation.first_round for generation in fake.generations} == {0}
    paces = [pace for generation in fake.generations for pace in generation.paces]
    assert paces == [Pace(rounds=7, thorough=True), *[Pace(rounds=7)] * 3]
    assert len({member.job.seed for name in "abc" for member in fake.members(name)}) == 12
    assert all(member.stopped for generation in fake.generations for member in generation.members)
    assert [len(row.processes) for row in [*result.rows, *result.limits]] == [4] * 4


def test_workloads_are_in_random_order_with_those_on_the_same_data_in_succession(fake):
    sizes = [Size(rows, 33, 3, "float32", "synthetic") for rows in (10, 20, 30)]
    cells = tuple((loss, size) for loss in ("svm", "softmax") for size in sizes)
    schedule.run_schedule(plan(Target("a", "cpu", cells), blocks=12))
    orders = [[(each["a"].loss, Path(each["a"].folder).name) for each in each.cells] for each in fake.generations]
    for order in orders:
        folders = [folder for _, folder in order]
        assert folders[::2] == folders[1::2]
        assert len(set(order)) == 6
    assert [folder for _, folder in orders[0]][::2] == [size.folder for size in sizes]  # small ones first
    assert len({tuple(order) for order in orders[1:]}) > 6


def test_a_seed_determines_the_order(fake):
    for _ in range(2):
        schedule.run_schedule(plan(*targets("abc", BOTH)))
    found = [
        ([each["a"].loss for each in generation.cells], [member.job.seed for member in generation.members[:-1]])
        for generation in fake.generations
    ]
    assert found[:5] == found[5:]
    assert found[0] != found[1]


def test_each_target_has_its_own_cells(fake):
    larger = Size(40, 33, 3, "float32", "synthetic")
    small, both = Target("naive", "cpu", SOFTMAX), Target("numpy", "cpu", (*SOFTMAX, ("softmax", larger)))
    schedule.run_schedule(plan(small, both, blocks=1))
    assert [sorted(each) for each in fake.generations[0].cells] == [["limit", "naive", "numpy"], ["limit", "numpy"]]


def test_targets_that_take_no_turns_are_alone(fake):
    given = [
        *targets("ab"),
        Target("dask", "cpu", SOFTMAX, alone=True),
        Target("cupy", "cuda", SOFTMAX, alone=True),
        Target("numba-cuda", "simulator", SOFTMAX, alone=True),
    ]
    schedule.run_schedule(plan(*given, blocks=20))
    groups = {number: [each for each in fake.generations if each.number == number] for number in range(20)}
    together, dask, gpu, simulator = ("a", "b", "limit"), ("dask", "limit"), ("cupy",), ("numba-cuda",)
    assert {tuple(each.names) for each in groups[0]} == {together, dask, gpu, simulator}
    for number in range(1, 20):  # times in the simulator mean nothing, so one is enough
        assert {tuple(each.names) for each in groups[number]} == {together, dask, gpu}
    assert len({tuple(tuple(each.names) for each in groups[number]) for number in range(1, 20)}) == 6
    for group in groups.values():  # they do not take turns with each other
        assert [each.first_round for each in group] == [index * MOST_ROUNDS for index in range(len(group))]
    for name, stopped in {"a": True, "limit": True, "dask": False, "cupy": False, "numba-cuda": False}.items():
        assert {member.stopped for member in fake.members(name)} == {stopped}


def test_the_simulator_makes_its_first_call_only(fake):
    [row] = schedule.run_schedule(plan(Target("numba-cuda", "simulator", SOFTMAX, alone=True))).rows
    [generation] = fake.generations
    assert (len(row.processes), generation.paces) == (1, [Pace(rounds=schedule.ROUNDS, thorough=True, simulated=True)])
    assert generation.members[0].variables["NUMBA_ENABLE_CUDASIM"] == "1"


def test_each_target_has_its_own_number_of_threads(fake):
    given = [Target("a", "cpu", SOFTMAX, threads=threads) for threads in (1, 4)] + [Target("b", "cpu", SOFTMAX)]
    result = schedule.run_schedule(plan(*given, blocks=1))
    assert [(row.implementation, row.threads) for row in result.rows] == [("a", 1), ("a", 4), ("b", 2)]
    assert [member.variables["OMP_NUM_THREADS"] for member in fake.members("a")] == ["1", "4"]
    assert [member.variables["OMP_NUM_THREADS"] for member in fake.members("b")] == ["2"]
    assert [member.variables["OMP_NUM_THREADS"] for member in fake.members("limit")] == ["4"]
    assert result.limits[0].threads == 4


def test_a_compilation_cache_belongs_to_one_run(fake):
    for _ in range(2):
        schedule.run_schedule(plan(blocks=2))
    caches = [member.variables["NUMBA_CACHE_DIR"] for member in fake.members("numpy")]
    assert caches[0] == caches[1] != caches[2] == caches[3]


# Memory

LARGE = Size(10_000, 3072, 10, "float32", "synthetic")


ALL = 6 * (LARGE.footprint + schedule.PROCESS_BYTES)
MAPPED = 6 * schedule.PROCESS_BYTES + 3 * LARGE.footprint
"""Memory of five processes and the limit, with X in each one or mapped."""


@pytest.mark.parametrize(
    ("free", "mapped", "groups"), [(ALL, False, 1), (ALL - 1, True, 1), (MAPPED, True, 1), (MAPPED - 1, True, 5)]
)
def test_memory_decides_whether_X_is_mapped_and_processes_are_alone(fake, monkeypatch, free, mapped, groups):
    monkeypatch.setattr(schedule, "memory_available", lambda: free)
    result = schedule.run_schedule(plan(*targets("abcde", (("softmax", LARGE),)), blocks=1))
    assert {member.job.mapped for name in "abcde" for member in fake.members(name)} == {mapped}
    assert len(fake.generations) == groups
    assert {each.names[-1] for each in fake.generations} == {"limit"}
    assert len({each.first_round for each in fake.generations}) == groups
    assert [len(row.processes) for row in result.rows] == [1] * 5
    assert len(result.limits[0].processes) == groups


def test_a_streamed_X_takes_no_memory(fake, monkeypatch):
    monkeypatch.setattr(schedule, "memory_available", lambda: 3 * (LARGEST_FOOTPRINT + schedule.PROCESS_BYTES))
    huge = Size(10**9, 3073, 10, "float32", "mine.h5", streamed=True)
    schedule.run_schedule(plan(*targets("ab", (("softmax", huge),)), blocks=1))
    assert fake.members("a")[0].job.mapped is False
    assert len(fake.generations) == 1


# Limits and peaks


def test_the_limit_is_measured_on_each_workload_of_the_cpu(fake):
    double = Size(40, 33, 3, "float64", "synthetic")
    gpu_only = Size(80, 33, 3, "float32", "synthetic")
    cells = (*BOTH, ("svm", double))
    given = [Target("a", "cpu", cells), Target("cupy", "cuda", (("svm", gpu_only),), alone=True)]
    result = schedule.run_schedule(plan(*given, blocks=1))
    assert [(row.loss, row.dtype, row.rows, row.device) for row in result.limits] == [
        ("svm", "float32", 20, "cpu"),
        ("softmax", "float32", 20, "cpu"),
        ("svm", "float64", 40, "cpu"),
    ]
    [limit] = fake.members("limit")
    assert isinstance(limit.job, LimitsJob)
    assert limit.job.cells == [
        LimitCell(size.dtype, size.footprint, size.bytes, size.flops) for size in (TINY, TINY, double)
    ]
    for cells in next(each for each in fake.generations if "limit" in each.names).cells:
        size = double if cells["a"].folder.endswith(double.folder) else TINY
        assert cells["limit"].footprint == size.footprint


def test_converted_pixels_have_a_limit_of_their_own(fake):
    pixels = Size(20, 33, 3, "uint8", "synthetic")
    cells = (("svm", pixels), ("softmax", pixels))
    given = [Target("a", "cpu", cells, pixels="read"), Target("b", "cpu", cells[:1], pixels="converted")]
    result = schedule.run_schedule(plan(*given, blocks=1))
    assert [(row.implementation, row.loss, row.dtype, row.pixels, row.bytes) for row in result.limits] == [
        ("limit", "svm", "uint8", "read", 20 * 32 + 8 * 33 * 3),
        ("limit", "softmax", "uint8", "read", 20 * 32 + 8 * 33 * 3),
        ("limit, float32", "svm", "uint8", "converted", 4 * 20 * 33 + 8 * 33 * 3),
    ]
    assert [len(row.processes) for row in result.limits] == [1, 1, 1]
    of_pixels, of_floats = (member.job.cells for member in fake.members("limit"))
    assert [(cell.dtype, cell.footprint) for cell in of_pixels] == [("uint8", 20 * 32)] * 2
    assert [(cell.dtype, cell.footprint) for cell in of_floats] == [("float32", 20 * 33 * 4)]
    uses = {
        member.job.implementation: {cell.pixels for cell in member.job.cells}
        for member in fake.generations[0].members[:2]
    }
    assert uses == {"a": {"read"}, "b": {"converted"}}


def test_a_limit_that_fails_does_no_harm(fake):
    fake.answer = lambda name, cell, generation: (
        fail("crashed", "killed by SIGKILL") if name == "limit" else measured_ok(generation.number)
    )
    result = schedule.run_schedule(plan(*targets("a"), blocks=2))
    assert [(row.status, len(row.processes)) for row in result.rows] == [("ok", 2)]
    assert (result.limits[0].status, result.limits[0].processes) == ("crashed", [])


def peak(read, flops, footprint=TINY.footprint, **fields):
    return MachinePeak(dtype="float32", footprint=footprint, read_bytes_s=read, flops_s=flops, **fields)


def test_peaks_are_the_best_rates_of_all_limits_with_the_rate_of_the_matrix_product(fake):
    found = {0: peak(1.0, 8.0, gemm_flops_s=3.0), 1: peak(2.0, 7.0), 2: peak(1.5, 7.5)}
    fake.answer = lambda name, cell, generation: measured_ok(
        generation.number, peak=found[generation.number] if name == "limit" else None
    )
    result = schedule.run_schedule(plan(*targets("a"), blocks=3))
    assert [limit.job.gemm for limit in fake.members("limit")] == [True, False, False]
    assert result.peaks == [peak(2.0, 8.0, gemm_flops_s=3.0)]


def test_the_matrix_product_is_that_in_the_dtype_of_the_weights():
    pixels = MachinePeak(dtype="uint8", footprint=640, read_bytes_s=1e10, flops_s=1e11)
    double, gpu = replace(pixels, dtype="float64"), peak(9.0, 9.0, device="cuda")
    slower, faster = peak(1.0, 4.0, 1, gemm_flops_s=2.0), peak(1.0, 4.0, 2, gemm_flops_s=3.0)
    assert schedule._with_gemm([slower, faster, pixels, double, gpu]) == [
        replace(slower, gemm_flops_s=3.0), faster, replace(pixels, gemm_flops_s=3.0), double, gpu,
    ]  # fmt: skip


def test_peaks_of_the_gpu_are_measured_before_and_after(fake, monkeypatch):
    rates = iter([4.0, 6.0])
    jobs = []

    def work(job, variables, timeout_s, place=None):
        jobs.append(job)
        rate = next(rates)
        return [PeakMeasured(peak(rate, 1 / rate, footprint, device="cuda")) for _, footprint in job.wanted]

    monkeypatch.setattr(schedule.process, "work", work)
    large = Size(80, 33, 3, "float32", "synthetic")
    gpu = Target("cupy", "cuda", (("svm", TINY), ("softmax", TINY), ("svm", large)), alone=True)
    result = schedule.run_schedule(plan(gpu, blocks=1))
    assert [job.wanted for job in jobs] == [[("float32", TINY.footprint), ("float32", large.footprint)]] * 2
    assert [(each.footprint, each.read_bytes_s, each.flops_s) for each in result.peaks] == [
        (TINY.footprint, 6.0, 0.25),
        (large.footprint, 6.0, 0.25),
    ]


def test_the_simulator_has_no_peaks(fake):
    schedule.run_schedule(plan(Target("numba-cuda", "simulator", BOTH, alone=True)))
    assert fake.jobs == []


def test_the_highest_peak_keeps_rates_that_only_one_measurement_has():
    first, second = peak(1.0, 4.0, 1, gemm_flops_s=2.0), peak(3.0, 2.0, 1)
    gpu = peak(9.0, 9.0, 1, device="cuda", copy_bytes_s=5.0)
    assert schedule._highest([first, second, gpu]) == [peak(3.0, 4.0, 1, gemm_flops_s=2.0), gpu]


# Budget


def test_the_first_generations_may_exceed_the_budget(fake):
    [svm, _] = schedule.run_schedule(plan(budget_s=0.0, blocks=10)).rows
    assert len(svm.processes) == FEWEST_GENERATIONS
    [svm, _] = schedule.run_schedule(plan(budget_s=0.0, blocks=2)).rows
    assert len(svm.processes) == 2


@pytest.mark.parametrize(("budget_s", "generations"), [(16.0, 8), (17.9, 8), (18.0, 9), (1e9, 12)])
def test_no_generation_is_started_that_would_end_after_the_budget(fake, budget_s, generations):
    """Each of the two workloads takes a second."""
    assert schedule.run_schedule(plan(budget_s=budget_s, blocks=12)).rounds == generations


def test_the_first_generation_does_not_predict_the_others(fake):
    def answer(name, cell, generation):
        fake.cell_s = 1.0
        return measured_ok(generation.number)

    fake.answer, fake.cell_s = answer, 50.0  # compilation
    assert schedule.run_schedule(plan(*targets("a"), budget_s=60.0, blocks=20)).rounds == 11


def test_a_callback_is_called_after_every_generation(fake):
    told = []
    schedule.run_schedule(
        plan(*targets("ab"), blocks=3),
        after_generation=lambda state: told.append(
            (state.rounds, [len(row.processes) for row in state.rows], state.spent_s)
        ),
    )
    assert told == [(1, [1, 1], 1.0), (2, [2, 2], 2.0), (3, [3, 3], 3.0)]


def test_a_run_continues_an_earlier_one(fake):
    begun = schedule.run_schedule(plan(*targets("ab"), blocks=2))
    result = schedule.run_schedule(plan(*targets("ab"), blocks=5), state=begun)
    assert (result.rounds, result.spent_s) == (5, 5.0)
    for row in [*result.rows, *result.limits]:
        assert [process.generation for process in row.processes] == [0, 1, 2, 3, 4]
    assert [generation.together for generation in fake.generations] == [False, *[True] * 4]


def test_a_continued_run_has_another_order_than_the_first_generations(fake):
    begun = schedule.run_schedule(plan(*targets("ab"), blocks=1))
    schedule.run_schedule(plan(*targets("ab"), blocks=2), state=begun)
    first, second = fake.members("a")
    assert first.job.seed != second.job.seed


def test_time_of_earlier_generations_counts_towards_the_budget(fake):
    begun = schedule.run_schedule(plan(blocks=FEWEST_GENERATIONS))
    begun.spent_s = 100.0
    assert schedule.run_schedule(plan(blocks=9, budget_s=50.0), state=begun).rounds == FEWEST_GENERATIONS


def test_the_shortest_duration(fake):
    assert schedule.least_s(plan(*targets("ab", BOTH), blocks=20)) == pytest.approx(5 * 4 * schedule.CELL_S)
    assert schedule.least_s(plan(*targets("ab", BOTH), blocks=2)) == pytest.approx(2 * 4 * schedule.CELL_S)


# Rows


def test_the_compilation_time_is_measured_in_the_first_process(fake):
    fake.answer = lambda name, cell, generation: measured_ok(
        generation.number, first_call_s=0.1 if generation.number else 5.0, compiles=True, prepare_s=0.01, threads=3
    )
    [row] = schedule.run_schedule(plan(Target("numba-njit", "cpu", SOFTMAX), blocks=3)).rows
    assert (row.first_call_s, row.compile_s, row.import_s, row.prepare_s) == (5.0, 5.0 - 2e-3, 0.1, 0.01)
    assert row.threads == 3


def test_a_row_that_is_wrong_once_has_no_times(fake):
    fake.answer = lambda name, cell, generation: (
        fail("wrong", "loss is nan") if (name, generation.number) == ("a", 2) else measured_ok(generation.number)
    )
    a, b = schedule.run_schedule(plan(*targets("ab"))).rows
    assert (a.status, a.reason, a.processes) == ("wrong", "loss is nan", [])
    assert len(b.processes) == 5
    assert len(fake.members("a")) == 3


def test_a_loss_that_failed_is_not_measured_again(fake):
    def answer(name, cell, generation):
        failed = name == "a" and cell.loss == "svm"
        return fail("crashed", "killed by SIGSEGV") if failed else measured_ok(generation.number)

    fake.answer = answer
    svm, softmax = schedule.run_schedule(plan(*targets("a", BOTH), blocks=3)).rows
    assert (svm.status, svm.reason) == ("crashed", "killed by SIGSEGV")
    assert (softmax.status, len(softmax.processes)) == ("ok", 3)
    measured_losses = [each["a"].loss for generation in fake.generations for each in generation.cells]
    assert sorted(measured_losses) == ["softmax"] * 3 + ["svm"]


def test_the_errors_are_the_largest_of_all_generations(fake):
    errors = {0: (1e-7, 5e-7), 1: (3e-7, 2e-7)}

    def answer(name, cell, generation):
        measured = measured_ok(generation.number)
        measured.timed.error_loss, measured.timed.error_grad = errors[generation.number]
        return measured

    fake.answer = answer
    [row] = schedule.run_schedule(plan(*targets("a"), blocks=2)).rows
    assert (row.error_loss, row.error_grad) == (3e-7, 5e-7)


def test_refused_rows_have_a_reason():
    rows = schedule.refused_rows(Target("jax", "cpu", BOTH), "unavailable", "jax is not installed", plan())
    assert [(row.loss, row.status, row.reason) for row in rows] == [
        ("svm", "unavailable", "jax is not installed"),
        ("softmax", "unavailable", "jax is not installed"),
    ]


# Interrupts and progress


def interrupt_at(workload):
    """Return a progress callback that raises KeyboardInterrupt when a workload begins, counted from 0."""
    begun = []

    def progress(stage, done, total, detail):
        begun.append(done)
        if done == workload:
            raise KeyboardInterrupt

    return progress


def test_an_interrupt_keeps_all_measurements(fake):
    result = schedule.run_schedule(plan(*targets("a", BOTH)), interrupt_at(3))
    assert result.interrupted
    assert sorted(len(row.processes) for row in result.rows) == [1, 2]
    assert {row.status for row in result.rows} == {"ok"}
    assert result.rounds == 1


def test_a_row_that_was_not_measured_before_an_interrupt_has_failed(fake):
    simulated = Target("numba-cuda", "simulator", SOFTMAX, alone=True)
    result = schedule.run_schedule(plan(*targets("a"), simulated), interrupt_at(0))
    assert result.interrupted
    assert [(row.status, row.reason) for row in result.rows] == [("crashed", "stopped before it was measured")] * 2


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"blocks": 4}, (7, 8)),  # as soon as the second generation tells how long one takes
        ({"blocks": 20, "budget_s": 12.5}, (11, 13)),
        ({"blocks": 20, "budget_s": 3.0}, (9, 10)),  # the fewest generations take longer than the budget
    ],
)
def test_progress_shows_seconds_which_never_jump_back(fake, options, last):
    seen = []
    schedule.run_schedule(plan(*targets("a", BOTH), **options), lambda *given: seen.append(given))
    shown = [(done, total) for stage, done, total, _ in seen if stage == "seconds of measuring"]
    assert shown == sorted(shown, key=lambda pair: pair[0])
    assert all(done < total for done, total in shown)
    assert shown[-1] == last
    details = list(dict.fromkeys(detail for *_, detail in seen))
    assert details[:2] == ["generation 1, starting processes", "generation 1, svm 20"]


def test_a_run_that_takes_four_times_its_budget_ends_after_three_generations(fake):
    fake.cell_s, seen = 50.0, []
    result = schedule.run_schedule(plan(*targets("a"), blocks=20, budget_s=36.0), lambda *given: seen.append(given))
    assert result.rounds == schedule.FEWEST_IN_OVERRUN
    [(line,)] = [given for given in seen if len(given) == 1]
    assert line.startswith("stopped after 3 generations and 2 min: 5 would take much longer than the budget of 36 s;")
    fake.cell_s = 5.0
    assert schedule.run_schedule(plan(*targets("a"), blocks=20, budget_s=1.0)).rounds == FEWEST_GENERATIONS


# Problems


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


# Extrapolation

ROWS = (10, 50, 100, 1000, 10_000)


def in_proportion(name, cell, generation):
    """Return the outcome for an implementation that takes a millisecond per row."""
    if name == "limit":
        return measured_ok(generation.number)
    rows = int(Path(cell.folder).name.split("-")[1].partition("x")[0])
    return measured_ok(generation.number, seconds=(1e-3 * rows,))


def test_cells_that_would_take_too_long_are_refused_and_smaller_ones_measured_first(fake):
    fake.answer = in_proportion
    cells = tuple(("softmax", Size(rows, 33, 3, "float32", "synthetic")) for rows in reversed(ROWS))
    rows = schedule.run_schedule(plan(Target("naive", "cpu", cells), blocks=2, most_call_s=2.0)).rows
    assert [row.status for row in rows] == ["unavailable"] + ["ok"] * 4
    assert rows[0].reason == "would take about 10 s a call; --most-seconds-a-call is 2"
    assert [len(generation.cells) for generation in fake.generations] == [4, 4]
    assert [len(row.processes) for row in rows] == [0, 2, 2, 2, 2]


def test_a_target_that_is_refused_leaves_the_others(fake):
    fake.answer = lambda name, cell, generation: (
        in_proportion(name, cell, generation) if name == "naive" else measured_ok(generation.number)
    )
    cells = tuple(("softmax", Size(rows, 33, 3, "float32", "synthetic")) for rows in ROWS)
    schedule.run_schedule(plan(*[Target(name, "cpu", cells) for name in ("naive", "numpy")], blocks=1, most_call_s=2.0))
    assert [sorted(each) for each in fake.generations[0].cells] == [["limit", "naive", "numpy"]] * 4 + [
        ["limit", "numpy"]
    ]


def test_without_a_time_limit_all_cells_are_measured(fake):
    fake.answer = in_proportion
    cells = tuple(("softmax", Size(rows, 33, 3, "float32", "synthetic")) for rows in ROWS)
    schedule.run_schedule(plan(Target("naive", "cpu", cells), blocks=1))
    assert len(fake.generations[0].cells) == 5


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
    refuse_too_long(larger, [timed_out, larger, naive_row(10)], 60.0)
    assert (larger.status, larger.reason) == ("unavailable", "a smaller problem has timed out")


def test_the_reason_of_a_refused_row_contains_the_estimate():
    rows = [naive_row(100, 0.1), naive_row(1000), naive_row(10_000)]
    for row in rows:
        refuse_too_long(row, rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok", "unavailable"]
    assert rows[2].reason == "would take about 10 s a call; --most-seconds-a-call is 2"


def test_measured_rows_are_not_refused():
    rows = [naive_row(100, 0.1), naive_row(1000, 50.0)]
    for row in rows:
        refuse_too_long(row, rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok"]
