"""Error rates of the gate, resampled from generations that are measured in several conditions.

    python tests/benchmarks/bench_gate.py collect units.jsonl --units 300            # identical code, three conditions
    python tests/benchmarks/bench_gate.py collect units.jsonl --units 100 --planted 4%
    python tests/benchmarks/bench_gate.py report units.jsonl                          # shares of verdicts by budget
    python tests/benchmarks/bench_gate.py gates --gates 10 --planted 4% --condition bursts   # whole gates

`collect` appends every generation to the file, and goes on where it stopped. `report` draws gates from the generations
of a condition, with the labels of identical processes drawn anew, and judges them as `lcbench gate` does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from math import log1p
from pathlib import Path
from statistics import fmean
from time import monotonic

import click
import numpy as np
from scipy import stats

from lcbench import api
from lcbench.cli.options import SHARE, Seconds
from lcbench.errors import LcbenchError
from lcbench.host import machine
from lcbench.host.counters import usable_cores
from lcbench.measure import workload
from lcbench.measure.gate import EARLY_ANALYSES, PACE
from lcbench.measure.messages import Cell, TurnsJob
from lcbench.measure.turns import Generation, Member
from lcbench.record import ProcessResult, Turn
from lcbench.stats import gate as gates
from lcbench.stats.estimates import log_times
from lcbench.workers import process

CONDITIONS = ("quiet", "bursts", "yes")
"""No other load; bursts of memory traffic on one core; a program that uses one core all the time."""

BATCH = 10
"""Generations of one condition that are measured one after the other."""

LOSS = "softmax"
ROWS = 5000
TIMEOUT_S = 120.0

PLANTED = '''
"""The kernel of lcbench, and the same with the rows of a share of X computed once more: a slowdown by real work."""

from lcbench.losses.{module} import softmax_loss as kernel


def softmax_loss(W, X, y, reg):
    more = round({planted} * len(X))
    if more:
        kernel(W, X[:more], y[:more], reg)
    return kernel(W, X, y, reg)
'''
MODULES = {"numpy": "vectorized", "numba-parallel": "numba_parallel"}


@contextmanager
def beside(condition):
    """Run the other load of a condition beside the measurement."""
    loads = {"quiet": None, "bursts": [sys.executable, __file__, "neighbour"], "yes": ["yes"]}
    command = loads[condition]
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL) if command else None
    try:
        yield
    finally:
        if load:
            load.kill()
            load.wait()


@click.group()
def main():
    """Measure the error rates of the gate."""


@main.command()
def neighbour():
    """Load one core with bursts of memory traffic: 0.3 s of traffic and 0.6 s of sleep on average."""
    numbers = np.ones(40_000_000, dtype=np.float32)
    while True:
        end = monotonic() + random.expovariate(1 / 0.3)
        while monotonic() < end:
            numbers[::16] += 1
        time.sleep(random.expovariate(1 / 0.6))


@main.command()
@click.argument("file", type=Path)
@click.option("--units", default=100, show_default=True, help="Generations in each condition.")
@click.option("--impl", default="numpy", show_default=True, type=click.Choice(list(MODULES)))
@click.option("--planted", type=SHARE, default="0%", show_default=True)
@click.option("--condition", "conditions", multiple=True, default=CONDITIONS, type=click.Choice(CONDITIONS))
def collect(file, units, impl, planted, conditions):
    """Append generations to FILE until it has `--units` of each condition."""
    done = Counter(key(unit) for unit in read(file))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = workload.Size(ROWS, 3073, 10, "float32", "synthetic")
        workload.save_problem(workload.build_problem(size), [LOSS], folder / "problem")
        sources = [source(folder, impl, share) for share in (0.0, planted)]
        for each in sources:  # fill the compilation caches
            measure(folder, [each] * 4, 0)
        missing = {condition: units - done[condition, impl, planted] for condition in conditions}
        while any(count > 0 for count in missing.values()):
            for condition in conditions:
                with beside(condition):
                    time.sleep(0.5)
                    for _ in range(min(BATCH, max(0, missing[condition]))):
                        append(file, unit(folder, sources, condition, impl, planted))
                        missing[condition] -= 1


def source(folder, impl, planted):
    """Write the user's file with a planted slowdown and return the name of its function."""
    path = folder / f"planted_{round(1000 * planted)}.py"
    path.write_text(PLANTED.format(module=MODULES[impl], planted=planted))
    return f"{path}:softmax_loss"


def unit(folder, sources, condition, impl, planted):
    """Measure one generation and return what is kept of it: the turns of two processes of base, then two of head."""
    start = monotonic()
    slots = np.random.default_rng().permutation([0, 0, 1, 1])
    found, rounds_s = measure(folder, [sources[side] for side in slots], slots)
    ordered = [found[slot] for side in (0, 1) for slot in np.flatnonzero(slots == side)]
    return {
        "condition": condition,
        "impl": impl,
        "planted": planted,
        "slots": slots.tolist(),
        "seconds": round(monotonic() - start, 3),
        "rounds_s": round(rounds_s, 3),
        "processes": [[[turn.round, turn.place, *turn.samples] for turn in result.turns] for result in ordered],
    }


def measure(folder, implementations, slots):
    """Return the results of four processes that take turns, and the seconds that their rounds took."""
    rng = np.random.default_rng()
    cells = [Cell(LOSS, str(folder / "problem"))]
    members = [
        Member(
            TurnsJob(implementation=name, cells=cells, seed=int(rng.integers(2**31))),
            process.environment(usable_cores(), folder / f"compiled-{slot}"),
        )
        for slot, name in enumerate(implementations)
    ]
    with Generation(0, members, TIMEOUT_S, rng) as generation:
        outcomes = generation.measure(dict.fromkeys(range(4), 0), PACE)
    for measured in outcomes.values():
        if measured.result is None:
            sys.exit(f"{measured.status}: {measured.reason}")
    return [outcomes[slot].result for slot in range(4)], generation.rounds_s


def append(file, found):
    with file.open("a") as lines:
        lines.write(json.dumps(found) + "\n")


def read(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def key(found):
    return found["condition"], found["impl"], found["planted"]


@main.command()
@click.argument("file", type=Path)
@click.option("--gates", "count", default=10_000, show_default=True, help="Gates drawn for each share.")
@click.option("--start", "start_s", default=5.0, show_default=True, help="Seconds before the first generation.")
def report(file, count, start_s):
    """Print the shares of verdicts against the budget, and the effects of place and predecessor."""
    cpu = machine.facts()["cpu"]
    print(f"{cpu['model']} ({cpu['revision']}), {cpu['usable_cores']} cores; {count:,} gates drawn for each share")
    groups = defaultdict(list)
    for each in read(file):
        groups[key(each)].append(each)
    for (condition, impl, planted), units in sorted(groups.items(), key=lambda item: (item[0][1], item[0][2])):
        times = [np.array([log_times(results(each), statistic) for each in units]) for statistic in (min, fmean)]
        sides = times[0][:, 2:].mean(axis=1) - times[0][:, :2].mean(axis=1)
        within = np.sqrt(np.mean([times[0][:, k : k + 2].var(axis=1, ddof=1).mean() for k in (0, 2)]))
        generation_s = fmean(each["seconds"] for each in units)
        startup = 1 - sum(each["rounds_s"] for each in units) / sum(each["seconds"] for each in units)
        error = 100 * sides.std(ddof=1) / len(units) ** 0.5
        print(f"\n{impl}, {condition}, planted {planted:.0%}: {len(units)} generations of {generation_s:.1f} s "
              f"({startup:.0%} start-up); head/base {100 * np.expm1(sides.mean()):+.2f} % (standard error "
              f"{error:.2f} %); between processes {100 * within:.2f} %")  # fmt: skip
        # A slowdown that is a factor can be added to identical code as well.
        cases = [(share, 0.0) for share in (0.0, 0.01, 0.02)] + [(0.02, 0.04), (0.01, 0.02)]
        for fail_above, added in cases if not planted else [(0.01, 0.0), (0.02, 0.0)]:
            shares = []
            for budget_s in (20, 30, 45, 60, 90, 120):
                generations = 1 + int((budget_s - start_s - generation_s) / generation_s)
                if not gates.generations_needed(1) <= generations <= len(units):
                    continue
                verdicts = drawn(times, generations, fail_above, count, relabel=not planted, added=added)
                shares.append(
                    f"{budget_s} s: {percent(verdicts['slower'], count)} / {percent(verdicts['not slower'], count)}"
                )
            what = f", {added:.0%} added" if added else ""
            print(f"  threshold {fail_above:.0%}{what}, slower / not slower: {'; '.join(shares)}")
        places(units)


def percent(number, count):
    return f"{100 * number / count:.1f}"


def results(unit):
    """Return the processes of a unit as they were measured."""
    return [
        ProcessResult(generation=0, turns=[Turn(round=turn[0], place=turn[1], samples=turn[2:]) for turn in turns])
        for turns in unit["processes"]
    ]


def drawn(times, generations, fail_above, count, relabel, added=0.0):
    """Return the number of each verdict among gates of generations that are drawn at random.

    relabel: draw the labels of the four processes anew. added: slowdown of head by this share, as a factor.
    """
    rng = np.random.default_rng(0)
    limit = log1p(fail_above)
    planned = [(max(1, -int(-share * generations // 1)), part) for share, part in EARLY_ANALYSES]
    planned = [look for look in planned if look[0] >= gates.generations_needed(1)] + [(generations, None)]
    verdicts = Counter()
    for _ in range(count):
        chosen = rng.permutation(len(times[0]))[:generations]
        fastest, mean = (values[chosen] for values in times)
        if relabel:
            order = rng.permuted(np.tile(np.arange(4), (generations, 1)), axis=1)
            fastest, mean = (np.take_along_axis(values, order, axis=1) for values in (fastest, mean))
        slowdown = np.array([0.0, 0.0, log1p(added), log1p(added)])
        fastest, mean = fastest + slowdown, mean + slowdown
        spent, verdict = 0.0, "inconclusive"
        for number, part in planned:
            part = 1 - spent if part is None else part
            spent += part
            looked = gates._Times(None, fastest[:number], mean[:number])
            verdict = gates._analysis([looked], part, limit)[0].verdict
            if verdict != "inconclusive":
                break
        verdicts[verdict] += 1
    return verdicts


def places(units):
    """Print how much of the time place and predecessor within a round explain."""
    by_place, by_predecessor = defaultdict(list), defaultdict(list)
    for each in units:
        logs = log_times(results(each), min)
        turns = {(turn[0], turn[1]): (number, np.log(min(turn[2:])) - logs[number])
                 for number, turns in enumerate(each["processes"]) for turn in turns}  # fmt: skip
        for number in {round for round, _ in turns}:
            inside = [turns[number, place] for place in range(4) if (number, place) in turns]
            middle = np.median([value for _, value in inside])
            for place, (_, value) in enumerate(inside):
                by_place[place].append(value - middle)
                if place and not each["planted"]:
                    same = "same side" if inside[place - 1][0] // 2 == inside[place][0] // 2 else "other side"
                    by_predecessor[same].append(value - middle)
    for what, groups in (("place", by_place), ("predecessor", by_predecessor)):
        effects = [f"{name}: {100 * (np.median(values)):+.2f} %" for name, values in sorted(groups.items())]
        print(f"  effect of the {what}: {', '.join(effects)}")


@main.command(name="gates")
@click.option("--gates", "count", default=10, show_default=True)
@click.option("--impl", default="numpy", show_default=True, type=click.Choice(list(MODULES)))
@click.option("--planted", type=SHARE, default="0%", show_default=True)
@click.option("--fail-above", type=SHARE, default="2%", show_default=True)
@click.option("--budget", type=Seconds(0), default=60.0, show_default=True)
@click.option("--condition", default="quiet", type=click.Choice(CONDITIONS), show_default=True)
def whole_gates(count, impl, planted, fail_above, budget, condition):
    """Run whole gates and count their exit codes."""
    codes, ratios, seconds = Counter(), [], []
    with tempfile.TemporaryDirectory() as name, beside(condition):
        os.environ["LCBENCH_RESULTS"] = f"{name}/results"
        sides = [source(Path(name), impl, share) for share in (0.0, planted)]
        for number in range(1, count + 1):
            start = monotonic()
            try:
                record = api.gate(*sides, losses=LOSS, rows=ROWS, budget_s=budget, fail_above=fail_above)
            except LcbenchError as error:
                codes["error"] += 1
                print(f"\n{error}", file=sys.stderr)
                continue
            judged = gates.judge_gate(record.rows, record.gate)
            codes[int(judged.exit_code)] += 1
            ratios += [comparison.ratio.value for comparison in judged.comparisons if comparison.ratio]
            seconds.append(monotonic() - start)
            print(f"\r{number} gates: {dict(codes)}", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    print(f"{impl}, {condition}, planted {planted:.0%}, threshold {fail_above:.0%}, budget {budget:g} s: exit codes "
          f"{dict(codes)}; {fmean(seconds):.0f} s a gate; ratios {min(ratios):.3f} to {max(ratios):.3f}")  # fmt: skip
    slower = stats.binomtest(codes[1], count).proportion_ci(method="exact")
    print(f"  slower: {codes[1]} of {count} [{slower.low:.0%}, {slower.high:.0%}]")


if __name__ == "__main__":
    main()
