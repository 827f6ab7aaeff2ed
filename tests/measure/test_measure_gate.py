"""Gate: pairing of implementations, and measurement of base and head in blocks."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.measure import gate, selection
from lcbench.measure.gate import EARLY_ANALYSES, ORDERS, GatePlan, Pair, pair_targets
from lcbench.measure.messages import Timed
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.sides import GateSide
from lcbench.record import ProcessResult, Turn
from lcbench.settings import GateSettings
from lcbench.workers import process
from lcbench.workers.messages import Began, Failed
from lcbench.workers.process import HERE, Place

OLD_SIDE = GateSide("base", "v1", "revision", HERE)
NEW_SIDE = GateSide("head", ".", "folder", HERE)
BOTH = ["svm", "softmax"]


def file(name, given):
    return GateSide(name, given, "implementation", HERE, implementation=given)


@pytest.fixture
def functions(monkeypatch):
    """Functions in files, by the name of the file."""
    held = {}

    def user_targets(spec, losses, timeout_s, place):
        return [
            ResolvedTarget(f"{spec}:{name}", losses=tuple(loss for loss in losses if loss in offered), **more)
            for name, offered, more in held[spec]
        ]

    monkeypatch.setattr(selection, "user_targets", user_targets)
    return held


def test_a_name_of_the_catalog_is_paired_with_itself():
    [one] = pair_targets(OLD_SIDE, NEW_SIDE, ["numpy"], BOTH, 60)
    assert (one.name, one.base, one.head, one.losses) == ("numpy", "numpy", "numpy", ("svm", "softmax"))
    assert [each.name for each in pair_targets(OLD_SIDE, NEW_SIDE, [], BOTH, 60)] == [gate.DEFAULT_IMPLEMENTATION]


def test_functions_are_paired_by_name(functions):
    functions["old.py"] = [("f", ["softmax"], {}), ("g", ["softmax"], {}), ("gone", ["svm"], {})]
    functions["new.py"] = [("g", ["softmax"], {}), ("f", ["softmax"], {}), ("added", ["svm"], {})]
    found = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert [(one.base, one.head) for one in found] == [("old.py:g", "new.py:g"), ("old.py:f", "new.py:f")]


def test_functions_with_different_names_are_paired_if_they_are_the_only_ones_of_a_loss(functions):
    functions["old.py"] = [("slow_softmax", ["softmax"], {}), ("slow_svm", ["svm"], {})]
    functions["new.py"] = [("fast_softmax", ["softmax"], {}), ("fast_svm", ["svm"], {})]
    found = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert [(one.base, one.head, one.losses) for one in found] == [
        ("old.py:slow_softmax", "new.py:fast_softmax", ("softmax",)),
        ("old.py:slow_svm", "new.py:fast_svm", ("svm",)),
    ]


def test_ambiguous_functions_are_an_error(functions):
    functions["old.py"] = [("a", ["softmax"], {}), ("b", ["softmax"], {})]
    functions["new.py"] = [("c", ["softmax"], {})]
    with pytest.raises(LcbenchError, match="base has a, b, head has c"):
        pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)


def test_a_file_is_paired_with_a_name_of_the_catalog(functions):
    functions["mine.py"] = [("softmax_loss", ["softmax"], {})]
    [one] = pair_targets(file("base", "numpy"), file("head", "mine.py"), [], BOTH, 60)
    assert (one.base, one.head, one.losses) == ("numpy", "mine.py:softmax_loss", ("softmax",))


def test_a_pair_contains_known_problems(functions):
    functions["old.py"] = [("f", ["softmax"], {})]
    functions["new.py"] = [("f", ["softmax"], {"unavailable": "line 3: it raises", "status": "wrong"})]
    [one] = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert (one.base_problem, one.head_problem) == (None, ("wrong", "line 3: it raises"))


def test_both_sides_must_be_implementations_if_one_is():
    with pytest.raises(LcbenchError, match="--base numpy is an implementation, so --head must be one too"):
        pair_targets(file("base", "numpy"), NEW_SIDE, [], BOTH, 60)
    with pytest.raises(LcbenchError, match="--impl cannot be given as well"):
        pair_targets(file("base", "numpy"), file("head", "numba-njit"), ["numpy"], BOTH, 60)


def test_an_implementation_in_the_simulator_is_refused(monkeypatch):
    monkeypatch.setattr("lcbench.losses.catalog.device_here", lambda entry: "simulator")
    with pytest.raises(LcbenchError, match="simulator"):
        pair_targets(OLD_SIDE, NEW_SIDE, ["numba-cuda"], BOTH, 60)


def test_a_loss_that_is_not_offered_is_an_error():
    with pytest.raises(LcbenchError, match="sklearn offers softmax only"):
        pair_targets(OLD_SIDE, NEW_SIDE, ["sklearn"], ["svm"], 60)


BASE = GateSide("base", "a", "folder", Place(python="base-python"))
HEAD = GateSide("head", "b", "folder", Place(python="head-python"))
PAIR = Pair("loss.py:f", "loss.py:f", "loss.py:f", ("softmax",))


TINY = {"rows": 20, "features": 33, "classes": 3, "threads": 1, "seed": 1}


def plan(pairs=(PAIR,), fewest_blocks=3, **settings):
    given = {"budget_s": 100, **TINY, **settings}
    return GatePlan(BASE, HEAD, pairs, GateSettings(base="a", head="b", **given), fewest_blocks)


class Workers:
    """Substitute for worker processes: records their jobs; each advances the clock by a second."""

    def __init__(self, monkeypatch, answer=None):
        self.jobs, self.now = [], 0.0
        self.answer = answer or (lambda job, place: [self.timed(k) for k in range(len(job.cells))])
        monkeypatch.setattr(process, "work", self.work)
        monkeypatch.setattr(gate, "monotonic", lambda: self.now)

    @staticmethod
    def timed(index, number=1):
        turn = Turn(samples=[0.001 * number], calls=number)
        process = ProcessResult(warm_up_calls=number, steady=True, turns=[turn])
        return Timed(index=index, status="ok", process=process, error_loss=0.0, error_grad=0.0)

    def work(self, job, variables, timeout_s, place):
        self.now += 1
        self.jobs.append((place.python, job, variables))
        return self.answer(job, place)


def never(measured):
    return False


def test_base_and_head_alternate_in_random_order(monkeypatch):
    workers = Workers(monkeypatch)
    measured = gate.measure_gate(plan(), never)
    letters = "".join("h" if python == "head-python" else "b" for python, *_ in workers.jobs[2:])
    assert letters == "".join(measured.orders).replace("c", "b")
    assert set(measured.orders) == set(ORDERS)
    counts = {row.side: len(row.blocks) for row in measured.rows}
    blocks = len(measured.orders)
    assert counts == {"base": blocks, "control": blocks, "head": 2 * blocks}


def test_orders_are_balanced():
    for order in ORDERS:
        places = [place for place, letter in enumerate(order) if letter == "h"]
        assert sum(places) == 3  # a linear drift affects both sides equally
    assert {order.index("b") < order.index("c") for order in ORDERS} == {True, False}


def test_the_budget_is_kept_and_the_final_analysis_gets_the_remaining_share(monkeypatch):
    workers = Workers(monkeypatch)
    measured = gate.measure_gate(plan(budget_s=102), never)
    assert 98 <= workers.now <= 102
    assert [analysis.share for analysis in measured.interim_analyses] == [
        *(share for _, share in EARLY_ANALYSES),
        pytest.approx(0.5),
    ]
    assert measured.interim_analyses[-1].blocks == len(measured.orders)
    assert sum(analysis.share for analysis in measured.interim_analyses) == pytest.approx(1)


def test_it_ends_at_the_first_interim_analysis_that_decides(monkeypatch):
    workers = Workers(monkeypatch)
    measured = gate.measure_gate(plan(), lambda measured: True)
    assert len(measured.interim_analyses) == 1
    assert workers.now < 50


def test_an_interim_analysis_with_too_few_blocks_is_skipped(monkeypatch):
    Workers(monkeypatch)
    measured = gate.measure_gate(plan(fewest_blocks=15), never)
    assert [analysis.share for analysis in measured.interim_analyses] == [0.3, pytest.approx(0.7)]


def test_a_budget_too_small_for_a_verdict_is_refused_at_once(monkeypatch):
    workers = Workers(monkeypatch)
    with pytest.raises(LcbenchError, match=r"allows 4 blocks.*at least 9.*--budget \d+s"):
        gate.measure_gate(plan(budget_s=20, fewest_blocks=9), never)
    assert workers.now <= 6


def test_the_suggested_budget_is_sufficient(monkeypatch):
    Workers(monkeypatch)
    with pytest.raises(LcbenchError) as refused:
        gate.measure_gate(plan(budget_s=20, fewest_blocks=9), never)
    suggested = float(str(refused.value).rpartition("--budget ")[2].partition("s")[0])
    Workers(monkeypatch)
    assert len(gate.measure_gate(plan(budget_s=suggested, fewest_blocks=9), never).orders) >= 9


def test_the_default_budget_is_extended_until_a_verdict_is_possible(monkeypatch):
    Workers(monkeypatch)
    monkeypatch.setattr(gate, "BUDGET_S", 20)
    measured = gate.measure_gate(plan(budget_s=None, fewest_blocks=9), never)
    assert 9 <= len(measured.orders) <= 10
    assert measured.interim_analyses[-1].blocks == len(measured.orders)


def test_each_side_has_its_own_compilation_cache(monkeypatch):
    workers = Workers(monkeypatch)
    gate.measure_gate(plan(), never)
    caches = {(python, variables["NUMBA_CACHE_DIR"]) for python, _, variables in workers.jobs}
    assert len(caches) == 2
    assert len({folder for _, folder in caches}) == 2


def test_the_slowdown_is_injected_into_head_only(monkeypatch):
    workers = Workers(monkeypatch)
    gate.measure_gate(plan(planted=0.05), never)
    assert {(python, job.planted) for python, job, _ in workers.jobs[2:]} == {
        ("base-python", 0.0),
        ("head-python", 0.05),
    }


def test_a_loss_that_crashes_affects_only_its_own_row(monkeypatch):
    pair = Pair("both", "both", "both", ("svm", "softmax"))

    def answer(job, place):
        if place.python == "head-python":
            dies = next((k for k, cell in enumerate(job.cells) if cell.loss == "svm"), None)
            if dies is not None:
                return [Workers.timed(1 - dies), Began(dies), Failed("crashed", "killed by SIGSEGV")]
        return [Workers.timed(k) for k in range(len(job.cells))]

    Workers(monkeypatch, answer)
    measured = gate.measure_gate(plan(pairs=(pair,)), never)
    statuses = {(row.side, row.loss): row.status for row in measured.rows}
    assert statuses["head", "svm"] == "crashed"
    assert statuses["head", "softmax"] == "ok"
    blocks = len(measured.orders)
    assert {len(row.blocks) for row in measured.rows if row.loss == "softmax"} == {blocks, 2 * blocks}
    assert blocks > 3


def test_measurements_of_a_process_stay_together(monkeypatch):
    workers = Workers(monkeypatch, lambda job, place: [Workers.timed(0, len(workers.jobs))])
    measured = gate.measure_gate(plan(), never)
    found = {row.side: [process.warm_up_calls for process in row.processes] for row in measured.rows}
    numbers = iter(range(3, 1000))  # the first calls of both sides do not belong to a block
    places = {"base": [], "control": [], "head": []}
    for letter in "".join(measured.orders):
        places[gate.SIDES[letter]].append(next(numbers))
    assert found == places
    for one in (one for row in measured.rows for one in row.processes):
        assert (one.turns[0].calls, one.samples) == (one.warm_up_calls, [0.001 * one.warm_up_calls])


def test_a_row_that_was_wrong_once_has_no_time(monkeypatch):
    pair = Pair("both", "both", "both", ("svm", "softmax"))

    def answer(job, place):
        fails = len(workers.jobs) == 8
        events = [Workers.timed(0), Workers.timed(1)]
        return [Timed(index=0, status="wrong", reason="loss is nan"), events[1]] if fails else events

    workers = Workers(monkeypatch, answer)
    measured = gate.measure_gate(plan(pairs=(pair,)), never)
    [wrong] = [row for row in measured.rows if row.status != "ok"]
    assert (wrong.loss, wrong.status, wrong.reason, wrong.processes) == ("svm", "wrong", "loss is nan", [])


def test_it_ends_if_nothing_is_left_to_compare(monkeypatch):
    workers = Workers(monkeypatch, lambda job, place: [Failed("crashed", "killed by SIGSEGV")])
    measured = gate.measure_gate(plan(), never)
    assert workers.now == 1
    assert measured.orders == []


def test_ctrl_c_keeps_complete_blocks(monkeypatch):
    def answer(job, place):
        if len(workers.jobs) == 2 + 4 * 3 + 2:
            raise KeyboardInterrupt
        return [Workers.timed(k) for k in range(len(job.cells))]

    workers = Workers(monkeypatch, answer)
    measured = gate.measure_gate(plan(), never)
    assert measured.interrupted
    assert len(measured.orders) == 3
    assert {row.side: len(row.blocks) for row in measured.rows} == {"base": 3, "control": 3, "head": 6}


def test_a_pair_with_a_known_problem_is_not_measured(monkeypatch):
    workers = Workers(monkeypatch)
    broken = Pair("x", "x", "x", ("svm",), head_problem=("wrong", "line 3: it raises"))
    measured = gate.measure_gate(plan(pairs=(PAIR, broken)), never)
    assert {job.implementation for _, job, _ in workers.jobs} == {"loss.py:f"}
    [head] = [row for row in measured.rows if row.implementation == "x" and row.side == "head"]
    assert (head.status, head.reason) == ("wrong", "line 3: it raises")
