r"""Faults and losses of the command line after bad input and signals: ``python tests/benchmarks/bench_faults.py``.

    python tests/benchmarks/bench_faults.py --rounds 200 --seed 1     # more kill rounds
    python tests/benchmarks/bench_faults.py --rounds 0 --only gate    # the cases whose command line contains "gate"

Each case is a shell command line, run in its own copy of a folder with data, models and results, and the exit codes
that it may have. Each kill round sends SIGINT, SIGTERM or SIGKILL at a random time.

A fault is a traceback, an internal error, another exit code, an error without a text or of more than one line, a hang
or a process that is left. A loss is a file that existed before and is gone or changed, or a new one that cannot be
read. The counts and every fault are printed, and the exit code is 1 if there is any.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import click
import h5py
import psutil

HANG_S = 240.0
LEFT_S = 15.0
"""Time in which the worker processes of a command end after it."""

SMALL = "--loss svm --features 9 --blocks 5 --budget 0 --seed 1 --quiet"
KERNEL = "import os, sys, time\ndef f(W, X, y, reg):\n    {}\n"
# fmt: off
USER_FILES = {  # name: code at the top level, or in the function
    "kernel.py": "from lcbench.losses.vectorized import softmax_loss\n",
    **{f"top{i}.py": f"import os, sys, time\n{code}\n" + KERNEL.format("return 0.0, W") for i, code in enumerate((
        "os._exit(0)", "sys.exit(0)", "raise BaseException('x')", "raise ValueError('a\\nb')", "while True: pass",
        "raise GeneratorExit", "raise KeyboardInterrupt", "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
    ))},
    **{f"in{i}.py": KERNEL.format(code) for i, code in enumerate((
        "os._exit(0)", "sys.exit(0)", "raise BaseException('x')", "raise ValueError('a\\nb\\udc80')",
        "while True: pass", "os.kill(os.getpid(), 11)", "os.close(1); return 0.0, W", "os.fork(); return 0.0, W",
        "return None", "return 'a', 'b'"))},
}

SETUP = (
    "lcbench synth data.h5 --rows 60 --features 9",
    "lcbench train --data data.h5 --iterations 20 --output model.h5",
    "lcbench search --data data.h5 --lr 1e-7,1e-6 --iterations 10 --output search.json",
    f"lcbench run --impl numpy --rows 8 {SMALL} --save base",
    f"lcbench sweep --impl numpy --axis rows=8,16 {SMALL} --save swept",
    "lcbench features colour --data synthetic",
)
KILLED = (  # a command line, and how it is resumed where it left an unfinished file
    ("lcbench synth new.h5 --rows 20000", ""),
    ("lcbench synth data.h5 --rows 20000 --force", ""),
    ("lcbench train --data data.h5 --iterations 20000 --output new.h5", "lcbench train --resume new.h5"),
    ("lcbench train --data data.h5 --solver lbfgs --iterations 500 --output model.h5 --force", ""),
    ("lcbench search --data data.h5 --random 6 --lr 1e-8:1e-6 --output new.json", "lcbench search --resume new.json"),
    ("lcbench features colour hog --data synthetic", ""),
    ("lcbench reproduce hinge-example numeric", ""),
    (f"lcbench run --impl numpy,numba-njit --rows 8 {SMALL} --save again", ""),
    (f"lcbench sweep --impl numpy --axis rows=8,16,32 {SMALL} --save again", "lcbench sweep --resume --quiet"),
    ("lcbench gradcheck numpy,numba-njit --data synthetic --rows 20", ""),
    ("lcbench inspect numba-njit", ""),
    ("lcbench check kernel.py", ""),
)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}

TABLE = """
2 : lcbench {} '' : run --rows|run --data|run --loss|run --impl|run --save|run --baseline|run --columns|run --sort|check
2 : lcbench {} '' : train --data|train --output|train --label|train --resume|train --impl|search --output|search --lr
2 : lcbench {} '' : search --reg|search --data|sweep --axis|sweep --data|sweep --baseline|sweep --save|gate --base|plot
2 : lcbench {} '' : gate --head|gate --junit|gate --markdown|gate --build|gate --fail-above|export|inspect|features
2 : lcbench {} '' : compare|report|gradcheck|evaluate|evaluate --data|download --url|download --file|reproduce
2 : lcbench {} '' : reproduce --pictures|report --output|plot bars --output|history --since
2 : lcbench {} : doctor --seconds 1e308|run --rows 1e308|run --rows 1e30000000|run --rows -5|run --rows 0x10
2 : lcbench {} : run --threads 5000|run --seed 2e90|run --timeout 1e400|run --save ../../x|run --blocks 0
2 : lcbench train --data data.h5 {} : --momentum nan|--batch 1000000000|--lr inf|--epochs 1e9|--epochs 1 --iterations 5
2 : lcbench {} : search --lr 1:2:1000000000|search --lr 2:1:5 --data data.h5|search --random 5 --lr 1e-8 --data data.h5
2 : lcbench {} : sweep --axis threads=20000|sweep --axis rows=0|sweep --axis colour=1,2|sweep --axis rows=
2 : lcbench {} : features words --words 100000|synth x.h5 --rows 1e18|synth x.h5 --rows 5 --classes 99999999
2 : lcbench {} : synth /nope/x.h5 --rows 5|synth data.h5 --rows 5|gradcheck --at 99999999,3|gradcheck --h 0
2 : lcbench {} : gate --budget 15 --base HEAD|gate --fail-above -5%|inspect numpy --cc 99.99|plot bars --dpi 1e9
2 : lcbench {} : history --since yesterday|history --columns nonsense|gate --base nope|gate --base HEAD|completion fsh
2 : lcbench {} : rnu|run --impl nmpy|run --iml numpy|run --loss hinge|check softmx.py|gradcheck nmpy|inspect nmpy
2 : lcbench {} : reproduce hinge-exmple|features colr|plot brs|plot bars nope.json|compare nope base|report nope
2 : lcbench {} : export nope --format csv|evaluate nope.h5|train --data nope.h5|train --impl nope.py --data data.h5
2 : lcbench {} : train --resume nope.h5|search --resume nope.json|sweep --resume nope.json|evaluate data.h5
2 : lcbench {} : train --data model.h5|train --data kernel.py|run --data kernel.py|plot curves data.h5
2 : lcbench {} : download --file nope.tar|download --file data.h5|train --data synthetic --label x|plot bars --all
2 : lcbench {} : search --data synthetic --label x|features colour --words 5|reproduce --list --pictures x
2 : lcbench {} : gate --self-test --head HEAD|gate --self-test --junit x|train --resume model.h5 --lr 1
2 : lcbench {} : sweep --resume --axis rows=5|doctor --no-noise --seconds 3|features --list --words 5
0 141 : lcbench {} | true : --version|--help|impls --json|history|compare base swept --json|export base --format csv
2 : lcbench {} > /dev/full : --version|impls --json|history|export base --format csv|doctor --no-noise --json
0 3 : lcbench compare base swept {} : > /dev/full|--markdown /dev/full|--junit /nope/x.xml
0 3 : GITHUB_STEP_SUMMARY=/nope/s.md lcbench {} : compare base swept --format github
0 3 : PYTHONIOENCODING=cp1252 lcbench {} : history|compare base swept|export base --format markdown
0 3 : PYTHONIOENCODING=ascii LC_ALL=C lcbench {} : history|impls|report base --output p.html|doctor --no-noise
0 2 3 : lcbench {} >&- 2>&- : history|impls|compare base swept
2 : LCBENCH_RESULTS= lcbench {} : history|report
2 : mkdir gone; cd gone; rmdir ../gone; lcbench {} : history|synth x.h5 --rows 5
2 : NUMBA_NUM_THREADS=0 lcbench {} : train --data data.h5 --iterations 5 --output x.h5
0 2 : MPLBACKEND=nix lcbench {} : plot bars base --output p.png
2 : ulimit -f 1; lcbench {} : synth x.h5 --rows 5000|plot bars base --output p.png
2 : export REQUESTS_CA_BUNDLE=/nope.pem; lcbench {} : download --url https://127.0.0.1:9/x.tar.gz
"""
ODD_RESULTS = (
    r"printf '%05000d' 0 | tr 0 '[' > results/odd.json",
    r"printf '{\"schema\": 4, \"lcbench\": \"\xff\xfe\"}' > results/odd.json",
    *(rf"sed 's/\"created\": *\"[^\"]*\"/\"created\": \"{text}\"/' results/baselines/base.json > results/odd.json"
      for text in ("yesterday", "", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00", r"\\u001b[31m")),
    "head -c 700 results/baselines/base.json > results/odd.json", "mkfifo results/odd.json", "mkdir results/odd.json",
    "ln -s odd.json results/odd.json", ": > results/odd.json", "echo null > results/odd.json",
)
READERS = ("history", "compare base swept", "report base --output p.html", "plot bars --output p.png",
           "export --format csv")
DAMAGES = (
    "head -c 900 {0} > bad{1}", ": > bad{1}", "mkdir bad{1}", "mkfifo bad{1}", "head -c 4000 /dev/urandom > bad{1}",
    "(cat {0}; head -c 90 /dev/zero) > bad{1}; truncate -s -200 bad{1}",
)
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
    for place, name in enumerate(USER_FILES):
        if name != "kernel.py":
            pair = "check", ("gradcheck --impl", "train --data data.h5 --output x.h5 --impl", "run")[place % 3]
            found += [("2 4", f"lcbench {command} {name} --timeout 6") for command in pair]
    for place, odd in enumerate(ODD_RESULTS):
        found += [("0 2 3", f"{odd}; lcbench {READERS[(place + more) % len(READERS)]}") for more in (0, 3)]
    for place, (source, suffix, command) in enumerate(DAMAGED):
        found += [("2", f"{damage.format(source, suffix)}; lcbench {command}") for damage in DAMAGES[place % 2 :: 2]]
    for line in TABLE.strip().splitlines():
        codes, pattern, commands = line.split(" : ")
        found += [(codes, pattern.format(command)) for command in commands.split("|")]
    return found


class Trial:
    """A process of a shell command line in its own copy of the folder, and what is wrong after it."""

    def __init__(self, base, command):
        self.command, self.token, self.start = command, secrets.token_hex(8), monotonic()
        self.folder = Path(tempfile.mkdtemp(prefix="lcbench-faults-"))
        if base:
            shutil.copytree(base, self.folder, dirs_exist_ok=True)
        self.before = contents(self.folder)
        names = ("LCBENCH_RESULTS", "LCBENCH_DATA", "LCBENCH_TRACEBACK", "GITHUB_STEP_SUMMARY")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {"FAULTS": self.token, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def finish(self, codes, killed=False):
        """Wait for the process and return (exit code, faults, losses)."""
        faults = []
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(HANG_S)
        code = self.process.poll()
        if code is None:
            faults.append(f"a hang: still running after {HANG_S:.0f} s")
        left, end = self.left(), monotonic() + LEFT_S
        while code is not None and left and monotonic() < end:
            sleep(0.1)
            left = self.left()
        if left and code is not None:
            faults.append(f"{len(left)} processes are left: {left[0].info['cmdline']}")
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()
        self.output.seek(0)
        text = self.output.read()
        if code is not None and code not in codes:
            faults.append(f"exit code {code}, not {' or '.join(map(str, codes))}: {text.strip()[-300:]!r}")
        faults += text_faults(text, code, killed, ">" in self.command)
        return code, faults, self.losses()

    def left(self):
        """Return the processes that the command started and that run."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ", "status"]):
            info = process.info
            if (info["environ"] or {}).get("FAULTS") == self.token and info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def losses(self):
        """Return what happened to files that existed, and the new files that cannot be read."""
        found, after = [], contents(self.folder)
        for name, digest in self.before.items():
            if name not in after:
                found.append(f"{name} is gone")
            elif after[name] != digest and not ("--force" in self.command and readable(self.folder / name)):
                found.append(f"{name} has changed")
        new = [name for name in after if name not in self.before and not Path(name).stem.startswith(("bad", "odd"))]
        return found + [f"{name} cannot be read" for name in new if not readable(self.folder / name)]

    def close(self):
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def text_faults(text, code, killed, redirected):
    """Return the faults in the output of a command. One that is killed may be so before lcbench is imported."""
    found = []
    if "Traceback (most recent" in text and (not killed or "/lcbench/" in text):
        found.append(f"a traceback: {text[text.index('Traceback') :][-600:]}")
    found += [f"{words!r}: {text.strip()[-300:]}" for words in ("internal error", "Exception ignored") if words in text]
    lines = text.strip().splitlines()
    errors = [place for place, line in enumerate(lines) if re.match("[Ee]rror: ", line)]
    rest = lines[errors[-1] + 1 :] if errors else []
    if rest and not killed:
        found.append(f"an error of {len(rest) + 1} lines: {lines[errors[-1] :]}")
    if code == 2 and not lines and not redirected:
        found.append("an error without a text")
    return found


def contents(folder):
    """Return the digest of every file below `folder` by its name."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def readable(path):
    """Return whether a file under its final name is complete."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".h5":
            with h5py.File(path, locking=False) as file:
                file.visititems(lambda name, item: item[()].nbytes if isinstance(item, h5py.Dataset) else None)
        return True
    except (OSError, ValueError, AttributeError):
        return False


def prepare(folder):
    """Write the files of the user and run the commands of SETUP in `folder`."""
    for name, code in USER_FILES.items():
        (folder / name).write_text(code)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in SETUP:
        click.echo(command)
        subprocess.run(command, shell=True, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def kill_round(base, draw, seconds, show):
    """Start a command, kill it at a random time, and resume it. Return whether it was killed."""
    command, resume = draw.choice(KILLED)
    if command not in seconds:
        trial = Trial(base, f"exec {command}")
        show(trial, command, trial.finish((0, 2, 3, 4)))
        seconds[command] = monotonic() - trial.start
        trial.close()
    number, after_s = draw.choice(list(CODES)), draw.uniform(0, seconds[command])
    trial = Trial(base, f"exec {command}")
    sleep(after_s)
    killed = trial.process.poll() is None
    trial.process.send_signal(number)
    name = f"{command}   # {number.name} after {after_s:.2f} s"
    show(trial, name, trial.finish((0, 3, CODES[number], -number), killed=True))
    if resume and killed and any(trial.folder.glob("new.*")) | any(trial.folder.glob("results/sweeps/*.json")):
        again = Trial(trial.folder, resume)
        show(again, f"{name}; {resume}", again.finish((0, 3)), resumed=True)
        again.close()
    trial.close()
    return killed


@click.command()
@click.option("--rounds", type=click.IntRange(0), default=40, show_default=True, help="Number of kill rounds.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the kill rounds.")
@click.option("--only", default="", help="Text that the command lines of the cases contain.")
def main(rounds, seed, only):
    """Count the faults and losses of lcbench after bad input and signals."""
    faults, losses, killed, table = [], [], 0, [case for case in cases() if only in case[1]]

    def show(trial, name, outcome, resumed=False):
        _, wrong, lost = outcome
        for kind, texts, every in (("fault", wrong, faults), ("loss", [] if resumed else lost, losses)):
            every += texts
            for text in texts:
                click.echo(f"{kind}: {name}\n    {text}")

    with tempfile.TemporaryDirectory(prefix="lcbench-faults-") as name:
        prepare(Path(name))
        for codes, command in table:
            trial = Trial(name, command)
            show(trial, command, trial.finish([int(code) for code in codes.split()]))
            trial.close()
        draw, seconds = random.Random(seed), {}
        for _ in range(rounds):
            killed += kill_round(name, draw, seconds, show)
    click.echo(f"cases {len(table)}, kill rounds {rounds} ({killed} killed)")
    click.echo(f"faults {len(faults)}, losses {len(losses)}")
    sys.exit(1 if faults or losses else 0)


if __name__ == "__main__":
    main()
