"""Gate: pairing of implementations, and generations with two processes of base and two of head."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lcbench.errors import LcbenchError
from lcbench.measure import gate, selection
from lcbench.measure.gate import EARLY_ANALYSES, GatePlan, Pair, pair_targets
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.sides import GateSide
from lcbench.measure.turns import MOST_ROUNDS, Measured, Pace
from lcbench.record import ProcessResult, Turn
from lcbench.settings import GateSettings
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


LCBENCH = replace(OLD_SIDE, is_lcbench=True)
ENVIRONMENT = GateSide("base", "venv", "interpreter", Place(python="another-python", losses=None))


@pytest.mark.parametrize(
    ("base", "names", "measured"),
    [
        (OLD_SIDE, [], "numba-parallel is lcbench's own"),
        (OLD_SIDE, ["numpy", "torch"], "numpy and torch are lcbench's own"),
        (OLD_SIDE, ["numpy", "loss.py"], None),
        (OLD_SIDE, ["package.loss:softmax"], None),
        (replace(OLD_SIDE, place=Place(python="built-python")), ["numpy"], None),
        (LCBENCH, [], None),
        (ENVIRONMENT, ["numpy"], None),
        (file("base", "old.py"), [], None),
    ],
)
def test_a_gate_that_measures_nothing_of_the_repository_is_refused(base, names, measured):
    head = replace(base, name="head") if base in (LCBENCH, file("base", "old.py")) else NEW_SIDE
    if measured is None:
        gate.require_own_code(base, head, names)
        return
    with pytest.raises(LcbenchError, match=f"^nothing of this repository is measured: {measured}.*--impl FILE.py$"):
        gate.require_own_code(base, head, names)


BASE = GateSide("base", "a", "folder", Place(python="base-python"))
HEAD = GateSide("head", "b", "folder", Place(python="head-python"))
PAIR = Pair("loss.py:f", "old.py:f", "new.py:f", ("softmax",))


TINY = {"rows": 20, "features": 33, "classes": 3, "threads": 1, "seed": 1}


def plan(pairs=(PAIR,), fewest=3, generations_for=lambda rows: 10, **settings):
    given = {"budget_s": 100, **TINY, **settings}
    return GatePlan(BASE, HEAD, pairs, GateSettings(base="a", head="b", **given), fewest, generations_for)


class FakeGeneration:
    """Substitute for `turns.Generation`, in which a loss takes a second, of which the rounds take 0.75 s."""

    rounds_s = 0.75

    def __init__(self, fake, number, members, timeout_s, rng, together=True, first_round=0):
        self.fake, self.number, self.members, self.first_round = fake, number, members, first_round
        self.sides = [member.place.python.partition("-")[0] for member in members]
        self.caches = [Path(member.variables["NUMBA_CACHE_DIR"]).parent.name for member in members]
        self.cells, self.paces = [], []

    def __enter__(self):
        self.fake.all.append(self)
        return self

    def __exit__(self, *raised):
        pass

    def measure(self, cells, pace):
        assert list(cells) == list(range(len(self.members)))
        [cell] = set(cells.values())
        self.cells.append(cell)
        self.paces.append(pace)
        self.fake.now += self.fake.loss_s
        return {index: self.fake.answer(self, index, cell) for index in cells}


class Fake:
    """Substitute for worker processes and the clock. answer: function (generation, slot, cell) -> outcome.

    all: generations with the one of the first calls, which is the first for each pair.
    """

    def __init__(self, monkeypatch):
        self.all, self.now, self.loss_s = [], 0.0, 1.0
        self.answer = lambda generation, slot, cell: measured_ok(generation)
        monkeypatch.setattr(gate, "Generation", lambda *given, **options: FakeGeneration(self, *given, **options))
        monkeypatch.setattr(gate, "monotonic", lambda: self.now)

    @property
    def generations(self):
        return [generation for generation in self.all if not generation.paces[0].simulated]


def measured_ok(generation, seconds=1e-3, calls=1):
    turns = [Turn(round=0, place=0, samples=[seconds], calls=calls)]
    return Measured(result=ProcessResult(generation=generation.number, warm_up_calls=calls, turns=turns))


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(gate, "SURE_SHARE", 0.0)  # its rounds are shorter than those of any gate
    return Fake(monkeypatch)


def never(measured):
    return False


# Generations


def test_a_generation_has_two_processes_of_each_side_in_random_slots(fake):
    measured = gate.measure_gate(plan(budget_s=601), never)
    assert len(fake.generations) == len(measured.orders) == 600
    for generation, order in zip(fake.generations, measured.orders, strict=True):
        assert sorted(order) == ["b", "c", "h", "h"]
        assert generation.sides == ["head" if letter == "h" else "base" for letter in order]
        assert [member.job.implementation for member in generation.members] == [
            "new.py:f" if letter == "h" else "old.py:f" for letter in order
        ]
        assert all(member.stopped for member in generation.members)
        assert generation.paces == [gate.PACE]
    splits = Counter(order.replace("c", "b") for order in measured.orders)
    assert len(splits) == 6
    assert all(70 < count < 130 for count in splits.values())
    assert all(25 < count < 75 for count in Counter(measured.orders).values())  # the control is also drawn
    assert [generation.number for generation in fake.generations] == list(range(600))
    assert len({member.job.seed for generation in fake.generations for member in generation.members}) > 2300


def test_each_process_has_its_own_compilation_cache(fake):
    """Otherwise, the control could not show a difference between two compilations of the same code."""
    measured = gate.measure_gate(plan(), never)
    first, *later = fake.all
    assert first.caches == ["compiled-b0", "compiled-c0", "compiled-h0", "compiled-h1"]
    for generation, order in zip(later, measured.orders, strict=True):
        assert [cache[-2] for cache in generation.caches] == list(order)
        assert sorted(generation.caches) == first.caches


def test_first_calls_are_made_before_the_generations_and_are_not_samples(fake):
    measured = gate.measure_gate(plan(budget_s=12), never)
    first, *later = fake.all
    assert first.paces == [Pace(rounds=1, simulated=True)]
    assert len(later) == len(measured.orders) > 3
    assert {row.side: len(row.processes) for row in measured.rows} == {
        "base": len(later),
        "control": len(later),
        "head": 2 * len(later),
    }


def test_a_failure_in_the_first_calls_ends_the_gate(fake):
    fake.answer = lambda generation, slot, cell: (
        Measured(status="wrong", reason="loss is nan") if generation.sides[slot] == "head" else measured_ok(generation)
    )
    measured = gate.measure_gate(plan(), never)
    assert (len(fake.all), measured.orders, measured.interim_analyses) == (1, [], [])
    assert {row.side: row.status for row in measured.rows} == {"base": "ok", "control": "ok", "head": "wrong"}


def test_measurements_of_a_process_stay_together(fake):
    fake.answer = lambda generation, slot, cell: measured_ok(
        generation, 1e-3 * (10 * generation.number + slot + 1), 10 * generation.number + slot + 1
    )
    measured = gate.measure_gate(plan(budget_s=12), never)
    expected = {"base": [], "control": [], "head": []}
    for number, order in enumerate(measured.orders):
        for slot, letter in enumerate(order):
            expected[gate.SIDES[letter]].append((number, 10 * number + slot + 1))
    found = {row.side: [(one.generation, one.warm_up_calls) for one in row.processes] for row in measured.rows}
    assert found == expected
    for one in (one for row in measured.rows for one in row.processes):
        assert (one.turns[0].calls, one.samples) == (one.warm_up_calls, [1e-3 * one.warm_up_calls])


def test_pairs_and_losses_are_in_random_order(fake):
    pairs = tuple(Pair(name, name, name, ("svm", "softmax")) for name in "xy")
    gate.measure_gate(plan(pairs), never)
    found = [(generation.members[0].job.implementation, tuple(generation.cells)) for generation in fake.generations]
    assert set(found) == {(name, cells) for name in "xy" for cells in [(0, 1), (1, 0)]}
    firsts = [found[index][0] for index in range(0, len(found), 2)]
    assert set(firsts) == {"x", "y"}


def test_processes_on_a_gpu_are_alive_one_at_a_time(fake):
    pair = Pair("cupy", "cupy", "cupy", ("svm", "softmax"), "cuda")
    measured = gate.measure_gate(plan((pair,)), never)
    assert all(len(generation.members) == 1 for generation in fake.all)
    assert not any(member.stopped for generation in fake.all for member in generation.members)
    for number, order in enumerate(measured.orders):
        four = fake.generations[4 * number : 4 * number + 4]
        assert [generation.number for generation in four] == [number] * 4
        assert [generation.sides for generation in four] == [["head" if letter == "h" else "base"] for letter in order]
        assert [generation.first_round for generation in four] == [slot * MOST_ROUNDS for slot in range(4)]
    assert {row.side: len(row.processes) for row in measured.rows if row.loss == "svm"} == {
        "base": len(measured.orders),
        "control": len(measured.orders),
        "head": 2 * len(measured.orders),
    }


def test_the_slowdown_is_injected_into_head_only(fake):
    gate.measure_gate(plan(planted=0.05), never)
    planted = {
        (side, member.job.planted)
        for generation in fake.generations
        for side, member in zip(generation.sides, generation.members, strict=True)
    }
    assert planted == {("base", 0.0), ("head", 0.05)}
    assert {member.job.planted for member in fake.all[0].members} == {0.0}


def test_time_before_the_rounds_is_recorded(fake):
    measured = gate.measure_gate(plan(budget_s=12), never)
    assert measured.spent_s == fake.now == 12.0
    assert measured.started_s == pytest.approx(12 * 0.25)


MIDDLE = GateSide("middle", "m", "folder", Place(python="middle-python"))


def with_middle(folder=None, **settings):
    sides = {
        name: replace(side, revision=f"{side.given}1234")
        for name, side in (("base", BASE), ("middle", MIDDLE), ("head", HEAD))
    }
    return replace(plan((replace(PAIR, middle="between.py:f"),), **settings), folder=folder, **sides)


def test_a_middle_takes_turns_with_base_and_head(fake):
    measured = gate.measure_gate(with_middle(budget_s=601), never)
    for generation, order in zip(fake.generations, measured.orders, strict=True):
        assert sorted(order) == ["b", "c", "h", "h", "m", "n"]
        sides = [{"b": "base", "c": "base", "h": "head"}.get(letter, "middle") for letter in order]
        assert generation.sides == sides
        names = {"base": "old.py:f", "middle": "between.py:f", "head": "new.py:f"}
        assert [member.job.implementation for member in generation.members] == [names[side] for side in sides]


def test_the_halves_are_gates_with_the_same_generations(fake):
    """A process has the time of its slot and generation, by which it is found again."""
    fake.answer = lambda generation, slot, cell: measured_ok(generation, calls=10 * generation.number + slot)
    measured = gate.measure_gate(with_middle(budget_s=601), never)
    for half, letters in zip(gate.halves(measured), ("bcmn", "mnh"), strict=True):
        assert [row.side for row in half.rows] == ["base", "control", "head"]
        assert half.interim_analyses == measured.interim_analyses
        splits = Counter(order.replace("c", "b") for order in half.orders)
        assert len(splits) == 6
        assert all(70 < count < 130 for count in splits.values())
        base, control, head = half.rows
        for number, (whole, order) in enumerate(zip(measured.orders, half.orders, strict=True)):
            slots = [slot for slot, letter in enumerate(whole) if letter in letters]
            found = {
                letter: {one.warm_up_calls - 10 * number for one in row.processes if one.generation == number}
                for letter, row in zip("bch", (base, control, head), strict=True)
            }
            for letter, members in found.items():
                assert members == {slot for slot, own in zip(slots, order, strict=True) if own == letter}


def test_a_middle_that_fails_has_failed_in_both_halves(fake):
    fake.answer = lambda generation, slot, cell: (
        Measured(status="crashed", reason="killed by SIGSEGV")
        if (generation.sides[slot], generation.number) == ("middle", 2)
        else measured_ok(generation)
    )
    before, after = gate.halves(gate.measure_gate(with_middle(), never))
    assert {row.side: row.status for row in before.rows} == {"base": "ok", "control": "ok", "head": "crashed"}
    assert {row.side: row.status for row in after.rows} == {"base": "crashed", "control": "crashed", "head": "ok"}


def test_gates_with_a_folder_share_the_problem_and_the_compilations_of_a_revision(fake, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(gate.workload, "save_problem", lambda problem, losses, folder: written.append(folder.mkdir()))
    for _ in range(2):
        gate.measure_gate(with_middle(tmp_path), never)
    assert len(written) == 1
    expected = sorted(f"compiled-{name}1234-{number}" for name in "amb" for number in range(2))
    assert all(sorted(generation.caches) == expected for generation in fake.all)


# Budget and interim analyses


def test_the_budget_is_kept_and_the_final_analysis_gets_the_remaining_share(fake):
    measured = gate.measure_gate(plan(budget_s=102), never)
    assert fake.now == 102
    assert [(analysis.blocks, analysis.share) for analysis in measured.interim_analyses] == [
        (41, EARLY_ANALYSES[0][1]),
        (71, EARLY_ANALYSES[1][1]),
        (101, pytest.approx(0.5)),
    ]
    assert len(measured.orders) == 101
    assert sum(analysis.share for analysis in measured.interim_analyses) == pytest.approx(1)


def test_it_ends_at_the_first_interim_analysis_that_decides(fake):
    seen = []
    measured = gate.measure_gate(
        plan(budget_s=101), lambda measured: seen.append(len(measured.orders)) or len(seen) == 2
    )
    assert seen == [40, 70]
    assert [analysis.blocks for analysis in measured.interim_analyses] == [40, 70]
    assert len(measured.orders) == 70


def test_an_interim_analysis_with_too_few_generations_is_skipped(fake):
    measured = gate.measure_gate(plan(budget_s=21, fewest=10), never)
    assert [analysis.share for analysis in measured.interim_analyses] == [0.3, pytest.approx(0.7)]


def test_the_number_of_generations_is_fixed_after_the_first_one(fake):
    def answer(generation, slot, cell):
        fake.loss_s = 1.1 if generation.number else 1.0
        return measured_ok(generation)

    fake.answer = answer
    measured = gate.measure_gate(plan(budget_s=41), never)
    assert len(measured.orders) == 40
    assert fake.now > 41


def test_it_ends_if_generations_take_much_longer_than_the_first_one(fake):
    def answer(generation, slot, cell):
        fake.loss_s = 1.0 if generation.paces[0].simulated else 10.0
        return measured_ok(generation)

    fake.answer = answer
    measured = gate.measure_gate(plan(budget_s=12), never)
    assert len(measured.orders) == 3
    assert measured.interim_analyses[-1].blocks == 3
    assert sum(analysis.share for analysis in measured.interim_analyses) == pytest.approx(1)


def test_a_budget_too_small_for_a_verdict_is_refused_after_the_first_generation(fake):
    with pytest.raises(LcbenchError) as refused:
        gate.measure_gate(plan(budget_s=5, fewest=9), never)
    assert str(refused.value) == (
        "a budget of 5 s allows 4 generations, but a verdict needs at least 9: "
        "give --budget 10s, or fewer rows, losses or implementations"
    )
    assert fake.now == 2


@pytest.mark.parametrize(
    ("budget_s", "now"),
    [
        (15, 0),  # nine generations of two losses take at least 34.6 s: this is known before anything is measured
        (34, 0),
        (36, 2),  # and after the first calls, which took two seconds: 36.6 s
    ],
)
def test_a_budget_too_small_for_the_rounds_alone_is_refused_at_once(fake, monkeypatch, budget_s, now):
    monkeypatch.setattr(gate, "SURE_SHARE", 0.8)
    pair = replace(PAIR, losses=tuple(BOTH))
    with pytest.raises(LcbenchError, match=f"a budget of {budget_s} s is too short for a verdict, which needs 9 gener"):
        gate.measure_gate(plan((pair,), budget_s=budget_s, fewest=9), never)
    assert fake.now == now


def test_the_suggested_budget_is_sufficient(fake):
    assert len(gate.measure_gate(plan(budget_s=10, fewest=9), never).orders) == 9


def test_the_default_budget_is_extended_until_a_verdict_is_possible(fake, monkeypatch):
    monkeypatch.setattr(gate, "BUDGET_S", 5)
    measured = gate.measure_gate(plan(budget_s=None, fewest=9), never)
    assert len(measured.orders) == 9
    assert measured.interim_analyses[-1].blocks == 9


@pytest.mark.parametrize(
    ("wanted", "generations"), [(7, 7), (2, 3), (90, 90), (10**6, gate.MOST_GENERATIONS), (None, 59)]
)
def test_the_precision_decides_on_the_number_of_generations(fake, wanted, generations):
    seen = []

    def generations_for(rows):
        seen.append({row.side: len(row.processes) for row in rows})
        return wanted

    measured = gate.measure_gate(plan(budget_s=None, precision=0.01, generations_for=generations_for), never)
    assert seen == [{"base": 1, "control": 1, "head": 2}]  # of the first generation
    assert len(measured.orders) == generations


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (20, "about 21 s for a verdict at 3 %, from this machine's noise"),
        (2, "about 4 s for a verdict at 3 %, from this machine's noise"),
        (50, "a verdict at 3 % would take about 51 s with this machine's noise; the budget is 41 s"),
        (None, "a verdict at 3 % would take more than an hour with this machine's noise; the budget is 41 s"),
    ],
)
def test_the_expected_time_is_announced(fake, wanted, line):
    told = []
    gate.measure_gate(plan(budget_s=41, generations_for=lambda rows: wanted), never, lambda *given: told.append(given))
    assert [given for given in told if len(given) == 1] == [(line,)]
    assert all(done < total == 41 for _, done, total, _ in (given for given in told if len(given) == 4))


def test_the_time_for_a_precision_is_announced(fake):
    told = []
    settings = {"budget_s": None, "precision": 0.005, "generations_for": lambda rows: 20}
    gate.measure_gate(plan(**settings), never, lambda *given: told.append(given))
    [line] = [given for given in told if len(given) == 1]
    assert line == ("about 21 s for an interval of +-0.5 %, from this machine's noise",)


# Failures and interrupts


def test_a_loss_that_crashes_affects_only_its_own_row(fake):
    fake.answer = lambda generation, slot, cell: (
        Measured(status="crashed", reason="killed by SIGSEGV")
        if (generation.sides[slot], cell, generation.number) == ("head", 0, 2)
        else measured_ok(generation)
    )
    measured = gate.measure_gate(plan((Pair("both", "both", "both", ("svm", "softmax")),), budget_s=40), never)
    rows = {(row.side, row.loss): row for row in measured.rows}
    assert (rows["head", "svm"].status, rows["head", "svm"].processes) == ("crashed", [])
    assert [len(rows[side, "svm"].processes) for side in ("base", "control")] == [3, 3]  # no more after that
    blocks = len(measured.orders)
    assert blocks > 3
    assert {side: len(rows[side, "softmax"].processes) for side in ("base", "control", "head")} == {
        "base": blocks,
        "control": blocks,
        "head": 2 * blocks,
    }


def test_it_ends_if_nothing_is_left_to_compare(fake):
    fake.answer = lambda generation, slot, cell: (
        Measured(status="wrong", reason="loss is nan")
        if (generation.number, slot) == (4, 0)
        else measured_ok(generation)
    )
    measured = gate.measure_gate(plan(), never)
    assert len(fake.generations) == 5
    assert measured.interim_analyses == []
    [wrong] = [row for row in measured.rows if row.status != "ok"]
    assert (wrong.status, wrong.reason, wrong.processes) == ("wrong", "loss is nan", [])


@pytest.mark.parametrize("complete", [0, 3])
def test_ctrl_c_keeps_complete_generations(fake, complete):
    pairs = tuple(Pair(name, name, name, ("svm", "softmax")) for name in "xy")

    def answer(generation, slot, cell):
        if len(fake.generations) == 2 * complete + 2 and generation is fake.all[-1] and len(generation.cells) == 2:
            raise KeyboardInterrupt
        return measured_ok(generation)

    fake.answer = answer
    measured = gate.measure_gate(plan(pairs), never)
    assert measured.interrupted
    assert len(measured.orders) == complete
    for row in measured.rows:
        assert len(row.processes) == complete * (2 if row.side == "head" else 1)


def test_ctrl_c_during_the_first_calls(fake):
    def answer(generation, slot, cell):
        raise KeyboardInterrupt

    fake.answer = answer
    measured = gate.measure_gate(plan(), never)
    assert (measured.interrupted, measured.orders) == (True, [])
    assert [row.processes for row in measured.rows] == [[], [], []]


def test_a_pair_with_a_known_problem_is_not_measured(fake):
    broken = Pair("x", "x", "x", ("svm",), head_problem=("wrong", "line 3: it raises"))
    measured = gate.measure_gate(plan(pairs=(PAIR, broken)), never)
    used = {member.job.implementation for generation in fake.all for member in generation.members}
    assert used == {"old.py:f", "new.py:f"}
    [head] = [row for row in measured.rows if row.implementation == "x" and row.side == "head"]
    assert (head.status, head.reason) == ("wrong", "line 3: it raises")
