"""Tests of lcbench.progress."""

from __future__ import annotations

from threading import enumerate as enumerate_threads

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
        progress("a short stage of one step", 0, 1)
        progress("a short stage of one step", 1, 1)
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


def test_a_silent_stage_shows_the_time_that_has_passed(capsys, clock):
    lines = module._Lines()
    lines("gradcheck", 0, 2, "mine.py:loss")
    for clock[0] in range(0, 41, 5):
        lines.tick()
    lines("gradcheck", 1, 2, "mine.py:other")
    clock[0] = 200.0
    lines.tick()
    lines("gradcheck", 2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "gradcheck: 0 of 2 in 15 s; mine.py:loss",
        "gradcheck: 0 of 2 in 30 s; mine.py:loss",
        "gradcheck: 1 of 2 in 3 min, 3 min left; mine.py:other",
        "gradcheck: 2 of 2 in 3 min",
    ]


def test_a_thread_ticks_unless_times_are_measured(capsys, monkeypatch):
    monkeypatch.setattr(module, "LINE_INTERVAL_S", 0.0)
    for timing, threads in ((True, []), (False, ["progress"])):
        with show_progress(timing=timing):
            assert [thread.name for thread in enumerate_threads() if thread.name == "progress"] == threads
    assert "progress" not in [thread.name for thread in enumerate_threads()]


def test_bars_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress() as progress:
        progress("checkpoints: m[1].h5")
        progress("encoding", 1, 2, "loss [4]")
        progress("encoding", 2, 2, "loss [4]")
    printed = capsys.readouterr()
    assert printed.out == ""
    for shown in ("checkpoints: m[1].h5", "encoding", "2/2", "0 s", "loss [4]"):
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
