"""Comparison of two records row by row, and the newest result of each implementation.

A row is "slower" (by more than the threshold), "not slower", or "inconclusive"; the first two have a bounded error
probability. P-values are corrected for the number of rows (Holm 1979).

Two runs differ in what the machine did and in what the code did. Yardsticks separate the two: rows whose code, package
versions and settings are the same in both records, so that only the machine can have changed their times. Other rows
are judged by their change beyond that of the yardsticks. See docs/verdicts.md for the rules and their reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import comb, exp, expm1, inf, isfinite, log, log1p, pi, sqrt
from statistics import fmean, median
from typing import Literal, NamedTuple

import numpy as np

from lcbench.errors import ExitCode, LcbenchError
from lcbench.record import CONVERTS, Record, Row, Workload
from lcbench.stats.estimates import (
    CONFIDENCE,
    Ratio,
    by_generation,
    cpu_pressure,
    independent_ratio,
    peak_for,
    roofline_time_s,
    speedup,
    t_quantile,
)

ALPHA = 0.05
POWER = 0.8

RUN_TO_RUN = 0.05
"""Standard deviation of the log time of the same code from run to run, if no yardstick shows what the machine did.

Causes are temperature, other virtual machines and memory layout; more processes per run do not reduce it. The value was
measured on an ordinary cloud machine, in runs that were minutes apart.
"""

BEYOND = 0.015
"""Least standard deviation of the log time of the same code from run to run, beyond the factor of the machine.

The times of NumPy varied by 1.4 % over ten runs of a quiet hour.
"""

BEYOND_OF_FEW = 0.02
"""Same if there are fewer than `FEWEST_ROWS` rows, whose disagreement cannot show that two runs differ by more."""

FEWEST_ROWS = 5

BEYOND_FREEDOM = 12.0
"""Weight of these two values in degrees of freedom, to be compared with half of the number of rows."""

LEAST_FACTOR = 0.05
"""Smallest change of the yardsticks that can establish a factor of the machine.

Within an hour without other load, the same code differs by less, and a correction would add more noise than it removes.
"""

LIBRARIES = {
    "numpy": ("numpy",),
    "sklearn": ("scikit-learn", "numpy", "scipy"),
    "torch": ("torch",),
    "torch-compile": ("torch",),
    "jax": ("jax", "jaxlib"),
    "torch-cuda": ("torch",),
    "torch-compile-cuda": ("torch",),
    "jax-cuda": ("jax", "jaxlib"),
    "cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x"),
}
"""Implementations that can be yardsticks, with the packages that determine their times."""

COMPILERS = ("numba", "llvmlite", "numpy", "tbb", "icc-rt", "intel-cmplr-lib-rt")
"""Packages that determine the times of implementations which Numba compiles."""

OTHER_PACKAGES = ("scipy", "torch", "jax", "jaxlib", "scikit-learn", "cupy", "cupy-cuda12x", "cupy-cuda13x", "mkl")
"""Packages that can determine the times of a user's file, if both records have them."""

LIMIT_PACKAGES = ("numba", "llvmlite", "numpy")
"""Packages that determine the measured limits of the machine."""

Verdict = Literal["slower", "not slower", "inconclusive", "wrong", "not measured", "new"]
"""Verdict on a row. New is a right one that base does not have, so that there is nothing to compare."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two rows.

    ratio: new time over base time, divided by `factor` if that is not None. factor: how many times as long the machine
    took for this row's workload. detectable: smallest slowdown above the threshold that is detected with `POWER`.
    differences: differences of the software that the row runs on, for which there is no verdict on its code.
    """

    base: Row
    new: Row
    verdict: Verdict
    ratio: Ratio | None = None
    detectable: float | None = None
    factor: float | None = None
    differences: tuple[str, ...] = ()


Basis = Literal["library rows", "limits", "none"]
"""Source of the factor of the machine: rows of libraries, the measured limits, or nothing."""


def exit_code(comparisons: list[Comparison]) -> ExitCode:
    """Return the exit code of the worst verdict."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if "wrong" in verdicts:
        return ExitCode.WRONG
    if "not measured" in verdicts:
        return ExitCode.ERROR
    if "slower" in verdicts:
        return ExitCode.REGRESSION
    return ExitCode.INCONCLUSIVE if "inconclusive" in verdicts else ExitCode.OK


@dataclass(frozen=True)
class Judgement:
    """Comparison of two records: the rows that both have, and the rows that only one has or has measured.

    basis: what shows the factor of the machine. yardsticks: names of the rows or limits that it was taken from.
    machine_factor: new time over base time of the yardsticks, None without yardsticks. corrected: whether the factor is
    established, so that ratios and verdicts are beyond it.
    """

    comparisons: list[Comparison]
    only_base: list[Row]
    only_new: list[Row]
    same_machine: bool
    fail_above: float
    basis: Basis = "none"
    yardsticks: list[str] = field(default_factory=list)
    machine_factor: Ratio | None = None
    corrected: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of `lcbench compare`. Times of different machines are inconclusive."""
        verdicts = {comparison.verdict for comparison in self.comparisons}
        if not self.same_machine and not verdicts & {"wrong", "not measured"}:
            return ExitCode.INCONCLUSIVE
        return exit_code(self.comparisons)


def compare_records(base: Record, new: Record, fail_above: float = 0.10) -> Judgement:
    """Compare `new` with `base`.

    A row is slower if its time increased by more than `fail_above`, beyond the factor of the machine if that is
    established. A row that is wrong in `new` is reported even if it has no time in `base`.

    Parameters
    ----------
    base, new
        Records of runs.
    fail_above
        Tolerated slowdown: 0.1 is 10 %.

    Raises
    ------
    LcbenchError
        If the records have no measured row in common, if they are the same record, or if one is the record of a gate.
    """
    if base.id == new.id:
        raise LcbenchError(f"cannot compare result {base.id} with itself: a second run is needed")
    for record in (base, new):
        if record.gate:
            raise LcbenchError(f"{record.path or record.id} is the result of a gate, which already has verdicts")
    before = {_key(row): row for row in base.rows if row.device != "simulator"}
    after = {_key(row): row for row in new.rows if row.device != "simulator"}
    both = [(row, after[key]) for key, row in before.items() if key in after]
    pairs = [(base_row, new_row) for base_row, new_row in both if base_row.timed or new_row.status == "wrong"]
    if not pairs:
        raise LcbenchError(
            "the two results have no measured row in common: use the same implementations, losses, sizes and threads"
        )
    measured = [_Pair.of(*rows) for rows in pairs if rows[1].timed]
    machine = _Machine(base, new, measured)
    judged = [machine.tests(pair) for pair in measured]
    slower = holm([_p_value(tests, fail_above, "greater") for tests in judged])
    # Nothing but the machine can have changed a yardstick: it counts as not slower unless the others show that it is.
    not_slower = holm(
        [
            0.0 if machine.is_yardstick(pair) else _p_value(tests, fail_above, "less")
            for pair, tests in zip(measured, judged, strict=True)
        ]
    )

    comparisons = []
    for pair, tests, p_slower, p_not_slower in zip(measured, judged, slower, not_slower, strict=True):
        verdict: Verdict = "inconclusive"
        if p_slower < ALPHA:
            # Without other yardsticks, nothing tells the change of a yardstick from that of the machine.
            verdict = "inconclusive" if machine.is_lone_yardstick(pair) else "slower"
        elif p_not_slower < ALPHA:
            verdict = "not slower"
        factor, differences = machine.factor_of(pair), software_differences(pair.base, base, new)
        if differences:
            verdict = "inconclusive"
        comparisons.append(
            Comparison(pair.base, pair.new, verdict, _ratio(tests), _detectable(tests), factor, differences)
        )
    for base_row, new_row in pairs:
        if not new_row.timed:
            comparisons.append(Comparison(base_row, new_row, "wrong" if new_row.status == "wrong" else "not measured"))
    return Judgement(
        comparisons,
        [row for key, row in before.items() if key not in after],
        [row for key, row in after.items() if key not in before or (row.timed and not before[key].timed)],
        base.fingerprint == new.fingerprint,
        fail_above,
        machine.basis,
        machine.names,
        machine.factor,
        machine.established,
    )


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number. NaN and infinite values count as 1.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    values = [p if isfinite(p) else 1.0 for p in p_values]
    corrected = [1.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def _key(row: Row) -> tuple[object, ...]:
    return (row.implementation, row.device, row.threads, *row.workload)


# What the machine did


@dataclass(frozen=True, eq=False)
class _Pair:
    """Row of both records, with its log time in each generation."""

    base: Row
    new: Row
    before: dict[int, float]
    after: dict[int, float]

    @classmethod
    def of(cls, base: Row, new: Row) -> _Pair:
        return cls(base, new, by_generation(base), by_generation(new))

    @property
    def centre(self) -> float:
        return (fmean(self.before.values()) + fmean(self.after.values())) / 2


class _Machine:
    """Change of the machine between two records, as far as it can be told from changes of the code.

    basis, names, factor, established: as in `Judgement`.
    """

    def __init__(self, base: Record, new: Record, measured: list[_Pair]) -> None:
        self._records = base, new
        comparable = base.fingerprint == new.fingerprint
        libraries = [pair for pair in measured if comparable and _is_yardstick(pair, base, new)]
        limits = _limits(base, new) if comparable else []
        self._sources = [libraries, limits]
        self._has_peaks = comparable and _same_limits(base, new)
        self._libraries = libraries
        self.basis: Basis = "none"
        self.names: list[str] = []
        self.factor: Ratio | None = None
        self.established = False
        self._yardsticks = {id(pair): self._find_yardsticks(pair) for pair in measured}
        self._beyond, self._beyond_freedom = self._allowance(measured)
        self._judge_factor(measured)

    def _find_yardsticks(self, pair: _Pair) -> list[_Pair]:
        """Return the yardsticks for a row, without the row itself.

        The first of these that exist decide: library rows of the same workload, all library rows, limits of the same
        workload, all limits, the peak rates. Yardsticks of a row have its device, library rows also its threads.
        """
        for source in self._sources:
            others = [
                one
                for one in source
                if one is not pair
                and one.base.device == pair.base.device
                and (source is not self._libraries or one.base.threads == pair.base.threads)
            ]
            found = [one for one in others if one.base.workload == pair.base.workload] or others
            if found:
                return found
        peaks = [peak_for(pair.base, record.ceilings) for record in self._records] if self._has_peaks else [None]
        if None in peaks:
            return []
        before, after = (log(roofline_time_s(pair.base, peak)) for peak in peaks if peak)
        return [_Pair(pair.base, pair.new, dict.fromkeys(pair.before, before), dict.fromkeys(pair.after, after))]

    def _allowance(self, measured: list[_Pair]) -> tuple[float, float]:
        """Return the variance from run to run beyond the factor of the machine, and its degrees of freedom.

        It is the mean of `BEYOND` squared and of the variance of the rows' disagreement, weighted by their degrees of
        freedom, but at least the former. Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing
        differential expression in microarray experiments", section 4.
        """
        differences, noise = [], []
        for pair in measured:
            if self._yardsticks[id(pair)]:
                before, after = _relative(pair, self._yardsticks[id(pair)])
                if min(len(before), len(after)) >= 2:
                    differences.append(fmean(after) - fmean(before))
                    noise.append(_variance_of_mean(before) + _variance_of_mean(after))
        if len(differences) < FEWEST_ROWS:
            return BEYOND_OF_FEW**2, BEYOND_FREEDOM
        seen = (_robust_deviation(differences) ** 2 - median(noise)) / 2
        own = (len(differences) - 1) / 2  # Qn of a few values has about half the efficiency of the standard deviation
        freedom = BEYOND_FREEDOM + own
        return max(BEYOND**2, (BEYOND_FREEDOM * BEYOND**2 + own * seen) / freedom), freedom

    def _judge_factor(self, measured: list[_Pair]) -> None:
        """Set `factor` from all yardsticks of the device with the most rows, and whether it is established."""
        devices = [pair.base.device for pair in measured]
        device = max(dict.fromkeys(devices), key=devices.count, default="cpu")
        for source in self._sources:
            used = [one for one in source if one.base.device == device]
            if used:
                break
        else:
            used = [one for pair in measured if pair.base.device == device for one in self._yardsticks[id(pair)]]
        if not used:
            return
        before, after = (list(logs.values()) for logs in _factor_logs(used))
        if not before or not after:
            return
        self.basis = "library rows" if used[0] in self._libraries else "limits"
        self.names = list(dict.fromkeys("limit" if self.basis == "limits" else one.base.implementation for one in used))
        test = _test(before, after, _share(used) * 2 * self._beyond, self._beyond_freedom)
        self.factor = _ratio([test])
        self.established = abs(test.difference) > log1p(LEAST_FACTOR) and not self.factor.low <= 1 <= self.factor.high

    def tests(self, pair: _Pair) -> list[_Test]:
        """Return the tests that decide on a row: all of them have to agree.

        If the factor of the machine is established, the test of the change beyond it decides. Otherwise, the test of
        the plain change has to agree: the error probability of the former holds in both cases, and the choice between
        the two cannot increase it.
        """
        yardsticks = self._yardsticks[id(pair)]
        logs = list(pair.before.values()), list(pair.after.values())
        if not yardsticks:
            return [_test(*logs, 2 * RUN_TO_RUN**2, inf)]
        allowed = 2 * self._beyond
        share = 1 + _share(yardsticks)
        relative = _relative(pair, yardsticks)
        if not all(relative):  # no generation has both: nothing but the plain ratio is known
            return [_Test(fmean(logs[1]) - fmean(logs[0]), inf, 1.0)]
        beyond = _test(*relative, share * allowed, self._beyond_freedom)
        return [beyond] if self.established else [_test(*logs, allowed, self._beyond_freedom), beyond]

    def factor_of(self, pair: _Pair) -> float | None:
        """Return the factor by which the ratio of a row is divided, or None if it is not."""
        yardsticks = self._yardsticks[id(pair)]
        if not yardsticks or not self.established or not all(_relative(pair, yardsticks)):
            return None
        before, after = _factor_logs(yardsticks)
        return exp(fmean(after.values()) - fmean(before.values()))

    def is_yardstick(self, pair: _Pair) -> bool:
        """Return whether only the machine can have changed the times of a row."""
        return pair in self._libraries

    def is_lone_yardstick(self, pair: _Pair) -> bool:
        """Return whether the row is a yardstick and there is no other one for it."""
        return pair in self._libraries and not self._yardsticks[id(pair)]


def _is_yardstick(pair: _Pair, base: Record, new: Record) -> bool:
    """Return whether the row is that of a library, with the same code, versions and settings in both records."""
    packages = LIBRARIES.get(pair.base.implementation, ())
    return (
        bool(packages)
        and min(len(pair.before), len(pair.after)) >= 2
        and _same_software(base, new, packages)
        and _same_code(pair.base, pair.new, base, new)
    )


def _same_software(base: Record, new: Record, packages: Sequence[str]) -> bool:
    """Return whether Python, the packages, BLAS and the environment are known and the same in both records.

    Variables of Numba do not change the times of other libraries. A record may have more BLAS libraries than the other
    one: those of packages that only one command imported.
    """

    def software(record: Record) -> tuple[object, list[str | None], object]:
        machine = record.machine
        versions: dict[str, str] = machine.get("versions") or {}
        environment = machine.get("environment") or {}
        relevant = {name: value for name, value in environment.items() if not name.startswith("NUMBA_")}
        return machine.get("python"), [versions.get(name) for name in packages], relevant

    python, versions, _ = found = software(base)
    return bool(python) and any(versions) and found == software(new) and _same_blas(base, new)


def _blas(record: Record) -> set[tuple[object, ...]]:
    libraries = record.machine.get("blas") or []
    return {tuple(str(library.get(name)) for name in ("name", "version", "kernels")) for library in libraries}


def _same_blas(base: Record, new: Record) -> bool:
    return _blas(base) <= _blas(new) or _blas(new) <= _blas(base)


def software_differences(row: Row, base: Record, new: Record) -> tuple[str, ...]:
    """Return how the software that can change a row's times differs between two records: "numba 0.61 -> 0.62".

    Facts that a record does not have do not count. Numbers of threads do not count either: the row has its own.
    """
    before, after = base.machine, new.machine
    name = row.implementation.removesuffix(CONVERTS)
    compiled = name.startswith("numba-") or name in ("dask", "naive")
    known = LIBRARIES.get(name, COMPILERS if compiled else (*COMPILERS, *OTHER_PACKAGES))
    found = []
    if before.get("python") and after.get("python") and before["python"] != after["python"]:
        found.append(f"{before['python']} -> {after['python']}")
    old, later = before.get("versions") or {}, after.get("versions") or {}
    for package in known if old and later else ():
        present = package in old and package in later
        if old.get(package) != later.get(package) and (present or package not in OTHER_PACKAGES):
            found.append(f"{package} {old.get(package, 'none')} -> {later.get(package, 'none')}")
    if not compiled and not _same_blas(base, new):
        described = ["+".join(sorted(" ".join(map(str, each)) for each in _blas(record))) for record in (base, new)]
        found.append(f"BLAS {' -> '.join(described)}")
    if "environment" in before and "environment" in after:
        found += _differing_variables(before["environment"] or {}, after["environment"] or {}, name in LIBRARIES)
    return tuple(found)


def _differing_variables(before: dict[str, str], after: dict[str, str], of_library: bool) -> Iterator[str]:
    for name in sorted({*before, *after}):
        threads = name.endswith(("_NUM_THREADS", "_MAXIMUM_THREADS", "NPROC"))
        if threads or (of_library and name.startswith("NUMBA_")) or before.get(name) == after.get(name):
            continue
        if name not in before:
            yield f"{name}={after[name]} in new, not set in base"
        elif name not in after:
            yield f"{name}={before[name]} in base, not set in new"
        else:
            yield f"{name}={before[name]} -> {after[name]}"


def _same_code(base_row: Row, new_row: Row, base: Record, new: Record) -> bool:
    """Return whether the source of a row is the same: by its hash or, in older records, by lcbench's version."""
    if base_row.code and new_row.code:
        return base_row.code == new_row.code
    return (
        base.lcbench == new.lcbench and base.git_revision == new.git_revision and not (base.git_dirty or new.git_dirty)
    )


def _limits(base: Record, new: Record) -> list[_Pair]:
    """Return the measured limits that both records have, if the code that measures them is the same."""
    after = {_key(row): row for row in new.limits if row.ranked}
    if not _same_limits(base, new):
        return []
    pairs = [_Pair.of(row, after[_key(row)]) for row in base.limits if row.ranked and _key(row) in after]
    return [pair for pair in pairs if min(len(pair.before), len(pair.after)) >= 2]


def _same_limits(base: Record, new: Record) -> bool:
    """Return whether the limits were measured by the same code, which Numba compiles."""
    variables = [record.machine.get("environment") for record in (base, new)]
    same = base.lcbench == new.lcbench and variables[0] == variables[1]
    return same and _same_software(base, new, LIMIT_PACKAGES)


def _share(yardsticks: list[_Pair]) -> float:
    """Return the variance of the median of the yardsticks, in variances of one.

    Rows of one library count as one, since their times can change together. For a normal distribution, the variance of
    the median of n values is pi / 2n for large n, and less for small n.
    """
    number = len({one.base.implementation for one in yardsticks})
    return 1 / number if number <= 2 else pi / (2 * number)


def _factor_logs(yardsticks: list[_Pair]) -> tuple[dict[int, float], dict[int, float]]:
    """Return the median of the yardsticks' log times, by generation of base and of new.

    Only generations that all yardsticks have count. Each yardstick is centred, so that only its changes matter.
    """

    def medians(logs: list[dict[int, float]]) -> dict[int, float]:
        common = sorted(set(logs[0]).intersection(*logs))
        centred = zip(logs, (one.centre for one in yardsticks), strict=True)
        rows = [[log[number] - centre for number in common] for log, centre in centred]
        return {number: median(values) for number, *values in zip(common, *rows, strict=True)}

    return medians([one.before for one in yardsticks]), medians([one.after for one in yardsticks])


def _relative(pair: _Pair, yardsticks: list[_Pair]) -> tuple[list[float], list[float]]:
    """Return the row's log times less those of its yardsticks, in each generation of base and of new.

    Processes of one generation share most of the machine's noise, so the difference has less of it.
    """
    before, after = _factor_logs(yardsticks)
    return _less(pair.before, before), _less(pair.after, after)


def _less(logs: dict[int, float], others: dict[int, float]) -> list[float]:
    return [value - others[number] for number, value in logs.items() if number in others]


_SMALL_SAMPLE = {5: 0.844, 6: 0.611, 7: 0.857, 8: 0.669, 9: 0.872}
"""Correction of Qn for small samples (Croux & Rousseeuw 1992)."""


def _robust_deviation(values: list[float]) -> float:
    """Return Qn, an estimate of the standard deviation on which up to half of the values have little effect.

    Source: Rousseeuw & Croux 1993, "Alternatives to the median absolute deviation", section 3.
    """
    number = len(values)
    distances = sorted(abs(a - b) for a, b in combinations(values, 2))
    correction = _SMALL_SAMPLE.get(number, number / (number + (1.4 if number % 2 else 3.8)))
    return 2.2219 * correction * distances[comb(number // 2 + 1, 2) - 1]


# Tests


class _Test(NamedTuple):
    """Welch's t test of a change: the difference of two mean logs, its standard error and its degrees of freedom."""

    difference: float
    error: float
    freedom: float


def _test(before: list[float], after: list[float], allowance: float, freedom: float) -> _Test:
    """Return the test of the difference of two means. The error is infinite if a side has a single value.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved". The degrees of freedom are those of Satterthwaite 1946, "An approximate distribution of estimates of
    variance components".

    Parameters
    ----------
    before, after
        Logarithms of times.
    allowance
        Variance of the difference of two runs of the same code, apart from that between their processes.
    freedom
        Degrees of freedom of `allowance`.
    """
    if min(len(before), len(after)) < 2:
        return _Test(fmean(after) - fmean(before), inf, 1.0)
    parts = [(_variance_of_mean(logs), len(logs) - 1.0) for logs in (before, after)] + [(allowance, freedom)]
    total = sum(variance for variance, _ in parts)
    estimated = sum(variance**2 / own for variance, own in parts)
    return _Test(fmean(after) - fmean(before), sqrt(total), total**2 / estimated if estimated else inf)


def _variance_of_mean(logs: list[float]) -> float:
    return float(np.var(logs, ddof=1)) / len(logs)


def _p_value(tests: list[_Test], fail_above: float, alternative: Literal["greater", "less"]) -> float:
    """Return the p-value for a change of exactly `fail_above`; all tests have to reject it.

    Source: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling" (intersection-union test).
    """
    from scipy.special import stdtr

    sign = -1 if alternative == "greater" else 1
    p_values = [
        stdtr(test.freedom, sign * (test.difference - log1p(fail_above)) / test.error) if test.error < inf else 1.0
        for test in tests
    ]
    return float(max(p_values))


def _ratio(tests: list[_Test]) -> Ratio:
    """Return the ratio of the first test, and the interval that contains those of all tests."""
    halves = [test.error * t_quantile((1 + CONFIDENCE) / 2, test.freedom) for test in tests]
    low = min(test.difference - half for test, half in zip(tests, halves, strict=True))
    high = max(test.difference + half for test, half in zip(tests, halves, strict=True))
    return Ratio(exp(tests[0].difference), exp(low), exp(high) if high < inf else inf)


def _detectable(tests: list[_Test]) -> float | None:
    """Return the slowdown beyond the threshold that all tests detect with `POWER`, or None if there is no interval."""
    if any(test.error == inf for test in tests):
        return None
    # The last test is that of the row's own change, from which the plain change of the row can differ.
    return expm1(
        max(
            test.error * (t_quantile(1 - ALPHA, test.freedom) + t_quantile(POWER, test.freedom))
            + max(0.0, tests[-1].difference - test.difference)
            for test in tests
        )
    )


# Newest results


_SAME = Ratio(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class LatestRow:
    """Row with the time of its measurement (UTC, ISO 8601).

    speed: speed relative to the fastest row of the group, at most 1, with its 95 % interval. Rows of different results
    also differ by `RUN_TO_RUN`. waited: `cpu_pressure` of the row's result.
    """

    row: Row
    created: str
    speed: Ratio
    waited: float


@dataclass(frozen=True)
class Latest:
    """Newest rows of one workload with one number of threads, fastest first."""

    workload: Workload
    threads: int
    entries: list[LatestRow]


def latest(newest_first: Iterable[Record], fingerprint: str) -> list[Latest]:
    """Return the newest ranked row of each implementation on one machine, grouped by workload and threads.

    Groups are in the order of their last measurement.
    """
    groups: dict[tuple[Workload, int], dict[str, tuple[str, LatestRow]]] = {}
    for record in newest_first:
        if record.fingerprint != fingerprint or record.sweep:  # each process of a sweep measures many sizes
            continue
        for row in record.rows:
            if row.ranked and not row.side:  # a gate may measure code that is never used
                entries = groups.setdefault((row.workload, row.threads), {})
                if row.implementation not in entries:
                    found = LatestRow(row, record.created, _SAME, cpu_pressure(record))
                    entries[row.implementation] = (record.id, found)
    return [Latest(*key, _relative_to_fastest([*entries.values()])) for key, entries in groups.items()]


def _relative_to_fastest(entries: list[tuple[str, LatestRow]]) -> list[LatestRow]:
    """Return the rows, fastest first, with their speeds. entries: rows with the ids of their records."""
    ordered = sorted(entries, key=lambda entry: entry[1].row.median_s or 0.0)
    record, fastest = ordered[0]

    def speed(of_record: str, entry: LatestRow) -> Ratio:
        if of_record == record:
            return speedup(entry.row, fastest.row)
        own, its = (list(by_generation(each.row).values()) for each in (entry, fastest))
        return Ratio(*independent_ratio(own, its, 2 * RUN_TO_RUN**2))

    return [fastest, *(replace(entry, speed=speed(own, entry)) for own, entry in ordered[1:])]
