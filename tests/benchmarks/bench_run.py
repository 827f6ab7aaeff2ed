"""Precision of `lcbench run` and error rates of `lcbench compare` in several conditions.

    python tests/benchmarks/bench_run.py collect FOLDER --runs 20               # runs of each condition, in turn
    python tests/benchmarks/bench_run.py collect FOLDER --lcbench OLD/bin/lcbench --version old
    python tests/benchmarks/bench_run.py report FOLDER

`collect` goes on where it stopped. Conditions are those of bench_gate.py. With a planted run (`--planted 25%`), every
call of one implementation does a quarter of its work twice; `report` compares it with the unchanged runs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from math import exp, log
from pathlib import Path
from statistics import fmean, median
from time import monotonic

import click
from bench_gate import CONDITIONS, beside

from lcbench import record
from lcbench.stats.estimates import speedup
from lcbench.stats.verdicts import compare_records

DEFAULT = "numpy,numba-parallel,torch,jax"


@click.group()
def main():
    """Measure the precision of runs and the error rates of comparisons."""


@main.command()
@click.argument("folder", type=Path)
@click.option("--runs", default=20, show_default=True, help="Runs in each condition.")
@click.option("--lcbench", default=str(Path(sys.executable).with_name("lcbench")), help="Command to run.")
@click.option("--version", default="new", show_default=True, help="Name of that version.")
@click.option("--impl", default=DEFAULT, show_default=True)
@click.option("--rows", default="500,10000", show_default=True)
@click.option("--condition", "conditions", multiple=True, default=CONDITIONS, type=click.Choice(CONDITIONS))
def collect(folder, runs, lcbench, version, impl, rows, conditions):
    """Append runs to FOLDER until it has `--runs` of each condition."""
    for number in range(runs):
        for condition in conditions:
            results = (folder / version / condition).absolute()
            if len(list(results.glob("*.json"))) > number:
                continue
            command = [lcbench, "run", "--impl", impl, "--rows", rows, "--data", "synthetic", "--quiet", "--json"]
            with beside(condition):
                start = monotonic()
                done = subprocess.run(
                    command, env=os.environ | {"LCBENCH_RESULTS": str(results)}, capture_output=True, check=False
                )
                seconds = monotonic() - start
            line = {"version": version, "condition": condition, "seconds": seconds, "code": done.returncode,
                    "largest_process": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}  # fmt: skip
            with (folder / "runs.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, done.stderr[-300:] if done.returncode else "", flush=True)


@main.command()
@click.argument("folder", type=Path)
@click.option("--fail-above", default=0.1, show_default=True)
def report(folder, fail_above):
    """Print half widths, coverage, missing intervals, wall times, and the verdicts on consecutive runs."""
    runs = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    for results in sorted(folder.glob("*/*")):
        version, condition = results.parts[-2:]
        records = [record.read(path) for path in sorted(results.glob("*.json"))]
        if not records:
            continue
        seconds = [run["seconds"] for run in runs if (run["version"], run["condition"]) == (version, condition)]
        ratios = defaultdict(list)
        for each in records:
            base = {row.workload: row for row in each.rows if row.implementation == "numpy" and row.ranked}
            for row in each.rows:
                if row.ranked and row.implementation != "numpy" and row.workload in base:
                    ratios[row.implementation, row.workload].append(speedup(row, base[row.workload]))
        everything = [ratio for found in ratios.values() for ratio in found]
        known = [ratio for ratio in everything if ratio.low > 0]
        half = median(log(ratio.high / ratio.low) / 2 for ratio in known)
        held = [
            ratio.low <= exp(fmean(log(other.value) for other in found)) <= ratio.high
            for found in ratios.values()
            for ratio in found
        ]
        generations = [len(row.processes) for each in records for row in each.rows if row.ranked]
        print(f"{version}, {condition}: {len(records)} runs of {fmean(seconds):.0f} s, {min(generations)} to "
              f"{max(generations)} generations; half width of x numpy {100 * half:.1f} % (median), "
              f"without an interval {len(everything) - len(known)} of {len(everything)}; "
              f"pooled ratio within {100 * fmean(held):.0f} % of the intervals")  # fmt: skip
        codes, factors = Counter(), []
        for one, two in pairwise(records):
            judged = compare_records(one, two, fail_above)
            codes[int(judged.exit_code)] += 1
            factors.append(judged.machine_factor.value if judged.machine_factor else 1.0)
        if codes:
            print(f"  compare of consecutive runs at {fail_above:.0%}: exit codes {dict(codes)}; machine "
                  f"{min(factors):.2f} to {max(factors):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
