"""How far each row was from the float64 oracle."""

from __future__ import annotations

from lcbench.record import Row
from lcbench.report.page.sheets import Cell, Column, Line, Sheet, count, scientific, text

COLUMNS = [
    Column("implementation"),
    Column("loss"),
    Column("rows", number=True),
    Column("features", number=True),
    Column("dtype"),
    Column("device"),
    Column("loss error", "largest relative error of the loss against the float64 oracle", number=True),
    Column("gradient error", "largest relative error of the gradient against it, in the Frobenius norm", number=True),
    Column("result"),
    Column("convention", "how a user's file counts, where that differs from the signature's own"),
]


def sheet(rows: dict[str, Row]) -> Sheet:
    """A line a row, by the rows' names on the page."""
    return Sheet("Errors against the float64 oracle", COLUMNS, [_line(name, row) for name, row in rows.items()])


def _line(name: str, row: Row) -> Line:
    right = row.status == "ok"
    return Line(
        [
            text(row.implementation + (f" ({row.side})" if row.side else "")),
            text(row.loss),
            count(row.rows),
            count(row.features),
            text(row.dtype),
            text(row.device),
            scientific(row.error_loss if right else None),
            scientific(row.error_grad if right else None),
            _result(row),
            text(row.convention),
        ],
        words=f"{row.data} {row.status}",
        row=name,
    )


def _result(row: Row) -> Cell:
    if row.status == "ok":
        return text("right, simulated" if row.device == "simulator" else "right", "good")
    return text(f"{row.status}: {row.reason}", "bad" if row.status == "wrong" else "open")
