"""The slowdown that is promised to be visible is seen as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lcbench.stats.gate import ALPHA_SLOWER, detectable_slowdown
from lcbench.stats.verdicts import POWER


def test_a_slowdown_of_that_size_is_seen_as_often_as_promised():
    rng = np.random.default_rng(0)
    logs = rng.normal(0, 0.04, 400)
    logs *= 0.04 / np.std(logs, ddof=1)
    shift = np.log1p(detectable_slowdown(logs.tolist(), block_s=2.0, budget_s=60.0))
    experiments = rng.normal(shift, 0.04, (20_000, 30))
    seen = stats.ttest_1samp(experiments, 0, axis=1, alternative="greater").pvalue < ALPHA_SLOWER
    assert np.mean(seen) == pytest.approx(POWER, abs=0.02)


def test_more_time_and_less_noise_show_more():
    logs = [-0.04, 0.0, 0.04]
    assert detectable_slowdown(logs, 1.0, 60.0) < detectable_slowdown(logs, 1.0, 10.0)
    assert detectable_slowdown([log / 2 for log in logs], 1.0) < detectable_slowdown(logs, 1.0)
    assert detectable_slowdown([0.0, 0.0], 1.0) == 0.0


def test_where_nothing_fits_nothing_is_promised():
    assert detectable_slowdown([0.1, 0.2], block_s=31.0, budget_s=60.0) is None
