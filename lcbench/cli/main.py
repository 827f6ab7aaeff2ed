"""Command ``lcbench``: subcommands, error messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from lcbench.errors import ExitCode, LcbenchError, WrongResultError, os_error
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
        return super().resolve_command(context, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  lcbench run\n  lcbench run --impl numpy,numba-parallel --loss softmax",
)
@click.version_option(None, "-V", "--version", package_name="lcbench", message="lcbench %(version)s")
def lcbench() -> None:
    """Benchmark of linear-classifier losses on CIFAR-10.

    lcbench verifies implementations, measures their times and compares them with each other, with earlier results and
    with the limits of the machine. It also trains classifiers with them.
    """


def main() -> None:
    """Run the command line, and exit with one line for any error that a user can correct.

    This is the entry point of the console script.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled CI job keeps what it has measured
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)  # so does a closed terminal
    try:
        code = lcbench.main(prog_name="lcbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.ERROR
    except (LcbenchError, LossError) as error:
        click.echo(f"error: {error}", err=True)
        code = ExitCode.WRONG if isinstance(error, WrongResultError) else ExitCode.ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        code = ExitCode.STOPPED
    except BrokenPipeError:
        # The reader of the output (head, less) has exited. Redirecting stdout avoids a second error when Python flushes
        # it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.READER_GONE
    except MemoryError:
        click.echo("error: not enough memory for arrays of that size; choose fewer rows, features or classes", err=True)
        code = ExitCode.ERROR
    except OSError as error:
        # For example a full disk or a read-only folder.
        click.echo(f"error: {os_error(error)}", err=True)
        code = ExitCode.ERROR
    except Exception as error:
        # Python's own exit status for an uncaught exception is 1, which means a regression to a CI job.
        if "LCBENCH_TRACEBACK" in os.environ:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        click.echo(f"error: internal error in lcbench: {what}; set LCBENCH_TRACEBACK=1 to see the traceback", err=True)
        code = ExitCode.ERROR
    sys.exit(code if isinstance(code, int) else ExitCode.OK)
