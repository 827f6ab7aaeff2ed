"""Functions of the backend about the device, with a fake driver."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.implementation import Unavailable


class FakeDriver:
    """The functions of the CUDA driver that the backend calls."""

    def __init__(self, init_error: int = 0, devices: int = 1) -> None:
        self.init_error, self.devices = init_error, devices

    def cuInit(self, flags: int) -> int:
        return self.init_error

    def cuGetErrorName(self, error: int, name: Any) -> int:
        name._obj.value = b"CUDA_ERROR_FAKE"
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.devices
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"NVIDIA Fake"
        return 0


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[FakeDriver | None], None]]:
    def load(driver: FakeDriver | None) -> None:
        def open_library(name: str) -> FakeDriver:
            if driver is None:
                raise OSError(f"{name}: cannot open shared object file")
            return driver

        monkeypatch.setattr(ctypes, "CDLL", open_library)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cuda_backend.why_no_gpu.cache_clear()
    yield load
    cuda_backend.why_no_gpu.cache_clear()


def test_name_of_the_device(install: Callable[[FakeDriver | None], None]) -> None:
    install(FakeDriver())
    assert cuda_backend.why_no_gpu() is None
    assert cuda_backend.gpu_name() == "NVIDIA Fake"


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "no CUDA driver: lib"),
        (FakeDriver(init_error=100), "the CUDA driver finds no device"),
        (FakeDriver(devices=0), "the CUDA driver finds no device"),
        (FakeDriver(init_error=803), "the CUDA driver does not start: cuInit returned 803 (CUDA_ERROR_FAKE)"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the name of the library is that of Linux")
def test_reasons_are_one_line(
    driver: FakeDriver | None,
    reason: str,
    install: Callable[[FakeDriver | None], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(driver)
    found = cuda_backend.why_no_gpu()
    assert found is not None
    assert found.startswith(reason)
    assert "\n" not in found
    assert cuda_backend.gpu_name() is None
    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: False)
    with pytest.raises(Unavailable, match="simulator"):
        cuda_backend.require_device()


def test_reason_names_hidden_devices(
    install: Callable[[FakeDriver | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(FakeDriver(init_error=100))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cuda_backend.why_no_gpu() == "the CUDA driver finds no device (CUDA_VISIBLE_DEVICES is '')"


def test_the_simulator_needs_no_device(
    install: Callable[[FakeDriver | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(None)
    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: True)
    cuda_backend.require_device()


def test_backend_that_does_not_import_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    with pytest.raises(Unavailable, match=r"numba\.cuda does not import") as caught:
        _ = cuda_backend.cuda
    assert "numba-cuda" in caught.value.install


def test_backend_that_fails_to_import_in_another_way_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_backend.py").write_text("import numpy\nnumpy.a_name_that_is_gone\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cuda_backend.BACKENDS, "numba-cuda", "broken_backend")
    with pytest.raises(Unavailable, match=r"broken_backend does not import: .*a_name_that_is_gone"):
        _ = cuda_backend.cuda


def test_numba_cuda_works_with_a_numpy_that_has_no_row_stack() -> None:
    pytest.importorskip("numba_cuda")
    program = (
        "import numba.np.arrayobj, numpy\n"
        "vars(numpy).pop('row_stack', None)\n"  # as in NumPy 2.5
        "from lcbench.losses.cuda.backend import cuda\n"
        "import numba.cuda.np.arrayobj\n"  # as numba-cuda does at the first launch
        "assert 'row_stack' not in vars(numpy)\n"
        "print('fine')\n"
    )
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert child.stdout == "fine\n", child.stderr


def test_successor_is_used_if_it_is_the_only_backend(
    install: Callable[[FakeDriver | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    successor = types.ModuleType("numba_cuda_mlir.cuda")
    package = types.ModuleType("numba_cuda_mlir")
    package.cuda = successor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir", package)
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir.cuda", successor)
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: False)
    install(FakeDriver())
    assert cuda_backend.cuda is successor
    assert not cuda_backend.has_llvm()
    install(None)
    cuda_backend.why_no_gpu.cache_clear()
    with pytest.raises(Unavailable, match=r"numba\.cuda does not import"):
        _ = cuda_backend.cuda


def test_variable_selects_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    successor = types.ModuleType("numba_cuda_mlir.cuda")
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir", types.ModuleType("numba_cuda_mlir"))
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir.cuda", successor)
    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: False)
    monkeypatch.setenv("LCBENCH_CUDA_BACKEND", "numba-cuda-mlir")
    assert cuda_backend.cuda is successor
    monkeypatch.setenv("LCBENCH_CUDA_BACKEND", "opencl")
    with pytest.raises(Unavailable, match="must be one of numba-cuda, numba-cuda-mlir"):
        _ = cuda_backend.cuda


@pytest.mark.parametrize(("value", "simulated"), [("1", True), ("0", False)])
def test_functions_about_the_device_do_not_import_numba(value: str, simulated: bool) -> None:
    program = (
        "import sys\n"
        "from lcbench.losses.cuda.backend import gpu_name, is_simulator, why_no_gpu\n"
        "why_no_gpu(), gpu_name()\n"
        "before = is_simulator()\n"
        "assert 'numba' not in sys.modules\n"
        "from lcbench.losses.cuda.backend import cuda\n"
        "print(before, is_simulator())\n"
    )
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": value, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert child.stdout.split() == [str(simulated)] * 2, child.stderr


SIMULATED = """
import threading
import numpy as np
from lcbench.losses.cuda.backend import cuda

@cuda.jit
def reverse(values, barrier, fails):
    i = cuda.threadIdx.x
    shared = cuda.shared.array(8, np.int64)
    shared[i] = values[i]
    if barrier:
        cuda.syncthreads()
    if i == fails:
        raise IndexError("fifth")
    read = shared[7 - i]
    cuda.syncthreads()
    values[i] = read
    if i < 4:  # the others are over
        cuda.syncthreads()
        values[i] += 1

for barrier, first in ((True, 0), (False, 10)):
    values = np.arange(first, first + 8)
    reverse[1, 8](values, barrier, -1)
    print(values.tolist())
try:
    reverse[1, 8](np.arange(8), True, 5)
except IndexError as error:
    print(error)
for thread in threading.enumerate()[1:]:  # one that was told to end may not have ended yet
    thread.join(60)
print(threading.active_count())
"""


def test_simulated_threads_run_in_turn() -> None:
    variables = {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    right, without_a_barrier, error, threads = done.stdout.splitlines()
    assert right == "[8, 7, 6, 5, 3, 2, 1, 0]"
    assert without_a_barrier != "[18, 17, 16, 15, 13, 12, 11, 10]"
    assert error.endswith("fifth")
    assert "tid=[5" in error
    assert threads == "1"
