"""``lcbench inspect``: the machine code of an implementation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import WEIGHTS, json_option, quiet_option

if TYPE_CHECKING:
    from lcbench.machine_code.gpu import Kernel
    from lcbench.machine_code.loops import Loop


def _parse_capability(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    digits = re.fullmatch(r"(\d{1,2})\.(\d)", value or "")
    if value is not None and not digits:
        raise click.BadParameter(f"'{value}' is not a compute capability: write it as 9.0")
    return (int(digits[1]), int(digits[2])) if digits else None


@click.command(
    epilog="\b\nExamples:\n  lcbench inspect numba-parallel\n  lcbench inspect numba-njit --dtype float64 --asm"
)
@click.argument("implementation", metavar="NAME | FILE.py[:FUNCTION]", shell_complete=complete.implementation)
@click.option("--dtype", type=WEIGHTS, default="float32", show_default=True, help="Data type of W and X.")
@click.option("--pixels", is_flag=True, help="Compile for X of uint8 pixels.")
@click.option("--classes", type=click.IntRange(2, 1000), default=10, show_default=True, help="Number of classes.")
@click.option(
    "--capability",
    "--cc",
    "capability",
    callback=_parse_capability,
    metavar="X.Y",
    help="Compute capability to compile numba-cuda for. Default: 9.0.",
)
@click.option("--asm", is_flag=True, help="Also print the assembly of each loop or the PTX of each kernel.")
@json_option
@quiet_option
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
    """Inspect compiled code: SIMD width, FMAs and spills.

    CPU implementations run once on a small problem; then the innermost loops are read from their assembly. The kernels
    of numba-cuda are compiled and linked for any GPU and need none.
    """
    if capability and implementation != "numba-cuda":
        raise click.UsageError("--cc is for numba-cuda")

    from lcbench.api import machine
    from lcbench.progress import show_progress

    major, minor = capability or (9, 0)
    with show_progress(quiet) as progress:
        progress(f"compiling {implementation}", 0, 1)
        found = machine.inspect(implementation, dtype=dtype, pixels=pixels, classes=classes, capability=(major, minor))
    architecture = f" for sm_{major}{minor}" if implementation == "numba-cuda" else ""
    title = f"{implementation}{architecture}: {dtype}, {classes} classes" + (", X uint8" if pixels else "")
    if pixels and implementation == "numba-parallel" and dtype == "float32":
        title += f" {machine.use_of_pixels()}"
    if as_json:
        _print_json(title, found, asm)
    else:
        _print_tables(title, found, asm)


def _print_json(title: str, found: Sequence[Kernel | Loop], asm: bool) -> None:
    import json
    from dataclasses import asdict

    listed = [{"verdict": one.verdict, **asdict(one)} for one in found]
    if not asm:
        for fields in listed:
            del fields["code"]
    click.echo(json.dumps({"inspected": title, "found": listed}, indent=1))


def _print_tables(title: str, found: Sequence[Kernel | Loop], asm: bool) -> None:
    from lcbench.report import style
    from lcbench.report.tables import inspect as inspect_tables

    console = style.console()
    for table in inspect_tables.tables(title, found):
        console.print(table)
    if asm:
        for code in inspect_tables.code(found):
            click.echo(code)
