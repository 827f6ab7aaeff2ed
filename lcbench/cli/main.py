"""Command ``lcbench``: subcommands, error messages and exit codes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from lcbench import __version__
from lcbench.cli import process
from lcbench.errors import ExitCode, LcbenchError, ReaderGone, WrongResultError, os_error, printable, require
from lcbench.losses.implementation import LossError, did_you_mean

COMMANDS = (
    "download",
    "synth",
    "impls",
    "doctor",
    "check",
    "gradcheck",
    "run",
    "sweep",
    "compare",
    "history",
    "gate",
    "export",
    "inspect",
    "features",
    "train",
    "evaluate",
    "search",
    "plot",
    "report",
    "reproduce",
    "completion",
)
"""Subcommands in the order of the help text. Each is defined in the module of its name."""


# The help, which click shows if nothing follows the command; before click 8.2, that was no error.
_Help = getattr(click.exceptions, "NoArgsIsHelpError", click.MissingParameter)

_LINES = (click.MissingParameter, _Help)  # the former lists choices
"""Errors whose message has several lines, none of them from outside."""

SYNONYMS = {
    "list": "impls", "ls": "impls", "implementations": "impls", "bench": "run", "benchmark": "run", "time": "run",
    "measure": "run", "verify": "check", "validate": "check", "grad": "gradcheck", "gradient": "gradcheck",
    "diff": "compare", "log": "history", "ci": "gate", "asm": "inspect", "info": "doctor", "machine": "doctor",
    "fit": "train", "predict": "evaluate", "eval": "evaluate", "tune": "search", "data": "download", "html": "report",
    "draw": "plot", "help": "--help", "version": "--version",
}  # fmt: skip
"""Names by which people look for a command, and its name."""


class Commands(click.Group):
    """Group that imports a subcommand when it is requested, and suggests the nearest name for an unknown one."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the subcommands in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the subcommand, imported from its module."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lcbench.cli.{name}"), name)
        for option in command.params:  # click would show INTEGER RANGE
            if isinstance(option, click.Option) and option.metavar is None and isinstance(option.type, click.IntRange):
                option.metavar = "N"
            elif isinstance(option, click.Option) and option.metavar is None and option.type.name == "float range":
                option.metavar = "NUMBER"
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        """Return what click returns, or fail with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            meant = SYNONYMS.get(name)
            hint = f"did you mean '{meant}'?" if meant else did_you_mean(name, COMMANDS, "'lcbench --help' lists all.")
            context.fail(f"no command '{name}': {hint}")
        found, command, rest = super().resolve_command(context, args)
        if command and not context.resilient_parsing:
            from lcbench.cli.options import refuse_empty_values

            refuse_empty_values(click.Context(command, context, name), rest)
        return found, command, rest


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"lcbench {__version__}")
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  lcbench run\n  lcbench run --impl numpy,numba-parallel --loss softmax",
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def lcbench() -> None:
    """Benchmark of linear-classifier losses on CIFAR-10.

    lcbench verifies implementations, measures their times and compares them with each other, with earlier results and
    with the limits of the machine. It also trains classifiers with them.
    """


def main() -> None:
    """Run the command line as the only work of this process, and exit. It is the entry point of the console script."""
    sys.exit(process.run(exit_code))


def exit_code() -> int:
    """Run the command line and return its exit code, after one line for any error that a user can correct."""
    try:
        _require_threads()
        code = lcbench.main(prog_name="lcbench", standalone_mode=False)
    except click.ClickException as error:
        if not isinstance(error, _LINES):
            error.message = printable(error.message)  # type: ignore[misc]  # it is Final in click's annotations
        error.show()
        return ExitCode.ERROR
    except ReaderGone:
        return ExitCode.READER_GONE
    except (LcbenchError, LossError) as error:
        _error(printable(str(error)))
        return ExitCode.WRONG if isinstance(error, WrongResultError) else ExitCode.ERROR
    except KeyboardInterrupt:
        return _stopped()
    except click.Abort as error:
        # click raises it for KeyboardInterrupt, and for the EOFError of an incomplete file
        return _internal_error(error.__cause__) if isinstance(error.__cause__, EOFError) else _stopped()
    except MemoryError:
        return _error("not enough memory for arrays of that size; choose fewer rows, features or classes")
    except OSError as error:
        # For example a full disk or a read-only folder.
        return _error(os_error(error))
    except UnicodeEncodeError as error:
        # Python represents bytes of a file name that are no text as surrogates, which no file of lcbench can contain.
        if not any("\ud800" <= character <= "\udfff" for character in error.object[error.start : error.end]):
            return _internal_error(error)
        encoding, name = sys.getfilesystemencoding(), repr(os.fsencode(error.object)).removeprefix("b")
        hint = "" if encoding == "utf-8" else ", or set PYTHONUTF8=1"
        return _error(f"the name {name} is no text in {encoding.upper()}: rename the file or folder{hint}")
    except Exception as error:
        return _internal_error(error)
    return code if isinstance(code, int) else ExitCode.OK


def _require_threads() -> None:
    """Raise LcbenchError if Numba is to use less than one thread, which it refuses only when it starts them."""
    with suppress(ValueError):  # Numba ignores what is no number, with a warning
        count = int(os.environ.get("NUMBA_NUM_THREADS", "1"))
        require(count >= 1, f"NUMBA_NUM_THREADS is {count}: give at least 1 thread, or unset it for all usable cores")


def _error(line: str) -> ExitCode:
    click.echo(f"error: {line}", err=True)
    return ExitCode.ERROR


def _stopped() -> ExitCode:
    click.echo("stopped", err=True)
    return ExitCode.STOPPED


def _internal_error(error: Exception) -> ExitCode:
    """Print an error that a user cannot correct.

    Python's own exit status for an uncaught exception is 1, which means a regression to a CI job.
    """
    if process.SIGNALS.received:  # the library in which the command was interrupted raised another exception
        return _stopped()
    if "LCBENCH_TRACEBACK" in os.environ:
        raise error
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return _error(f"internal error in lcbench: {what}; set LCBENCH_TRACEBACK=1 to see the traceback")
