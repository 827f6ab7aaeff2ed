r"""Faults and losses of the command line after bad input and signals: ``python tests/benchmarks/bench_faults.py``.

    python tests/benchmarks/bench_faults.py --rounds 0 --only gate    # the cases whose command line contains "gate"

A case is a shell command line with the exit codes that it may have. It runs in its own copy of a folder with data, a
model and results. A kill round sends SIGINT, SIGTERM or SIGKILL at a random time, and resumes the command. A fault is a
traceback, an internal error, another exit code, an error that is not one line, a hang or a process that is left. A loss
is a file that existed and is gone or changed, or a new one that cannot be read. The exit code is 1 if there is any.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import chain
from pathlib import Path
from time import monotonic, sleep

import click
import h5py
import psutil

# fmt: off
HANG_S, LEFT_S = 240.0, 15.0  # for a command, and for its worker processes after it
TOP = ("os._exit(0)", "sys.exit(0)", "raise BaseException('x')", "raise ValueError('a\\nb')", "while True: pass",
       "raise GeneratorExit", "class E(Exception):\n    def __str__(self): 1 / 0\nraise E")
INSIDE = (*TOP[:3], TOP[4], "raise ValueError('a\\nb\\udc80')", "os.kill(os.getpid(), 11)",
          "os.close(1); return 0.0, W", "os.fork(); return 0.0, W", "return None", "return 'a', 'b'")
FUNCTION = "import os, sys\n{}\ndef f(W, X, y, reg):\n    {}\n"
USER_FILES = {"kernel.py": "from lcbench.losses.vectorized import softmax_loss\n"}
USER_FILES |= {f"top{place}.py": FUNCTION.format(code, "return 0.0, W") for place, code in enumerate(TOP)}
USER_FILES |= {f"in{place}.py": FUNCTION.format("", code) for place, code in enumerate(INSIDE)}
SMALL = "--loss svm --features 9 --blocks 5 --budget 0 --seed 1 --quiet"
SETUP = (
    "lcbench synth data.h5 --rows 60 --features 9", "lcbench train --data data.h5 --iterations 20 --output model.h5",
    "lcbench search --data data.h5 --lr 1e-7,1e-6 --iterations 10 --output search.json",
    f"lcbench run --impl numpy --rows 8 {SMALL} --save base", "lcbench features colour --data synthetic",
    f"lcbench sweep --impl numpy --axis rows=8,16 {SMALL} --save swept",
)
KILLED = (  # seconds, command line, and how it is resumed
    (1, "lcbench synth data.h5 --rows 20000 --force", ""), (9, "lcbench features colour hog --data synthetic", ""),
    (3, "lcbench train --data data.h5 --iterations 20000 --output new.h5", "lcbench train --resume new.h5"),
    (3, "lcbench train --data data.h5 --solver lbfgs --iterations 500 --output model.h5 --force", ""),
    (6, "lcbench search --data data.h5 --random 6 --output new.json", "lcbench search --resume new.json"),
    (12, f"lcbench run --impl numpy,numba-njit --rows 8 {SMALL}", ""), (4, "lcbench inspect numba-njit", ""),
    (12, f"lcbench sweep --impl numpy --axis rows=8,16 {SMALL}", "lcbench sweep --resume --quiet"),
    (5, "lcbench gradcheck numba-njit --data synthetic --rows 20", ""), (3, "lcbench reproduce hinge-example", "")
)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
TABLE = """
2 : lcbench {} '' : run --rows|run --data|run --loss|run --save|train --data|train --output|train --label|plot
2 : lcbench {} '' : search --output|search --lr|sweep --axis|sweep --baseline|gate --base|gate --junit|export|inspect
2 : lcbench {} '' : features|gradcheck|evaluate|download --url|download --file|reproduce --pictures|report --output
2 : lcbench {} : doctor --seconds 1e308|run --rows 1e30000000|run --threads 5000|run --seed 2e90|run --timeout 1e400
2 : lcbench {} : run --save ../../x|search --lr 1:2:1000000000|search --random 5 --lr 1e-8 --reg 1 --data data.h5
2 : lcbench {} : sweep --axis threads=20000|features words --words 100000|synth x.h5 --rows 1e18
2 : lcbench {} : synth /nope/x.h5 --rows 5|synth data.h5 --rows 5|gradcheck --at 99999999,3|gate --base nope|rnu
2 : lcbench {} : history --columns nonsense|gate --base HEAD|run --impl nmpy|plot brs|reproduce hinge-exmple
2 : lcbench {} : features colr|train --data nope.h5|features colour --words 5|download --file data.h5
2 : lcbench {} : train --data synthetic --label x|reproduce --list --pictures x|doctor --no-noise --seconds 3
2 : lcbench {} : gate --self-test --head HEAD|train --resume model.h5 --lr 1|sweep --resume --axis rows=5
2 : lcbench train --data data.h5 {} : --momentum nan|--batch 1000000000|--lr inf|--epochs 1e9|--epochs 1 --iterations 5
0 141 : lcbench {} | true : --version|--help|impls --json|history|compare base swept --json|export base --format csv
2 : lcbench {} > /dev/full : --version|impls --json|history|export base --format csv|doctor --no-noise --json
0 3 : GITHUB_STEP_SUMMARY=/a/b lcbench compare base swept {} : --format github|--markdown /dev/full|--junit /nope/x.xml
0 3 : PYTHONIOENCODING=cp1252 LC_ALL=C lcbench {} : history|impls|report --output p.html|compare base swept
0 2 3 : lcbench {} >&- 2>&- : history|impls|compare base swept
2 : mkdir gone; cd gone; rmdir ../gone; lcbench {} : history|synth x.h5 --rows 5
2 : NUMBA_NUM_THREADS=0 lcbench {} : train --data data.h5 --iterations 5 --output x.h5|doctor --no-noise
0 2 : MPLBACKEND=nix lcbench {} : plot bars base --output p.png
2 : ulimit -f 1; lcbench {} : synth x.h5 --rows 5000
2 : export REQUESTS_CA_BUNDLE=/nope.pem; lcbench {} : download --url https://127.0.0.1:9/x.tar.gz
"""
ODD_RESULTS = (  # in results/
    "printf '%05000d' 0 | tr 0 '[' > odd.json", r"printf '{\"schema\": 4, \"lcbench\": \"\xff\xfe\"}' > odd.json",
    *(rf"sed 's/\"created\": *\"[^\"]*\"/\"created\": \"{text}\"/' baselines/base.json > odd.json"
      for text in ("yesterday", "", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00", r"\\u001b[31m")),
    "head -c 700 baselines/base.json > odd.json", "mkfifo odd.json", "mkdir odd.json", "ln -s odd.json odd.json",
)
READERS = "history", "compare base swept", "report --output p.html", "plot bars --output p.png", "export --format csv"
DAMAGES = ("head -c 900 {0} > bad{1}", ": > bad{1}", "mkdir bad{1}", "mkfifo bad{1}", "head -c 4000 /dev/zero > bad{1}",
           "(head -c 600 {0}; head -c 300 /dev/zero) > bad{1}")
DAMAGED = (
    ("data.h5", ".h5", "train --data bad.h5 --iterations 5 --output x.h5"), ("model.h5", ".h5", "evaluate bad.h5"),
    ("data.h5", ".h5", "run --impl numpy --data bad.h5"), ("model.h5", ".h5", "train --resume bad.h5"),
    ("search.json", ".json", "search --resume bad.json"), ("search.json", ".json", "sweep --resume bad.json"),
    ("data.h5", ".csv", "train --data bad.csv --iterations 5 --output x.h5"), ("kernel.py", ".py", "check bad.py"),
    ("data.h5", ".npz", "search --data bad.npz --lr 1e-7"), ("data.h5", ".tar", "download --file bad.tar"),
)
# fmt: on


def cases():
    """Return (exit codes, shell command line) of every case."""
    found = []
    for line in TABLE.strip().splitlines():
        codes, pattern, commands = line.split(" : ")
        found += [(codes, pattern.format(command)) for command in commands.split("|")]
    for place, odd in enumerate(ODD_RESULTS):
        pair = READERS[place % len(READERS)], READERS[(place + 3) % len(READERS)]
        found += [("0 2 3", f"(cd results; {odd}); lcbench {command}") for command in pair]
    for place, (source, suffix, command) in enumerate(DAMAGED):
        found += [("2", f"{damage.format(source, suffix)}; lcbench {command}") for damage in DAMAGES[place % 2 :: 2]]
    for place, name in enumerate(list(USER_FILES)[1:]):
        pair = "check", ("gradcheck --impl", "train --data data.h5 --output x.h5 --impl", "run")[place % 3]
        found += [("2 4", f"lcbench {command} {name} --timeout 6") for command in pair]
    return found


class Trial:
    """A process of a shell command line in its own copy of a folder, and what is wrong after it."""

    def __init__(self, base, command):
        self.command, self.temporary = command, tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = shutil.copytree(base, Path(self.temporary.name) / "copy")
        self.before, own = contents(self.folder), environment(FAULTS=self.temporary.name)
        line = ["bash", "-o", "pipefail", "-c", f"{{ {command}\n}} > ../output 2>&1 < /dev/null"]
        self.process = subprocess.Popen(line, cwd=self.folder, env=own, start_new_session=True)

    def finish(self, codes, signalled=""):
        """Wait for the process and return its faults and losses, one text each."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(HANG_S)
        code, end = self.process.poll(), monotonic() + LEFT_S
        while (left := self.left()) and code is not None and monotonic() < end:
            sleep(0.1)
        faults = [f"a hang, or a process that is left: {process.info['cmdline']}" for process in left]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        text = (self.folder.parent / "output").read_text(errors="replace").strip()
        if code is not None and code not in codes:
            faults.append(f"exit code {code}, not {' or '.join(map(str, codes))}: {text[-300:]!r}")
        if "Traceback (most recent" in text and (not signalled or "/lcbench/" in text):  # or before lcbench is imported
            faults.append(text[text.index("Traceback") :][-600:])
        faults += [text[-300:] for words in ("internal error", "Exception ignored") if words in text]
        errors = re.split("^[Ee]rror: ", text, flags=re.MULTILINE)[1:] or ["" if text else "\n"] * (code == 2)
        if errors and "\n" in errors[-1] and not signalled and ">" not in self.command:
            faults.append(f"an error that is not one line: {text[-300:]!r}")
        after, kept = contents(self.folder), not re.search("--(force|resume)", self.command)
        changed = [name for name, data in after.items() if self.before.get(name) != data]
        losses = [f"gone or changed: {name}" for name in self.before if name not in after or (name in changed and kept)]
        losses += [f"cannot be read: {name}" for name in changed if not readable(self.folder / name)]
        wrong = [("fault", fault) for fault in faults] + [("loss", loss) for loss in losses]
        return [f"{kind}: {self.command}{signalled}\n    {what}" for kind, what in wrong]

    def left(self):
        """Return the processes that the command started and that run."""
        processes = psutil.process_iter(["cmdline", "environ", "status"])
        own = [process for process in processes if (process.info["environ"] or {}).get("FAULTS") == self.temporary.name]
        return [process for process in own if process.info["status"] != psutil.STATUS_ZOMBIE]


def environment(**more):
    """Return the environment of a command, without variables that change what it does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LCBENCH_", "GITHUB_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | more


def contents(folder):
    """Return the bytes of every file below `folder` by its name, but of no unfinished sweep, which ends as a result."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stem not in ("bad", "odd")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.parent.name != "sweeps"}


def readable(path):
    """Return whether a file under its final name is complete."""
    with suppress(OSError, ValueError):
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".h5":
            with h5py.File(path, locking=False) as file:
                file.visititems(lambda _, item: (isinstance(item, h5py.Dataset) and item[()] is None) or None)
        return True
    return False


def kill_round(base, draw):
    """Send a signal to a command at a random time, resume the command, and return the faults and losses."""
    (seconds, command, resume), number = draw.choice(KILLED), draw.choice(list(CODES))
    after_s, trial = draw.uniform(0, seconds), Trial(base, f"exec {command}")
    sleep(after_s)
    trial.process.send_signal(number)
    found = trial.finish((0, 3, CODES[number], -number), f"  # {number.name} after {after_s:.2f} s")
    left = trial.process.returncode and any([*trial.folder.glob("new.*"), *trial.folder.glob("results/sweeps/*.json")])
    return found + (Trial(trial.folder, resume).finish((0, 3)) if resume and left else [])


@click.command()
@click.option("--rounds", type=click.IntRange(0), default=40, show_default=True, help="Number of kill rounds.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the kill rounds.")
@click.option("--only", default="", help="Text that the command lines of the cases contain.")
def main(rounds, seed, only):
    """Count the faults and losses of lcbench after bad input and signals."""
    table, draw, found = [case for case in cases() if only in case[1]], random.Random(seed), []
    with tempfile.TemporaryDirectory() as base:
        for name, code in USER_FILES.items():
            Path(base, name).write_text(code)
        for command in SETUP:
            subprocess.run(command, shell=True, cwd=base, env=environment(), check=True, capture_output=True)
        trials = (Trial(base, line).finish([int(code) for code in codes.split()]) for codes, line in table)
        for each in chain(trials, (kill_round(base, draw) for _ in range(rounds))):
            found += each
            click.echo("".join(f"{text}\n" for text in each), nl=False)
    faults = sum(text.startswith("fault") for text in found)
    click.echo(f"cases {len(table)}, kill rounds {rounds}, faults {faults}, losses {len(found) - faults}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
