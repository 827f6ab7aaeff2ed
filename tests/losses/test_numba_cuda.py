"""The CUDA kernels in Numba's simulator agree with explicit float64 loops.

The simulator must be enabled before Numba is imported, so this file also runs as a script: one child process computes
all cases and returns their outcomes.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Case:
    """Arguments of a call. resident: False leaves X on the host, in small chunks. shuffles: warps use shuffles."""

    loss: str
    W: Any
    X: Any
    y: Any
    reg: float = 0.0
    prepared: bool = False
    small_blocks: bool = True
    resident: bool = True
    shuffles: bool = False


@dataclass(frozen=True)
class Outcome:
    loss: float = 0.0
    gradient: Any = None
    on_device: bool = False
    inputs_unchanged: bool = True
    error: str = ""
    kernels: str = ""


def simulate(cases: dict[str, Case]) -> dict[str, Outcome]:
    """Compute every case, in the child process."""
    from lcbench.losses import numba_cuda
    from lcbench.losses.cuda import matrix as cuda_matrix
    from lcbench.losses.cuda import one_pass as cuda_one_pass
    from lcbench.losses.cuda import tiles as cuda_tiles

    add_shuffles_to_simulator()
    defaults = cuda_tiles.one_pass_tile, dict(numba_cuda.STAGES), cuda_matrix.CHUNK_BYTES
    outcomes = {}
    for name, case in cases.items():
        if case.small_blocks:
            cuda_tiles.one_pass_tile = small_shuffling_tile if case.shuffles else small_tile
            numba_cuda.STAGES.update(small_stages())
        else:
            cuda_tiles.one_pass_tile = defaults[0]
            numba_cuda.STAGES.update(defaults[1])
        cuda_one_pass.has_shuffles = lambda shuffles=case.shuffles: shuffles
        # three rows per chunk: odd and even numbers of chunks, and a last chunk that is not full
        row_bytes = case.X.shape[1] * (1 if case.X.dtype == np.uint8 else case.W.itemsize)
        cuda_matrix.CHUNK_BYTES = defaults[2] if case.resident else 3 * row_bytes
        numba_cuda._plan.cache_clear()
        cuda_one_pass.build_kernel.cache_clear()
        before = pickle.dumps((case.W, case.X, case.y))
        arrays = (case.W, case.X, case.y)
        try:
            if case.prepared or not case.resident:
                arrays = numba_cuda.prepare(*arrays, resident=case.resident)
            loss, dW = getattr(numba_cuda, f"{case.loss}_loss")(*arrays, case.reg)
            on_device = hasattr(dW, "copy_to_host")
            loss, dW = numba_cuda.fetch(loss, dW)
        except ValueError as error:
            outcomes[name] = Outcome(error=str(error))
        else:
            unchanged = pickle.dumps((case.W, case.X, case.y)) == before
            one_pass = cuda_one_pass.build_kernel.cache_info().currsize > 0
            outcomes[name] = Outcome(loss, dW, on_device, unchanged, kernels="one pass" if one_pass else "by stages")
    return outcomes


def small_tile(features: int, classes: int, pixels: bool, device: Any) -> Any:
    """Return a tile of 8 threads, 4 to a warp: two rows of up to 32 columns, 3 more in the tail, and 4 classes."""
    from lcbench.losses.cuda.tiles import Tile

    if classes > 4 or features > 35:
        return None
    return Tile(threads=8, groups=1, rows=2, tail=max(0, features - 32), lanes=4)


def small_shuffling_tile(features: int, classes: int, pixels: bool, device: Any) -> Any:
    """Return a tile of one warp with 32 lanes, for which the shuffles are written."""
    from lcbench.losses.cuda.tiles import Tile

    return Tile(threads=32, groups=1, rows=3, tail=max(0, features - 128))


def small_stages() -> dict[Any, Any]:
    from lcbench.losses.cuda.by_stages import Stages

    small = Stages(
        lanes=4, score_warps=2, rows_per_warp=2, features=8, step_threads=4, gradient_warps=2, columns_per_thread=2,
        rows_in_flight=2, classes=3, blocks_wanted=12,
    )  # fmt: skip
    return {np.float32: small, np.float64: small}


def add_shuffles_to_simulator() -> None:
    """Give the simulator `shfl_xor_sync` for blocks of one warp: through memory, between two barriers."""
    from numba.cuda.simulator.kernelapi import FakeCUDAModule

    values: dict[int, Any] = {}

    def shfl_xor_sync(module: Any, mask: int, value: Any, apart: int) -> Any:
        lane = module.threadIdx.x
        values[lane] = value
        module.syncthreads()
        received = values[lane ^ apart]
        module.syncthreads()
        return received

    FakeCUDAModule.shfl_xor_sync = shfl_xor_sync


def reference(case: Case) -> tuple[float, Any]:
    """Return loss and gradient by their definition, in float64."""
    W, X = np.asarray(case.W, np.float64), np.asarray(case.X, np.float64)
    N, C = X.shape[0], W.shape[1]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(N):
        s, label = X[i] @ W, int(case.y[i])
        if case.loss == "svm":
            for j in range(C):
                margin = s[j] - s[label] + 1
                if j != label and margin > 0:
                    loss += margin / N
                    dW[:, j] += X[i] / N
                    dW[:, label] -= X[i] / N
        else:
            p = np.exp(s - s.max())
            p /= p.sum()
            loss += (np.log(np.exp(s - s.max()).sum()) + s.max() - s[label]) / N
            for j in range(C):
                dW[:, j] += (p[j] - (j == label)) * X[i] / N
    return loss + case.reg * float((W * W).sum()), dW + 2 * case.reg * W


def draw(loss: str, N: int, D: int, C: int, dtype: type = np.float32, seed: int = 0, **more: Any) -> Case:
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((D, C)), rng.standard_normal((N, D))
    return Case(loss, W.astype(dtype), X.astype(dtype), rng.integers(0, C, N), 0.3, **more)


def pixels(case: Case) -> Case:
    X = np.random.default_rng(1).integers(0, 256, case.X.shape).astype(np.uint8)
    return replace(case, W=case.W / case.W.dtype.type(256), X=X)


def with_arrays(case: Case, **arrays: Any) -> Case:
    return Case(case.loss, **({"W": case.W, "X": case.X, "y": case.y} | arrays), reg=case.reg)


def valid_cases() -> dict[str, Case]:
    """Return valid cases. Small blocks: 4 rows, 3 classes, 16 columns, 8 features at a time, chunks of a few rows."""
    cases = {}
    for loss in ("svm", "softmax"):
        ragged = draw(loss, 11, 19, 7)  # a remainder in every tile, several blocks along every axis
        cases |= {
            f"{loss}: one of each": draw(loss, 1, 1, 2),
            f"{loss}: one row": draw(loss, 1, 19, 4),
            f"{loss}: one feature": draw(loss, 9, 1, 3),
            f"{loss}: by stages, ragged float32": ragged,
            f"{loss}: by stages, ragged float64": draw(loss, 11, 19, 7, np.float64),
            f"{loss}: whole tiles": draw(loss, 8, 16, 6),
            f"{loss}: blocks of default size": draw(loss, 3, 5, 3, small_blocks=False),
            f"{loss}: uint8 with float32": pixels(draw(loss, 5, 9, 3)),
            f"{loss}: uint8 with float64": pixels(draw(loss, 5, 9, 3, np.float64)),
            f"{loss}: Fortran order": with_arrays(ragged, X=np.asfortranarray(ragged.X), W=np.asfortranarray(ragged.W)),
            f"{loss}: int8 labels": with_arrays(draw(loss, 6, 3, 5), y=np.array([4, 0, 1, 1, 3, 2], np.int8)),
            f"{loss}: uint64 labels": with_arrays(draw(loss, 3, 3, 5), y=np.array([4, 0, 1], np.uint64)),
            f"{loss}: all labels equal": with_arrays(draw(loss, 6, 3, 5), y=np.full(6, 4)),
            f"{loss}: float64 X, float32 W": with_arrays(draw(loss, 3, 4, 3), X=draw(loss, 3, 4, 3, np.float64).X),
            f"{loss}: prepared": draw(loss, 5, 3, 4, prepared=True),
            # the score of the label is the highest by 2e4 in row 0 and the lowest in row 1
            f"{loss}: scores of 1e4": Case(
                loss, np.array([[-1e4, 1e4, 0]], np.float32), np.ones((2, 1), np.float32), np.array([1, 0])
            ),
        }
        for shape, what in (
            ((9, 33, 4), "with a tail"),
            ((7, 32, 3), "whole tile"),
            ((1, 35, 2), "one row, with a tail"),
        ):
            cases[f"{loss}: one pass, {what}"] = draw(loss, *shape)
        cases |= {
            f"{loss}: one pass, uint8, with a tail": pixels(draw(loss, 9, 34, 4)),
            f"{loss}: one pass, by shuffles": draw(loss, 4, 130, 5, shuffles=True),
            f"{loss}: one pass, by shuffles, uint8": replace(pixels(draw(loss, 4, 9, 3)), shuffles=True),
            f"{loss}: one pass, host-fed": draw(loss, 11, 35, 4, resident=False),
            f"{loss}: one pass, host-fed, uint8": replace(pixels(draw(loss, 12, 5, 3)), resident=False),
            f"{loss}: one pass, host-fed, one chunk": draw(loss, 2, 5, 3, resident=False),
            f"{loss}: by stages, host-fed": draw(loss, 11, 19, 7, np.float64, resident=False),
        }
    # class 1 lies exactly the margin below the true class: no loss, no gradient
    cases["svm: at the kink"] = Case("svm", np.array([[1.0, 0.0]]), np.array([[1.0]]), np.array([0]))
    return cases


def invalid_cases() -> dict[str, tuple[Case, str]]:
    """Return invalid inputs, and the start of the error message."""
    good = draw("svm", 3, 2, 4)
    return {
        "label too high": (with_arrays(good, y=np.array([0, 4, 1])), "y[1] is 4, outside [0, 4)"),
        "label negative": (with_arrays(good, y=np.array([-1, 0, 1])), "y[0] is -1, outside [0, 4)"),
        "labels that would wrap": (with_arrays(good, y=np.array([0, 0, 2**32])), "y[2] is 4294967296, outside"),
        "float labels": (with_arrays(good, y=np.array([0.0, 1.0, 2.0])), "y must be integers"),
        "too few labels": (with_arrays(good, y=np.array([0, 1])), "y must be (3,)"),
        "integer W": (with_arrays(good, W=np.ones((2, 4), int)), "W must be float32 or float64"),
        "features differ": (with_arrays(good, X=np.ones((3, 5), np.float32)), "X (3, 5) and W (2, 4) do not fit"),
        "no rows": (with_arrays(good, X=np.ones((0, 2), np.float32), y=np.array([], int)), "X must be (N, D)"),
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("simulator")
    cases = valid_cases() | {name: case for name, (case, _) in invalid_cases().items()}
    (folder / "cases").write_bytes(pickle.dumps({name: vars(case) for name, case in cases.items()}))
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, __file__, folder], env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return {name: Outcome(**fields) for name, fields in pickle.loads((folder / "outcomes").read_bytes()).items()}


@pytest.mark.parametrize("name", valid_cases())
def test_loss_and_gradient_are_correct(name: str, outcomes: dict[str, Outcome]) -> None:
    case, outcome = valid_cases()[name], outcomes[name]
    assert not outcome.error
    loss, dW = reference(case)
    tolerance = 2e-6 if case.W.dtype == np.float32 else 1e-13
    assert outcome.gradient.shape == case.W.shape
    assert outcome.gradient.dtype == case.W.dtype
    assert outcome.loss == pytest.approx(loss, rel=tolerance)
    assert np.linalg.norm(outcome.gradient - dW) <= tolerance * np.linalg.norm(dW)
    assert outcome.inputs_unchanged
    assert outcome.on_device == (case.prepared or not case.resident)
    for kernels in ("one pass", "by stages"):
        assert outcome.kernels == kernels or kernels not in name


@pytest.mark.parametrize("name", invalid_cases())
def test_invalid_input_raises(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].error.startswith(invalid_cases()[name][1])


def test_error_without_a_device_names_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from lcbench.losses import numba_cuda
    from lcbench.losses.cuda import backend as cuda_backend
    from lcbench.losses.implementation import Unavailable

    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: False)
    monkeypatch.setattr(cuda_backend, "why_no_gpu", lambda: "no CUDA driver: gone")
    case = draw("svm", 2, 2, 2)
    with pytest.raises(Unavailable, match="no CUDA driver: gone"):
        numba_cuda.svm_loss(case.W, case.X, case.y, 0.0)


def test_invalid_stages_raise() -> None:
    from lcbench.losses.cuda.by_stages import Stages

    with pytest.raises(ValueError, match="power of two"):
        Stages(step_threads=96)
    with pytest.raises(ValueError, match="divide"):
        Stages(features=48)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # its threads take turns, which is faster on one core
    child_folder = Path(sys.argv[1])
    given = {name: Case(**fields) for name, fields in pickle.loads((child_folder / "cases").read_bytes()).items()}
    results = {name: vars(outcome) for name, outcome in simulate(given).items()}
    (child_folder / "outcomes").write_bytes(pickle.dumps(results))
