"""Tables as SVG have the lines of the terminal and load nothing from a network."""

import io
import re
from html import unescape
from xml.etree import ElementTree

from plot_records import rows_sweep, run
from rich.console import Console

from lcbench.record import Gate, InterimAnalysis, Side
from lcbench.report.plots.table import draw_table, why_no_table
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables import gate as gate_tables
from lcbench.report.tables import run as run_tables
from lcbench.stats import verdicts
from lcbench.stats.gate import judge_gate
from results import record, row
from results_to_export import RESULT


def lines_of(svg):
    """Return the text of each line of the SVG, without spaces."""
    found: dict[str, str] = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        found[element.get("y")] = found.get(element.get("y"), "") + unescape(element.text)
    return [line for line in ("".join(line.split()) for line in found.values()) if line]


def printed(tables):
    """Return the lines on a terminal of 80 columns, without spaces and empty lines."""
    console = Console(width=80, file=io.StringIO(), markup=False, highlight=False, emoji=False)
    for each in tables:
        console.print(each)
    return [line for line in ("".join(line.split()) for line in console.file.getvalue().splitlines()) if line]


def test_the_svg_has_the_command_and_the_lines_that_the_terminal_prints():
    given = run()
    first, *lines = lines_of(draw_table(given))
    assert first == "$lcbenchrun--rows500"
    assert lines == printed(run_tables.tables(given))


def test_two_results_give_verdicts():
    base, new = record(row("numpy", [1e-3, 1.01e-3, 0.99e-3])), record(row("numpy", [2e-3, 2.01e-3, 1.99e-3]))
    base.path, new.path = "results/base.json", "results/new.json"
    first, *lines = lines_of(draw_table(base, new))
    assert first == "$lcbenchcomparebasenew"
    assert lines == printed(compare_tables.verdicts(verdicts.compare_records(base, new)))


def test_a_sweep_has_its_own_tables():
    lines = lines_of(draw_table(rows_sweep()))
    assert any(line.startswith("Growth:") for line in lines)


def test_arguments_of_a_users_program_are_not_shown():
    assert "$" not in "".join(lines_of(draw_table(run(command=["my_program.py", "3"]))))


def test_colours_do_not_depend_on_the_terminal_and_nothing_is_loaded(monkeypatch):
    given = run()
    svg = draw_table(given)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "30")
    assert draw_table(given) == svg
    assert "#ff7b72" in svg  # red of a wrong row
    assert re.findall(r"https?://[^\"' ]*", svg) == ["http://www.w3.org/2000/svg"]


def test_names_are_escaped():
    svg = draw_table(record(row("a<b>&c.py:f", [1e-3, 1.1e-3])))
    assert "a<b>&c.py:f" in "".join(lines_of(svg))


def test_messages_of_users_code_are_valid_xml():
    assert any("right|is<2>" in line for line in lines_of(draw_table(RESULT)))


def test_a_record_without_rows_has_no_tables():
    assert why_no_table(record()) == "it has no rows"
    assert why_no_table(run()) == ""


def test_a_gate_has_its_verdicts():
    side = Side(given="main", kind="revision", python="3.11", versions={})
    gate = Gate(
        base=side,
        head=side,
        fail_above=0.03,
        budget_s=60,
        orders=["bbhh"] * 12,
        interim_analyses=[InterimAnalysis(blocks=12, share=1.0)],
    )
    times = [1e-3 * (1 + 0.001 * (number % 5)) for number in range(24)]
    sides = {"base": times[:12], "control": times[:12], "head": [2 * seconds for seconds in times]}
    rows = [row(medians=seconds, side=name) for name, seconds in sides.items()]
    first, *lines = lines_of(draw_table(record(*rows, gate=gate, command=["gate", "--base", "main"])))
    assert first == "$lcbenchgate--basemain"
    assert lines == printed(gate_tables.tables(judge_gate(rows, gate), gate))
    assert any("slower" in line for line in lines)
