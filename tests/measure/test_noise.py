"""Noise: identical work is timed alternately, and its spread is that of the log-ratios."""

from __future__ import annotations

from math import exp, log

import pytest

from lcbench.errors import LcbenchError
from lcbench.host.conditions import BackgroundLoad
from lcbench.measure import noise
from lcbench.measure.messages import Timed
from lcbench.measure.noise import Noise
from lcbench.record import Counters
from lcbench.workers import process
from lcbench.workers.messages import Failed
from results import processes


def test_statistics_of_blocks():
    measured = Noise(((1.0, exp(0.1)), (exp(0.1), 1.0), (1.0, 1.0)), 6.0, BackgroundLoad(seconds=6.0))
    assert measured.log_ratios == pytest.approx([0.1, -0.1, 0.0])
    assert measured.spread == pytest.approx(0.1)
    assert measured.worst == pytest.approx(exp(0.1) - 1)
    assert measured.block_s == 2.0


def test_a_drift_affects_both_sides_equally(monkeypatch):
    """Each process takes 1 % longer than the one before; the order of A and A' alternates."""
    started = []

    def work(job, variables, timeout_s):
        started.append(job)
        counters = Counters(seconds=0.1, involuntary_switches=2)
        [process] = processes([[1e-3 * 1.01 ** len(started)] * 3], counters=[counters])
        return [Timed(index=0, status="ok", process=process)]

    monkeypatch.setattr(process, "work", work)
    told = []
    measured = noise.measure_noise(1e-9, lambda *given: told.append(given))
    assert len(measured.blocks) == len(told) == noise.FEWEST_BLOCKS
    assert len(started) == 2 * len(measured.blocks) + 1
    assert len({job.cells[0].folder for job in started}) == 1
    assert measured.log_ratios == pytest.approx([log(1.01), -log(1.01), log(1.01)])
    assert measured.involuntary_switches_s == pytest.approx(20.0)


@pytest.mark.parametrize(
    "event", [Failed("crashed", "killed by SIGKILL"), Timed(index=0, status="crashed", reason="killed by SIGKILL")]
)
def test_a_failed_worker_is_an_error_with_one_line(monkeypatch, event):
    monkeypatch.setattr(process, "work", lambda *arguments: [event])
    with pytest.raises(LcbenchError, match=r"^the noise cannot be measured: numpy: killed by SIGKILL$"):
        noise.measure_noise(1.0)
