"""Blocks of base and head: their orders, their budget, and what is kept where something fails or stops."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.measure import gate
from lcbench.measure.gate import EARLY_ANALYSES, ORDERS, GatePlan, Pair
from lcbench.measure.messages import Timed
from lcbench.measure.sides import GateSide
from lcbench.record import ProcessResult, Turn
from lcbench.settings import GateSettings
from lcbench.workers import process
from lcbench.workers.messages import Began, Failed
from lcbench.workers.process import Place

BASE = GateSide("base", "a", "folder", Place(python="base-python"))
HEAD = GateSide("head", "b", "folder", Place(python="head-python"))
PAIR = Pair("loss.py:f", "loss.py:f", "loss.py:f", ("softmax",))


TINY = {"rows": 20, "features": 33, "classes": 3, "threads": 1, "seed": 1}


def plan(pairs=(PAIR,), fewest_blocks=3, **settings):
    given = {"budget_s": 100, **TINY, **settings}
    return GatePlan(BASE, HEAD, pairs, GateSettings(base="a", head="b", **given), fewest_blocks)


class Workers:
    """Stands in for worker processes: a clock that each moves on by a second, and what they were asked."""

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


def test_blocks_alternate_in_an_order_drawn_by_lot(monkeypatch):
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
        assert sum(places) == 3  # a steady drift adds as much to head as to base
    assert {order.index("b") < order.index("c") for order in ORDERS} == {True, False}


def test_the_budget_is_kept_and_the_last_look_has_what_the_early_ones_left(monkeypatch):
    workers = Workers(monkeypatch)
    measured = gate.measure_gate(plan(budget_s=102), never)
    assert 98 <= workers.now <= 102
    assert [look.share for look in measured.interim_analyses] == [
        *(share for _, share in EARLY_ANALYSES),
        pytest.approx(0.5),
    ]
    assert measured.interim_analyses[-1].blocks == len(measured.orders)
    assert sum(look.share for look in measured.interim_analyses) == pytest.approx(1)


def test_it_ends_at_the_first_look_that_decides(monkeypatch):
    workers = Workers(monkeypatch)
    measured = gate.measure_gate(plan(), lambda measured: True)
    assert len(measured.interim_analyses) == 1
    assert workers.now < 50


def test_a_look_that_could_decide_nothing_is_not_taken(monkeypatch):
    Workers(monkeypatch)
    measured = gate.measure_gate(plan(fewest_blocks=15), never)
    assert [look.share for look in measured.interim_analyses] == [0.3, pytest.approx(0.7)]


def test_a_budget_without_room_for_a_verdict_is_refused_at_measure_process(monkeypatch):
    workers = Workers(monkeypatch)
    with pytest.raises(LcbenchError, match=r"allows 4 blocks.*at least 9.*--budget \d+s"):
        gate.measure_gate(plan(budget_s=20, fewest_blocks=9), never)
    assert workers.now <= 6


def test_the_budget_that_is_asked_for_is_enough(monkeypatch):
    Workers(monkeypatch)
    with pytest.raises(LcbenchError) as told:
        gate.measure_gate(plan(budget_s=20, fewest_blocks=9), never)
    asked = float(str(told.value).rpartition("--budget ")[2].partition("s")[0])
    Workers(monkeypatch)
    assert len(gate.measure_gate(plan(budget_s=asked, fewest_blocks=9), never).orders) >= 9


def test_a_budget_that_nobody_asked_for_stretches_until_a_verdict_is_possible(monkeypatch):
    Workers(monkeypatch)
    monkeypatch.setattr(gate, "BUDGET_S", 20)
    measured = gate.measure_gate(plan(budget_s=None, fewest_blocks=9), never)
    assert 9 <= len(measured.orders) <= 10
    assert measured.interim_analyses[-1].blocks == len(measured.orders)


def test_sides_compile_into_folders_of_their_own(monkeypatch):
    workers = Workers(monkeypatch)
    gate.measure_gate(plan(), never)
    caches = {(python, variables["NUMBA_CACHE_DIR"]) for python, _, variables in workers.jobs}
    assert len(caches) == 2
    assert len({folder for _, folder in caches}) == 2


def test_only_head_is_slowed_on_purpose(monkeypatch):
    workers = Workers(monkeypatch)
    gate.measure_gate(plan(planted=0.05), never)
    assert {(python, job.planted) for python, job, _ in workers.jobs[2:]} == {
        ("base-python", 0.0),
        ("head-python", 0.05),
    }


def test_one_that_dies_costs_its_own_row(monkeypatch):
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


def test_what_a_process_measured_stays_together(monkeypatch):
    workers = Workers(monkeypatch, lambda job, place: [Workers.timed(0, len(workers.jobs))])
    measured = gate.measure_gate(plan(), never)
    found = {row.side: [process.warm_up_calls for process in row.processes] for row in measured.rows}
    numbers = iter(range(3, 1000))  # the first calls of either side are no process of a block
    places = {"base": [], "control": [], "head": []}
    for letter in "".join(measured.orders):
        places[gate.SIDES[letter]].append(next(numbers))
    assert found == places
    for one in (one for row in measured.rows for one in row.processes):
        assert (one.turns[0].calls, one.samples) == (one.warm_up_calls, [0.001 * one.warm_up_calls])


def test_what_was_wrong_measure_process_has_no_time_though_its_processes_go_on(monkeypatch):
    pair = Pair("both", "both", "both", ("svm", "softmax"))

    def answer(job, place):
        fails = len(workers.jobs) == 8
        events = [Workers.timed(0), Workers.timed(1)]
        return [Timed(index=0, status="wrong", reason="loss is nan"), events[1]] if fails else events

    workers = Workers(monkeypatch, answer)
    measured = gate.measure_gate(plan(pairs=(pair,)), never)
    [wrong] = [row for row in measured.rows if row.status != "ok"]
    assert (wrong.loss, wrong.status, wrong.reason, wrong.processes) == ("svm", "wrong", "loss is nan", [])


def test_it_ends_where_nothing_is_left_to_compare(monkeypatch):
    workers = Workers(monkeypatch, lambda job, place: [Failed("crashed", "killed by SIGSEGV")])
    measured = gate.measure_gate(plan(), never)
    assert workers.now == 1
    assert measured.orders == []


def test_ctrl_c_keeps_whole_blocks(monkeypatch):
    def answer(job, place):
        if len(workers.jobs) == 2 + 4 * 3 + 2:
            raise KeyboardInterrupt
        return [Workers.timed(k) for k in range(len(job.cells))]

    workers = Workers(monkeypatch, answer)
    measured = gate.measure_gate(plan(), never)
    assert measured.interrupted
    assert len(measured.orders) == 3
    assert {row.side: len(row.blocks) for row in measured.rows} == {"base": 3, "control": 3, "head": 6}


def test_what_cannot_be_measured_is_known_beforehand(monkeypatch):
    workers = Workers(monkeypatch)
    broken = Pair("x", "x", "x", ("svm",), head_problem=("wrong", "line 3: it raises"))
    measured = gate.measure_gate(plan(pairs=(PAIR, broken)), never)
    assert {job.implementation for _, job, _ in workers.jobs} == {"loss.py:f"}
    [head] = [row for row in measured.rows if row.implementation == "x" and row.side == "head"]
    assert (head.status, head.reason) == ("wrong", "line 3: it raises")
