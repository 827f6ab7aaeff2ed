"""``lcbench gate``: base and head measured in turn, with a verdict for CI."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import (
    SHARE,
    Seconds,
    SettingsCommand,
    VerdictOutput,
    also_unsaved,
    implementations_option,
    integer,
    measurement_options,
    print_result_file,
    quiet_option,
    refuse_unused,
    verdict_options,
)
from lcbench.errors import ExitCode


@click.command(
    cls=SettingsCommand,
    settings="lcbench.settings:GateSettings",
    epilog="\b\nExamples:\n  lcbench gate --base HEAD~1 --impl kernels/softmax.py --fail-above 5%\n"
    "  lcbench gate --revisions v1..HEAD --impl kernels/softmax.py",
)
@click.option(
    "--base",
    metavar="VERSION",
    shell_complete=complete.versions,
    help="Version to compare with: a git revision, a folder, a Python interpreter or virtual environment, or an "
    "implementation (FILE.py[:FUNCTION] or a name).",
)
@click.option(
    "--head",
    show_default=True,
    metavar="VERSION",
    shell_complete=complete.versions,
    help="Version to test, given like --base. '.': the current folder.",
)
@click.option(
    "--revisions",
    metavar="FIRST..LAST",
    help="Instead of --base and --head: find the commit after FIRST, up to LAST, that made it slower, by bisection.",
)
@implementations_option(
    "Implementations to measure in both versions, as in 'lcbench run': a FILE.py of your repository. Default: "
    "numba-parallel, if the versions are of lcbench itself."
)
@click.option("--rows", type=integer("rows"), show_default=True, metavar="N", help="Rows of X.")
@click.option("--data", type=click.Choice(["synthetic", "cifar10"]), show_default=True, help="Data to measure on.")
@click.option(
    "--fail-above",
    type=SHARE,
    show_default=True,
    metavar="SHARE",
    help="Fail if head is slower by more than this share: 3% or 0.03.",
)
@click.option(
    "--budget",
    "budget_s",
    type=Seconds.within("gate_budget_s"),
    metavar="SECONDS",
    help="Total time, including compilation. The gate stops earlier once the verdicts are clear. Default: 60s, or the "
    "time that a verdict needs. With --revisions: the time of each comparison.",
)
@click.option(
    "--precision",
    type=SHARE,
    metavar="SHARE",
    help="Measure until the 95% interval of the ratio is about this narrow: 1% means plus or minus 1%. Replaces "
    "--budget.",
)
@measurement_options
@click.option(
    "--build",
    metavar="COMMAND",
    help="Shell command to run in each checked-out revision. A .venv in the revision is used.",
)
@click.option("--self-test", is_flag=True, help="Test that the gate detects a copy of base that is 5% slower.")
@quiet_option
@verdict_options
def gate(
    settings: dict[str, Any], revisions: str | None, self_test: bool, quiet: bool, output: VerdictOutput
) -> ExitCode:
    """Test whether head is slower than base.

    Processes of base and head are alive together and take turns of some hundredths of a second, while all others are
    stopped. This separates changes of the code from drift and noise of the machine. Base is also compared with itself.
    The test is exact. The probability of a false alarm in any row is at most 1 in 100 per gate.

    With --revisions, both ends of a range of commits are compared. If the last is slower, a commit in the middle takes
    turns with both, the slower half is kept, and so on. The commit that is left is confirmed against its parent.
    Commits whose code is missing, cannot be loaded or is wrong are skipped and named.

    An implementation that base does not have is new: there is nothing to compare, and head is only checked.

    Exit status: 0 if not slower, 1 if slower, 3 if inconclusive, 4 if head is wrong, 2 if nothing was measured.
    """
    if revisions is not None:
        return _search(revisions, settings, quiet, output)
    if "base" not in settings and not self_test:
        raise click.UsageError(
            "--base is missing: a git revision, folder, Python or FILE.py, as in --base HEAD~1 --impl FILE.py"
        )

    from lcbench import api, record
    from lcbench.api.measure import PLANTED
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import gate as gate_tables
    from lcbench.stats.gate import judge_gate

    if self_test:
        refuse_unused("--self-test measures base and a slower copy of it, and reports nothing about the code",
                      "head", "junit", "markdown", "form")  # fmt: skip
        if "base" not in settings:
            refuse_unused("without --base, --self-test measures the current folder as it is", "build")
        settings["base"] = settings["head"] = settings.get("base", ".")
        settings["planted"] = PLANTED
    output.require_writable()
    with show_progress(quiet, timing=True) as progress:
        result, unsaved = also_unsaved(api.gate, progress=progress, note=partial(click.echo, err=True), **settings)
    assert result.gate
    judged = judge_gate(result.rows, result.gate)
    try:
        if output.as_json:
            import msgspec

            fields = msgspec.to_builtins(judged) | {"exit_code": int(judged.exit_code), "record": result.path}
            click.echo(record.to_json(fields))
        else:
            console = style.console()
            for table in gate_tables.tables(judged, result.gate):
                console.print(table)
    finally:
        if not self_test:  # its slowdown is artificial, and must not appear in reports about the code
            notes = gate_tables.notes(judged, result.gate)
            output.write(judged.comparisons, result.gate.fail_above, gate_tables.heading(result.gate), notes)
        print_result_file(result)
        if unsaved:
            click.echo(f"warning: {unsaved}", err=True)
    if result.interrupted:
        return ExitCode.STOPPED
    return _self_test_exit_code(judged.exit_code) if self_test else judged.exit_code


def _search(revisions: str, settings: dict[str, Any], quiet: bool, output: VerdictOutput) -> ExitCode:
    """Search a range of revisions, print what was found, and return the exit code."""
    refuse_unused("--revisions names both versions", "base", "head")
    refuse_unused("--revisions measures commits as they are", "self_test")
    refuse_unused("with --revisions, each comparison has a result of its own", "save")

    from rich.text import Text

    from lcbench import api, record
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import bisection as tables
    from lcbench.report.tables import gate as gate_tables

    output.require_writable()
    with show_progress(quiet, timing=True) as progress:
        found = api.bisect(revisions, progress=progress, note=partial(click.echo, err=True), **settings)
    decisive = found.decisive
    conclusions = list(tables.conclusions(found))
    try:
        if output.as_json:
            click.echo(record.to_json(tables.as_json(found)))
        else:
            console = style.console()
            for table in tables.tables(found):
                console.print(table)
            for sentence in conclusions:
                console.print(Text(sentence, style="bold"))
    finally:
        assert decisive.record.gate
        notes = [*conclusions, *gate_tables.notes(decisive.verdicts, decisive.record.gate)]
        output.write(decisive.verdicts.comparisons, decisive.verdicts.fail_above, tables.heading(found), notes)
        print_result_file(decisive.record)
    return found.exit_code


def _self_test_exit_code(code: ExitCode) -> ExitCode:
    """Print the outcome of the self-test, which passes if the slowdown was detected, and return its exit code."""
    if code is ExitCode.REGRESSION:
        click.echo("self-test passed: the artificial slowdown was detected", err=True)
        return ExitCode.OK
    if code is ExitCode.INCONCLUSIVE:
        click.echo("self-test inconclusive: too noisy for this budget; 'lcbench doctor' reports the causes", err=True)
    elif code is ExitCode.OK:
        click.echo("self-test failed: the artificial slowdown was not detected", err=True)
        return ExitCode.INCONCLUSIVE
    return code
