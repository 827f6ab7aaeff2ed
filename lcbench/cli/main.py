"""The command ``lcbench``: its subcommands, and how an error becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from lcbench.errors import ExitCode, LcbenchError
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
"""In the order in which a user meets them; each lives in the file of its name."""


class Commands(click.Group):
    """The subcommands, in their own order, each imported when it is asked for, near misses suggested."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = getattr(import_module(f"lcbench.cli.{name}"), name)
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            hint = did_you_mean(name, COMMANDS, "'lcbench --help' lists all.")
            context.fail(f"no command '{name}': {hint}")
        return super().resolve_command(context, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  lcbench run\n  lcbench run --impl numpy,numba-parallel --loss softmax",
)
@click.version_option(package_name="lcbench", message="lcbench %(version)s")
def lcbench() -> None:
    """Benchmark of linear-classifier losses on CIFAR-10.

    Proves every implementation right, times it against the others and the machine's own limit, and says whether
    something got slower. Trains with what it measures.
    """


def main() -> None:
    """Entry point of the console script: one line and an exit code for whatever a user can mend."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job that is cancelled keeps what it has measured
    try:
        code = lcbench.main(prog_name="lcbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.ERROR
    except (LcbenchError, LossError) as error:
        click.echo(f"error: {error}", err=True)
        code = ExitCode.ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        code = ExitCode.STOPPED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is left to say, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.READER_GONE
    except MemoryError:
        click.echo("error: not enough memory for arrays of that size; choose fewer rows, features or classes", err=True)
        code = ExitCode.ERROR
    except OSError as error:
        # A full disk, a folder that may not be written to: the system says what, and where it knows the place.
        click.echo(f"error: {error}", err=True)
        code = ExitCode.ERROR
    except Exception as error:
        # Not left to Python, whose exit status for it is 1: that is a regression to a CI job.
        if "LCBENCH_TRACEBACK" in os.environ:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        click.echo(f"error: a defect in lcbench: {what}; LCBENCH_TRACEBACK=1 shows where", err=True)
        code = ExitCode.ERROR
    sys.exit(code if isinstance(code, int) else ExitCode.OK)
