"""Time of ``lcbench --help`` compared with an empty Python program: ``python tests/benchmarks/bench_help.py``.

It prints medians of the times of whole processes, which alternate.
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
        seconds(command)  # fills the page cache and compiles bytecode
    times = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(RUNS)]
    for name in COMMANDS:
        print(f"{name:20} {1e3 * statistics.median(run[name] for run in times):6.1f} ms, median of {RUNS}")


if __name__ == "__main__":
    main()
