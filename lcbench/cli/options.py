"""Parameter types, options that several commands share, and the command class that takes its defaults from settings."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import wraps
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click
from click.core import ParameterSource

from lcbench.cli import completion as complete
from lcbench.errors import LcbenchError, NotSaved, ReaderGone
from lcbench.losses.implementation import LOSSES
from lcbench.ranges import FLOATS, ITEMSIZES, RANGES

if TYPE_CHECKING:
    from lcbench.learn.search.search_file import Axis
    from lcbench.record import Record
    from lcbench.settings import RunSettings
    from lcbench.stats.verdicts import Comparison


# Parameter types


def integer(setting: str, least: int | None = None) -> click.IntRange:
    """Return the type of an option that takes an integer within the range of a setting, and at least `least`."""
    bounds = RANGES[setting]
    return click.IntRange(int(bounds.low) if least is None else least, int(bounds.high))


class FiniteFloat(click.FloatRange):
    """Finite number within a range."""

    name = "number"

    @classmethod
    def within(cls, setting: str, least: float | None = None) -> Self:
        """Return the type for the range of a setting, and at least `least`."""
        low, high, above, below = RANGES[setting]
        return cls(low, high, above, below) if least is None else cls(least, high, max_open=below)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the number, or fail with a usage error."""
        number: float = super().convert(value, parameter, context)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number", parameter, context)
        return number


class Seconds(FiniteFloat):
    """Number of seconds, with or without the unit: 60 or 60s."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the number of seconds, or fail with a usage error."""
        return super().convert(value.removesuffix("s") if isinstance(value, str) else value, parameter, context)


class Share(click.ParamType):
    """Share from 0 to below 1, written as 5% or 0.05."""

    name = "share"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the share as a fraction, or fail with a usage error."""
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"'{value}' is not a share: write 5% or 0.05", parameter, context)
        if not 0 <= number < 1:
            self.fail(f"'{value}' is outside 0..100 %: write 5% or 0.05", parameter, context)
        return number

    def format(self, share: float) -> str:
        """Return the share in percent, as help texts show it."""
        return f"{100 * share:g}%"


SHARE = Share()


class Count(click.ParamType):
    """Positive integer in the range of a setting, written as 5000000, 5_000_000, 5M, 500k or 1e6."""

    name = "count"
    _FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9}  # noqa: RUF012

    def __init__(self, setting: str) -> None:
        self._bounds = RANGES[setting]

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """Return the integer, or fail with a usage error."""
        text = str(value).strip().lower()
        factor = self._FACTORS.get(text[-1:], 1)
        try:
            number = Decimal(text[:-1] if factor > 1 else text)  # 1e30000000 is not expanded, as it would be by int
        except InvalidOperation:
            number = Decimal(0)
        if number.is_finite() and number > self._bounds.high / factor:
            self.fail(f"'{value}' is too large: it must be {self._bounds}", parameter, context)
        if not number.is_finite() or number * factor < 1 or number * factor % 1:
            self.fail(f"'{value}' is not a positive integer: write 50000, 500k, 5M or 1e6", parameter, context)
        return int(number * factor)


COUNT = Count("rows")


class Counts(click.ParamType):
    """Positive integers, separated by commas, each written as `Count` accepts it."""

    name = "counts"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        """Return the integers, or fail with a usage error; 10,000 is ambiguous and therefore an error."""
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


def flatten(context: click.Context, option: click.Parameter, values: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Return the values of a repeated `COUNTS` option as one tuple (a click callback)."""
    return tuple(number for numbers in values for number in numbers)


class SearchAxis(click.ParamType):
    """Values to search: a list, "1e-7,5e-7", or a logarithmic range, "1e-8:1e-6:5" or "1e-8:1e-6"."""

    name = "list"

    def __init__(self, setting: str) -> None:
        self._bounds, self._integers = RANGES[setting], setting == "batch"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Axis:
        """Return the list or the range, or fail with a usage error."""
        from lcbench.learn.search.search_file import Range

        if not isinstance(value, str):
            axis: Axis = value
            return axis
        if ":" not in value:
            return [self._number(text, parameter, context) for text in value.split(",")]
        parts = value.split(":")
        if len(parts) > 3:
            self.fail(f"'{value}' is not a range: write LOW:HIGH:COUNT", parameter, context)
        if len(parts) == 3 and not parts[2].strip().isdecimal():
            self.fail(f"'{parts[2]}' in '{value}' is not a number of values: write LOW:HIGH:COUNT", parameter, context)
        low, high = (self._number(text, parameter, context) for text in parts[:2])
        try:
            return Range(low, high, int(parts[2]) if len(parts) == 3 else None)
        except LcbenchError as error:
            self.fail(str(error), parameter, context)

    def _number(self, text: str, parameter: click.Parameter | None, context: click.Context | None) -> float:
        try:
            number = int(text) if self._integers else float(text)
        except ValueError:
            kind = "an integer" if self._integers else "a number"
            self.fail(f"'{text.strip()}' is not {kind}: write 1,2,3 or LOW:HIGH:COUNT", parameter, context)
        if number not in self._bounds:
            self.fail(f"{text.strip()} is not {self._bounds}", parameter, context)
        return number


WEIGHTS = click.Choice(FLOATS)
"""Data types of weights."""


# Options and output of many commands


def print_utf8() -> None:
    """Let standard output be UTF-8, whatever the locale: for JSON and other formats that are read by programs."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _for_programs(context: click.Context, option: click.Parameter, given: bool) -> bool:
    if given:
        print_utf8()
    return given


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_for_programs, help="Print JSON instead of tables."
)
quiet_option = click.option("--quiet", is_flag=True, help="Do not show progress.")
force_option: Any = click.option("--force", is_flag=True, help="Replace an existing file once the new one is complete.")
user_code_timeout_option: Any = click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop if a call of your own code takes longer.",
)


def implementations_option(help: str) -> Any:
    """Return the decorator of the repeatable option --impl, whose values may also be separated by commas."""
    return click.option(
        "--impl",
        "implementations",
        multiple=True,
        metavar="NAME",
        shell_complete=complete.implementations,
        help=help,
    )


def arrangement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --columns and --sort to a command that prints tables, which receives them as `arrangement`."""

    @click.option(
        "--columns",
        metavar="LIST",
        help="Columns to print, by their headings or the beginnings of these: time,limit,error. Default: all that fit.",
    )
    @click.option(
        "--sort", metavar="COLUMN", help="Column by which the rows are sorted; -COLUMN for the opposite order."
    )
    @wraps(command)
    def with_arrangement(*args: Any, columns: str | None, sort: str | None, **options: Any) -> Any:
        given = [name for name, value in (("--columns", columns), ("--sort", sort)) if value is not None]
        form = options.get("output")
        if given and (options.get("as_json") or (form and form.as_json)):
            raise click.UsageError(f"{given[0]} is for tables, and --json prints none: leave one of them out")
        names = tuple(name.strip() for name in (columns or "").split(","))
        if (columns is not None and not all(names)) or (sort is not None and not sort.strip("- ")):
            raise click.UsageError(f"{given[0]} needs the heading of a column")
        from lcbench.report.table import Arrangement

        arrangement = Arrangement(names if columns else (), (sort or "").strip())
        return command(*args, arrangement=arrangement, **options)

    return with_arrangement


def refuse_empty_values(context: click.Context, args: Sequence[str]) -> None:
    """Raise UsageError if an option or argument in `args` is an empty text, as a shell variable without a value gives.

    context: of the command, which the message is about. Each command would otherwise take it for something else: for
    the default, for the current folder, or for a name that does not exist.
    """
    values, _, order = context.command.make_parser(context).parse_args(list(args))
    for parameter in order:
        given = values[str(parameter.name)]
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, str) and not value.strip():
                raise click.BadParameter("the value is empty", context, parameter)


def require_alone(context: click.Context, what: str, allowed: tuple[str, ...]) -> None:
    """Raise UsageError if an option is given beside --resume that is not in `allowed`, as it would have no effect.

    what: the resumed work in a word, such as "search".
    """
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in allowed and context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"--resume uses the settings of the interrupted {what}: leave out {', '.join(given)}")


def also_unsaved(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, NotSaved | None]:
    """Return what a function of the API returns, also if it could not write it, and the error in that case."""
    try:
        return function(*arguments, **options), None
    except NotSaved as error:
        return error.result, error


@contextmanager
def errors_as_warnings() -> Iterator[None]:
    """Print errors of a further output as warnings, since the main output, before it, has decided the exit code."""
    try:
        yield
    except ReaderGone:
        pass
    except LcbenchError as error:
        click.echo(f"warning: {error}", err=True)


def refuse_unused(reason: str, *names: str) -> None:
    """Raise UsageError if an option or argument of `names` was given on the command line, because of `reason`.

    names: of parameters of the command. An option that has no effect would hide that something else is done than asked.
    """
    context = click.get_current_context()
    given = [
        option.opts[0] if isinstance(option, click.Option) else option.human_readable_name
        for option in context.command.params
        if option.name in names
        and context.get_parameter_source(option.name) == ParameterSource.COMMANDLINE
        and context.params.get(option.name, True) != ()  # click 8.2 says that of an argument without values
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)} has no effect: {reason}; leave it out")


def print_result_file(result: Record) -> None:
    """Print the file of a run's, a gate's or a sweep's result, on standard error."""
    if result.path:
        from lcbench import record

        what = "stopped early; what was measured is in" if result.interrupted else "result:"
        newer = record.newer_than(Path(result.path))
        clock = f"; {newer} is dated later, and stays the newest result: was the clock set back?" if newer else ""
        click.echo(f"{what} {result.path}{clock}", err=True)
    elif result.interrupted:
        click.echo("stopped early: nothing was measured completely, and no result was written", err=True)


# Cluster of --impl dask


SCHEDULER_VARIABLE = "LCBENCH_SCHEDULER"
"""Environment variable that passes --scheduler on to all processes; `lcbench.losses.cluster.connection` reads it."""


def _export_scheduler(context: click.Context, option: click.Parameter, scheduler: str | None) -> None:
    if scheduler is not None:
        os.environ[SCHEDULER_VARIABLE] = scheduler


scheduler_option: Any = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler for --impl dask: tcp://HOST:8786, or a scheduler file. Default: local worker processes.",
    expose_value=False,
    callback=_export_scheduler,
)


def warn_if_scheduler_unused(implementations: Iterable[str]) -> None:
    """Warn on standard error if --scheduler is given and none of `implementations` is dask.

    implementations: as given by the user, separated by commas or not. Nothing is printed if the command resumes
    earlier work, whose implementations are not known yet.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE
    names = {name.strip() for value in implementations for name in value.split(",")}
    if given and not context.params.get("resume") and "dask" not in names:
        click.echo("--scheduler has no effect: only --impl dask computes on a cluster", err=True)


# Commands that fill a settings struct


class SettingsCommand(click.Command):
    """Command that fills a settings struct, given as "MODULE:STRUCT".

    An option declared with `show_default` takes its default from the field of the same name. The struct is imported
    when the command is used: ``lcbench --help`` imports every command and must stay fast.
    """

    def __init__(self, *arguments: Any, settings: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings

    @property
    def struct(self) -> Any:
        """Settings struct of the command."""
        module, _, name = self._settings.partition(":")
        return getattr(import_module(module), name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return a context in which the options have the struct's defaults."""
        from lcbench.settings import defaults

        values = defaults(self.struct)
        shown = {
            str(option.name): SHARE.format(values[option.name]) if option.type is SHARE else values[option.name]
            for option in self.params
            if isinstance(option, click.Option) and option.show_default and option.name in values
        }
        return super().make_context(info_name, args, parent, default_map=shown, **extra)


def settings_options(options: Sequence[Any], extra: tuple[str, ...] = ()) -> Any:
    """Return a decorator that adds `options` to a `SettingsCommand` and passes the command its `settings`.

    settings: a dictionary of the struct's fields that were given on the command line, by these options or by the
    command's own. The struct has defaults for the rest. extra: names of further settings that are not fields.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_settings(**values: Any) -> Any:
            context = click.get_current_context()
            assert isinstance(context.command, SettingsCommand)
            names = (*context.command.struct.__struct_fields__, *extra)
            fields = {name: values.pop(name) for name in names if name in values}
            given = {
                name: value
                for name, value in fields.items()
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            }
            # base and head of a gate may be implementations
            named = [given[name] for name in ("implementation", "base", "head") if name in given]
            warn_if_scheduler_unused([*given.get("implementations", ()), *named])
            return command(settings=given, **values)

        for option in reversed(options):
            with_settings = option(with_settings)
        return with_settings

    return decorate


# Options of run, sweep and gate


measurement_options = settings_options(
    (
        click.option(
            "--loss",
            "losses",
            multiple=True,
            type=click.Choice(LOSSES),
            help="Loss to measure; repeatable. Default: both.",
        ),
        click.option(
            "--features", type=integer("features"), show_default=True, help="Columns of X, including the bias column."
        ),
        click.option("--classes", type=integer("classes"), show_default=True, help="Number of classes."),
        click.option(
            "--dtype",
            type=click.Choice(list(ITEMSIZES)),
            show_default=True,
            help="Data type of X, W and dW. With uint8, X holds pixels, W and dW are float32, and what takes no pixels "
            "gets two rows: with the conversion in the call, and before it.",
        ),
        click.option(
            "--threads",
            type=integer("threads"),
            help="Number of threads of every library. Default: all usable cores.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=Seconds.within("timeout_s", least=1),
            show_default=True,
            metavar="SECONDS",
            help="Kill a worker process that reports nothing for this long.",
        ),
        scheduler_option,
        click.option("--seed", type=integer("seed"), help="Random seed for process order and input data."),
        click.option(
            "--save",
            metavar="NAME",
            shell_complete=complete.baselines,
            help="Also save the result as a baseline of this name.",
        ),
    )
)


# Options of run and sweep


batch_option: Any = click.option(
    "--batch",
    type=Count("batch"),
    metavar="N",
    help="Compute each call on N random rows of X; the time includes gathering them.",
)
stream_option: Any = click.option(
    "--stream",
    is_flag=True,
    help="Read X from disk block by block in every call. Automatic for files that do not fit in memory.",
)
blocks_option: Any = click.option(
    "--blocks",
    type=integer("blocks"),
    show_default=True,
    help="Maximum number of generations, each with a worker process of every implementation.",
)
budget_option: Any = click.option(
    "--budget",
    "budget_s",
    type=Seconds.within("budget_s"),
    show_default=True,
    metavar="SECONDS",
    help="Start no new generation of worker processes after this long. At least five are measured.",
)


def _require_known_baseline(context: click.Context, option: click.Parameter, baseline: str) -> str:
    from lcbench.losses import catalog
    from lcbench.usercode.discovery import is_user_code

    if not context.resilient_parsing and not is_user_code(baseline):
        catalog.find(baseline)
    return baseline


baseline_option: Any = click.option(
    "--baseline",
    default="numpy",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    callback=_require_known_baseline,
    help="Implementation that speed-ups are relative to.",
)


def with_default_data(struct: type[RunSettings], given: dict[str, Any], axes: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with data: CIFAR-10 if it is downloaded and all points fit it, else synthetic images.

    Raise LcbenchError if a setting is invalid.
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


# Options of train and search


def recipe_options(what: str, listed: bool) -> Any:
    """Return a decorator that adds the options of a training recipe.

    what: "training" or "search", for help texts. listed: whether learning rate, reg, batch and margin take several
    values.
    """
    axis: dict[str, Any] = {"metavar": "LIST"} if listed else {}
    return settings_options(
        (
            click.option(
                "--data",
                show_default=True,
                metavar="NAME|FILE",
                shell_complete=complete.data,
                help="cifar10, synthetic, or a CSV, NPZ or HDF5 file.",
            ),
            click.option("--label", metavar="COLUMN", help="Label column of a CSV file, by name or number."),
            click.option(
                "--features", multiple=True, metavar="NAME", shell_complete=complete.features,
                callback=lambda context, option, values: [
                    name for names in values for name in names.split(",") if name
                ],
                help="Image features, as listed by 'lcbench features'. Repeat the option, or separate names by commas. "
                "Default: pixels.",
            ),
            click.option(
                "--words",
                type=integer("words"),
                help="Number of visual words, for the features words and words-hard.",
            ),
            click.option(
                "--scaling",
                type=click.Choice(["none", "mean", "halved", "standard"]),
                help="mean: subtract the mean. halved: then divide by 128. standard: standardise every column. "
                "Default: by data and solver.",
            ),
            click.option("--loss", type=click.Choice(LOSSES), show_default=True, help="Loss to minimise."),
            click.option(
                "--impl", "implementation", show_default=True, metavar="NAME", shell_complete=complete.implementation,
                help="Implementation: a name from 'lcbench impls', FILE.py or FILE.py:FUNCTION.",
            ),
            scheduler_option,
            click.option("--dtype", type=WEIGHTS, show_default=True, help="Data type of the weights."),
            click.option(
                "--solver", type=click.Choice(["sgd", "lbfgs", "random"]), show_default=True,
                help="sgd: stochastic gradient descent. lbfgs: L-BFGS on all rows. random: best of random weights.",
            ),
            click.option(
                "--iterations", type=integer("iterations"),
                help="Number of steps. Default: by data, loss and solver.",
            ),
            click.option(
                "--epochs", type=FiniteFloat.within("epochs"),
                help="Number of passes over the training rows, instead of --iterations.",
            ),
            click.option(
                "--schedule", type=click.Choice(["constant", "step", "linear", "cosine"]),
                help="Learning-rate schedule.",
            ),
            click.option(
                "--decay", type=FiniteFloat.within("decay"), show_default=True,
                help="Factor of each step of the step schedule.",
            ),
            click.option(
                "--decay-every", type=integer("decay_every"), show_default=True, metavar="N",
                help="Apply the factor every N steps in the step schedule.",
            ),
            click.option(
                "--momentum", type=FiniteFloat.within("momentum"), show_default=True, help="Momentum of SGD."
            ),
            click.option(
                "--initial-scale", type=FiniteFloat.within("initial_scale"), show_default=True,
                help="Standard deviation of the initial weights.",
            ),
            click.option("--seed", type=integer("seed"), show_default=True, help="Random seed."),
            click.option(
                "--report-every", type=integer("report_every"), show_default=True, metavar="N",
                help="Evaluate every N steps.",
            ),
            click.option(
                "--patience", type=integer("patience", least=1), metavar="N",
                help="Stop after N evaluations without a better validation accuracy and keep the best weights.",
            ),
            click.option(
                "--learning-rate", "--lr",
                type=SearchAxis("learning_rate") if listed else FiniteFloat.within("learning_rate"), **axis,
                help="Learning rates: 1e-7,5e-7, or the range 1e-8:1e-6:5 of five values." if listed
                else "Learning rate. Default: by data and loss.",
            ),
            click.option(
                "--reg", type=SearchAxis("reg") if listed else FiniteFloat.within("reg"), **axis,
                help="Regularisation strengths (factors of sum(W * W))." if listed
                else "Regularisation strength (factor of sum(W * W)). Default: by data and loss.",
            ),
            click.option(
                "--batch", type=SearchAxis("batch") if listed else integer("batch"), **axis, show_default=True,
                help="Batch sizes." if listed else "Batch size.",
            ),
            click.option(
                "--margin", type=SearchAxis("margin") if listed else FiniteFloat.within("margin"), **axis,
                show_default=True,
                help="Margins of the SVM loss." if listed else "Margin of the SVM loss.",
            ),
            click.option(
                "--resume",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help=f"Resume the interrupted {what} in FILE, with its settings. Python files that it names are run.",
            ),
        ),
        extra=("epochs",),
    )  # fmt: skip


# Options of compare and gate


@dataclass(frozen=True)
class VerdictOutput:
    """Requested output of verdicts: a format for standard output, and files."""

    form: str
    """"table", "github" or "json"."""
    junit: Path | None
    markdown: Path | None

    @property
    def as_json(self) -> bool:
        """Whether standard output is JSON."""
        return self.form == "json"

    @property
    def beyond_tables(self) -> bool:
        """Whether an output is requested that needs verdicts."""
        return self.form == "github" or self.junit is not None or self.markdown is not None

    def require_writable(self) -> None:
        """Raise LcbenchError if a file cannot be written; called before anything is measured."""
        from lcbench.report import exports

        for path in (self.junit, self.markdown):
            if path:
                exports.require_writable(path)

    def write(
        self,
        comparisons: Sequence[Comparison],
        fail_above: float,
        heading: str,
        notes: Sequence[str] = (),
        machine: str = "",
    ) -> None:
        """Write the files and, in the format github, the annotations and the job summary.

        The command prints tables and JSON itself, before: an output that cannot be written is a warning, and the exit
        code remains that of the verdict. heading: what was compared, in a few words. notes: further lines of
        Markdown. machine: line on what the machine did, a note in every format.
        """
        from lcbench.report import exports
        from lcbench.report.exports import ci, tables

        if self.junit:
            with errors_as_warnings():
                exports.write(self.junit, ci.junit_verdicts(comparisons, fail_above, heading, machine))
        page = tables.markdown_verdicts(comparisons, fail_above, heading, [*filter(None, [machine]), *notes])
        if self.markdown:
            with errors_as_warnings():
                exports.write(self.markdown, page)
        if self.form == "github":
            with errors_as_warnings():
                click.echo(ci.github_verdicts(comparisons, fail_above, heading, machine), nl=False)
            with errors_as_warnings():
                ci.append_summary(page)


def verdict_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, --json, --junit and --markdown to a command, which receives them as `output`, a VerdictOutput."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(["table", "github", "json"]),
        default="table",
        show_default=True,
        help="github: tables, annotations and a job summary for GitHub Actions.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
    @click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
    @click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write Markdown.")
    @wraps(command)
    def with_output(
        *args: Any, form: str, as_json: bool, junit: Path | None, markdown: Path | None, **options: Any
    ) -> Any:
        if as_json and form == "github":
            raise click.UsageError("--json and --format github exclude each other")
        output = VerdictOutput("json" if as_json else form, junit, markdown)
        if output.as_json:
            print_utf8()
        return command(*args, output=output, **options)

    return with_output
