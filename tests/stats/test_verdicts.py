"""Tests of lcbench.stats.verdicts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.errors import ExitCode, LcbenchError
from lcbench.record import Gate, MachinePeak, Side, Sweep
from lcbench.report.tables import compare as compare_tables
from lcbench.stats import verdicts
from lcbench.stats.verdicts import ALPHA, compare_records, holm, latest
from results import MACHINE, record, row

NOISE = 0.04
"""Standard deviation of a block's log time."""

RARE = 1e-6
"""Probability at which a count of verdicts is outside the bounds below though the error rates hold."""


@pytest.fixture
def like_runs(monkeypatch):
    """Runs that differ by nothing but their blocks, as if their differences were none: the plain test is seen."""
    monkeypatch.setattr(verdicts, "RUN_TO_RUN", 0.0)


def simulated(rng, blocks, slowdown=1.0, rows=1, run_to_run=0.0):
    """A record whose rows took one millisecond times `slowdown`, with noise."""
    of_the_run = rng.normal(0, run_to_run, (rows, 1))
    times = 1e-3 * slowdown * np.exp(of_the_run + rng.normal(0, NOISE, (rows, blocks)))
    return record(*(row(f"impl-{k}", list(own)) for k, own in enumerate(times)))


def verdicts_of(judgement):
    return [comparison.verdict for comparison in judgement.comparisons]


def test_holms_procedure_on_the_textbook_example():
    # four hypotheses at 0.05: the first and the last are rejected, the two between are not
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_largest_step_so_far(values):
    ranked = np.sort(values)
    steps = np.minimum(1, ranked * np.arange(len(ranked), 0, -1))
    assert sorted(holm(values)) == pytest.approx(list(np.maximum.accumulate(steps)))
    order = np.argsort(values, kind="stable")
    assert list(np.array(holm(values))[order]) == sorted(holm(values))


def test_nan_counts_as_one():
    assert holm([float("nan"), 0.01]) == [1.0, 0.02]


def test_a_single_p_value_is_welchs(like_runs):
    rng = np.random.default_rng(0)
    base, new = simulated(rng, 8), simulated(rng, 12, 1.05)
    [comparison] = compare_records(base, new, 0.02).comparisons
    a, b = (np.log(np.ravel(r.rows[0].blocks)) for r in (base, new))
    welch = stats.ttest_ind(b, a, equal_var=False)
    low, high = np.exp(welch.confidence_interval(0.95))
    assert comparison.ratio == pytest.approx((np.exp(b.mean() - a.mean()), low, high))
    expected = stats.ttest_ind(b - np.log(1.02), a, equal_var=False, alternative="greater").pvalue
    assert verdicts._p_value([verdicts._test(list(a), list(b), 0.0, np.inf)], 0.02, "greater") == pytest.approx(
        expected
    )


@pytest.mark.parametrize("threshold", [0.0, 0.05])
def test_a_change_of_the_threshold_is_rarely_conclusive(like_runs, threshold):
    """The worst case of both errors: neither statement is true, and each may be made with probability ALPHA."""
    rng, trials = np.random.default_rng(7), 500
    found = [
        verdicts_of(compare_records(simulated(rng, 10), simulated(rng, 10, 1 + threshold), threshold))[0]
        for _ in range(trials)
    ]
    most = stats.binom.isf(RARE, trials, ALPHA)
    assert found.count("slower") <= most
    assert found.count("not slower") <= most


def test_runs_that_differ_by_more_than_their_blocks_raise_no_alarm():
    """Many blocks make each run's mean as good as exact, and what is left is the difference of the runs."""
    rng, trials = np.random.default_rng(12), 300
    pairs = [[simulated(rng, 100, run_to_run=verdicts.RUN_TO_RUN) for _ in range(2)] for _ in range(trials)]
    found = [verdicts_of(compare_records(base, new, 0.0))[0] for base, new in pairs]
    most = stats.binom.isf(RARE, trials, ALPHA)
    assert found.count("slower") <= most
    assert found.count("not slower") <= most


def test_many_rows_raise_no_more_false_alarms_than_one(like_runs):
    rng, trials = np.random.default_rng(8), 150
    alarms = sum(
        "slower" in verdicts_of(compare_records(simulated(rng, 10, rows=12), simulated(rng, 10, rows=12), 0.0))
        for _ in range(trials)
    )
    # without the correction 1 - 0.95 ** 12 = 46 % of them
    assert alarms <= stats.binom.isf(RARE, trials, ALPHA)


def test_a_planted_ten_percent_is_found(like_runs):
    rng, trials = np.random.default_rng(9), 100
    found = [verdicts_of(compare_records(simulated(rng, 30), simulated(rng, 30, 1.1), 0.05))[0] for _ in range(trials)]
    # log(1.1 / 1.05) is 4.5 standard errors of the difference: power above 0.995
    assert found.count("slower") >= stats.binom.ppf(RARE, trials, 0.995)


def test_the_same_code_twice_is_not_slower(like_runs):
    rng, trials = np.random.default_rng(10), 100
    found = [verdicts_of(compare_records(simulated(rng, 30), simulated(rng, 30), 0.05))[0] for _ in range(trials)]
    # log(1.05) is 4.7 standard errors
    assert found.count("not slower") >= stats.binom.ppf(RARE, trials, 0.995)


def test_power_of_the_detectable_slowdown(like_runs):
    rng, trials, threshold = np.random.default_rng(11), 400, 0.05
    [comparison] = compare_records(simulated(rng, 1000), simulated(rng, 1000), threshold).comparisons
    visible = np.expm1(np.log1p(comparison.detectable) * np.sqrt(1000 / 20))  # of 20 blocks instead of 1000
    slowdown = (1 + threshold) * (1 + visible)
    seen = [
        verdicts_of(compare_records(simulated(rng, 20), simulated(rng, 20, slowdown), threshold))[0]
        for _ in range(trials)
    ].count("slower")
    assert stats.binom.ppf(RARE, trials, 0.76) <= seen <= stats.binom.isf(RARE, trials, 0.84)


def test_one_block_is_inconclusive():
    judgement = compare_records(record(row(medians=[1e-3])), record(row(medians=[9e-3])))
    assert verdicts_of(judgement) == ["inconclusive"]
    assert judgement.comparisons[0].detectable is None
    assert judgement.exit_code == ExitCode.INCONCLUSIVE


# The factor of the machine

FACTS = {
    "python": "CPython 3.13.1",
    "versions": dict.fromkeys(("numpy", "torch", "jax", "jaxlib", "scikit-learn", "numba", "llvmlite"), "1"),
    "blas": [{"name": "openblas", "version": "0.3", "threads": 2, "kernels": "Zen"}],
    "environment": {"OMP_NUM_THREADS": "2"},
}
LIBRARY_ROWS = ("numpy", "torch", "jax")
OWN_ROWS = ("numba-njit", "numba-parallel", "a.py:f", "b.py:f", "c.py:f")


def changed(path, value):
    """FACTS with another value at a path such as "versions numpy"."""
    *folders, name = path.split()
    facts = inner = json.loads(json.dumps(FACTS))
    for folder in folders:
        inner = inner[folder]
    inner[name] = value
    return facts


def run_of(times, generations=6, noise=0.004, rng=None, **fields):
    """A run of rows with the given times in milliseconds by name, whose processes differ a little."""
    steps = np.linspace(-1, 1, generations) if rng is None else rng.normal(size=(len(times), generations))
    logs = np.broadcast_to(noise * steps, (len(times), generations))
    rows = [
        row(name, list(1e-3 * milliseconds * np.exp(own)), code="1234")
        for (name, milliseconds), own in zip(times.items(), logs, strict=True)
    ]
    return record(*rows, **({"machine": FACTS} | fields))


def by_name(judgement):
    return {comparison.new.implementation: comparison for comparison in judgement.comparisons}


def test_what_the_machine_did_is_not_a_slowdown():
    base = run_of({"numpy": 2, "torch": 1, "mine": 3, "slowed": 3})
    new = run_of({"numpy": 2.6, "torch": 1.3, "mine": 3.9, "slowed": 3.9 * 1.4})
    judgement = compare_records(base, new)
    assert (judgement.basis, judgement.yardsticks, judgement.corrected) == ("library rows", ["numpy", "torch"], True)
    assert judgement.machine_factor.value == pytest.approx(1.3)
    assert judgement.machine_factor.low > 1.2
    found = by_name(judgement)
    assert {name: one.verdict for name, one in found.items()} == {
        "numpy": "not slower",
        "torch": "not slower",
        "mine": "not slower",
        "slowed": "slower",
    }
    assert {name: one.ratio.value for name, one in found.items()} == pytest.approx(
        {"numpy": 1, "torch": 1, "mine": 1, "slowed": 1.4}
    )
    assert [one.factor for one in found.values()] == pytest.approx([1.3] * 4)
    # without yardsticks, the machine's factor is part of the ratio
    other = compare_records(base, run_of({"mine": 3.9}, machine=changed("versions numpy", "2")))
    assert (other.basis, other.machine_factor, other.corrected) == ("none", None, False)
    assert by_name(other)["mine"].ratio.value == pytest.approx(1.3)


def test_a_faster_machine_hides_no_slowdown():
    base, new = run_of({"numpy": 2, "torch": 1, "mine": 3}), run_of({"numpy": 1.4, "torch": 0.7, "mine": 3})
    found = by_name(compare_records(base, new))
    assert found["mine"].verdict == "slower"
    assert found["mine"].ratio.value == pytest.approx(1 / 0.7)


@pytest.mark.parametrize(
    "facts",
    [
        changed("versions numpy", "2"),
        changed("python", "CPython 3.13.2"),
        changed("blas", [{"name": "mkl", "version": "1", "threads": 2, "kernels": "Zen"}]),
        changed("environment OMP_NUM_THREADS", "1"),
        changed("environment OPENBLAS_CORETYPE", "Haswell"),
    ],
)
def test_a_row_with_other_versions_or_settings_is_no_yardstick(facts):
    base, new = run_of({"numpy": 2, "mine": 3}), run_of({"numpy": 2.6, "mine": 3.9}, machine=facts)
    assert compare_records(base, new).basis == "none"


@pytest.mark.parametrize(
    "facts",
    [
        changed("versions numba", "2"),
        changed("environment NUMBA_THREADING_LAYER", "tbb"),
        changed("blas", [*FACTS["blas"], {"name": "openblas", "version": "0.4", "threads": 2, "kernels": "Zen"}]),
    ],
)
def test_numba_and_the_blas_of_others_do_not_change_libraries(facts):
    base, new = run_of({"numpy": 2, "mine": 3}), run_of({"numpy": 2.6, "mine": 3.9}, machine=facts)
    assert compare_records(base, new).yardsticks == ["numpy"]


def test_facts_that_are_not_known_are_not_the_same():
    times = {"numpy": 2, "mine": 3}
    for facts in ({}, {"versions": FACTS["versions"]}, {"python": "CPython 3.13.1"}, changed("versions", {})):
        assert compare_records(run_of(times, machine=facts), run_of(times, machine=facts)).basis == "none"


def test_code_is_the_same_by_its_hash_or_by_a_clean_revision():
    def basis(new_code, before=None, **after):
        base, new = run_of({"numpy": 2, "mine": 3}, **before or after), run_of({"numpy": 2, "mine": 3}, **after)
        new.rows[0].code = new_code
        return compare_records(base, new).basis

    revision = {"git_revision": "abc", "git_dirty": False}
    assert basis("1234", before=revision | {"git_dirty": True}, git_revision="def", git_dirty=True) == "library rows"
    assert basis("5678", **revision) == "none"
    assert basis("", **revision) == "library rows"
    assert basis("", git_revision="abc", git_dirty=True) == "none"
    assert basis("", before=revision, git_revision="def", git_dirty=False) == "none"
    assert basis("", before=revision, **(revision | {"lcbench": "0.2.0"})) == "none"


def test_yardsticks_have_the_device_and_the_threads_of_the_row():
    def pair(factor):
        facts = {"machine": FACTS, "lcbench": "0.1.0"}
        times = np.array([1e-3, 1.004e-3, 0.996e-3])
        return record(
            row("numpy", list(factor * times), threads=1),
            row("torch-cuda", list(times), device="cuda"),
            row("mine", list(factor * times), threads=1),
            row("mine", list(times), threads=2),
            **facts,
        )

    one, _, mine, other = compare_records(pair(1.0), pair(1.5)).comparisons
    assert (one.factor, mine.factor, other.factor) == (None, pytest.approx(1.5), None)
    assert mine.verdict == "not slower"


def test_yardsticks_of_the_same_workload_come_first():
    def pair(small, large):
        rows = []
        for size, factor in ((500, small), (10_000, large)):
            for name in ("numpy", "torch", "mine"):
                rows.append(row(name, [factor * 1e-3, factor * 1.004e-3, factor * 0.996e-3], rows=size))
        rows.append(row("mine", [2e-3, 2.01e-3, 1.99e-3], rows=70))
        return record(*rows, machine=FACTS)

    judgement = compare_records(pair(1.0, 1.0), pair(1.2, 1.4))
    factors = {(one.new.implementation, one.new.rows): one.factor for one in judgement.comparisons}
    assert factors["mine", 500] == pytest.approx(1.2)
    assert factors["mine", 10_000] == pytest.approx(1.4)
    assert factors["mine", 70] == pytest.approx((1.2 * 1.4) ** 0.5)
    assert judgement.machine_factor.value == pytest.approx((1.2 * 1.4) ** 0.5)


@pytest.mark.parametrize(
    ("facts", "differences", "affected"),
    [
        (changed("environment NUMBA_OPT", "0"), "NUMBA_OPT=0 in new, not set in base", {"numba-njit", "mine"}),
        (changed("versions numba", "2"), "numba 1 -> 2", {"numba-njit", "mine"}),
        (changed("versions tbb", "2022"), "tbb none -> 2022", {"numba-njit", "mine"}),
        (changed("versions torch", "2"), "torch 1 -> 2", {"torch", "mine"}),
        (changed("versions scipy", "2"), "", set()),
        (changed("versions numpy", "2"), "numpy 1 -> 2", {"numpy", "numba-njit", "mine"}),
        (changed("environment OMP_NUM_THREADS", "1"), "", set()),
        (
            changed("environment NPY_DISABLE_CPU_FEATURES", "AVX2"),
            "NPY_DISABLE_CPU_FEATURES=AVX2 in new, not set in base",
            {"numpy", "torch", "numba-njit", "mine"},
        ),
        (
            changed("python", "CPython 3.14.0"),
            "CPython 3.13.1 -> CPython 3.14.0",
            {"numpy", "torch", "numba-njit", "mine"},
        ),
        (
            changed("blas", [{"name": "openblas", "version": "0.3", "threads": 2, "kernels": "Haswell"}]),
            "BLAS openblas 0.3 Zen -> openblas 0.3 Haswell",
            {"numpy", "torch", "mine"},
        ),
        ({}, "", set()),
    ],
)
def test_there_is_no_verdict_on_code_across_other_software(facts, differences, affected):
    names = ("numpy", "torch", "numba-njit", "mine")
    base, new = run_of(dict.fromkeys(names, 2)), run_of(dict.fromkeys(names, 6), machine=facts)
    for before, after in ((base, new), (new, base)):
        found = compare_records(before, after).comparisons
        assert {one.new.implementation for one in found if one.differences} == affected
        assert all(one.verdict == "inconclusive" for one in found if one.differences)
    forward = compare_records(base, new)
    assert {one.differences for one in forward.comparisons if one.differences} == (
        {(differences,)} if affected else set()
    )
    if affected:
        lines = " ".join(map(str, compare_tables.verdicts(forward)))
        assert f"{differences}: no verdict on the code of " in lines


def with_limits(factor, kind, **fields):
    """A run without libraries on a machine that takes `factor` times as long, with limits of a kind."""
    result = run_of({"mine": 2 * factor, "yours": factor}, **fields)
    if kind == "limits":
        result.limits = run_of({"limit": factor / 2}).rows
    else:
        footprint = 4 * 500 * 3073
        result.ceilings = [
            MachinePeak(dtype="float32", footprint=footprint, read_bytes_s=1e10 / factor, flops_s=1e13 / factor)
        ]
    return result


@pytest.mark.parametrize("kind", ["limits", "ceilings"])
def test_without_libraries_the_limits_show_what_the_machine_did(kind):
    judgement = compare_records(with_limits(1.0, kind), with_limits(1.4, kind))
    assert (judgement.basis, judgement.yardsticks, judgement.corrected) == ("limits", ["limit"], True)
    assert judgement.machine_factor.value == pytest.approx(1.4)
    assert verdicts_of(judgement) == ["not slower", "not slower"]
    for other in ({"lcbench": "0.2.0"}, {"machine": changed("versions numba", "2")}):
        assert compare_records(with_limits(1.0, kind), with_limits(1.4, kind, **other)).basis == "none"


def test_libraries_come_before_limits_but_limits_judge_a_lone_library():
    def pair(machine, limit):
        result = run_of({"numpy": machine, "mine": machine})
        result.limits = run_of({"limit": limit}).rows
        return result

    numpy, mine = compare_records(pair(1.0, 1.0), pair(1.5, 1.3)).comparisons
    assert (mine.factor, numpy.factor) == pytest.approx((1.5, 1.3))


def test_a_lone_yardstick_is_not_told_from_the_machine():
    base = run_of({"numpy": 2, "mine": 3})
    found = by_name(compare_records(base, run_of({"numpy": 4, "mine": 6})))
    assert {name: one.verdict for name, one in found.items()} == {"numpy": "inconclusive", "mine": "not slower"}
    assert compare_records(base, run_of({"numpy": 2.2, "mine": 3.3})).exit_code == ExitCode.OK


def test_a_yardstick_that_the_others_contradict_is_slower():
    base = run_of({"numpy": 2, "torch": 1, "jax": 1, "sklearn": 3})
    new = run_of({"numpy": 4, "torch": 1.01, "jax": 0.99, "sklearn": 3})
    found = by_name(compare_records(base, new))
    assert {name: one.verdict for name, one in found.items()} == {
        "numpy": "slower",
        "torch": "not slower",
        "jax": "not slower",
        "sklearn": "not slower",
    }


def test_a_small_factor_is_not_removed_but_both_tests_have_to_agree():
    base = run_of(dict.fromkeys(LIBRARY_ROWS, 1) | {"mine": 3})
    judgement = compare_records(base, run_of(dict.fromkeys(LIBRARY_ROWS, 1.03) | {"mine": 3.3}))
    assert not judgement.corrected
    assert judgement.machine_factor.value == pytest.approx(1.03)
    mine = by_name(judgement)["mine"]
    assert mine.factor is None
    assert mine.ratio.value == pytest.approx(1.1)
    # the interval contains that of the plain ratio, which is symmetric, and that of the ratio beyond the factor
    half = np.log(mine.ratio.high / mine.ratio.value)
    assert np.log(mine.ratio.value / mine.ratio.low) > half + 0.5 * np.log(1.03)


def test_different_machines_have_no_factor():
    base = run_of({"numpy": 2, "mine": 3})
    judgement = compare_records(base, run_of({"numpy": 4, "mine": 6}, fingerprint="bbbb"))
    assert (judgement.basis, judgement.machine_factor, judgement.corrected) == ("none", None, False)


def test_generations_that_a_yardstick_lacks_do_not_count():
    base = run_of({"numpy": 2, "torch": 1, "mine": 3})
    new = run_of({"numpy": 2.6, "torch": 1.3, "mine": 3.9})
    for one in new.rows[2].processes:
        one.generation = 100 + new.rows[2].processes.index(one)
    mine = by_name(compare_records(base, new))["mine"]
    assert (mine.verdict, mine.ratio.high, mine.detectable) == ("inconclusive", np.inf, None)
    assert (mine.ratio.value, mine.factor) == (pytest.approx(1.3), None)  # plain, and not 1


def test_qn_is_the_standard_deviation_of_normal_values_and_ignores_a_minority():
    rng = np.random.default_rng(3)
    for number in (5, 8, 11, 40):
        estimates = [verdicts._robust_deviation(list(rng.normal(0, 2, number))) for _ in range(400)]
        assert np.mean(estimates) == pytest.approx(2, rel=0.1)
    values = list(rng.normal(0, 1, 40))
    assert verdicts._robust_deviation(values[:21] + [1e9] * 19) < 4


CONDITIONS = {
    "quiet": lambda rng: rng.normal(0, 0.02),
    "almost a factor": lambda rng: rng.choice([-0.05, 0.05]),
    "another hour": lambda rng: rng.choice([-1, 1]) * np.log(rng.uniform(1.1, 1.35)),
}
"""Difference of the machine between two runs, as a logarithm."""


def simulated_pair(rng, condition, slowdowns, libraries=LIBRARY_ROWS, own=OWN_ROWS, beyond=verdicts.BEYOND):
    """Two runs of the same code on the same machine, but for its state and the slowdowns that are planted."""
    machine = CONDITIONS[condition](rng)
    pair = []
    for share in (0.0, 1.0):
        times = {
            name: np.exp(share * (machine + np.log(slowdowns.get(name, 1))) + rng.normal(0, beyond))
            for name in (*libraries, *own)
        }
        pair.append(run_of(times, noise=0.01, rng=rng))
    return pair


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("libraries", [LIBRARY_ROWS, ("numpy",)])
def test_error_rates_hold_with_and_without_the_correction(condition, libraries):
    """The worst case of both errors: every row of the user's is slower by exactly the threshold."""
    rng, trials = np.random.default_rng(21), 150
    slowdowns = dict.fromkeys(OWN_ROWS, 1.1)
    alarms = passes = 0
    for _ in range(trials):
        judged = by_name(compare_records(*simulated_pair(rng, condition, slowdowns, libraries), 0.10))
        found = [judged[name].verdict for name in OWN_ROWS]
        alarms += "slower" in found
        passes += "not slower" in found
    most = stats.binom.isf(RARE, trials, ALPHA)
    assert alarms <= most
    assert passes <= most


@pytest.mark.parametrize("condition", CONDITIONS)
def test_unchanged_code_passes_and_a_planted_slowdown_is_found(condition):
    rng, trials = np.random.default_rng(22), 60
    unchanged = [compare_records(*simulated_pair(rng, condition, {})).exit_code for _ in range(trials)]
    planted = [
        by_name(compare_records(*simulated_pair(rng, condition, {"a.py:f": 1.25})))["a.py:f"].verdict
        for _ in range(trials)
    ]
    assert unchanged.count(ExitCode.REGRESSION) == 0
    # over 300 pairs, the shares are from 0.65 to 0.80 and from 0.83 to 0.88
    assert unchanged.count(ExitCode.OK) >= stats.binom.ppf(RARE, trials, 0.65)
    assert planted.count("slower") >= stats.binom.ppf(RARE, trials, 0.83)


def test_rows_that_disagree_widen_the_allowance():
    """Runs that differ by four times as much beyond the machine's factor as is expected raise no false alarm."""
    rng, trials = np.random.default_rng(23), 100
    found = [compare_records(*simulated_pair(rng, "another hour", {}, beyond=0.06)).exit_code for _ in range(trials)]
    assert found.count(ExitCode.REGRESSION) <= stats.binom.isf(RARE, trials, ALPHA)


FAST, SLOW = [1e-3, 1.01e-3, 0.99e-3], [2e-3, 2.02e-3, 1.98e-3]


def test_exit_codes():
    assert compare_records(record(row(medians=FAST)), record(row(medians=FAST)), 0.2).exit_code == ExitCode.OK
    assert compare_records(record(row(medians=SLOW)), record(row(medians=FAST))).exit_code == ExitCode.OK
    assert compare_records(record(row(medians=FAST)), record(row(medians=SLOW))).exit_code == ExitCode.REGRESSION
    assert compare_records(record(row(medians=FAST)), record(row(status="crashed"))).exit_code == ExitCode.ERROR
    assert compare_records(record(row(medians=FAST)), record(row(status="wrong"))).exit_code == ExitCode.WRONG


def test_times_of_different_machines_are_inconclusive():
    elsewhere = {"fingerprint": "bbbb"}
    judgement = compare_records(record(row(medians=FAST)), record(row(medians=SLOW), **elsewhere))
    assert not judgement.same_machine
    assert judgement.exit_code == ExitCode.INCONCLUSIVE
    assert (
        compare_records(record(row(medians=FAST)), record(row(status="wrong"), **elsewhere)).exit_code == ExitCode.WRONG
    )


def test_the_worst_row_decides():
    base = record(row("a", FAST), row("b", FAST), row("c", FAST))
    assert (
        compare_records(base, record(row("a", FAST), row("b", [1e-3]), row("c", SLOW))).exit_code == ExitCode.REGRESSION
    )
    assert (
        compare_records(base, record(row("a", FAST), row("b", status="wrong"), row("c", SLOW))).exit_code
        == ExitCode.WRONG
    )
    assert compare_records(base, record(row("a", FAST), row("b", [1e-3]))).exit_code == ExitCode.INCONCLUSIVE


def test_a_row_that_is_wrong_now_is_reported():
    base = record(row("a", FAST), row("b", status="wrong"))
    judgement = compare_records(base, record(row("a", FAST), row("b", status="wrong")), 0.2)
    assert verdicts_of(judgement) == ["not slower", "wrong"]
    assert judgement.exit_code == ExitCode.WRONG


def test_rows_of_one_result_only_are_named():
    judgement = compare_records(
        record(row("both", FAST), row("gone", FAST), row("mended", status="crashed")),
        record(row("both", FAST), row("added", FAST), row("mended", FAST)),
    )
    assert [r.implementation for r in judgement.only_base] == ["gone"]
    assert [r.implementation for r in judgement.only_new] == ["added", "mended"]


@pytest.mark.parametrize(
    "other",
    [
        {"implementation": "other"},
        {"loss": "svm"},
        {"dtype": "float64"},
        {"rows": 20},
        {"threads": 7},
        {"device": "cuda"},
    ],
)
def test_nothing_in_common_is_an_error(other):
    with pytest.raises(LcbenchError, match="no measured row in common"):
        compare_records(record(row(medians=FAST)), record(row(medians=FAST, **other)))


def test_simulated_rows_are_not_compared():
    simulated_row = row("numba-cuda", FAST, device="simulator")
    with pytest.raises(LcbenchError, match="no measured row in common"):
        compare_records(record(simulated_row), record(simulated_row))


def test_a_result_is_not_compared_with_itself():
    same = record(row(medians=FAST))
    with pytest.raises(LcbenchError, match="a second run is needed"):
        compare_records(same, same)


def test_a_gates_result_is_not_compared():
    side = Side(given=".", kind="folder", python="CPython", versions={})
    of_a_gate = record(row(medians=FAST), gate=Gate(base=side, head=side, fail_above=0.03, budget_s=60))
    for pair in ((of_a_gate, record(row(medians=FAST))), (record(row(medians=FAST)), of_a_gate)):
        with pytest.raises(LcbenchError, match="is the result of a gate"):
            compare_records(*pair)


def names(group):
    return [entry.row.implementation for entry in group.entries]


def test_the_newest_row_counts_fastest_first():
    newest = record(row("numpy", [3.0, 3.0]), created="2026-02-02T00:00:00+00:00")
    older = record(row("numpy", [1.0, 1.0]), row("naive", [2.0, 2.0]), created="2026-01-01T00:00:00+00:00")
    [group] = latest([newest, older], MACHINE)
    assert names(group) == ["naive", "numpy"]
    assert [entry.row.median_s for entry in group.entries] == pytest.approx([2.0, 3.0])
    assert [entry.created[:10] for entry in group.entries] == ["2026-01-01", "2026-02-02"]


def test_times_with_other_threads_are_not_ranked_together():
    one = record(row(medians=[2.0, 2.0]))
    two = record(row("naive", [1.0, 1.0], threads=2), row(medians=[1.5], threads=2))
    assert [(group.threads, names(group)) for group in latest([one, two], MACHINE)] == [
        (1, ["numpy"]),
        (2, ["naive", "numpy"]),
    ]


def test_a_failed_run_does_not_hide_the_last_good_one():
    [group] = latest([record(row(status="crashed")), record(row(medians=[1.0, 1.0]))], MACHINE)
    assert group.entries[0].row.median_s == 1.0


def test_other_machines_wrong_rows_and_simulated_rows_are_excluded():
    assert latest([record(row(medians=[1.0]), fingerprint="bbbb")], MACHINE) == []
    assert latest([record(row(status="wrong"), row("numba-cuda", [1.0], device="simulator"))], MACHINE) == []


def test_rows_of_a_gate_are_not_the_latest():
    assert latest([record(row(medians=[1.0], side="head"))], MACHINE) == []


def test_rows_of_a_sweep_are_not_the_latest():
    swept = record(row(medians=[1.0]), sweep=Sweep(axes={"rows": [500]}))
    [group] = latest([swept, record(row(medians=[2.0]))], MACHINE)
    assert group.entries[0].row.median_s == 2.0


def test_every_workload_has_its_group_in_the_order_last_measured():
    newest = record(row(medians=[1.0], rows=20))
    older = record(row(medians=[1.0], loss="svm"), row(medians=[1.0], rows=20))
    assert [group.workload[0:3:2] for group in latest([newest, older], MACHINE)] == [("softmax", 20), ("svm", 500)]
