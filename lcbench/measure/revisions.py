"""Range of git revisions: its commits, from the first one to the last."""

from __future__ import annotations

from pathlib import Path

from lcbench.errors import LcbenchError, printable
from lcbench.measure.sides import GitError, file_of, git, git_revision, run_git
from lcbench.record import Commit
from lcbench.usercode.discovery import is_user_code

USAGE = "give the first and the last revision, as in --revisions v1..v2"


def commits_of(revisions: str) -> list[Commit]:
    """Return the commits of "FIRST..LAST" in order, with both ends. If LAST is missing, it is HEAD.

    A merge stands for all that it merged: from LAST back, only first parents are followed, as far as FIRST is an
    ancestor. Raise LcbenchError if there are no such commits.
    """
    first, dots, last = revisions.partition("..")
    if not (first and dots) or last.startswith("."):
        raise LcbenchError(f"--revisions {revisions}: {USAGE}")
    last = last or "HEAD"
    try:
        git("rev-parse", "--show-toplevel")
    except GitError as error:
        raise LcbenchError(f"--revisions {revisions}: git says of {Path.cwd()}: {error}") from None
    ends = [git_revision(name) for name in (first, last)]
    for name, end in zip((first, last), ends, strict=True):
        if end is None:
            raise LcbenchError(
                f"--revisions {revisions}: no revision '{name}'; it must be fetched from the remote first, and a "
                "shallow clone lacks most"
            )
    before, after = map(str, ends)
    _require_ancestor(revisions, (first, before), (last, after))
    # Those that have FIRST as an ancestor, on any path: FIRST itself may be on a branch that was merged.
    descendants = set(git("rev-list", "--ancestry-path", f"{before}..{after}", timeout_s=None).split())
    later = [commit for commit in _log("--first-parent", f"{before}..{after}") if commit.revision in descendants]
    return [*_log("--max-count=1", before), *later]


def _log(*arguments: str) -> list[Commit]:
    form = "--format=%H%x00%P%x00%s"
    lines = git("log", "--reverse", "--no-show-signature", form, *arguments, timeout_s=None).split("\n")
    parts = [line.split("\0", 2) for line in lines if "\0" in line]
    return [Commit(revision=parts[0], subject=printable(parts[2]), parents=parts[1].split()) for parts in parts]


def _require_ancestor(revisions: str, first: tuple[str, str], last: tuple[str, str]) -> None:
    """Raise LcbenchError unless `first` is an ancestor of `last`, and another commit. Both are a name and a commit."""
    (old, before), (new, after) = first, last
    if before == after:
        raise LcbenchError(f"--revisions {revisions}: there is no commit in between: both are {before[:10]}; {USAGE}")
    common = run_git("merge-base", before, after)
    if common == before:
        return
    if common == after:
        reason = f"{new} is before {old}: --revisions {new}..{old}"
    elif common:
        reason = f"{old} is not an ancestor of {new}; the last commit that both have: --revisions {common[:10]}..{new}"
    else:
        shallow = run_git("rev-parse", "--is-shallow-repository") == "true"
        hint = ": 'git fetch --unshallow' gets the commits that this clone lacks" if shallow else ""
        reason = f"{old} and {new} have no common commit{hint}"
    raise LcbenchError(f"--revisions {revisions}: {reason}")


def merged_by(commit: Commit) -> str:
    """Return the range of what a merge merged, as --revisions takes it; an empty text if the commit is no merge."""
    if len(commit.parents) < 2:
        return ""
    common = run_git("merge-base", *commit.parents[:2])
    return f"{common[:10]}..{commit.parents[1][:10]}" if common else ""


def uncommitted(names: list[str]) -> list[str]:
    """Return the files among implementations, as ``--impl`` takes them, with changes that are in no commit."""
    return [path for path in _files(names) if run_git("status", "--porcelain", "-uno", "--", path)]


def why_not_from(commits: list[Commit], names: list[str]) -> str:
    """Return a clause on the commit that added a file of implementations to the range; empty if all were there."""
    for path in _files(names):
        options = ("--reverse", "--first-parent", "--diff-filter=A", "--format=%h")
        added = run_git("log", *options, f"{commits[0].revision}..{commits[-1].revision}", "--", path)
        if added:
            return f"; {added.split()[0]} added it: begin the range there"
    return ""


def _files(names: list[str]) -> list[str]:
    return [path for path in map(file_of, filter(is_user_code, names)) if path.endswith(".py")]
