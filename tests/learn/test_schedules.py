import numpy as np
import pytest

from lcbench.learn.solvers import learning_rates


def test_a_constant_rate():
    assert learning_rates("constant", 0.1, 4).tolist() == [0.1] * 4


def test_the_step_schedule_multiplies_after_every_so_many_steps():
    assert learning_rates("step", 1.0, 6, decay=0.5, decay_every=2).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(("schedule", "half_way"), [("linear", 0.5), ("cosine", 0.5)])
def test_the_others_go_down_towards_nothing(schedule, half_way):
    rates = learning_rates(schedule, 2.0, 100)
    assert rates[0] == 2
    assert rates[50] == pytest.approx(2 * half_way)
    assert 0 < rates[-1] < 0.05
    assert (np.diff(rates) < 0).all()
