"""Error rates of the gate: many gates of one tree against itself, with and without a slowdown planted into head.

    python tests/benchmarks/bench_gate.py --gates 200                             # false alarms
    python tests/benchmarks/bench_gate.py --gates 50 --planted 5% --fail-above 2%  # missed slowdowns
    python tests/benchmarks/bench_gate.py --gates 20 --burn                       # beside a program that loads one core

Every gate is complete, with worker processes, on a problem that is small enough for a short budget.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from statistics import median
from time import monotonic

import click
from scipy import stats

from lcbench import api
from lcbench.cli.options import SHARE, Seconds
from lcbench.errors import ExitCode, LcbenchError
from lcbench.stats.gate import judge_gate

LOAD_PROGRAM = """
import random, time
while True:
    end = time.perf_counter() + random.expovariate(1 / 0.5)
    while time.perf_counter() < end:
        pass
    time.sleep(random.expovariate(1 / 0.5))
"""
"""Loads one core for half a second on average, then sleeps as long."""


@contextmanager
def burning(wanted):
    """Run the load program beside the measurement if `wanted`."""
    load = subprocess.Popen([sys.executable, "-c", LOAD_PROGRAM]) if wanted else None
    try:
        yield
    finally:
        if load:
            load.kill()
            load.wait()


@click.command()
@click.option("--gates", default=20, show_default=True)
@click.option("--impl", default="numpy", show_default=True)
@click.option("--loss", default="softmax", show_default=True)
@click.option("--rows", default=500, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--budget", type=Seconds(0), default=15.0, show_default=True)
@click.option("--fail-above", type=SHARE, default="3%", show_default=True)
@click.option("--planted", type=SHARE, default="0%", show_default=True)
@click.option("--burn", is_flag=True)
def main(gates, impl, loss, rows, threads, budget, fail_above, planted, burn):
    """Count the exit codes of many gates."""
    codes, ratios, blocks, busy = Counter(), [], [], Counter()
    began = monotonic()
    with tempfile.TemporaryDirectory() as results, burning(burn):
        os.environ["LCBENCH_RESULTS"] = results
        for number in range(1, gates + 1):
            try:
                record = api.gate(
                    ".",
                    ".",
                    impl,
                    losses=loss,
                    rows=rows,
                    threads=threads,
                    budget_s=budget,
                    fail_above=fail_above,
                    planted=planted,
                )
            except LcbenchError as error:  # the machine is too slow at the moment for a verdict within the budget
                codes[int(ExitCode.ERROR)] += 1
                print(f"\n{error}", file=sys.stderr)
                continue
            gated = judge_gate(record.rows, record.gate)
            codes[int(gated.exit_code)] += 1
            busy[gated.doubt.partition(":")[0]] += 1
            ratios += [comparison.ratio.value for comparison in gated.comparisons if comparison.ratio]
            blocks.append(gated.blocks)
            for row in record.rows:
                if row.status != "ok":
                    print(f"\n{row.side}: {row.status}: {row.reason}", file=sys.stderr)
            print(f"\r{number} gates: {dict(sorted(codes.items()))}", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    seconds = (monotonic() - began) / gates
    print(f"{gates} gates of {impl}, {loss}, {rows} rows, {threads} threads; budget {budget:g} s, threshold "
          f"{fail_above:.0%}, planted {planted:.0%}{', a core burning' if burn else ''}")  # fmt: skip
    for code, what in ((0, "not slower"), (1, "slower"), (3, "inconclusive"), (4, "wrong"), (2, "not measured")):
        if codes[code] or code < 2:
            interval = stats.binomtest(codes[code], gates).proportion_ci(method="exact")
            share = f"{codes[code] / gates:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
            print(f"  exit {code}, {what}: {codes[code]} of {gates}, {share}")
    for doubt, count in busy.items():
        if doubt:
            print(f"  in doubt, {doubt}: {count}")
    print(f"  {median(blocks):g} blocks, {seconds:.1f} s a gate; ratios {min(ratios):.3f} to {max(ratios):.3f}, "
          f"median {median(ratios):.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
