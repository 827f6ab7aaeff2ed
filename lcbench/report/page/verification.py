"""How far each row was from the float64 oracle."""

from __future__ import annotations

from lcbench.record import Row
from lcbench.report.page.sheets import Cell, Column, Line, Sheet, count, scientific, text

SAID_WHERE_THEY_DIFFER = ("classes", "data", "batch", "streamed", "threads")
"""Fields of a row that have a column where not all rows have the same."""

_CONVENTION = Column("convention", "how a user's file counts, where that differs from the signature's own")


def sheet(rows: dict[str, Row]) -> Sheet:
    """A line a row, by the rows' names on the page; rows of two calls never look alike."""
    told = [name for name in SAID_WHERE_THEY_DIFFER if len({getattr(row, name) for row in rows.values()}) > 1]
    conventions = any(row.convention for row in rows.values())
    columns = [
        Column("implementation"),
        Column("loss"),
        Column("rows", number=True),
        Column("features", number=True),
        Column("dtype"),
        Column("device"),
        *(Column(name, number=name not in ("data", "streamed")) for name in told),
        Column("loss error", "largest relative error of the loss against the float64 oracle", number=True),
        Column("gradient error", "largest relative error of the gradient, in the Frobenius norm", number=True),
        Column("result"),
        *([_CONVENTION] if conventions else []),
    ]
    lines = [_line(name, row, told, conventions) for name, row in rows.items()]
    return Sheet("Errors against the float64 oracle", columns, lines)


def _line(name: str, row: Row, told: list[str], conventions: bool) -> Line:
    right = row.status == "ok"
    cells = [
        text(row.implementation + (f" ({row.side})" if row.side else "")),
        text(row.loss),
        count(row.rows),
        count(row.features),
        text(row.dtype),
        text(row.device),
        *(_cell(getattr(row, field)) for field in told),
        scientific(row.error_loss if right else None),
        scientific(row.error_grad if right else None),
        _result(row),
        *([text(row.convention)] if conventions else []),
    ]
    return Line(cells, words=f"{row.data} {row.status}", row=name)


def _cell(value: int | str | bool | None) -> Cell:
    if isinstance(value, bool):
        return text("yes" if value else "no")
    return text(value) if isinstance(value, str) else count(value)


def _result(row: Row) -> Cell:
    if row.status == "ok":
        return text("right, simulated" if row.device == "simulator" else "right", "good")
    return text(f"{row.status}: {row.reason}", "bad" if row.status == "wrong" else "open")
