"""Search for the commit that made a function slower: with simulated times, and once for real."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from commands import invoke
from lcbench import api, files, record
from lcbench.checks import runner
from lcbench.errors import ExitCode, LcbenchError
from lcbench.losses.implementation import LossError
from lcbench.measure import gate, selection, sides
from lcbench.measure.revisions import commits_of
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.turns import Measured
from lcbench.record import CheckResult, ProcessResult, Turn
from lcbench.report.tables import bisection as tables

TINY = {"rows": 20, "features": 33, "classes": 3, "threads": 1, "seed": 1, "losses": "softmax"}


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder, subject, text):
    """Commit a file loss.py with this text; None removes it. Return the commit."""
    path = folder / "loss.py"
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCBENCH_RESULTS", str(tmp_path.parent / f"{tmp_path.name}-results"))
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


# With simulated times


class Simulated:
    """Substitute for a generation of processes, whose times are in the file of their source tree, with noise."""

    rounds_s = 2.0

    def __init__(self, machine, number, members, timeout_s, rng, together=True, first_round=0):
        self.machine, self.number, self.members, self.first_round = machine, number, members, first_round

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def measure(self, cells, pace):
        self.machine.now += 4.0
        self.machine.alive.append(len(self.members))
        return {index: self.measured(self.members[index], pace, cells[index]) for index in cells}

    def measured(self, member, pace, cell):
        text = (Path(member.place.folder) / "loss.py").read_text()
        if "crash" in text:
            return Measured(status="crashed", reason="killed by SIGSEGV")
        factors = [float(factor) for factor in re.findall(r"[\d.]+", text)]
        logs = np.log(factors[cell % len(factors)]) + self.machine.noise * self.machine.rng.standard_normal()
        turns = [
            Turn(round=self.first_round + number, place=0, samples=[float(1e-3 * np.exp(logs))] * 2, calls=1)
            for number in range(4)
        ]
        return Measured(result=ProcessResult(generation=self.number, turns=turns))


class Machine:
    def __init__(self):
        self.now, self.noise, self.rng, self.alive = 0.0, 0.01, np.random.default_rng(5), []


@pytest.fixture
def machine(folder, monkeypatch):
    """Simulated machine. A file loss.py holds the times of its functions svm_loss and softmax_loss, or what it is."""
    simulated = Machine()

    def user_targets(spec, losses, timeout_s, place):
        path = Path(place.folder) / spec
        if not path.exists():
            raise LossError(f"no such file: {spec}")
        if "syntax" in path.read_text():
            raise LossError(f"{spec}: line 1: invalid syntax")
        found = [loss for loss in losses if loss in path.read_text() or "only" not in path.read_text()]
        return [ResolvedTarget(f"{spec}:{loss}_loss", losses=(loss,)) for loss in found]

    def judge(functions, timeout_s, progress, place):
        text = (Path(place.folder) / "loss.py").read_text()
        status = "wrong" if "wrong" in text else "ok"
        return {
            name: [CheckResult(implementation=name, loss=loss, dtype="float64", status=status, reason="loss is 3")]
            for name, losses in functions.items()
            for loss in losses
        }

    monkeypatch.setattr(gate, "Generation", lambda *given, **options: Simulated(simulated, *given, **options))
    monkeypatch.setattr(gate, "monotonic", lambda: simulated.now)
    monkeypatch.setattr(selection, "user_targets", user_targets)
    monkeypatch.setattr(runner, "judge", judge)
    monkeypatch.setattr(sides, "_with_versions", lambda side: side)
    return simulated


def history(folder, texts):
    """Commit these texts, and return the commits. The first is tagged v1."""
    found = []
    for number, text in enumerate(texts):
        found.append(commit(folder, f"Version {number}", text))
        if not number:
            git(folder, "tag", "v1")
    return found


def search(revisions="v1..main", notes=None, **settings):
    return api.bisect(revisions, "loss.py", note=(notes if notes is not None else []).append, **{**TINY, **settings})


def sentences(found):
    return list(tables.conclusions(found))


@pytest.mark.parametrize("culprit", [1, 2, 7, 12, 19])
def test_the_slower_commit_is_found(machine, folder, culprit):
    commits = history(folder, ["1.0"] * culprit + ["1.1"] * (20 - culprit))
    found = search()
    assert (found.outcome, found.exit_code) == ("single", ExitCode.REGRESSION)
    assert found.culprit.revision == commits[culprit]
    assert len(found.steps) <= 5
    [sentence] = sentences(found)
    start, end = sentence.split(" 1.1")[0], sentence.rpartition("]")[2]
    assert start == f"commit {commits[culprit][:10]} (Version {culprit}) made loss.py:softmax_loss"
    assert end == " times slower (softmax, 20 rows)"
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_the_middle_takes_turns_with_both_ends(machine, folder):
    history(folder, ["1.0", "1.0", "1.1", "1.1"])
    found = search()
    count = {number: machine.alive.count(number) for number in set(machine.alive)}
    steps = sum(1 + step.before.verdicts.generations for step in found.steps)  # one is that of the first calls
    assert count == {4: len(machine.alive) - steps, 6: steps}
    for step in found.steps:
        written = record.read(Path(step.before.record.path or step.after.record.path))
        assert written.gate
        assert {row.side for row in written.rows} == {"base", "control", "head"}


def test_a_budget_that_suffices_for_the_first_gate_suffices(machine, folder, monkeypatch):
    commits = history(folder, ["1.0", "1.0", "1.1"])
    monkeypatch.setattr(gate, "SURE_SHARE", 0.0)
    real = Simulated.measure

    def measure(generation, cells, pace):
        machine.now += 4.0 if 6 in machine.alive else 0.0
        return real(generation, cells, pace)

    monkeypatch.setattr(Simulated, "measure", measure)
    assert search(budget_s=24.0).culprit.revision == commits[2]
    machine.alive.clear()
    with pytest.raises(LcbenchError, match="a budget of 12 s allows 2 generations, but"):
        search(budget_s=12.0)


def test_nothing_is_searched_if_the_last_commit_is_not_slower(machine, folder):
    commits = history(folder, ["1.0"] * 6)
    found = search()
    assert (found.outcome, found.exit_code, found.steps, found.suspects) == ("", ExitCode.OK, [], [])
    assert sentences(found) == [
        f"nothing was made slower by more than 3.0 %: {commits[-1][:10]} (Version 5) is not slower than "
        f"{commits[0][:10]} (Version 0)"
    ]


def test_a_range_of_one_commit_is_one_gate(machine, folder):
    [_, culprit] = history(folder, ["1.0", "1.1"])
    found = search()
    assert found.culprit.revision == culprit
    assert found.final is found.ends
    assert len([*files.results_folder().glob("*.json")]) == 1


def test_noise_is_inconclusive(machine, folder):
    history(folder, ["1.0", "1.0", "1.05"])
    machine.noise = 0.1
    found = search()
    assert (found.outcome, found.exit_code) == ("", ExitCode.INCONCLUSIVE)
    [sentence] = sentences(found)
    assert sentence.startswith("the noise does not tell whether ")


def test_noise_in_a_step_names_what_is_left(machine, folder, monkeypatch):
    commits = history(folder, ["1.0", "1.0", "1.0", "1.1", "1.1"])
    whole = gate.halves

    def noisy(result):
        machine.noise = 0.5
        return whole(result)

    monkeypatch.setattr(gate, "halves", noisy)
    found = search()
    assert (found.outcome, found.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)
    assert [each.revision for each in found.suspects] == commits[1:]
    assert [each.middle for each in found.steps] == [2, 2]
    first, second = sentences(found)
    assert first.startswith(
        f"the noise does not tell which commit made it slower: one of 4 commits, {commits[1][:10]} "
    )
    assert "--budget" in second


def test_a_step_without_a_verdict_is_measured_once_more(machine, folder, monkeypatch):
    commits = history(folder, ["1.0", "1.0", "1.1"])
    whole = gate.measure_gate

    def measure_gate(plan, *others):
        machine.noise = 0.5 if plan.middle and not measured else 0.01
        if plan.middle:
            measured.append(plan)
        return whole(plan, *others)

    measured = []
    monkeypatch.setattr(gate, "measure_gate", measure_gate)
    found = search()
    assert [step.slower_half is None for step in found.steps] == [True, False]
    assert found.culprit.revision == commits[2]


def test_slow_steps_below_the_threshold_are_said_to_be_that(machine, folder):
    history(folder, [f"{1 + 0.025 * number}" for number in range(3)])
    machine.noise = 0.001
    found = search()
    assert (found.outcome, found.exit_code) == ("gradual", ExitCode.REGRESSION)
    [sentence] = sentences(found)
    assert "no half of them by more than 3.0 %: together they made loss.py:softmax_loss 1.05 [" in sentence


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no such file: loss.py; that revision does not have it"),
        ("syntax", "loss.py: line 1: invalid syntax"),
        ("wrong 1.0", "wrong: loss is 3"),
        ("crash", "crashed: killed by SIGSEGV"),
        ("only svm 1.0", "it lacks a function that is slower"),
    ],
)
def test_commits_that_cannot_be_measured_are_skipped_and_named(machine, folder, text, reason):
    commits = history(folder, ["1.0", "1.0", "1.0", text, "1.0", "1.1", "1.1"])
    settings = {"losses": ("svm", "softmax")} if text and "only" in text else {}
    found = search(**settings)
    assert found.culprit.revision == commits[5]
    assert found.skipped == {3: reason}
    lines = [each.plain for each in tables.tables(found) if isinstance(each, Text)]
    assert f"skipped {commits[3][:10]} (Version 3): {reason}" in lines


def test_commits_beside_the_slower_one_that_cannot_be_measured_are_suspects(machine, folder):
    commits = history(folder, ["1.0", "1.0", None, "wrong 1.0", "1.1", "1.1"])
    found = search()
    assert (found.outcome, found.exit_code, found.culprit) == ("several", ExitCode.REGRESSION, None)
    assert [each.revision for each in found.suspects] == commits[2:5]
    assert sorted(found.skipped) == [2, 3]
    [sentence] = sentences(found)
    assert sentence.startswith(f"one of 3 commits, {commits[2][:10]} (Version 2), ")
    assert "of which only the last can be measured: they made loss.py:softmax_loss 1.1" in sentence


def test_an_end_that_cannot_be_measured_is_an_error(machine, folder):
    commits = history(folder, [None, "1.0", "1.1"])
    with pytest.raises(LcbenchError) as refused:
        search()
    why, added, rest = str(refused.value).split("; ")
    assert why == "--revisions v1: no such file: loss.py"
    assert added == "that revision does not have it"
    assert commits[1].startswith(rest.removesuffix(" added it: begin the range there"))
    git(folder, "tag", "v2")
    commit(folder, "Removed", None)
    with pytest.raises(LcbenchError, match=r"^--revisions main: no such file: loss.py"):
        search("v2..main")


def test_a_wrong_last_commit_is_exit_code_4(machine, folder):
    history(folder, ["1.0", "1.0", "wrong 1.1"])
    found = search()
    assert (found.exit_code, found.steps) == (ExitCode.WRONG, [])


def test_another_slower_commit_is_announced(machine, folder):
    commits = history(folder, ["1.0", "1.0", "1.1", "1.1", "1.4", "1.4"])
    found = search()
    assert found.culprit.revision == commits[4]
    _, more = sentences(found)
    assert more.startswith("the whole range made loss.py:softmax_loss 1.4")
    assert more.endswith(
        f"another commit did, too; it is in --revisions {commits[0][:10]}..{commits[3][:10]} and "
        f"--revisions {commits[4][:10]}..{commits[5][:10]}"
    )


def test_a_result_that_is_not_confirmed_is_inconclusive(machine, folder, monkeypatch):
    history(folder, ["1.0", "1.0", "1.1", "1.1"])
    real = gate.measure_gate

    def measure_gate(plan, *others):
        if plan.middle is None and machine.alive and 6 in machine.alive:  # the last gate
            plan = gate.replace(plan, head=plan.base)
        return real(plan, *others)

    monkeypatch.setattr(gate, "measure_gate", measure_gate)
    found = search()
    assert (found.exit_code, found.culprit) == (ExitCode.INCONCLUSIVE, None)
    assert sentences(found)[0].endswith(" is not slower in another gate against the commit before it")


def test_a_merge_stands_for_what_it_merged(machine, folder):
    commits = history(folder, ["1.0", "1.0"])
    git(folder, "checkout", "-q", "-b", "topic")
    (folder / "other.txt").write_text("x")
    branch = commit(folder, "On the branch", "1.1")
    git(folder, "checkout", "-q", "main")
    (folder / "third.txt").write_text("y")
    commit(folder, "On main", "1.0")
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    merge = git(folder, "rev-parse", "HEAD")
    found = search()
    assert [each.subject for each in found.commits] == ["Version 0", "Version 1", "On main", "Merge topic"]
    assert found.culprit.revision == merge
    expected = f"{commits[1][:10]}..{branch[:10]}"
    assert sentences(found)[-1] == f"that commit is a merge: --revisions {expected} searches what it merged"
    assert search(expected).culprit.revision == branch


def test_ctrl_c_names_what_is_left(machine, folder, monkeypatch):
    commits = history(folder, ["1.0"] * 5 + ["1.1"] * 5)
    real = Simulated.measure

    def measure(generation, cells, pace):
        if len(generation.members) == 6 and machine.alive.count(6) == 3:
            raise KeyboardInterrupt
        return real(generation, cells, pace)

    monkeypatch.setattr(Simulated, "measure", measure)
    found = search()
    assert found.exit_code == ExitCode.STOPPED
    assert sentences(found)[0].startswith(f"stopped: one of 9 commits, {commits[1][:10]} (Version 1), ")


def test_changes_that_are_not_committed_are_named(machine, folder):
    history(folder, ["1.0", "1.0"])
    (folder / "loss.py").write_text("2.0")
    notes = []
    search(notes=notes)
    assert notes == ["loss.py has changes that are in no commit, and that are not measured"]


def test_output_of_the_command(machine, folder):
    commits = history(folder, ["1.0", "1.0", "1.1", "1.1"])
    command = ["gate", "--revisions", "v1..main", "--impl", "loss.py", "--loss", "softmax", "--rows", "20"]
    command += ["--features", "33", "--classes", "3", "--seed", "1"]
    done = invoke(folder, *command, "--markdown", "page.md", LCBENCH_RESULTS=str(files.results_folder()))
    assert done.returncode == 1, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    text = " ".join(done.stdout.split())
    for words in ("v1..main: 3 commits", "Search: each commit was", f"{commits[2][:10]} Version 2", "control, base"):
        assert words in text
    sentence = f"commit {commits[2][:10]} (Version 2) made loss.py:softmax_loss 1."
    assert sentence in text
    assert sentence in (folder / "page.md").read_text().replace("\\", "")

    done = invoke(folder, *command, "--json", LCBENCH_RESULTS=str(files.results_folder()))
    content = json.loads(done.stdout)
    assert (done.returncode, content["exit_code"]) == (1, 1)
    assert content["culprit"]["revision"] == commits[2]
    assert [each["revision"] for each in content["commits"]] == commits
    assert {step["slower"] for step in content["steps"]} <= {"up to it", "after it"}
    assert content["comparisons"][0]["verdict"] == "slower"
    assert record.read(Path(content["record"])).gate.head.revision == commits[2]


# Ranges


def test_commits_of_a_range(folder):
    found = history(folder, ["1", "2", "3"])
    assert [(each.revision, each.subject) for each in commits_of("v1..main")] == [
        (revision, f"Version {number}") for number, revision in enumerate(found)
    ]
    assert [each.revision for each in commits_of(f"{found[1]}..")] == found[1:]
    assert str(commits_of("v1..")[0]) == f"{found[0][:10]} (Version 0)"


def test_the_first_commit_may_be_on_a_branch_that_was_merged(folder):
    history(folder, ["1"])
    git(folder, "checkout", "-q", "-b", "topic")
    (folder / "other.txt").write_text("x")
    branch = commit(folder, "On the branch", "1")
    git(folder, "checkout", "-q", "main")
    commit(folder, "On main", "2")
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    commit(folder, "Later", "3")
    assert [each.subject for each in commits_of(f"{branch}..main")] == ["On the branch", "Merge topic", "Later"]


@pytest.mark.parametrize(
    ("revisions", "message"),
    [
        ("v1", "--revisions v1: give the first and the last revision, as in --revisions v1..v2"),
        ("..main", "give the first and the last revision"),
        ("v1...main", "give the first and the last revision"),
        ("nothing..main", "--revisions nothing..main: no revision 'nothing'; it must be fetched"),
        ("v1..nothing", "no revision 'nothing'"),
        ("--all..main", "no revision '--all'"),
        ("v1..v1", "there is no commit in between: both are "),
        ("main..v1", "v1 is before main: --revisions v1..main"),
        ("topic..main", "topic is not an ancestor of main; the last commit that both have: --revisions "),
        ("alone..main", "alone and main have no common commit"),
    ],
)
def test_a_range_without_commits_is_a_one_line_error(folder, revisions, message):
    history(folder, ["1", "2", "3"])
    git(folder, "checkout", "-q", "-b", "topic", "v1")
    commit(folder, "On the branch", "4")
    git(folder, "checkout", "-q", "--orphan", "alone")
    commit(folder, "Alone", "5")
    done = invoke(folder, "gate", f"--revisions={revisions}", "--impl", "loss.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_outside_a_repository(tmp_path):
    done = invoke(tmp_path, "gate", "--revisions", "v1..main", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert done.returncode == 2
    assert done.stderr.startswith("error: --revisions v1..main: git says of ")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--base", "v1"), "--revisions names both versions"),
        (("--head", "v1"), "--revisions names both versions"),
        (("--self-test",), "--revisions measures commits as they are"),
        (("--save", "x"), "each comparison has a result of its own"),
    ],
)
def test_options_without_effect_are_refused(folder, option, reason):
    done = invoke(folder, "gate", "--revisions", "v1..main", *option)
    assert done.returncode == 2
    assert reason in done.stderr


# For real

KERNEL = """import numpy as np
def softmax_loss(W, X, y, reg):
    for _ in range({}):
        rows = np.arange(len(y))
        scores = X @ W
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, y]).mean() + reg * np.sum(W * W)
        p[rows, y] -= 1
        dW = X.T @ p / len(y) + 2 * reg * W
    return loss, dW
"""


def test_a_commit_is_found_by_measurement(folder, monkeypatch):
    # short rounds, and a clock that advances one second per reading, so that the number of generations is small
    monkeypatch.setattr(gate, "PACE", replace(gate.PACE, rounds=2, rounds_s=0.1, noisy_rounds_s=0.1))
    monkeypatch.setattr(gate, "monotonic", itertools.count().__next__)
    texts = [KERNEL.format(calls) for calls in (1, 1, 20)]
    commits = history(folder, texts)
    size = ("--rows", "20", "--features", "33", "--classes", "3", "--loss", "softmax")
    done = invoke(folder, "gate", "--revisions", "v1..main", "--impl", "loss.py", *size, "--json")
    assert done.returncode == 1, done.stderr
    content = json.loads(done.stdout)
    assert content["culprit"]["revision"] == commits[2]
    assert content["conclusions"][0].startswith(f"commit {commits[2][:10]} (Version 2) made loss.py:softmax_loss ")
