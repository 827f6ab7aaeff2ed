import pytest

from lcbench.cli.progress import stages as module
from lcbench.cli.progress.stages import stages


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_where_it_is_no_terminal_a_line_tells_now_and_then(capsys, clock):
    with stages() as watch:
        for done in range(1, 41):
            clock[0] += 1
            watch("encoding", done, 40)
        watch("k-means", 1200, 1200)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "encoding: 16 of 40 in 15 s, 22 s left",
        "encoding: 31 of 40 in 30 s, 9 s left",
        "encoding: 40 of 40 in 39 s",
        "k-means: 1,200 of 1,200 in 0 s",
    ]


def test_on_a_terminal_there_are_bars_that_go_away(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with stages() as watch:
        watch("encoding", 1, 2)
        watch("encoding", 2, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "encoding" in printed.err
    assert "2/2" in printed.err
