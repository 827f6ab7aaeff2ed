"""Tests of lcbench.progress."""

from __future__ import annotations

import pytest

from lcbench import progress as module
from lcbench.progress import delayed, show_progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test advances, in seconds."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_lines_without_a_terminal(capsys, clock):
    with show_progress() as progress:
        progress("checkpoints: m.h5")
        progress("a stage of one step", 0, 1)
        for done in range(1, 41):
            clock[0] += 1
            progress("encoding", done, 40, f"loss {done}")
        progress("k-means", 1200, 1200)
        progress("a stage of one step", 1, 1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "checkpoints: m.h5",
        "encoding: 16 of 40 in 15 s, 22 s left; loss 16",
        "encoding: 31 of 40 in 30 s, 9 s left; loss 31",
        "encoding: 40 of 40 in 39 s; loss 40",
        "k-means: 1,200 of 1,200 in 0 s",
    ]


def test_bars_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress() as progress:
        progress("checkpoints: m[1].h5")
        progress("encoding", 1, 2, "loss [4]")
        progress("encoding", 2, 2, "loss [4]")
    printed = capsys.readouterr()
    assert printed.out == ""
    for shown in ("checkpoints: m[1].h5", "encoding", "2/2", "loss [4]"):
        assert shown in printed.err


def test_the_bar_of_a_finished_stage_is_removed(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress() as progress:
        progress("rows", 0, 3)
        progress("patches", 7, 7)
        progress("k-means", 1, 2)
    last = capsys.readouterr().err.rpartition("patches")[2]
    for shown in ("rows", "0/3", "k-means", "1/2"):
        assert shown in last


def test_quiet_shows_nothing(capsys):
    with show_progress(quiet=True) as progress:
        progress("checkpoints: m.h5")
        progress("encoding", 2, 2)
    assert capsys.readouterr() == ("", "")


def test_delayed_forwards_only_slow_stages(clock):
    forwarded = []
    progress = delayed(lambda *arguments: forwarded.append(arguments))
    progress("a", 1, 3)
    clock[0] = 1.0
    progress("a", 2, 3)
    assert forwarded == []
    clock[0] = 3.0
    progress("a", 3, 3, "loss 4")
    assert forwarded == [("a", 3, 3, "loss 4")]
