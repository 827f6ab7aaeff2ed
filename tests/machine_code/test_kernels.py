"""The list of kernels to inspect holds all that a call would launch."""

from __future__ import annotations

import pytest

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda import by_stages as cuda_by_stages
from lcbench.machine_code.gpu import kernels_to_inspect

pytestmark = pytest.mark.skipif(cuda_backend.is_simulator(), reason="the simulator's kernels have no types")


def listed(dtype, classes):
    found = kernels_to_inspect((9, 0), dtype, classes, pixels=False)
    assert all(one.threads % 32 == 0 and 0 < one.threads <= 1024 for one in found)
    assert all(one.signature for one in found)
    return [one.name for one in found]


def test_one_pass_where_it_holds_the_problem():
    assert listed("float32", classes=10) == ["one_pass svm", "one_pass softmax", "merge"]


@pytest.mark.parametrize(("dtype", "classes"), [("float64", 10), ("float32", 500)])
def test_stages_where_it_does_not(dtype, classes):
    assert listed(dtype, classes) == [*cuda_by_stages.Kernels.__dataclass_fields__, "merge"]
