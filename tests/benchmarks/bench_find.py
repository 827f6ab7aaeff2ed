"""Time and success of ``lcbench gate --revisions`` on repositories with one commit that makes a kernel slower.

    python tests/benchmarks/bench_find.py
    python tests/benchmarks/bench_find.py --repositories 10 --commits 50 --slower 5%
    python tests/benchmarks/bench_find.py --arguments '--rows 500 --budget 30'

Each repository has a NumPy kernel, and commits that change its text. One commit, at a random place after the first, has
the kernel compute a share of the rows once more: real work, in all commits after it.
"""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from time import monotonic

import click

from lcbench.cli.options import SHARE
from lcbench.host import machine

KERNEL = '''"""Softmax loss of a linear classifier: version {version}."""

import numpy as np


def softmax_loss(W, X, y, reg):
    rows = np.arange(len(y))
    again = X[: round({share} * len(X))]
    p = _probabilities(X @ W)
    loss = -np.log(p[rows, y]).mean() + reg * np.sum(W * W)
    p[rows, y] -= 1
    if len(again):
        again.T @ _probabilities(again @ W)
    return loss, X.T @ p / np.float32(len(y)) + 2 * reg * W


def _probabilities(scores):
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p
'''


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def build(folder, commits, share, culprit):
    """Create a repository of `commits` commits, of which number `culprit` makes the kernel slower; return its hash."""
    git(folder, "init", "-q", "-b", "main")
    (folder / "kernels").mkdir()
    for number in range(commits):
        text = KERNEL.format(version=number, share=share if number >= culprit else 0.0)
        (folder / "kernels" / "softmax.py").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"Version {number}")
    git(folder, "tag", "first", f"HEAD~{commits - 1}")
    return git(folder, "rev-parse", f"HEAD~{commits - 1 - culprit}")


@click.command()
@click.option("--repositories", default=5, show_default=True)
@click.option("--commits", default=20, show_default=True, help="Commits of a repository.")
@click.option(
    "--slower", type=SHARE, default="10%", show_default=True, help="Share of the rows that is computed again."
)
@click.option("--arguments", default="--rows 1000", show_default=True, help="Other arguments of lcbench gate.")
@click.option("--seed", default=0, show_default=True)
def main(repositories, commits, slower, arguments, seed):
    """Search several repositories for the slow commit, and count how often it is found."""
    cpu = machine.facts()["cpu"]
    print(f"{cpu['model']} ({cpu['revision']}), {cpu['usable_cores']} cores; {commits} commits, {slower:.0%} more work")
    numbers, right, seconds = random.Random(seed), 0, []
    command = ["gate", "--revisions", "first..main", "--impl", "kernels/softmax.py", "--json", *shlex.split(arguments)]
    print(f"lcbench {shlex.join(command)}")
    for number in range(1, repositories + 1):
        culprit = numbers.randrange(1, commits)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            revision = build(folder, commits, slower, culprit)
            start = monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "lcbench", *command], cwd=folder, stdout=subprocess.PIPE, text=True, check=False
            )
            seconds.append(monotonic() - start)
        if not done.stdout:
            sys.exit(done.returncode)
        found = json.loads(done.stdout)
        correct = (found["culprit"] or {}).get("revision") == revision and done.returncode == 1
        right += correct
        print(
            f"repository {number}: commit {culprit} of {commits - 1}; {'right' if correct else 'NOT FOUND'}, exit code "
            f"{done.returncode}, {seconds[-1]:.0f} s, {len(found['steps'])} steps: {'; '.join(found['conclusions'])}",
            flush=True,
        )
    print(f"{right} of {repositories} right; {fmean(seconds):.0f} s on average, {max(seconds):.0f} s at most")


if __name__ == "__main__":
    main()
