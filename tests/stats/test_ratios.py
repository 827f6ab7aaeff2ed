"""Speed-ups: paired by block, so that what both rows share of the machine's moods cancels."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from lcbench.stats.estimates import speedup
from results import row


def test_drift_that_hits_both_alike_cancels():
    drift = [1.0, 1.7, 0.8, 2.5]
    ratio = speedup(row(medians=[0.2 * d for d in drift]), row(medians=[0.6 * d for d in drift]))
    assert ratio == pytest.approx((3.0, 3.0, 3.0))


def test_the_value_is_the_geometric_mean():
    ratio = speedup(row(medians=[1.0, 1.0]), row(medians=[2.0, 8.0]))
    assert ratio.value == pytest.approx(4.0)
    assert ratio.low < 4.0 < ratio.high


def test_a_speedup_and_its_reverse_are_reciprocal():
    rng = np.random.default_rng(3)
    one, other = row(medians=list(rng.uniform(1, 2, 8))), row(medians=list(rng.uniform(3, 4, 8)))
    there, back = speedup(one, other), speedup(other, one)
    assert (there.value * back.value, there.low * back.high) == pytest.approx((1.0, 1.0))


def test_one_block_gives_a_value_and_no_certainty():
    assert speedup(row(medians=[1.0]), row(medians=[2.0])) == (pytest.approx(2.0), 0.0, inf)


def test_blocks_without_a_partner_are_left_out():
    assert speedup(row(medians=[1.0, 1.0, 50.0]), row(medians=[2.0, 2.0])).value == pytest.approx(2.0)
