"""What more threads gain, from a sweep over their number."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from lcbench.judge import jackknife
from lcbench.judge.points import Other, curves
from lcbench.record import Record


@dataclass(frozen=True)
class Efficiency:
    """With `threads`, an implementation is `speedup` [low, high] times as fast as with `base` of them, at 95 %.

    base: the fewest that were measured, 1 where there is a choice. other: the place on the other axis.
    """

    implementation: str
    loss: str
    threads: int
    base: int
    speedup: float
    low: float
    high: float
    other: Other

    @property
    def efficiency(self) -> float:
        """Speed-up over the one that as many times the threads could give: 1 is ideal."""
        return self.speedup / self.ideal

    @property
    def ideal(self) -> float:
        """The speed-up where the threads do not disturb each other."""
        return self.threads / self.base


def efficiencies(record: Record) -> list[Efficiency]:
    """Of every implementation, loss and place on the other axis, for each number of threads but the fewest."""
    found = []
    for curve in curves(record, "threads"):
        for point in range(1, len(curve.rows)):
            times = jackknife.mean(curve.rise(point, 0))
            found.append(
                Efficiency(
                    implementation=curve.implementation,
                    loss=curve.loss,
                    threads=int(curve.values[point]),
                    base=int(curve.values[0]),
                    speedup=exp(times.value),
                    low=exp(times.low),
                    high=exp(times.high),
                    other=curve.other,
                )
            )
    return found
