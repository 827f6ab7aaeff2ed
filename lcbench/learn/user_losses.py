"""Losses of user code, computed in a worker process: user code can crash, hang or exit without ending the training.

The parent process keeps the weights and the data. For each call, it writes W, X and y to files that the worker has
mapped, and sends an order; the worker writes dW and the loss to such files, too.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.errors import LcbenchError, WrongResultError
from lcbench.losses.implementation import Implementation, LossError, LossName
from lcbench.usercode.discovery import is_user_code
from lcbench.usercode.loading import describe_error
from lcbench.usercode.recognition import WrongFunction
from lcbench.workers import messages, process
from lcbench.workers.messages import Emit, Failed, Orders
from lcbench.workers.process import WorkerProcess

TIMEOUT_S = 120.0
"""Time after which a call without a result is taken for an endless loop."""


class OpenJob(messages.Job, kw_only=True):
    """Job of a worker process: import an implementation and compute its losses, as ordered."""

    does = "lcbench.learn.user_losses.compute_losses"

    implementation: str
    folder: str
    """Folder of the files of arrays."""


class Layout(msgspec.Struct):
    """Shape and dtype of an array at the beginning of a file."""

    shape: tuple[int, ...]
    dtype: str


class Compute(msgspec.Struct):
    """Order: compute a loss of the arrays in the files W, X and y."""

    loss: str
    reg: float
    layouts: dict[str, Layout]


class Opened(msgspec.Struct, tag="opened"):
    """Event: the implementation has been imported, and has these losses."""

    losses: list[str]
    device: str


class Computed(msgspec.Struct, tag="computed"):
    """Event: the loss and dW are in their files."""

    layout: Layout
    """Layout of dW."""


OpenJob.answers = Opened | Computed


@contextmanager
def in_worker(name: str, threads: int | None = None, timeout_s: float = TIMEOUT_S) -> Iterator[Implementation | None]:
    """Yield the implementation `name`, computed in a worker process if it is user code, otherwise None.

    The functions of the implementation raise LcbenchError, one line, if the user's function raises, ends the process or
    returns nothing for `timeout_s`. threads: number of threads of the worker; None: that of this process.

    Raise LcbenchError if there is no usable function: WrongResultError if there is a wrong one.
    """
    if not is_user_code(name):
        yield None
        return
    if threads is None:
        from lcbench.losses import jit  # imports Numba, which takes too long before other error messages

        threads = jit.thread_count()
    with files.temporary_folder("losses") as folder, WorkerProcess(process.environment(threads, None)) as worker:
        worker.send(OpenJob(implementation=name, folder=folder))
        opened = _answer(worker, name, "while it was imported", timeout_s)
        arrays = _Files(Path(folder))
        functions = {loss: partial(_call, worker, arrays, name, timeout_s, loss) for loss in opened.losses}
        yield Implementation(name=name, device=opened.device, functions=cast(Any, functions))


def _call(
    worker: WorkerProcess,
    arrays: _Files,
    name: str,
    timeout_s: float,
    loss: str,
    W: NDArray[Any],
    X: NDArray[Any],
    y: NDArray[Any],
    reg: float,
) -> tuple[float, NDArray[Any]]:
    """Return the loss and dW, computed by the worker."""
    layouts = {key: arrays.write(key, array) for key, array in (("W", W), ("X", X), ("y", y))}
    worker.order(Compute(loss, reg, layouts))
    computed = _answer(worker, name, f"on {len(X):,} rows", timeout_s)
    return float(arrays.read("loss", Layout((1,), "float64"))[0]), arrays.read("dW", computed.layout).copy()


def _answer(worker: WorkerProcess, name: str, when: str, timeout_s: float) -> Any:
    """Return the next event of the worker. Raise LcbenchError if it failed or ended."""
    event = worker.answer(timeout_s)[0]
    if isinstance(event, Opened | Computed):
        return event
    assert isinstance(event, Failed)
    if event.status == "wrong":
        raise WrongResultError(event.reason)
    if event.status == "unavailable":
        raise LcbenchError(event.reason)
    raise LcbenchError(f"{name}: {event.reason} ({when})")


def compute_losses(job: OpenJob, emit: Emit, orders: Orders) -> None:
    """Import the implementation, and compute the losses that are ordered until the parent process ends."""
    from lcbench.usercode.recognition import resolve

    try:
        implementation = resolve(job.implementation)
        emit(Opened(list(implementation.functions), implementation.device))
        arrays = _Files(Path(job.folder))
        while True:
            order = orders(Compute)
            W, X, y = (arrays.read(key, order.layouts[key]) for key in ("W", "X", "y"))
            with np.errstate(all="ignore"):
                loss, dW = implementation.loss(cast(LossName, order.loss), W, X, y, order.reg)
            dW = np.asarray(dW, dW.dtype if dW.dtype.kind == "f" else np.float64)
            if dW.shape != W.shape:
                raise ValueError(f"its gradient has shape {dW.shape}, and W has {W.shape}")
            arrays.write("loss", np.array([loss], np.float64))
            emit(Computed(arrays.write("dW", dW)))
    except WrongFunction as error:
        emit(Failed("wrong", str(error)))
    except LossError as error:
        emit(Failed("unavailable", str(error)))
    except BaseException as error:  # user code may raise anything, and SystemExit too
        name = Path(job.implementation if job.implementation.endswith(".py") else job.implementation.rpartition(":")[0])
        frames = traceback.extract_tb(error.__traceback__)
        file = next((frame.filename for frame in frames if Path(frame.filename).name == name.name), "")
        emit(Failed("crashed", str(describe_error(error, file))))


class _Files:
    """Files of arrays in a folder, which two processes have mapped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mapped: dict[str, NDArray[np.uint8]] = {}

    def write(self, name: str, array: NDArray[Any]) -> Layout:
        """Write the array to its file and return its layout. Raise LcbenchError if the disk is full."""
        memory = self._memory(name, array.nbytes, make=True)
        memory[: array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
        return Layout(array.shape, str(array.dtype))

    def read(self, name: str, layout: Layout) -> NDArray[Any]:
        """Return the array in the file, valid until the next one is written."""
        dtype = np.dtype(layout.dtype)
        size = prod(layout.shape) * dtype.itemsize
        return self._memory(name, size)[:size].view(dtype).reshape(layout.shape)

    def _memory(self, name: str, size: int, make: bool = False) -> NDArray[np.uint8]:
        """Return at least `size` mapped bytes of the file. make: extend the file if it is too short."""
        found = self._mapped.get(name)
        if found is None or len(found) < size:
            path = self._folder / name
            if make:
                _extend(path, size)
            found = np.asarray(np.memmap(path, np.uint8, "r+"))
            self._mapped[name] = found
        return found


def _extend(path: Path, size: int) -> None:
    """Extend the file to `size` bytes that are on the disk: a write to a mapped file on a full disk ends a process."""
    try:
        with path.open("ab") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, max(size, 1))
            else:
                file.truncate(max(size, 1))
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror or error}; TMPDIR names another folder") from None
