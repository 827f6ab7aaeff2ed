"""Parameter types and options that several commands share."""

from __future__ import annotations

import inspect
import os
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from lcbench.cli import main
from lcbench.cli.options import (
    COUNT,
    COUNTS,
    SCHEDULER_VARIABLE,
    Seconds,
    scheduler_option,
    warn_if_scheduler_unused,
)
from lcbench.losses.cluster import connection


@pytest.mark.parametrize(("text", "seconds"), [("60", 60.0), ("60s", 60.0), ("1.5s", 1.5), ("0", 0.0), (36.0, 36.0)])
def test_seconds_with_and_without_unit(text, seconds):
    assert Seconds(0).convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["s", "5m", "nan", "infs", "-1s", "1ss"])
def test_invalid_seconds_are_usage_errors(text):
    with pytest.raises(click.BadParameter):
        Seconds(0).convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "count"),
    [("5000000", 5_000_000), ("5M", 5_000_000), ("500k", 500_000), ("1e6", 10**6), ("2.5K", 2500), ("1_000", 1000)],
)
def test_count_notations(text, count):
    assert COUNT.convert(text, None, None) == count


@pytest.mark.parametrize(
    ("text", "counts"), [("500", (500,)), ("500,5000", (500, 5000)), ("1k, 2M", (1000, 2_000_000))]
)
def test_counts_are_separated_by_commas(text, counts):
    assert COUNTS.convert(text, None, None) == counts


@pytest.mark.parametrize("text", ["10,000", "1,000,000", "100,500"])
def test_ambiguous_counts_are_usage_errors(text):
    with pytest.raises(click.BadParameter, match=f"write {text.replace(',', '')}, or repeat the option"):
        COUNTS.convert(text, None, None)


@pytest.mark.parametrize("text", ["1e30000000", "1e308", "9" * 10_000, "2000G", "1e30000000k"])
def test_counts_beyond_reason_are_refused_at_once(text):
    with pytest.raises(click.BadParameter, match="is too large: it must be from 1 to 1,000,000,000,000"):
        COUNT.convert(text, None, None)


@pytest.mark.parametrize(
    "line",
    [
        "run --threads 1025", "run --seed 1" + 30 * "0", "run --blocks 1e9", "run --budget 1e308", "run --timeout inf",
        "run --batch 1e30", "run --features 1" + 30 * "0", "run --classes 10000000", "sweep --axis threads=1,2000",
        "sweep --axis rows=1:10 --most-seconds-a-call 1e308", "gate --base . --budget 1e308", "doctor --seconds 1e308",
        "gate --base . --rows 1" + 30 * "0", "train --momentum nan", "train --momentum 1", "train --words 100000",
        "train --batch 1" + 30 * "0", "train --epochs 1e30", "search --random 1000000", "search --lr 1:2:1000000000",
        "search --batch 1,10000000000", "search --workers 100000", "features words --words 100000",
        "features words --seed 1" + 30 * "0", "synth x.h5 --rows 1e20", "gradcheck --seed 1" + 30 * "0",
    ],
)  # fmt: skip
def test_values_beyond_reason_are_refused(line):
    started = CliRunner().invoke(main.lcbench, line.split())
    error = started.exception if started.exception and not isinstance(started.exception, SystemExit) else started.output
    assert "range" in str(error) or "is not" in str(error) or "must be" in str(error)
    assert started.exit_code in (1, 2)


@pytest.mark.parametrize("text", ["", "500,", "500;600", "0,5000", "nan", "-inf", "1e-30000000", "1/2"])
def test_invalid_counts_are_usage_errors(text):
    with pytest.raises(click.BadParameter, match="is not a positive integer"):
        COUNTS.convert(text, None, None)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("gate --self-test --head HEAD", "--head"),
        ("gate --self-test --junit x.xml --markdown x.md", "--junit, --markdown"),
        ("gate --self-test --format github", "--format"),
        ("gate --self-test --build make", "--build"),
        ("features colour --words 5", "--words"),
        ("features colour --seed 5", "--seed"),
        ("features --list colour", "[NAME]..."),
        ("features --data synthetic", "--data"),
        ("reproduce --list --pictures x", "--pictures"),
        ("reproduce --list --impl numpy", "--impl"),
        ("doctor --no-noise --seconds 5", "--seconds"),
        ("compare --fail-above 5%", "--fail-above"),
        ("download --verify --layout python", "--layout"),
        ("gradcheck --at 0,0 --coordinates 5", "--coordinates"),
        ("gradcheck --loss softmax --margin 2", "--margin"),
        ("plot bars --output x.svg --dpi 100", "--dpi"),
    ],
)
def test_options_without_effect_are_usage_errors(line, options):
    done = CliRunner().invoke(main.lcbench, line.split())
    assert done.exit_code == 2
    assert f"Error: {options} has no effect: " in done.output


WITH_PROGRESS = [
    name for name in main.COMMANDS if "show_progress" in inspect.getsource(import_module(f"lcbench.cli.{name}"))
]


def options_of(name):
    command = getattr(import_module(f"lcbench.cli.{name}"), name)
    return [spelling for parameter in command.params for spelling in parameter.opts]


@pytest.mark.parametrize("name", WITH_PROGRESS)
def test_commands_with_progress_have_quiet(name):
    assert "--quiet" in options_of(name)


def test_some_commands_show_progress():
    assert {"run", "check", "train", "search", "doctor", "download"} < set(WITH_PROGRESS)


@pytest.mark.parametrize("name", ["run", "train", "search"])
def test_commands_have_scheduler(name):
    assert "--scheduler" in options_of(name)


def test_scheduler_is_passed_through_the_variable_that_the_cluster_reads(monkeypatch):
    assert SCHEDULER_VARIABLE == connection.SCHEDULER_VARIABLE
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://before:1")

    @click.command()
    @scheduler_option
    def command():
        click.echo(os.environ[SCHEDULER_VARIABLE])

    assert CliRunner().invoke(command).output == "tcp://before:1\n"
    assert CliRunner().invoke(command, ["--scheduler", "tcp://after:2"]).output == "tcp://after:2\n"


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["--impl", "numpy,jax", "--scheduler", "tcp://a:1"], True),
        (["--scheduler", "tcp://a:1"], True),
        (["--scheduler", "tcp://a:1", "--impl", "numpy, dask"], False),
        (["--scheduler", "tcp://a:1", "--resume", "file"], False),
        (["--impl", "numpy"], False),
    ],
)
def test_unused_scheduler_is_a_warning(monkeypatch, arguments, warned):
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://before:1")  # the variable alone causes no warning

    @click.command()
    @click.option("--impl", multiple=True)
    @click.option("--resume")
    @scheduler_option
    def command(impl, resume):
        warn_if_scheduler_unused(impl)

    output = CliRunner().invoke(command, arguments).output
    assert output == ("--scheduler has no effect: only --impl dask computes on a cluster\n" if warned else "")


@pytest.mark.parametrize("command", ["run", "sweep", "gate", "train", "search"])
def test_commands_warn_of_unused_scheduler(command, monkeypatch):
    monkeypatch.setenv(SCHEDULER_VARIABLE, "")
    # every command fails early, on an argument that is checked after the warning
    wrong = {"gate": ["--base", "no-such-base"], "sweep": ["--axis", "none=1,2"]}.get(command, ["--data", "none.h5"])
    result = CliRunner().invoke(main.lcbench, [command, "--impl", "numpy", "--scheduler", "tcp://a:1", *wrong])
    assert result.exception
    assert "--scheduler has no effect" in result.output
    assert CliRunner().invoke(main.lcbench, [command, "--impl", "numpy", *wrong]).output.count("--scheduler") == 0


SHORTENED = {"impl": ("implementations", "implementation"), "loss": ("losses",), "axis": ("axes",)}
"""Options of which the name on the command line is a shorter form or the singular, as each takes one value."""


@pytest.mark.parametrize("command", ["run", "sweep", "gate", "train", "search"])
def test_an_option_has_the_name_of_its_setting(command):
    program = getattr(import_module(f"lcbench.cli.{command}"), command)
    fields = program.struct.__struct_fields__
    for option in program.params:
        if option.name in fields:
            given = option.opts[0].removeprefix("--").replace("-", "_")
            assert option.name in (given, f"{given}_s", *SHORTENED.get(given, ())), option.opts
