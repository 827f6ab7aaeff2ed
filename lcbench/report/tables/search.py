"""Tables of ``lcbench search``: the trials, the best first; the grid; and the model that was selected."""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from pathlib import Path

from rich.text import Text

from lcbench.learn.recipe import Recipe
from lcbench.learn.search.search_file import AXES, Search, Trial, ranking
from lcbench.report import formatting
from lcbench.report.table import PERCENT, PLAIN, SECONDS, WORD, Cell, Column, Kind, Table, pairs

ROWS = 20
"""Maximum number of rows of the table of trials; the file has all trials."""

_WIDTH = 80
_WITHOUT_MODEL = ("diverged", "crashed", "waiting")
_HEADINGS = {"learning_rate": "learning rate", "reg": "reg", "batch": "batch", "margin": "margin"}


def tables(search: Search, path: Path) -> Iterator[Table | Text]:
    """Yield the tables and notes of a search, the most important last, next to the prompt of the terminal."""
    ordered = _ordered(search)
    yield _trials(search, ordered[:ROWS])
    if rest := ordered[ROWS:]:
        yield Text(f"and {_count_of([search.trials[place] for place in rest])} more, in {path}")
    yield from _reasons(search)
    grid = _grid(search)
    if grid is not None:
        yield grid
    if search.refit:
        yield from _as_good(search)
        yield from _edges(search)
        yield _best(search, path)


def axes(search: Search) -> list[str]:
    """Return the axes that were searched over more than one value, or the first axis if there is none."""
    several = [name for name in AXES if name in search.axes and len(_values(search, name)) > 1]
    return several or [name for name in AXES if name in search.axes][:1]


def _values(search: Search, name: str) -> list[float]:
    return sorted({getattr(trial.recipe, name) for trial in search.trials})


def _ordered(search: Search) -> list[int]:
    """Return the indices of all trials: those with a model, the best first, then diverged, crashed and waiting ones."""
    best = ranking(search.trials)
    return best + [
        place for status in _WITHOUT_MODEL for place, trial in enumerate(search.trials) if trial.status == status
    ]


def _trials(search: Search, places: list[int]) -> Table:
    names = axes(search)
    narrow = len(names) > 2  # the settings take the room of less important columns
    return Table(
        f"{_count_of(search.trials)}: {_common_settings(search.trials[0].recipe)}",
        [search.trials[place] for place in places],
        *(Column(_HEADINGS[name], f"recipe.{name}", Kind("{:g}".format, number=True)) for name in names),
        Column("validation", "validation_accuracy", PERCENT),
        None if narrow else Column("train", "train_accuracy", PERCENT),
        None if narrow else Column("last loss", "loss", Kind(_loss, number=True)),
        None if narrow else Column("took", "seconds", SECONDS),
        Column("result", lambda trial: Cell(trial.status, mood="" if trial.succeeded else "open"), WORD),
    )


def _loss(value: float | None) -> str:
    return formatting.MISSING if value is None else f"{value:.4g}"


def _common_settings(recipe: Recipe) -> str:
    """Return what all trials have in common."""
    features = f", {' + '.join(recipe.features)}" if recipe.features else ""
    return f"{recipe.loss} by {recipe.solver}, {recipe.iterations:,} steps, on {Path(recipe.data).name}{features}"


def _count_of(trials: list[Trial]) -> str:
    """Return the number of trials, and how many of them gave no model: "30 trials (4 diverged)"."""
    text = f"{len(trials)} trial" + ("s" if len(trials) > 1 else "")
    failed = [(status, sum(trial.status == status for trial in trials)) for status in _WITHOUT_MODEL]
    counts = ", ".join(f"{count} {status}" for status, count in failed if count)
    return f"{text} ({counts})" if counts else text


def _reasons(search: Search) -> Iterator[Text]:
    reasons = dict.fromkeys(trial.reason for trial in search.trials if trial.status == "crashed")
    for reason in reasons:
        yield Text(f"crashed: {reason}", style="yellow")


def _grid(search: Search) -> Table | None:
    """Return the validation accuracies by learning rate and regularisation, or None if the trials are no such grid."""
    if search.way != "grid" or axes(search) != ["learning_rate", "reg"]:
        return None
    best = ranking(search.trials)[:1]
    rates: dict[float, dict[str, str | Cell]] = {rate: {"": f"{rate:g}"} for rate in _values(search, "learning_rate")}
    for place, trial in enumerate(search.trials):
        rates[trial.recipe.learning_rate][f"{trial.recipe.reg:g}"] = _cell(trial, best == [place])
    headings = ["", *(f"{reg:g}" for reg in _values(search, "reg"))]
    table = Table(
        "validation accuracy in %: rows are learning rates, columns are reg",
        rates.values(),
        *(Column(heading, heading, PLAIN) for heading in headings),
    )
    return table if table.narrowest <= _WIDTH else None


def _cell(trial: Trial, best: bool) -> Cell:
    if trial.validation_accuracy is None:
        return Cell(formatting.MISSING if trial.status == "waiting" else trial.status, mood="open")
    return Cell(f"{100 * trial.validation_accuracy:.1f}", mood="best" if best else "")


def _edges(search: Search) -> Iterator[Text]:
    """Yield a warning for each axis at whose end the best trial lies.

    Of a grid, it has the first or the last value; of a range of random values, it is in the first or the last tenth.
    """
    assert search.refit
    best = search.trials[search.refit.trial].recipe
    near = 0.1 if search.way == "random" else 0.0
    for name in axes(search):
        values, value = search.axes[name] if search.way == "random" else _values(search, name), getattr(best, name)
        place = _place(value, values[0], values[-1])
        if values[0] < values[-1] and not near < place < 1 - near:
            how = "has" if value in (values[0], values[-1]) else "is close to"
            end = "smallest" if place <= near else "largest"
            space = "range" if search.way == "random" else "grid"
            yield Text(
                f"the best trial {how} the {end} {_HEADINGS[name]} of the {space}: values beyond it may be better",
                style="yellow",
            )


def _place(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others on a logarithmic scale: 0 for `low`, 1 for `high`."""
    if not low < value < high:
        return float(value >= high)
    return log(value / low) / log(high / low) if low > 0 else 0.5


def _uncertainty(search: Search) -> str:
    """Return the standard error of the best validation accuracy, and on how many rows, or an empty string."""
    assert search.refit
    best = search.trials[search.refit.trial].validation_accuracy
    error = None if best is None else search.standard_error(best)
    if error is None:
        return ""
    return f", standard error {formatting.percent(error)} ({search.validation_rows:,} rows)"


def _as_good(search: Search) -> Iterator[Text]:
    """Yield how many trials the validation rows cannot tell from the best one."""
    assert search.refit
    accuracies = [trial.validation_accuracy for trial in search.trials if trial.validation_accuracy is not None]
    best = search.trials[search.refit.trial].validation_accuracy
    error = None if best is None else search.standard_error(best)
    if best is None or error is None:
        return
    near = sum(accuracy >= best - 2 * error for accuracy in accuracies) - 1
    if near:
        others = len(accuracies) - 1
        yield Text(
            f"{near} of the {others} other trials {'lie' if near > 1 else 'lies'} within two standard errors of the "
            "best: the validation rows do not tell them apart",
            style="yellow",
        )


def _best(search: Search, path: Path) -> Table:
    assert search.refit
    trial, accuracy = search.trials[search.refit.trial], search.refit.accuracy
    settings = ", ".join(f"{_HEADINGS[name]} {getattr(trial.recipe, name):g}" for name in AXES if name in search.axes)
    trained_on = "training and validation rows" if search.refit_all else "training rows"
    rows = [
        ("settings", settings or "as given"),
        ("chosen by", f"validation accuracy {formatting.percent(trial.validation_accuracy)}{_uncertainty(search)}"),
        ("refitted on", trained_on),
        *[(f"{name} accuracy", formatting.percent(value)) for name, value in accuracy.items()],
        ("model", str(path.with_name(search.refit.model))),
    ]
    return pairs("the best", rows)
