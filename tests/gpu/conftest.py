"""Skip tests marked `gpu`, with the reason, if there is no CUDA device."""

from __future__ import annotations

import pytest

from lcbench.losses.cuda.backend import is_simulator, why_no_gpu


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "NUMBA_ENABLE_CUDASIM is set: kernels run in the simulator" if is_simulator() else why_no_gpu()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))
