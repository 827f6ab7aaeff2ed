"""Content of the HTML page, read without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from page_records import (
    BY_BATCH,
    BY_DTYPE,
    BY_ROWS,
    BY_ROWS_AND_THREADS,
    HOSTILE,
    LATER,
    LONG,
    MEDIANS,
    NOISY,
    RUN,
    ceiling,
    gate,
)

from lcbench.losses import catalog
from lcbench.report import formatting
from lcbench.report.page import contents, page, plots
from lcbench.report.plots import selection
from lcbench.report.plots.line_styles import line_style
from lcbench.stats import estimates, growth
from lcbench.stats import gate as judge
from results import record, row

VENDOR = resources.files("lcbench.report.page").joinpath("vendor")


class Read(HTMLParser):
    """Parser of a page: its elements, the text of its cells by table, and its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: list[str] = []
        self.text = ""
        self._table = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside.append(tag)
        if tag == "table":
            self._table = dict(attributes)["id"]
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self._inside:
            self.scripts[-1] += data
        elif "style" not in self._inside:
            self.text += data
            if "td" in self._inside or "th" in self._inside:
                self.tables[self._table][-1][-1] += data.strip()

    @property
    def data(self):
        """Data of the scripts; numbers that JSON does not have are an error."""
        return json.loads(self.scripts[0], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    def plots(self, kind):
        return [plot for plot in self.data["plots"] if plot["kind"] == kind]


@pytest.fixture(scope="module")
def run():
    return Read(page.html([RUN]))


def lines(read, table):
    """Return the lines of a table by their first cell."""
    return {cells[0]: cells for cells in read.tables[table][1:]}


def test_times_are_in_the_table_of_their_workload(run):
    found = lines(run, "times-0-0-table")  # svm, 500 rows
    assert list(found) == [*sorted(MEDIANS, key=MEDIANS.get), "dead.py:f"]
    head = run.tables["times-0-0-table"][0]
    for measured in RUN.rows:
        if measured.loss == "svm" and measured.ranked:
            cells = dict(zip(head, found[measured.implementation], strict=True))
            assert cells["time"] == formatting.seconds(measured.median_s)
            assert cells["limit"] == formatting.share(measured.roofline_fraction)


def test_speedups_are_those_of_the_statistics(run):
    base = next(one for one in RUN.rows if (one.implementation, one.loss) == ("numpy", "svm"))
    jax = next(one for one in RUN.rows if (one.implementation, one.loss) == ("jax", "svm"))
    column = run.tables["times-0-0-table"][0].index("x numpy")
    found = lines(run, "times-0-0-table")
    assert found["jax"][column] == formatting.ratio_with_interval(*estimates.speedup(jax, base))
    assert found["numpy"][column] == "1"


def test_another_baseline():
    found = Read(page.html([RUN], "jax"))
    column = found.tables["times-0-0-table"][0].index("x jax")
    assert lines(found, "times-0-0-table")["jax"][column] == "1"
    assert not any("x numpy" in cell for cell in found.tables["times-0-0-table"][0])


def test_rows_without_a_time_are_last_with_the_reason(run):
    softmax = run.tables["times-0-1-table"]
    assert softmax[-2] == ["wrong.py:f", "wrong: loss is <b>1</b>, right is 2"]
    assert softmax[-1] == ["torch-cuda", "unavailable: no GPU"]
    assert "1.00 ns" not in run.text  # a wrong row has no time


def test_a_simulated_row_has_no_time(run):
    [line] = [
        table[1] for table in run.tables.values() if table[1:] and table[1][0] == "numba-cuda" and len(table) == 2
    ]
    assert line == ["numba-cuda", "right; simulated: no GPU, so there are no times"]


def test_names_are_escaped(run):
    assert not any(tag in ("img", "b") for tag, _ in run.tags)
    assert HOSTILE in run.text
    assert HOSTILE in lines(run, "times-0-1-table")
    assert HOSTILE in {one["name"] for one in run.data["rows"].values()}
    assert len(run.scripts) == 1 + 2 + 1  # data, two libraries, the page's own


def test_nothing_is_loaded_from_a_network(run):
    for tag, attributes in run.tags:
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
        if tag == "a":
            assert attributes["href"].startswith("#")
    [policy] = [a["content"] for tag, a in run.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    styles = resources.files("lcbench.report.page").joinpath("page.css").read_text()
    assert "url(" not in styles
    assert "@import" not in styles


def test_links_are_valid_and_ids_are_unique(run):
    ids = [attributes["id"] for _, attributes in run.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [
        value for _, a in run.tags for key in ("aria-labelledby", "aria-describedby", "for") if (value := a.get(key))
    ]
    named += [a["href"][1:] for tag, a in run.tags if tag == "a"]
    assert set(named) <= set(ids)


def test_machine_score_and_findings_are_shown(run):
    for told in (
        "A processor",
        "2 usable cores",
        "L2 1 MiB",
        "numpy 2.4.6",
        "62; a quiet machine has 100",
        "high: <others> use",
    ):
        assert told in run.text


def test_all_samples_are_shown(run):
    jax = next(one for one in run.data["rows"].values() if (one["name"], one["what"][:3]) == ("jax", "svm"))
    row_of_jax = next(one for one in RUN.rows if (one.implementation, one.loss) == ("jax", "svm"))
    assert [one["times"] for one in jax["processes"]] == [
        list(map(formatting.seconds, block)) for block in row_of_jax.blocks
    ]
    assert all(formatting.seconds(sample) in run.text for block in row_of_jax.blocks for sample in block)


def test_a_distant_process_does_not_stretch_the_axis():
    read = Read(page.html([NOISY]))
    [plot] = read.plots("samples")
    low, high = plot["domain"]
    assert low < 1 < high <= selection.FARTHEST
    assert "triangles: samples beyond the axis" in read.text


def test_a_plot_without_outliers_has_no_notes():
    read = Read(page.html([record(row(blocks=[[1e-3, 1.02e-3], [1.01e-3, 1e-3]]))]))
    [plot] = read.plots("samples")
    assert plot["domain"] == [pytest.approx(1 / selection.NEAREST, abs=1e-4), selection.NEAREST]
    assert "triangles" not in read.text


def test_an_interval_that_is_not_informative_is_explained():
    read = Read(page.html([NOISY]))
    head, torch = read.tables["times-0-0-table"][0], lines(read, "times-0-0-table")["torch"]
    assert torch[head.index("95 % interval")] == formatting.NO_INTERVAL
    assert torch[head.index("x numpy")].endswith(formatting.NO_INTERVAL)
    assert f"{formatting.NO_INTERVAL}: no interval" in read.text
    assert formatting.NO_INTERVAL not in Read(page.html([record(row(medians=[1e-3, 1.01e-3]))])).text


def test_every_row_has_a_mark_in_the_plots(run):
    ranked = [one for one in RUN.rows if one.ranked]
    for kind in ("bars", "samples", "roofline"):
        assert sum(len(plot["marks"]) for plot in run.plots(kind)) == len(ranked)


def test_the_roofline_has_the_footprint_of_its_workload(run):
    assert {(plot["read"], plot["flops"]) for plot in run.plots("roofline")} == {(5e10, 3e11)}
    without = Read(page.html([record(row(medians=[1e-3, 1e-3]))]))
    assert without.plots("roofline") == []
    assert len(without.plots("bars")) == 1


def test_verification_has_errors_and_conventions(run):
    found = lines(run, "verified-0-table")
    assert found["numpy"][-4:-1] == ["1e-07", "2e-07", "right"]
    assert found["wrong.py:f"][-4:-1] == ["-", "-", "wrong: loss is <b>1</b>, right is 2"]
    assert found[LONG][-1] == "2015 convention: W (C, D), X (D, N)"


@pytest.mark.parametrize("differing", [{"batch": [10, 20]}, {"threads": [1, 2]}, {"streamed": [False, True]}])
def test_lines_of_the_verification_differ(differing):
    [(field, values)] = differing.items()
    read = Read(page.html([record(*(row(medians=[1e-3, 1e-3], **{field: value}) for value in values))]))
    head, *found = read.tables["verified-0-table"]
    assert field in head
    assert len({tuple(cells) for cells in found}) == len(values)
    same = Read(page.html([record(*(row(medians=[1e-3, 1e-3], **{field: values[0]}) for _ in values))]))
    assert field not in same.tables["verified-0-table"][0]


def test_limits_of_several_dtypes_have_different_names():
    measured = record(row(medians=[1e-3, 1e-3]), ceilings=[ceiling(500), ceiling(500, "float64")])
    read = Read(page.html([measured]))
    names = [name for name, _ in contents.essentials(measured)]
    assert len(names) == len(set(names))
    assert "limits, float32" in read.text
    assert "limits, float64" in read.text
    assert [name for name, _ in contents.essentials(RUN) if "limits" in name] == ["limits"]


def test_a_gate_has_its_verdicts():
    measured = gate()
    read = Read(page.html([measured]))
    found = lines(read, "gate-0-table")
    judged = judge.judge_gate(measured.rows, measured.gate).comparisons[0]
    assert judged.verdict == "slower"
    assert found["numpy"][-3:] == [
        formatting.ratio_with_interval(*judged.ratio, decimals=3),
        f"+{formatting.percent(judged.detectable)}",
        "slower",
    ]
    [plot] = read.plots("ratios")
    assert plot["threshold"] == pytest.approx(1.03)
    assert [mark["name"] for mark in plot["marks"]] == ["numpy", HOSTILE]


def test_two_runs_are_compared_the_later_with_the_earlier():
    for records in ([RUN, LATER], [LATER, RUN]):
        read = Read(page.html(records))
        found = read.tables["compared-verdicts-table"][1:]
        assert [(cells[0], cells[-1]) for cells in found[:2]] == [("jax", "slower"), ("jax", "slower")]
        assert f"({LATER.id}) against " in read.text


def test_between_two_machines_no_verdict_is_valid():
    rows = [row(name, blocks=[[9 * median] * 3] * 3) for name, median in MEDIANS.items()]
    read = Read(page.html([RUN, record(*rows, fingerprint="another", created="2026-02-02T03:04:05+00:00")]))
    assert {cells[-1] for cells in read.tables["compared-verdicts-table"][1:]} == {"inconclusive"}
    assert "no verdict is valid: the two results are from different machines" in read.text


def test_records_without_common_rows_have_no_verdict():
    read = Read(page.html([RUN, record(row("alone", [1e-3, 1e-3]))]))
    assert "compared-verdicts-table" not in read.tables
    assert len([a for tag, a in read.tags if a.get("class") == "result"]) == 2


def test_a_sweep_has_growth_crossing_and_curves():
    read = Read(page.html([BY_ROWS]))
    found = lines(read, "growth-0-0-table")
    assert set(found) == {"numpy", "numba-parallel"}
    assert found["numpy"][3].startswith("1.00")
    assert "numba-parallel passes numpy at rows = " in read.text
    [plot] = read.plots("scaling")
    assert len(plot["marks"]) == 14
    assert [mark["at"] for mark in plot["marks"][:7]] == [10, 30, 100, 300, 1000, 3000, 10_000]
    assert len(plot["crossings"]) == 1
    assert 100 < plot["crossings"][0]["at"] < 300
    assert {cache["text"] for cache in plot["caches"]} == {"X as large as L1", "X as large as L2", "X as large as L3"}
    assert read.tables["times-0-0-table"][0][:3] == ["implementation", "rows", "time"]


@pytest.mark.parametrize("measured", [BY_ROWS, BY_BATCH], ids=["rows", "batch"])
def test_a_sweep_has_the_fitted_growth_and_the_measured_points(measured):
    [plot] = Read(page.html([measured])).plots("scaling")
    assert {fit["curve"] for fit in plot["fits"]} == {"numpy", "numba-parallel"}
    by_name = {one.implementation: one for one in growth.growths(measured)}
    for fit in plot["fits"]:
        places, times = map(np.array, zip(*fit["points"], strict=True))
        ends = [mark["at"] for mark in plot["marks"] if mark["curve"] == fit["curve"]]
        assert (places[0], places[-1]) == (min(ends), max(ends))
        np.testing.assert_allclose(times, by_name[fit["curve"]](places), rtol=1e-3)


def test_an_exponent_near_zero_keeps_its_interval():
    found = lines(Read(page.html([BY_BATCH])), "growth-0-0-table")  # of batches of one time each
    assert re.fullmatch(r"-?0\.00 \[-?0\.00,-?0\.00\]", found["numpy"][3])


def test_a_sweep_over_threads_has_speed_ups():
    read = Read(page.html([BY_ROWS_AND_THREADS]))
    assert len(read.plots("scaling")) == 3  # a number of threads each
    threads = read.plots("threads")
    assert len(threads) == 3  # a number of rows each
    assert {mark["at"] for mark in threads[0]["marks"]} == {2, 4}
    gained = [mark["value"] for mark in threads[-1]["marks"] if mark["curve"] == "numba-parallel"]
    assert gained == sorted(gained)
    assert gained[-1] > 2
    assert {one["at"] for one in threads[0]["legend"] if "at" in one} == set()


def test_an_axis_of_names_has_curves():
    [plot] = Read(page.html([BY_DTYPE])).plots("scaling")
    assert plot["numeric"] is False
    assert {mark["at"] for mark in plot["marks"]} == {"float32", "float64"}


@pytest.mark.parametrize(
    "unusual",
    [
        record(),
        record(row(status="crashed", reason="killed")),
        record(row(medians=[1e-3])),
        record(row(medians=[1e-3, 2e-3]), machine={}, interrupted=True),
        record(
            row(medians=[1e-3, 2e-3]), row("numpy", [1e-3, 2e-3], threads=4), machine={"cpu": None, "versions": None}
        ),
    ],
    ids=["no rows", "nothing measured", "one process", "machine unknown", "two numbers of threads"],
)
def test_every_record_makes_a_page(unusual):
    read = Read(page.html([unusual]))
    assert read.data is not None
    assert unusual.id in read.text


def test_users_functions_differ_in_colour_and_symbol():
    names = [f"sim.py:{name}_softmax_loss" for name in ("quad", "nlogn", "a", "b", "slept")]
    given = record(*(row(name, [1e-3, 1.1e-3]) for name in names))
    data = Read(page.html([given])).data
    assert len({one["colour"] for one in data["rows"].values()}) == len(names)
    assert len({one["symbol"] for one in data["rows"].values()}) == len(names)


def test_every_colour_has_a_light_and_a_dark_shade():
    styles = resources.files("lcbench.report.page").joinpath("page.css").read_text()
    for name in [*catalog.CATALOG, *(f"file-{number}.py:f" for number in range(200))]:
        variable = plots.appearance(line_style(name))["colour"].removeprefix("var(").partition(",")[0]
        assert f"  {variable}: light-dark(" in styles


def test_the_same_records_give_the_same_page():
    assert page.html([RUN, LATER]) == page.html([RUN, LATER])


def test_eight_implementations_stay_under_a_megabyte():
    assert len(page.html([RUN]).encode()) < 1_000_000


def test_the_libraries_have_the_checksums_and_versions_of_their_readme():
    readme = VENDOR.joinpath("README.md").read_text()
    for name in page.LIBRARIES:
        content = VENDOR.joinpath(name).read_bytes()
        [line] = [line for line in readme.splitlines() if line.startswith(f"| `{name}`")]
        assert hashlib.sha256(content).hexdigest() in line
        version = re.search(rb" v(\d+\.\d+\.\d+)", content[:100])[1].decode()
        assert f" {version} " in line
        assert not re.search(rb"</script|<!--", content, re.IGNORECASE)


def test_the_licences_of_the_libraries_are_in_the_page(run):
    for owner in ("Mike Bostock", "Observable, Inc.", "Robert Penner", "Mikola Lysenko"):
        assert owner in run.text


def test_every_script_of_the_page_is_used():
    folder = resources.files("lcbench.report.page").joinpath("scripts")
    assert {path.name for path in folder.iterdir()} == set(page.SCRIPTS)
    assert not any("</script" in folder.joinpath(name).read_text() for name in page.SCRIPTS)
