"""What a search for hyperparameters found: its trials, best first, the grid, and the model that was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from lcbench.learn.recipe import Recipe
from lcbench.learn.search.points import AXES, ranking
from lcbench.learn.search.search_file import Search, Trial
from lcbench.report import style

ROWS = 20
"""Of the table of trials; the file has the others too."""

_WIDTH = 80
_WITHOUT_MODEL = ("diverged", "crashed", "waiting")
_HEADINGS = {"learning_rate": "learning rate", "reg": "reg", "batch": "batch", "margin": "margin"}


def tables(search: Search, path: Path) -> Iterator[Table | Text]:
    """Everything that is to be said, the most important last, where a terminal leaves the eye."""
    ordered = _ordered(search)
    yield _trials(search, ordered[:ROWS])
    if rest := ordered[ROWS:]:
        yield Text(f"and {_counted([search.trials[place] for place in rest])} more, in {path}")
    yield from _reasons(search)
    grid = _grid(search)
    if grid is not None:
        # a title of the table itself would be broken to the width of its columns
        yield Text("validation accuracy in %: the learning rate down, reg across", style="bold")
        yield grid
    if search.refit:
        yield from _edges(search)
        yield _best(search, path)


def axes(search: Search) -> list[str]:
    """What tells the trials apart: the axes that were asked for, of which those of one value say nothing."""
    several = [name for name in AXES if name in search.axes and len(_values(search, name)) > 1]
    return several or [name for name in AXES if name in search.axes][:1]


def _values(search: Search, name: str) -> list[float]:
    return sorted({getattr(trial.recipe, name) for trial in search.trials})


def _ordered(search: Search) -> list[int]:
    """Places of all trials: those that gave a model, best first, then what diverged and crashed, then the waiting."""
    best = ranking(search.trials)
    return best + [
        place for status in _WITHOUT_MODEL for place, trial in enumerate(search.trials) if trial.status == status
    ]


def _trials(search: Search, places: list[int]) -> Table:
    names = axes(search)
    narrow = len(names) > 2  # then the settings take the room of what matters less
    table = style.table(
        f"{_counted(search.trials)}: {_what(search.trials[0].recipe)}",
        *[style.number(_HEADINGS[name]) for name in names],
        style.number("validation"),
        *([] if narrow else [style.number("train"), style.number("last loss"), style.number("took")]),
        Column("result", no_wrap=True),
    )
    for place in places:
        trial = search.trials[place]
        less = (
            style.percent(trial.train_accuracy),
            style.MISSING if trial.loss is None else f"{trial.loss:.4g}",
            style.seconds(trial.seconds),
        )
        table.add_row(
            *[f"{getattr(trial.recipe, name):g}" for name in names],
            style.percent(trial.validation_accuracy),
            *([] if narrow else less),
            Text(trial.status, style="" if trial.succeeded else "yellow"),
        )
    return table


def _what(recipe: Recipe) -> str:
    """What all trials have in common, in words."""
    features = f", {' + '.join(recipe.features)}" if recipe.features else ""
    return f"{recipe.loss} by {recipe.solver}, {recipe.iterations:,} steps, on {Path(recipe.data).name}{features}"


def _counted(trials: list[Trial]) -> str:
    """How many, and how many of them gave no model: "30 trials (4 diverged)"."""
    text = f"{len(trials)} trial" + ("s" if len(trials) > 1 else "")
    failed = [(status, sum(trial.status == status for trial in trials)) for status in _WITHOUT_MODEL]
    said = ", ".join(f"{count} {status}" for status, count in failed if count)
    return f"{text} ({said})" if said else text


def _reasons(search: Search) -> Iterator[Text]:
    reasons = dict.fromkeys(trial.reason for trial in search.trials if trial.status == "crashed")
    for reason in reasons:
        yield Text(f"crashed: {reason}", style="yellow")


def _grid(search: Search) -> Table | None:
    """Validation accuracies with the learning rate down and the regularisation across; None where that is no plane."""
    if search.way != "grid" or axes(search) != ["learning_rate", "reg"]:
        return None
    regs = _values(search, "reg")
    table = style.table(
        "",
        style.number(""),
        *[style.number(f"{reg:g}") for reg in regs],
    )
    best = ranking(search.trials)[:1]
    cells = {
        (trial.recipe.learning_rate, trial.recipe.reg): _cell(trial, best == [place])
        for place, trial in enumerate(search.trials)
    }
    for rate in _values(search, "learning_rate"):
        table.add_row(f"{rate:g}", *[cells.get((rate, reg), Text(style.MISSING)) for reg in regs])
    table.title = None
    return table if _width(table) <= _WIDTH else None


def _width(table: Table) -> int:
    """Of a table whose columns may not be broken, in characters."""
    console = style.console()
    return console.measure(table, options=console.options.update(width=1000)).minimum


def _cell(trial: Trial, best: bool) -> Text:
    if trial.validation_accuracy is None:
        return Text(style.MISSING if trial.status == "waiting" else trial.status, style="yellow")
    return Text(f"{100 * trial.validation_accuracy:.1f}", style="bold green" if best else "")


def _edges(search: Search) -> Iterator[Text]:
    """Where the best of a grid lies at the end of an axis, a better one may lie behind it."""
    assert search.refit
    best = search.trials[search.refit.trial].recipe
    for name in axes(search) if search.way == "grid" else ():
        values = _values(search, name)
        if len(values) > 2 and getattr(best, name) in (values[0], values[-1]):
            end = "smallest" if getattr(best, name) == values[0] else "largest"
            yield Text(f"the best has the {end} {_HEADINGS[name]} of the grid: beyond it may be better", style="yellow")


def _best(search: Search, path: Path) -> Table:
    assert search.refit
    trial, accuracy = search.trials[search.refit.trial], search.refit.accuracy
    settings = ", ".join(f"{_HEADINGS[name]} {getattr(trial.recipe, name):g}" for name in AXES if name in search.axes)
    trained_on = "training and validation rows" if search.refit_all else "training rows"
    rows = [
        ("settings", settings or "as given"),
        ("chosen by", f"validation accuracy {style.percent(trial.validation_accuracy)}"),
        ("refitted on", trained_on),
        *[(f"{name} accuracy", style.percent(value)) for name, value in accuracy.items()],
        ("model", str(path.with_name(search.refit.model))),
    ]
    return style.pairs("the best", rows)
