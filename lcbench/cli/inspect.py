"""``lcbench inspect``: what the compiler made of an implementation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lcbench.cli import completion as complete

if TYPE_CHECKING:
    from lcbench.machine_code.gpu import Kernel
    from lcbench.machine_code.loops import Loop


def _capability(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    digits = re.fullmatch(r"(\d{1,2})\.(\d)", value or "")
    if value is not None and not digits:
        raise click.BadParameter(f"'{value}' is no compute capability; 9.0 is one")
    return (int(digits[1]), int(digits[2])) if digits else None


@click.command(
    epilog="\b\nExamples:\n  lcbench inspect numba-parallel\n  lcbench inspect numba-njit --dtype float64 --asm"
)
@click.argument("implementation", metavar="NAME | FILE.py[:FUNCTION]", shell_complete=complete.implementation)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--pixels", is_flag=True, help="X as uint8 pixels instead of --dtype.")
@click.option("--classes", type=click.IntRange(2, 1000), default=10, show_default=True)
@click.option(
    "--cc",
    "capability",
    callback=_capability,
    metavar="X.Y",
    help="Compute capability that numba-cuda is compiled for. Default: 9.0.",
)
@click.option("--asm", is_flag=True, help="Print the code, too: each loop's assembly, or each kernel's PTX.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress.")
def inspect(
    implementation: str,
    dtype: str,
    pixels: bool,
    classes: int,
    capability: tuple[int, int] | None,
    asm: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """What did the compiler make of it? Vectors, FMAs, spills.

    On the CPU, the implementation runs once on a small problem, then its innermost loops are read from the assembly.
    The kernels of numba-cuda are compiled and linked for any GPU, and none is needed.
    """
    if capability and implementation != "numba-cuda":
        raise click.UsageError("--cc is for numba-cuda")
    setting = f"{dtype}, {classes} classes" + (", X uint8" if pixels else "")
    from lcbench.api import machine
    from lcbench.progress import show_progress

    major, minor = capability or (9, 0)
    place = f" for sm_{major}{minor}" if implementation == "numba-cuda" else ""
    with show_progress(quiet) as progress:
        progress(f"compiling {implementation}", 0, 1)
        found = machine.inspect(implementation, dtype=dtype, pixels=pixels, classes=classes, capability=(major, minor))
    title = f"{implementation}{place}: {setting}"
    if as_json:
        _print_json(title, found, asm)
    else:
        _print(title, found, asm)


def _print_json(title: str, found: Sequence[Kernel | Loop], asm: bool) -> None:
    import json
    from dataclasses import asdict

    listed = [{"verdict": one.verdict, **asdict(one)} for one in found]
    if not asm:
        for one in listed:
            del one["code"]
    click.echo(json.dumps({"inspected": title, "found": listed}, indent=1))


def _print(title: str, found: Sequence[Kernel | Loop], asm: bool) -> None:
    from lcbench.report import style
    from lcbench.report.tables import inspect as inspect_tables

    console = style.console()
    for table in inspect_tables.tables(title, found):
        console.print(table)
    if asm:
        for code in inspect_tables.code(found):
            click.echo(code)
