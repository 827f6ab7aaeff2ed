"""``lcbench compare``: newest results side by side, or two results with verdicts."""

from __future__ import annotations

import click

from lcbench.errors import LcbenchError
from lcbench.exit_codes import ExitCode


def _fraction(context: click.Context, parameter: click.Parameter, value: str) -> float:
    text = value.strip()
    try:
        number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a share: write 5% or 0.05") from None
    if not 0 <= number < 1:
        raise click.BadParameter(f"'{value}' is outside 0..100 %: write 5% or 0.05")
    return number


@click.command(epilog="\b\nExamples:\n  lcbench compare\n  lcbench compare before after --fail-above 5%")
@click.argument("base", required=False)
@click.argument("new", required=False)
@click.option(
    "--fail-above",
    default="5%",
    show_default=True,
    callback=_fraction,
    metavar="SHARE",
    help="How much slower a row may be: 5% or 0.05.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def compare(base: str | None, new: str | None, fail_above: float, as_json: bool) -> ExitCode:
    """Did it get slower? Results side by side, or verdicts.

    Without arguments: the newest result of every implementation on this machine, side by side. With BASE and NEW (files
    or saved names; NEW defaults to the newest result): ratio, interval and verdict of every row.

    Exit status: 0 not slower, 1 slower, 3 inconclusive, 4 a result was wrong, 2 nothing to compare.
    """
    from lcbench.report import style

    console = style.console()
    if base is None:
        return _side_by_side(console, as_json)

    import msgspec

    from lcbench import api, record
    from lcbench.report import compare_tables

    newest = None if new else next(record.newest_first(), None)
    if not new and not newest:
        raise LcbenchError("no result to compare with; 'lcbench run' makes one")
    judgement = api.compare(base, new or newest, fail_above)  # type: ignore[arg-type]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(judgement), indent=1))
    else:
        for table in compare_tables.verdicts(judgement):
            console.print(table)
    return judgement.exit_code


def _side_by_side(console: object, as_json: bool) -> ExitCode:
    import msgspec

    from lcbench import record
    from lcbench.judge.latest import latest
    from lcbench.measure import machine
    from lcbench.report import compare_tables

    groups = latest(record.newest_first(), machine.fingerprint(machine.facts()))
    if not groups:
        raise LcbenchError("no result of this machine yet; 'lcbench run' makes one")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(groups), indent=1))
    else:
        for table in compare_tables.latest(groups):
            console.print(table)  # type: ignore[attr-defined]
    return ExitCode.OK
