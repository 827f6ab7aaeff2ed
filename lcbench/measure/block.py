"""One block: a worker process that times an implementation on some cells, and the rows that it adds to."""

from __future__ import annotations

from statistics import median

from lcbench.losses.implementation import Device, LossName
from lcbench.measure.messages import Timed, TimeJob
from lcbench.measure.workload import Size
from lcbench.record import Row, RowSide
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place


def empty_row(implementation: str, device: Device, loss: LossName, size: Size, threads: int, side: RowSide = "") -> Row:
    """A row of which nothing is measured yet."""
    return Row(
        implementation=implementation,
        loss=loss,
        dtype=size.dtype,
        rows=size.rows,
        features=size.features,
        classes=size.classes,
        data=size.data,
        batch=size.batch,
        streamed=size.streamed,
        device=device,
        status="ok",
        side=side,
        threads=threads,
        flops=size.flops,
        bytes=size.bytes,
    )


def measure(
    job: TimeJob, rows: list[Row], variables: dict[str, str], timeout_s: float, place: Place = HERE
) -> list[int]:
    """Does `job`, whose cells belong to `rows` one to one, in a process of its own, and adds what it measured to them.

    Returns the indices of the cells that had no turn because another one ended the process.
    """
    events = process.work(job, variables, timeout_s, place)
    left = dict(enumerate(rows))
    for event in events:
        if isinstance(event, Timed):
            _add(left.pop(event.index), event)
        elif isinstance(event, Failed):
            at = process.unanswered(events)
            for index in list(left) if at is None else [at]:
                left.pop(index).fail(event.status, event.reason)
    return list(left)


def _add(row: Row, timed: Timed) -> None:
    if row.status != "ok":  # a gate goes on with both losses where only one has failed
        return
    row.convention = timed.convention
    row.threads = timed.threads or row.threads
    if timed.process is None:
        row.fail(timed.status, timed.reason)
        return
    if not row.processes:  # later blocks read the code that the first compiled
        row.first_call_s, row.prepare_s, row.import_s = timed.first_call_s, timed.prepare_s, timed.import_s
        if timed.compiles and timed.first_call_s is not None:
            row.compile_s = max(0.0, timed.first_call_s - median(timed.process.samples))
    row.processes.append(timed.process)
    row.error_loss = max(row.error_loss or 0.0, timed.error_loss or 0.0)
    row.error_grad = max(row.error_grad or 0.0, timed.error_grad or 0.0)
