"""Overhead of the measurement: times of the harness compared with those of a bare loop around the same function.

``python tests/benchmarks/bench_harness.py [IMPLEMENTATION] [--repeats N] [--rows N ...]`` prints, for each number of
rows, the median over repeats of both times and of their ratio, with the quartiles of the ratio. Harness and bare loop
alternate in random order, in one process, on the same arguments: three W and y in random order. With --one-set the bare
loop uses one W and y only, which then stay in the first caches: a kernel of 50 us is 2 to 3 % faster. This is the cost
of changing inputs, not of the harness.

The row "100 us" is a function that spins for 100 us and returns a constant. The difference of its ratio from 1 is the
overhead of the harness, without effects of caches.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns

import numpy as np

import lcbench
from lcbench.measure import clock, workload
from lcbench.measure.inputs import Inputs
from lcbench.measure.verification import Verifier
from lcbench.measure.workload import Size

SPIN_NS = 100_000


def bare_loop(function, arguments, samples):
    """Return the median time of a bare loop: nothing is kept, nothing is verified."""
    times = []
    for _ in range(samples):
        start = perf_counter_ns()
        for W, X, y, reg in arguments:
            function(W, X, y, reg)
        times.append((perf_counter_ns() - start) / len(arguments) * 1e-9)
    return median(times)


def spinning(W, X, y, reg):
    """Spin for 100 us. The result is not a loss."""
    end = perf_counter_ns() + SPIN_NS
    while perf_counter_ns() < end:
        pass
    return 1.0, W


class AcceptAll:
    """Verifier that accepts every result, for the spinning function."""

    def __call__(self, losses, dW, batch_s):
        pass


def in_turns(function, inputs, verifier, rng):
    """Return the median time of the harness, in turns as in a gate, and the number of calls in a sample."""
    timing = clock.Timing(function, inputs, verifier, rng)
    timing.first_call()
    timing.warm_up()
    calls = clock.calls_per_sample(timing.one_call_s)
    samples = [seconds for _ in range(8) for seconds in timing.turn(samples=4, calls=calls)[0]]
    timing.finish()
    return median(samples), calls


def compare(name, function, inputs, verifier, repeats, one_set):
    """Print one row."""
    rng = np.random.default_rng(1)
    pairs, calls = [], 100
    for repeat in range(repeats + 1):
        harness_first = rng.random() < 0.5
        if harness_first:
            harness, calls = in_turns(function, inputs, verifier, rng)
        arguments = inputs.draw(1) * calls if one_set else inputs.draw(calls)
        bare = bare_loop(function, arguments, 10)
        if not harness_first:
            harness, calls = in_turns(function, inputs, verifier, rng)
        if repeat:  # the first is the warm-up
            pairs.append((harness, bare))
    ratios = [harness / bare for harness, bare in pairs]
    low, _, high = quantiles(ratios, n=4)
    harness, bare = (median(times) * 1e6 for times in zip(*pairs, strict=True))
    print(f"{name:>10}  {harness:9.2f} us  {bare:9.2f} us  {median(ratios):7.4f}  [{low:.4f}, {high:.4f}]", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("implementation", nargs="?", default="numba-parallel")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--one-set", action="store_true")
    parser.add_argument("--rows", type=int, nargs="*", default=[20, 200, 500, 2000])
    options = parser.parse_args()
    implementation = lcbench.implementation(options.implementation)
    function = implementation.functions["softmax"]
    print(f"{options.implementation}, softmax, 3,073 features, 10 classes, float32")
    print("      rows       harness    bare loop    ratio  quartiles")
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            size = Size(rows, 3073, 10, "float32", "synthetic")
            workload.save_problem(workload.build_problem(size), ["softmax"], Path(folder) / size.folder)
            problem = workload.load_problem(Path(folder) / size.folder)
            answers = workload.load_answers(Path(folder) / size.folder, "softmax")
            inputs = Inputs(implementation, problem, answers, np.random.default_rng(0))
            if rows == options.rows[0]:
                compare("100 us", spinning, inputs, AcceptAll(), options.repeats, options.one_set)
            compare(f"{rows:,}", function, inputs, Verifier(implementation, inputs), options.repeats, options.one_set)


if __name__ == "__main__":
    main()
