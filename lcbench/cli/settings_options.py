"""What is measured or trained, and how: commands that fill a settings struct, and the options that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lcbench.cli import completion_values as complete
from lcbench.cli.cluster_options import scheduler_option, warn_if_unused
from lcbench.cli.parameters import COUNT, AxisType, Finite, Seconds
from lcbench.losses.implementation import LOSSES

if TYPE_CHECKING:
    from lcbench.settings import RunSettings

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
    from lcbench import paths
    from lcbench.settings import CIFAR10_CLASSES, CIFAR10_FEATURES, CIFAR10_ROWS

    settings = struct.of(given)
    fits = (
        axes.get("features", [settings.features]) == [CIFAR10_FEATURES]
        and axes.get("classes", [settings.classes]) == [CIFAR10_CLASSES]
        and max(axes.get("rows", settings.row_counts), default=0) <= CIFAR10_ROWS
    )
    return given | {"data": "cifar10" if fits and paths.cifar10_file().exists() else "synthetic"}


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
