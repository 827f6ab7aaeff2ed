"""How long ``lcbench --help`` takes beside an interpreter that does nothing: ``python tests/benchmarks/bench_help.py``.

A benchmark and not a test: it prints medians of whole processes, in turn, and judges nothing.
"""

import statistics
import subprocess
import sys
from time import perf_counter

RUNS = 21
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "lcbench --help": [sys.executable, "-m", "lcbench", "--help"],
    "lcbench run --help": [sys.executable, "-m", "lcbench", "run", "--help"],
}


def seconds(command: list[str]) -> float:
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def main() -> None:
    for command in COMMANDS.values():
        seconds(command)  # files into the page cache, bytecode compiled
    times = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(RUNS)]
    for name in COMMANDS:
        print(f"{name:20} {1e3 * statistics.median(run[name] for run in times):6.1f} ms, median of {RUNS}")


if __name__ == "__main__":
    main()
