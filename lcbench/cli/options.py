"""Types of command-line values that click has not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import wraps
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lcbench.cli import completion as complete
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES

if TYPE_CHECKING:
    from lcbench.learn.search.points import Axis
    from lcbench.settings import RunSettings
    from lcbench.stats.verdicts import Comparison


class Finite(click.FloatRange):
    """A finite number within a range."""

    name = "number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        number: float = super().convert(value, parameter, context)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number", parameter, context)
        return number


class Seconds(Finite):
    """A number of seconds, with or without an s behind it."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        return super().convert(value.removesuffix("s") if isinstance(value, str) else value, parameter, context)


class Share(click.ParamType):
    """A share from 0 to below 1, written 5% or 0.05."""

    name = "share"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"'{value}' is not a share: write 5% or 0.05", parameter, context)
        if not 0 <= number < 1:
            self.fail(f"'{value}' is outside 0..100 %: write 5% or 0.05", parameter, context)
        return number


SHARE = Share()


class Count(click.ParamType):
    """A whole number above 0, written 5000000, 5_000_000, 5M, 500k or 1e6."""

    name = "count"
    _TIMES = {"k": 10**3, "m": 10**6, "g": 10**9}  # noqa: RUF012

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number. Fails as a usage error where it is none."""
        text = str(value).strip().lower()
        times = self._TIMES.get(text[-1:], 1)
        try:
            number = Fraction(text[:-1] if times > 1 else text) * times
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if number < 1 or number.denominator > 1:
            self.fail(f"'{value}' is no whole number above 0: write 50000, 500k, 5M or 1e6", parameter, context)
        return int(number)


COUNT = Count()


class Counts(click.ParamType):
    """Whole numbers above 0, separated by commas; each is written as `Count` says."""

    name = "counts"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        """The numbers. Fails as a usage error where they are none, or could be one with commas at its thousands."""
        if isinstance(value, tuple):
            return value
        texts = str(value).split(",")
        if (
            len(texts) > 1
            and len(texts[0].strip()) <= 3
            and all(re.fullmatch(r"\s*\d{3}\s*", text) for text in texts[1:])
        ):
            self.fail(
                f"'{value}' could be one number or several: write {''.join(texts)}, or repeat the option",
                parameter,
                context,
            )
        return tuple(COUNT.convert(text, parameter, context) for text in texts)


COUNTS = Counts()


def joined(context: click.Context, option: click.Parameter, values: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """What a repeated option of `COUNTS` was given, as one: its callback."""
    return tuple(number for numbers in values for number in numbers)


class AxisType(click.ParamType):
    """Values, "1e-7,5e-7", or a range that is even in the logarithm, "1e-8:1e-6:5" or "1e-8:1e-6"."""

    name = "list"

    def __init__(self, whole: bool = False, zero: bool = False) -> None:
        self.whole, self.zero = whole, zero

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Axis:
        """The axis. Fails as a usage error where it is none."""
        from lcbench.learn.search.points import Range

        if not isinstance(value, str):
            axis: Axis = value
            return axis
        if ":" not in value:
            return [self._number(text, parameter, context) for text in value.split(",")]
        ends = value.split(":")
        if len(ends) > 3:
            self.fail(f"'{value}' is no range: write LOW:HIGH:COUNT", parameter, context)
        if len(ends) == 3 and not ends[2].strip().isdecimal():
            self.fail(f"'{ends[2]}' in '{value}' is no number of values: write LOW:HIGH:COUNT", parameter, context)
        low, high = (self._number(text, parameter, context) for text in ends[:2])
        try:
            return Range(low, high, int(ends[2]) if len(ends) == 3 else None)
        except LcbenchError as error:
            self.fail(str(error), parameter, context)

    def _number(self, text: str, parameter: click.Parameter | None, context: click.Context | None) -> float:
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            kind = "whole number" if self.whole else "number"
            self.fail(f"'{text.strip()}' is no {kind}: write 1,2,3 or LOW:HIGH:COUNT", parameter, context)
        if not isfinite(number) or number < 0 or (number == 0 and not self.zero):
            self.fail(f"{text.strip()} is not {'0 or more' if self.zero else 'above 0'}", parameter, context)
        return number


# Which cluster ``--impl dask`` computes on: the option that all commands share which take implementations.

SCHEDULER_VARIABLE = "LCBENCH_SCHEDULER"
"""Through it the processes of a command know of it; `lcbench.losses.cluster.connection` reads it."""


def _tell_every_process(context: click.Context, option: click.Parameter, scheduler: str | None) -> None:
    if scheduler is not None:
        os.environ[SCHEDULER_VARIABLE] = scheduler


scheduler_option: Any = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Of the Dask cluster for --impl dask: tcp://HOST:8786, or a scheduler file. Default: processes started here.",
    expose_value=False,
    callback=_tell_every_process,
)


def warn_if_unused(implementations: Iterable[str]) -> None:
    """Says on stderr that --scheduler has no effect, where it was given and none of `implementations` is dask.

    implementations: as they were typed, separated by commas or not. Of what is resumed they are not known.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE
    names = {name.strip() for value in implementations for name in value.split(",")}
    if given and not context.params.get("resume") and "dask" not in names:
        click.echo("--scheduler has no effect: only --impl dask computes on a cluster", err=True)


# What is measured or trained, and how: commands that fill a settings struct, and the options that they share.

MOST = 1e30
"""Of a recipe's number: its square is still a float64, and itself a float32."""

POSITIVE = Finite(0, MOST, min_open=True)
NOT_NEGATIVE = Finite(0, MOST)
STEPS = click.IntRange(1, 10**9)
DTYPES = click.Choice(["float32", "float64"])


class SettingsCommand(click.Command):
    """A command that fills a settings struct, which is named as "MODULE:STRUCT".

    Options that show a default have that of the struct's field of their name. It is read when the command is used, and
    not where the option is declared: ``lcbench --help`` imports every command, and nothing heavy.
    """

    def __init__(self, *arguments: Any, settings: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings

    @property
    def struct(self) -> Any:
        """The struct."""
        module, _, name = self._settings.partition(":")
        return getattr(import_module(module), name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return a context in which the options have the struct's defaults."""
        from lcbench.settings import defaults

        shown = {option.name for option in self.params if isinstance(option, click.Option) and option.show_default}
        known = {name: value for name, value in defaults(self.struct).items() if name in shown}
        return super().make_context(info_name, args, parent, default_map=known, **extra)


def settings_options(options: Sequence[Any], beside: tuple[str, ...] = ()) -> Any:
    """Return a decorator that adds `options` to a `SettingsCommand`, and gathers what is given of the struct's fields.

    The command gets it as `settings`, whether the options are among these or its own; the struct knows the rest.
    beside: names of more settings, which are no fields.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_settings(**values: Any) -> Any:
            context = click.get_current_context()
            assert isinstance(context.command, SettingsCommand)
            names = (*context.command.struct.__struct_fields__, *beside)
            fields = {name: values.pop(name) for name in names if name in values}
            given = {
                name: value
                for name, value in fields.items()
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            }
            # the sides of a gate may be implementations
            named = [given[name] for name in ("implementation", "base", "head") if name in given]
            warn_if_unused([*given.get("implementations", ()), *named])
            return command(settings=given, **values)

        for option in reversed(options):
            with_settings = option(with_settings)
        return with_settings

    return decorate


measurement_options = settings_options(
    (
        click.option("--loss", "losses", multiple=True, type=click.Choice(LOSSES), help="Default: both."),
        click.option("--features", type=click.IntRange(1), show_default=True, help="Columns of X."),
        click.option("--classes", type=click.IntRange(2), show_default=True),
        click.option("--dtype", type=DTYPES, show_default=True),
        click.option(
            "--threads", type=click.IntRange(1, 1024), help="Threads of every library. Default: all usable cores."
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=Seconds(1),
            show_default=True,
            metavar="SECONDS",
            help="A process that says nothing for so long is given up.",
        ),
        scheduler_option,
        click.option("--seed", type=click.IntRange(0), help="Of the random order of processes and inputs."),
        click.option(
            "--save", metavar="NAME", shell_complete=complete.baselines, help="Also keep the result under this name."
        ),
    )
)
"""Of ``run``, ``sweep`` and ``gate``; the next five of the first two."""

batch_option: Any = click.option(
    "--batch", type=COUNT, metavar="N", help="Each call computes on N rows, drawn at random, and gathers them."
)
stream_option: Any = click.option(
    "--stream",
    is_flag=True,
    help="Leave X on disk and read it block by block in every call; so are files that would not fit in memory.",
)
blocks_option: Any = click.option(
    "--blocks", type=click.IntRange(1), show_default=True, help="Most processes an implementation."
)
budget_option: Any = click.option(
    "--budget",
    "budget_s",
    type=Seconds(0),
    show_default=True,
    metavar="SECONDS",
    help="No new round of blocks begins after this, but for the first three.",
)
baseline_option: Any = click.option(
    "--baseline",
    default="numpy",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    help="What speed-ups are relative to.",
)


def with_data_here(struct: type[RunSettings], given: dict[str, Any], axes: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with data: the real images where they are and all points fit them, otherwise synthetic ones.

    Raises LcbenchError where a setting cannot be.
    """
    if "data" in given:
        return given
    from lcbench import files
    from lcbench.settings import CIFAR10_CLASSES, CIFAR10_FEATURES, CIFAR10_ROWS

    settings = struct.from_mapping(given)
    fits = (
        axes.get("features", [settings.features]) == [CIFAR10_FEATURES]
        and axes.get("classes", [settings.classes]) == [CIFAR10_CLASSES]
        and max(axes.get("rows", settings.row_counts), default=0) <= CIFAR10_ROWS
    )
    return given | {"data": "cifar10" if fits and files.cifar10_file().exists() else "synthetic"}


def recipe_options(what: str, listed: bool) -> Any:
    """Return a decorator that adds the options of ``train`` and ``search``. listed: whether numbers may be several."""
    axis: dict[str, Any] = {"metavar": "LIST"} if listed else {}
    return settings_options(
        (
            click.option(
                "--data",
                show_default=True,
                metavar="WHAT",
                help="cifar10, synthetic, or a CSV, NPZ or HDF5 file of your own.",
            ),
            click.option("--label", metavar="COLUMN", help="Of a CSV: the column of the labels, by name or number."),
            click.option(
                "--features", multiple=True, metavar="NAME", shell_complete=complete.features,
                callback=lambda context, option, values: [
                    name for names in values for name in names.split(",") if name
                ],
                help="Of images: names from 'lcbench features'. Default: pixels.",
            ),
            click.option(
                "--words", type=click.IntRange(2, 100_000), help="Visual words, where they are among the features."
            ),
            click.option(
                "--scaling",
                type=click.Choice(["none", "mean", "halved", "standard"]),
                help="Less the mean; that over 128; or each column standardised. Default: by data and solver.",
            ),
            click.option("--loss", type=click.Choice(LOSSES), show_default=True),
            click.option(
                "--impl", "implementation", show_default=True, metavar="NAME", shell_complete=complete.implementation,
                help="As 'lcbench run' takes it: a name, FILE.py, FILE.py:FUNCTION.",
            ),
            scheduler_option,
            click.option("--dtype", type=DTYPES, show_default=True),
            click.option("--solver", type=click.Choice(["sgd", "lbfgs", "random"]), show_default=True),
            click.option("--iterations", type=STEPS, help="Steps."),
            click.option(
                "--epochs", type=Finite(0, 1e6, min_open=True),
                help="Steps by passes over the training rows, each row once a pass.",
            ),
            click.option(
                "--schedule", type=click.Choice(["constant", "step", "linear", "cosine"]), help="Of the learning rate."
            ),
            click.option("--decay", type=POSITIVE, show_default=True, help="Factor of the step schedule."),
            click.option(
                "--decay-every", type=STEPS, show_default=True, metavar="STEPS", help="Of the step schedule."
            ),
            click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), show_default=True),
            click.option(
                "--initial-scale", type=NOT_NEGATIVE, show_default=True,
                help="Standard deviation of the first weights.",
            ),
            click.option("--seed", type=click.IntRange(0), show_default=True),
            click.option(
                "--report-every", type=STEPS, show_default=True, metavar="STEPS", help="Looks at the accuracies."
            ),
            click.option(
                "--patience", type=STEPS, metavar="LOOKS",
                help="Stop after so many looks without a better validation accuracy, and keep the best weights.",
            ),
            click.option(
                "--learning-rate", "--lr", type=AxisType() if listed else POSITIVE, **axis,
                help="1e-7,5e-7 or 1e-8:1e-6:5, five values." if listed else "Default: by data and loss.",
            ),
            click.option(
                "--reg", type=AxisType(zero=True) if listed else NOT_NEGATIVE, **axis,
                help="Factors of sum(W * W), written likewise." if listed
                else "Factor of sum(W * W). Default: by data and loss.",
            ),
            click.option(
                "--batch", type=AxisType(whole=True) if listed else STEPS, **axis, show_default=True,
                help="Rows of a step.",
            ),
            click.option(
                "--margin", type=AxisType() if listed else POSITIVE, **axis, show_default=True, help="Of the svm loss."
            ),
            click.option(
                "--resume",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help=f"Go on with a {what} that was broken off, as it was begun.",
            ),
        ),
        beside=("epochs",),
    )  # fmt: skip


def require_alone(context: click.Context, why: str, allowed: tuple[str, ...]) -> None:
    """Raises UsageError where an option was given whose name is not among `allowed`: it would be passed over."""
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in allowed and context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{why}: leave {', '.join(given)} out.")


# Where verdicts go: the options that ``compare`` and ``gate`` share.


@dataclass(frozen=True)
class VerdictOutput:
    """What the user asked for: `form` is table, github or json, and goes to stdout; the files are written beside it."""

    form: str
    junit: Path | None
    markdown: Path | None

    @property
    def as_json(self) -> bool:
        """Whether stdout holds JSON and nothing else."""
        return self.form == "json"

    @property
    def beyond_tables(self) -> bool:
        """Whether anything was asked for that only verdicts can fill."""
        return self.form == "github" or self.junit is not None or self.markdown is not None

    def require_writable(self) -> None:
        """Raises LcbenchError where a file could not be written: to be known before anything is measured."""
        from lcbench.report import exports

        for path in (self.junit, self.markdown):
            if path:
                exports.require_writable(path)

    def write(
        self, comparisons: Sequence[Comparison], fail_above: float, heading: str, notes: Sequence[str] = ()
    ) -> None:
        """Writes the files; in the form github also prints the annotations, and adds to the job's summary.

        heading: what was compared, a few words. notes: what else there is to know, a line each. Tables and JSON on
        stdout are the command's own.
        """
        from lcbench.report import exports
        from lcbench.report.exports import ci, tables

        if self.junit:
            exports.write(self.junit, ci.junit_verdicts(comparisons, fail_above, heading))
        page = tables.markdown_verdicts(comparisons, fail_above, heading, notes)
        if self.markdown:
            exports.write(self.markdown, page)
        if self.form == "github":
            click.echo(ci.github_verdicts(comparisons, fail_above, heading), nl=False)
            ci.append_summary(page)


def verdict_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --format, --json, --junit and --markdown; the command gets them as `output`, a VerdictOutput."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(["table", "github", "json"]),
        default="table",
        show_default=True,
        help="github: also annotations, and the summary of the job.",
    )
    @click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
    @click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
    @click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write Markdown.")
    @wraps(command)
    def with_output(
        *args: Any, form: str, as_json: bool, junit: Path | None, markdown: Path | None, **options: Any
    ) -> Any:
        if as_json and form == "github":
            raise click.UsageError("--json and --format github exclude each other")
        return command(*args, output=VerdictOutput("json" if as_json else form, junit, markdown), **options)

    return with_output
